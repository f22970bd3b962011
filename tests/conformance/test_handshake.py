"""Sections 3.1 to 3.3 and 3.5: how an upgrade request is answered."""

import asyncio
import json
import re
from urllib.parse import urlencode

import pytest

from tests.conformance import wire
from tests.conformance.wire import Refused

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


async def refusal(connect, url, *headers, query=None, **how):
    with pytest.raises(Refused) as refused:
        await connect(url, *headers, query=query, **how)
    return refused.value.reply


def returning(**answer):
    return {"return": json.dumps(answer)}


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_opens_the_connection(target, connect, status):
    socket = await connect(target.gateway, query=returning(statusCode=status))
    assert "event" in await socket.ask("x")


async def test_without_a_connect_route_everybody_is_accepted(target, connect):
    socket = await connect(target.others["bare"])
    assert "event" in await socket.ask({"action": "join"})


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 429, 500, 503])
async def test_any_other_status_reaches_the_client_without_the_functions_headers_and_body(target, connect, status):
    answer = returning(statusCode=status, body="secret", headers={"X-Secret": "1"})
    reply = await refusal(connect, target.gateway, query=answer)
    assert reply.status == status
    assert reply.header("X-Secret") is None
    assert set(reply.json()) == {"message"}
    assert "secret" not in reply.body.decode()


@pytest.mark.parametrize(
    "query",
    [
        {"raise": "1"},
        {"return": "null"},
        {"return": "{}"},
        {"return": '"200"'},
        {"return": '{"statusCode":200,"ConnectionId":"x"}'},
        {"return": '{"statusCode":"two hundred"}'},
        {"return": '{"statusCode":200,"headers":"x"}'},
        {"return": '{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"a\\r\\nX-Evil: 1"}}'},
    ],
)
async def test_a_failing_or_malformed_answer_is_502(target, connect, query):
    reply = await refusal(connect, target.gateway, query=query)
    assert (reply.status, reply.body) == (502, b'{"message": "Internal server error"}')


async def test_a_refusal_is_json_with_the_gateways_headers(target, connect):
    reply = await refusal(connect, target.gateway, query={"raise": "1"})
    assert reply.header("Content-Type") == "application/json"
    assert UUID.match(reply.header("x-amzn-RequestId"))
    assert reply.header("x-amzn-ErrorType") == "InternalServerErrorException"
    assert re.match(r"^[\w-]{15}=$", reply.header("x-amz-apigw-id"))
    assert reply.header("Date")


async def test_the_upgrade_is_held_until_the_function_has_answered(target, connect):
    loop = asyncio.get_running_loop()
    began = loop.time()
    await connect(target.gateway, query={"sleep": "0.4"})
    assert loop.time() - began >= 0.4


async def test_a_function_that_exceeds_the_integrations_time_is_504(brief, connect):
    reply = await refusal(connect, brief.gateway, query={"sleep": "1.5"})
    assert (reply.status, reply.body) == (504, b'{"message": "Endpoint request timed out"}')


async def test_another_stage_is_forbidden(target, connect):
    reply = await refusal(connect, target.gateway.rpartition("/")[0] + "/elsewhere")
    assert (reply.status, reply.body) == (403, b'{"message":"Forbidden"}')
    assert reply.header("x-amzn-ErrorType") == "ForbiddenException"


async def test_a_path_behind_the_stage_is_refused(target, connect):
    assert (await refusal(connect, target.gateway + "/room/7")).status in {403, 404}


async def test_a_slash_behind_the_stage_is_the_stage(target, connect):
    assert "event" in await (await connect(target.gateway + "/")).ask("x")


async def test_a_request_without_an_upgrade_is_426(target):
    reply, _, writer = await wire.call("GET", target.gateway)
    writer.close()
    assert reply.status == 426


async def test_the_origin_is_not_checked(target, connect):
    socket = await connect(target.gateway, ("Origin", "https://elsewhere.example"))
    assert "event" in await socket.ask("x")


@pytest.mark.parametrize("length", [5_000, 20_000])
async def test_a_url_over_4096_characters_is_refused(target, connect, length):
    reply = await refusal(connect, target.gateway, query={"long": "x" * length})
    assert 400 <= reply.status < 500


async def test_a_url_of_4096_characters_is_taken(target, connect):
    # Its own scheme counts on AWS, where it has one letter more.
    room = 4_096 - len(target.gateway.replace("ws://", "wss://")) - len("?long=")
    assert "event" in await (await connect(target.gateway, query={"long": "x" * room})).ask("x")


@pytest.mark.parametrize(("count", "size"), [(1, 20_000), (200, 10)])
async def test_headers_that_nobody_reads_are_refused(target, connect, count, size):
    headers = [(f"X-Long-{number}", "x" * size) for number in range(count)]
    assert 400 <= (await refusal(connect, target.gateway, *headers)).status < 500


async def test_more_connections_a_second_than_the_quota_are_429(brief):
    outcomes = await asyncio.gather(*(wire.connect(brief.others["bare"]) for _ in range(12)), return_exceptions=True)
    refused = [one.reply for one in outcomes if isinstance(one, Refused)]
    assert 0 < len(refused) < 12
    assert {reply.status for reply in refused} == {429}
    assert refused[0].json() == {"message": "Too Many Requests"}
    for one in outcomes:
        if isinstance(one, wire.Socket):
            one.drop()
    await asyncio.sleep(1)


async def test_the_101_has_the_gateways_headers(target, connect):
    socket = await connect(target.gateway)
    names = [name for name, _ in socket.reply.headers]
    assert names == ["Date", "Connection", "upgrade", "sec-websocket-accept"]
    assert (socket.reply.header("connection"), socket.reply.header("upgrade")) == ("upgrade", "websocket")


async def test_only_the_function_picks_a_sub_protocol(target, connect):
    answer = returning(statusCode=200, headers={"Sec-WebSocket-Protocol": "b", "X-Other": "dropped"})
    chosen = await connect(target.gateway, query=answer, protocols="a, b")
    assert chosen.reply.header("Sec-WebSocket-Protocol") == "b"
    assert chosen.reply.header("X-Other") is None
    silent = await connect(target.gateway, protocols="a, b")
    assert silent.reply.header("Sec-WebSocket-Protocol") is None


@pytest.mark.parametrize("key", [None, "wrong", ""])
async def test_without_the_api_key_nobody_gets_in(target, connect, key):
    headers = [] if key is None else [("x-api-key", key)]
    reply = await refusal(connect, target.others["keyed"], *headers)
    assert (reply.status, reply.json()) == (403, {"message": "Forbidden"})


async def test_a_connection_is_gone_while_its_connect_function_runs(target, connect, recall, key):
    await connect(target.gateway, query={"key": key, "post": target.management})
    assert await recall(key, "EARLY") == {"post": 410, "get": 410, "delete": 410}


GOOD = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ("Sec-WebSocket-Version", "13"),
)


def without(*names):
    return [pair for pair in GOOD if pair[0] not in names]


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", without("Sec-WebSocket-Key"), 400),
        ("GET", [*without("Sec-WebSocket-Key"), ("Sec-WebSocket-Key", "short")], 400),
        ("GET", [*GOOD, ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")], 400),
        ("GET", without("Sec-WebSocket-Version"), 426),
        ("GET", [*without("Sec-WebSocket-Version"), ("Sec-WebSocket-Version", "8")], 426),
        ("GET", [*GOOD, ("Host", "elsewhere.example")], 400),
        ("GET", [*GOOD, ("Content-Length", "5")], 400),
        ("GET", [*GOOD, ("Transfer-Encoding", "chunked")], 400),
        ("GET", [*GOOD, ("Sec-WebSocket-Extensions", "=")], 400),
        ("GET", [*GOOD, ("no header", "x")], 400),
        ("POST", GOOD, 405),
    ],
)
async def test_a_request_that_begins_no_websocket_is_refused_as_json(target, method, headers, status):
    body = b"hello" if ("Content-Length", "5") in headers else b""
    reply, _, writer = await wire.call(method, target.gateway, headers, body)
    writer.close()
    assert reply.status == status if target.is_emulator else 400 <= reply.status < 500
    assert set(reply.json()) == {"message"}
    assert UUID.match(reply.header("x-amzn-RequestId"))


async def test_an_upgrade_with_an_empty_body_is_one_like_others(target):
    reply, _, writer = await wire.call("GET", target.gateway, [*GOOD, ("Content-Length", "0")])
    writer.close()
    assert reply.status == 101


async def test_what_a_client_says_too_early_waits_for_the_101(target):
    early = wire.encode(wire.PING, b"early") + wire.encode(wire.TEXT, b'{"action":"ask"}')
    reply, reader, writer = await wire.call("GET", f"{target.gateway}?sleep=0.2", GOOD, early)
    assert reply.status == 101
    socket = wire.Socket(reader, writer, reply)
    frame = await socket.frame()
    assert (frame.opcode, frame.payload) == (wire.PONG, b"early")
    assert (await socket.json())["event"]["body"] == '{"action":"ask"}'
    socket.drop()


async def test_no_data_flows_before_the_function_has_answered(target):
    query = urlencode({"sleep": "0.3"})
    pending = asyncio.create_task(wire.call("GET", f"{target.gateway}?{query}", GOOD))
    done, _ = await asyncio.wait([pending], timeout=0.2)
    assert not done
    reply, _, writer = await pending
    writer.close()
    assert reply.status == 101
