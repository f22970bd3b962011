"""Section 1: what functions are handed, member for member."""

import asyncio
import re
import time
from base64 import urlsafe_b64decode
from urllib.parse import urlsplit

import pytest

from tests.conformance.conftest import connection_id

CONNECTION_ID = re.compile(r"^[\w-]{5}[c-f][\w-]{5}C[\w-]{2}[AQgw]=$")
REQUEST_ID = re.compile(r"^[\w-]{5}[E-H][\w-]{5}F[\w-]{2}[AQgw]=$")
CLF = re.compile(r"^\d{2}/(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/\d{4}:\d{2}:\d{2}:\d{2} \+0000$")
NEVER = {"resource", "path", "httpMethod", "pathParameters", "version", "cookies", "rawPath"}
NEVER_IN_CONTEXT = {"accountId", "resourceId", "resourcePath", "httpMethod", "protocol", "path", "http"}
REGIONS = {"us-east-1": 0x2003, "us-east-2": 0x0987, "us-west-2": 0x3C77, "ap-northeast-1": 0x3633}
CONTEXT = [
    *("routeKey", "disconnectStatusCode", "authorizer", "messageId", "eventType", "extendedRequestId", "requestTime"),
    *("messageDirection", "disconnectReason", "stage", "connectedAt", "requestTimeEpoch", "identity", "requestId"),
    *("domainName", "connectionId", "apiId"),
]


def in_order(names, order):
    return [name for name in order if name in names] == list(names)


def bits(identifier):
    return int.from_bytes(urlsafe_b64decode(identifier), "big")


@pytest.fixture
async def events(target, connect, recall, key):
    """The three events of one connection with a query, on a stage with a variable."""
    query = {"key": key, "a": "1"}
    socket = await connect(target.gateway, ("X-Note", "one"), ("x-low", "two"), ("Cookie", "a=b"), query=query)
    message = (await socket.ask({"action": "ask", "n": 1}))["event"]
    await socket.close(4000, "done")
    name = message["requestContext"]["connectionId"]
    return await recall(key, "CONNECT"), message, await recall(name, "DISCONNECT")


async def test_each_event_has_its_members_in_their_order(events):
    connect, message, disconnect = events
    assert list(connect) == [
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "stageVariables",
        "requestContext",
        "isBase64Encoded",
    ]
    assert list(message) == ["stageVariables", "requestContext", "body", "isBase64Encoded"]
    assert list(disconnect) == ["headers", "multiValueHeaders", "stageVariables", "requestContext", "isBase64Encoded"]
    for event in events:
        assert event["isBase64Encoded"] is False
        assert event["stageVariables"] == {"colour": "green"}
        assert not NEVER & set(event)
        assert not NEVER_IN_CONTEXT & set(event["requestContext"])


async def test_the_body_of_a_message_is_the_raw_text(socket):
    text = '{"action":"ask",  "grüße": "\\u00e9"}\r\n'
    assert (await socket.ask(text))["event"]["body"] == text


async def test_without_a_query_its_members_are_absent(target, connect, recall, key):
    plain = await connect(target.others["guarded"], ("X-Token", "t"), query={"decision": "allow", "key": key})
    assert (await recall(key, "CONNECT"))["queryStringParameters"]["decision"] == "allow"
    message = (await plain.ask("x"))["event"]
    assert not {"queryStringParameters", "headers", "multiValueHeaders"} & set(message)


async def test_a_query_is_decoded_and_its_last_value_is_the_single_one(target, connect, recall, key):
    await connect(f"{target.gateway}?key={key}&a=1&a=2&empty=&b=%C3%A9%20x")
    event = await recall(key, "CONNECT")
    assert event["queryStringParameters"] == {"key": key, "a": "2", "empty": "", "b": "é x"}
    assert event["multiValueQueryStringParameters"] == {"key": [key], "a": ["1", "2"], "empty": [""], "b": ["é x"]}


async def test_request_context_has_its_members_in_their_order(events):
    for event, kind, route_key in zip(
        events, ("CONNECT", "MESSAGE", "DISCONNECT"), ("$connect", "ask", "$disconnect"), strict=True
    ):
        context = event["requestContext"]
        assert in_order(context, CONTEXT)
        assert (context["eventType"], context["routeKey"], context["messageDirection"]) == (kind, route_key, "IN")
        assert context["extendedRequestId"] == context["requestId"]
        assert CLF.match(context["requestTime"])
        assert isinstance(context["requestTimeEpoch"], int)
        assert ("messageId" in context) is (kind == "MESSAGE")
        assert ("disconnectStatusCode" in context) is (kind == "DISCONNECT")
        assert ("disconnectReason" in context) is (kind == "DISCONNECT")
        assert "authorizer" not in context
        assert re.fullmatch(r"[a-z0-9]{10}", context["apiId"])


async def test_what_belongs_to_the_connection_is_the_same_in_all_its_events(events, target):
    contexts = [event["requestContext"] for event in events]
    for member in ("connectionId", "connectedAt", "identity", "domainName", "stage", "apiId"):
        assert contexts[0][member] == contexts[1][member] == contexts[2][member]
    assert len({context["requestId"] for context in contexts}) == 3
    assert contexts[0]["stage"] == urlsplit(target.gateway).path.strip("/")
    assert contexts[0]["domainName"] == urlsplit(target.gateway).netloc
    assert 0 <= contexts[0]["requestTimeEpoch"] - contexts[0]["connectedAt"] <= 200
    assert abs(contexts[0]["connectedAt"] / 1000 - time.time()) < 60


async def test_request_time_is_the_epoch_in_utc(events):
    context = events[1]["requestContext"]
    at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(context["requestTimeEpoch"] // 1000))
    assert context["requestTime"] == at


async def test_identity_has_no_user_agent_where_none_was_sent(target, connect):
    with_one = await connect(target.gateway, user_agent="Sparrow/1")
    identity = (await with_one.ask("x"))["event"]["requestContext"]["identity"]
    assert (list(identity), identity["userAgent"]) == (["userAgent", "sourceIp"], "Sparrow/1")
    without = await connect(target.gateway, user_agent=None)
    assert list((await without.ask("x"))["event"]["requestContext"]["identity"]) == ["sourceIp"]


async def test_an_api_key_is_shown_in_identity(target, connect):
    socket = await connect(target.others["keyed"], ("x-api-key", "conformance-key-0123456789"), user_agent=None)
    identity = (await socket.ask("x"))["event"]["requestContext"]["identity"]
    assert list(identity) == ["apiKey", "apiKeyId", "sourceIp"]
    assert identity["apiKey"] == "conformance-key-0123456789"


async def test_ids_have_their_form(events):
    for event in events:
        context = event["requestContext"]
        assert CONNECTION_ID.match(context["connectionId"])
        assert REQUEST_ID.match(context["requestId"])
    message = events[1]["requestContext"]
    assert CONNECTION_ID.match(message["messageId"])
    assert message["messageId"][-4:] == message["connectionId"][-4:], "the same host"
    assert message["messageId"] != message["connectionId"]


async def test_ids_carry_the_time_and_the_region(events, target):
    for event in events:
        context = event["requestContext"]
        now = context["requestTimeEpoch"]
        tick = (now // 100 - 115_262_492) % (2**29 - 1)
        assert abs((bits(context["requestId"]) >> 58) - tick) <= 2
        if target.region in REGIONS:
            assert bits(context["requestId"]) >> 24 & 0x7FFF == REGIONS[target.region]
    connected_at = events[0]["requestContext"]["connectedAt"]
    tick = (connected_at // 100 - 115_262_492) % (2**29 - 1)
    assert abs((bits(events[0]["requestContext"]["connectionId"]) >> 58) - tick) <= 2


async def test_headers_are_sorted_without_case_and_keep_theirs(events):
    headers = events[0]["headers"]
    assert list(headers) == sorted(headers, key=str.lower)
    assert list(events[0]["multiValueHeaders"]) == list(headers)
    assert all(values == [headers[key]] for key, values in events[0]["multiValueHeaders"].items())
    assert (headers["X-Note"], headers["x-low"], headers["Cookie"]) == ("one", "two", "a=b")


async def test_connect_always_has_the_gateways_own_headers(events):
    headers = events[0]["headers"]
    assert {"Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "X-Forwarded-For"} <= set(headers)
    assert (headers["X-Forwarded-Port"], headers["X-Forwarded-Proto"]) == ("443", "https")
    assert not {"connection", "upgrade", "content-length"} & {name.lower() for name in headers}
    assert not {"Origin", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"} & set(headers), "only if sent"
    trace = re.fullmatch(r"Root=1-([0-9a-f]{8})-[0-9a-f]{24}", headers["X-Amzn-Trace-Id"])
    assert trace is not None
    assert abs(int(trace[1], 16) - events[0]["requestContext"]["connectedAt"] / 1000) <= 2


async def test_connect_has_what_a_browser_sends(target, connect, recall, key):
    sent = {
        "Origin": "https://elsewhere.example",
        "Accept-Encoding": "gzip, deflate, br",
        "Accept-Language": "de",
        "Cache-Control": "no-cache",
        "Pragma": "no-cache",
    }
    extensions = "permessage-deflate; client_max_window_bits"
    await connect(target.gateway, *sent.items(), query={"key": key}, protocols="a, b", extensions=extensions)
    headers = (await recall(key, "CONNECT"))["headers"]
    assert sent.items() <= headers.items()
    assert headers["Sec-WebSocket-Protocol"] == "a, b"
    assert headers["Sec-WebSocket-Extensions"] == extensions


async def test_disconnect_has_four_headers_of_its_own(events):
    headers = events[2]["headers"]
    assert headers == {
        "Host": events[2]["requestContext"]["domainName"],
        "x-api-key": "",
        "X-Forwarded-For": "",
        "x-restapi": "",
    }
    assert list(headers) == ["Host", "x-api-key", "X-Forwarded-For", "x-restapi"]
    assert events[2]["multiValueHeaders"] == {key: [value] for key, value in headers.items()}


async def test_functions_are_invoked_synchronously_by_their_arn(socket):
    answer = await socket.ask({"action": "ask"})
    assert re.fullmatch(r"arn:aws[\w-]*:lambda:[\w-]+:\d{12}:function:.+", answer["arn"])


async def test_ids_sort_by_time(target, connect):
    first = await connection_id(await connect(target.gateway))
    await asyncio.sleep(0.15)
    second = await connection_id(await connect(target.gateway))
    assert bits(first) >> 58 < bits(second) >> 58
