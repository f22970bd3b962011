"""Every way in which handlers say where the gateway is leads here, from inside a function with unmodified boto3."""

import asyncio
import json
import os
import socket
import ssl
import time
from pathlib import Path

import pytest

from tests.end_to_end.calls import TEMPLATE, Caller
from tests.end_to_end.running import Emulator

ALIASES = ("--alias", "abcdef1234.execute-api.eu-west-1.amazonaws.com=Api", "--alias", "ws.example.com=Api")


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    running = Emulator(tmp_path_factory.mktemp("calling"), *ALIASES, template=TEMPLATE)
    yield running
    running.stop()


@pytest.fixture
async def caller(serving, session):
    one = await Caller.connect(session, serving.ready["websocket"])
    yield one
    await one.close()


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        pytest.param("https://{domainName}/{stage}", None, id="E1"),
        pytest.param("{literal}", None, id="E2"),
        pytest.param("{attribute}", None, id="E2-of-ApiEndpoint"),
        pytest.param("https://{apiId}.execute-api.{region}.amazonaws.com/{stage}/", None, id="E3"),
        pytest.param("https://" + "{domainName}/{stage}", None, id="E4"),
        pytest.param("https://{domainName}", None, id="E5"),
        pytest.param("https://abcdef1234.execute-api.eu-west-1.amazonaws.com/prod", "eu-west-1", id="E6"),
        pytest.param("https://abcdef1234.execute-api.eu-west-1.amazonaws.com/prod", None, id="E6-our-region"),
        pytest.param("https://ws.example.com", None, id="E6-own-domain"),
    ],
)
async def test_each_endpoint_shape_reaches_the_emulator(caller, endpoint, region):
    note = json.dumps({"note": endpoint})
    outcome = await caller.manage("everything", "post_to_connection", endpoint, Data=note, region=region)
    assert outcome == ["ok", 200]
    await caller.find(lambda message: message.get("note") == endpoint, within=5)


async def test_a_missing_stage_is_served_with_a_warning(serving, caller):
    await caller.manage("everything", "get_connection", "https://{domainName}")
    assert "names no stage" in serving.output


async def test_a_closed_connection_is_gone_by_every_way(caller):
    for endpoint in ("https://{domainName}/{stage}", "{literal}", "https://ws.example.com"):
        outcome = await caller.manage("everything", "get_connection", endpoint, ConnectionId="L0SM9cOFvHcCIhw=")
        assert outcome[0] == "GoneException"


async def test_an_api_that_is_not_ours_is_forbidden(caller):
    endpoint = "https://zzzzzzzzzz.execute-api.{region}.amazonaws.com/prod"
    outcome = await caller.manage("everything", "get_connection", endpoint)
    assert outcome == ["ForbiddenException", "Forbidden"]


async def test_a_stage_in_the_path_of_an_own_domain_has_no_route(caller):
    outcome = await caller.manage("everything", "get_connection", "https://ws.example.com/prod")
    assert "No method found matching route prod/@connections/" in outcome[1]


async def test_regional_hosts_of_dynamodb_and_lambda_are_answered_here(serving, caller):
    where = "https://dynamodb.{region}.amazonaws.com"
    assert await caller.call("everything", "dynamodb", "list_tables", endpoint=where) == ["ok", 200]
    name = next(line.split()[-1] for line in serving.lines if "app.handler" in line)
    arguments = {"FunctionName": name, "InvocationType": "DryRun"}
    where = "https://lambda.{region}.amazonaws.com"
    assert await caller.call("everything", "lambda", "invoke", endpoint=where, **arguments) == ["ok", 204]


async def test_another_host_of_aws_is_refused_by_name_and_told_once(serving, caller):
    for _ in range(2):
        outcome = await caller.call("everything", "stepfunctions", "list_state_machines")
        assert outcome[0] == "ProxyConnectionError"
    assert len(serving.lines_with("states.us-east-1.amazonaws.com is refused")) == 1


@pytest.mark.parametrize("endpoint", [None, "https://sqs.{region}.amazonaws.com"])
async def test_queues_are_answered_by_moto_under_the_same_permissions(caller, endpoint):
    queue = {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/jobs"}
    arguments = {**queue, "MessageBody": "x"}
    assert await caller.call("everything", "sqs", "send_message", endpoint=endpoint, **arguments) == ["ok", 200]
    code, message = await caller.call("everything", "sqs", "receive_message", endpoint=endpoint, **queue)
    assert code == "AccessDeniedException"
    assert "sqs:ReceiveMessage on resource: arn:aws:sqs:us-east-1:000000000000:jobs because no" in message


async def test_a_domain_of_the_template_leads_to_its_api(caller):
    note = json.dumps({"note": "domain"})
    where = "https://live.example.com/chat"
    assert await caller.manage("everything", "post_to_connection", where, Data=note) == ["ok", 200]
    outcome = await caller.manage("everything", "get_connection", "https://live.example.com")
    assert outcome == ["ForbiddenException", "Forbidden"]


async def test_another_region_is_refused_with_the_remedy(serving, caller):
    where = "https://dynamodb.eu-west-1.amazonaws.com"
    await caller.call("everything", "dynamodb", "list_tables", endpoint=where, region="eu-west-1")
    async with asyncio.timeout(5):
        while "--region eu-west-1" not in serving.output:
            await asyncio.sleep(0.05)


async def test_the_rest_of_the_world_is_reached_through_a_tunnel(serving, caller):
    """A listener of the test's own stands for the world: the first byte of a TLS handshake comes to it."""
    reached = asyncio.Event()

    async def accept(reader, writer):
        assert (await reader.read(1)) == b"\x16"
        reached.set()
        writer.close()

    world = await asyncio.start_server(accept, "127.0.0.2", 0)
    port = world.sockets[0].getsockname()[1]
    # Not 127.0.0.1 nor localhost, which need no proxy.
    outcome = await caller.fetch(f"https://127.0.0.2:{port}/")
    assert outcome[0] == "refused", outcome
    await asyncio.wait_for(reached.wait(), 5)
    world.close()
    await world.wait_closed()


async def test_nobody_reachable_is_a_bad_gateway(caller):
    with socket.socket() as closed:
        closed.bind(("127.0.0.2", 0))
        port = closed.getsockname()[1]
    outcome = await caller.fetch(f"https://127.0.0.2:{port}/")
    assert "502" in outcome[1]


async def test_secure_sockets_are_served_on_the_same_port(serving, session):
    context = trusting(serving)
    url = serving.ready["websocket"].replace("ws:", "wss:")
    async with session.ws_connect(url, ssl=context) as one:
        await one.send_str('{"as":"nobody"}')
        assert json.loads((await one.receive(5)).data)["message"] == "Forbidden"
    async with session.ws_connect(url.replace("127.0.0.1", "localhost"), ssl=context):
        pass


async def test_an_own_domain_leads_to_the_stage_by_its_name_alone(serving, session):
    async with session.ws_connect(serving.http + "/", headers={"Host": "ws.example.com"}) as one:
        await one.send_str('{"as":"nobody"}')
        assert json.loads((await one.receive(5)).data)["message"] == "Forbidden"


async def test_the_silent_the_slow_and_the_confused_hold_up_nobody(serving, session):
    address = ("127.0.0.1", int(serving.http.rpartition(":")[2]))
    waiting = [await asyncio.open_connection(*address) for _ in range(20)]
    half = b"GET /prod HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    for junk in (half, b"\x16\x03\x01junk", b"\x00\x01\x02\x03", b"CONNECT nowhere\r\n\r\n", b"C", b"GARBAGE \r\n\r\n"):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(junk)
        waiting.append((reader, writer))
    began = time.monotonic()
    async with session.get(serving.ready["management"]) as answer:
        assert answer.status == 426
    assert time.monotonic() - began < 5
    for reader, writer in waiting:
        # All are hung up on within ten seconds of silence; the confused sooner.
        await asyncio.wait_for(reader.read(), 25)
        writer.close()
    async with session.get(serving.ready["management"]) as answer:
        assert answer.status == 426


async def test_functions_alone_are_told_of_the_proxy_and_the_authority(serving):
    assert not {"HTTPS_PROXY", "AWS_CA_BUNDLE", "SSL_CERT_FILE"} & serving.ready["environment"].keys()


def trusting(serving):
    """Return a context that trusts what the functions trust."""
    [process] = list(serving.processes())[:1]
    told = Path(f"/proc/{process}/environ").read_bytes()
    variables = dict(entry.split(b"=", 1) for entry in told.split(b"\0") if b"=" in entry)
    return ssl.create_default_context(cafile=os.fsdecode(variables[b"SSL_CERT_FILE"]))


def test_an_alias_that_leads_nowhere_is_one_clear_sentence(run):
    program = run("-m", "local", "up", "--template", str(TEMPLATE), "--port", "0", "--alias", "ws.example.com=Nope")
    assert program.wait(20) == 1
    assert program.lines[-1].startswith("tickwire up: --alias ws.example.com=Nope: there is no API Nope")


@pytest.mark.parametrize(
    "endpoint", ["https://{domainName}/{stage}", "https://{apiId}.execute-api.{region}.amazonaws.com/{stage}"]
)
async def test_two_apis_with_a_stage_of_one_name_are_told_apart(two, session, endpoint):
    urls = [line.split()[1] for line in two.lines if line.strip().startswith("WebSocket")]
    assert urls[0] != urls[1]
    for url in urls:
        caller = await Caller.connect(session, url)
        assert await caller.manage("everything", "post_to_connection", endpoint, Data='{"note":1}') == ["ok", 200]
        await caller.find(lambda message: "note" in message, within=5)
        await caller.close()


async def test_a_connection_is_not_to_be_found_in_the_other_api(two, session):
    first, second = (line.split()[1] for line in two.lines if line.strip().startswith("WebSocket"))
    caller = await Caller.connect(session, first)
    other = second.split("/")[-2]
    endpoint = f"https://{other}.execute-api.us-east-1.amazonaws.com/prod"
    assert (await caller.manage("everything", "get_connection", endpoint))[0] == "GoneException"
    await caller.close()
    assert "The role arn:aws:iam::000000000000:role/of-another-stack of Everything is not in the template" in two.output


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    running = Emulator(tmp_path_factory.mktemp("two"), template=TEMPLATE.with_name("two.yaml"))
    yield running
    running.stop()
