"""Section 3.4: who is asked before ``$connect``, with what, and what follows from the answer."""

import json
import re

import pytest

from tests.conformance.test_handshake import refusal
from tests.conformance.wire import Refused

TOKEN = ("X-Token", "t")


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ((), {"decision": "allow"}),
        ((("X-Token", ""),), {"decision": "allow"}),
        ((TOKEN,), {}),
        ((TOKEN,), {"decision": ""}),
    ],
)
async def test_a_missing_identity_source_is_401_and_nobody_is_asked(target, connect, recall, key, headers, query):
    reply = await refusal(connect, target.others["guarded"], *headers, query={**query, "key": key})
    assert (reply.status, reply.json()) == (401, {"message": "Unauthorized"})
    assert reply.header("x-amzn-ErrorType") == "UnauthorizedException"
    with pytest.raises(TimeoutError):
        await recall(key, "REQUEST", within=0.3)


@pytest.mark.parametrize(
    ("decision", "status", "message"),
    [
        ("unauthorized", 401, "Unauthorized"),
        ("deny", 403, "Forbidden"),
        ("rest", 403, "Forbidden"),
        ("broken", 500, "Internal server error"),
        ("status", 500, "Internal server error"),
        ("nobody", 500, "Internal server error"),
        ("nested", 500, "Internal server error"),
        ("large", 500, "Internal server error"),
    ],
)
async def test_the_authorizers_answer_decides(target, connect, recall, key, decision, status, message):
    query = {"decision": decision, "key": key}
    reply = await refusal(connect, target.others["guarded"], TOKEN, query=query)
    assert (reply.status, reply.json()["message"]) == (status, message)
    await recall(key, "REQUEST")
    with pytest.raises(TimeoutError):
        await recall(key, "CONNECT", within=0.3)


@pytest.mark.parametrize("decision", ["allow", "star"])
async def test_an_allow_that_matches_lets_in(target, connect, decision):
    socket = await connect(target.others["guarded"], TOKEN, query={"decision": decision})
    assert "event" in await socket.ask("x")


async def test_the_authorizers_input_has_its_members_in_their_order(target, connect, recall, key):
    await connect(target.others["guarded"], TOKEN, query={"decision": "allow", "key": key})
    event = await recall(key, "REQUEST")
    assert list(event) == [
        "type",
        "methodArn",
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "stageVariables",
        "requestContext",
    ]
    assert event["type"] == "REQUEST"
    context = event["requestContext"]
    arn = rf"arn:aws[\w-]*:execute-api:{target.region}:\d{{12}}:{context['apiId']}/guarded/\$connect"
    assert re.fullmatch(arn, event["methodArn"])
    headers = event["headers"]
    assert (headers["Connection"], headers["content-length"], headers["Upgrade"]) == ("upgrade", "0", "websocket")
    assert list(headers) == sorted(headers, key=str.lower)
    assert event["stageVariables"] == {"colour": "red"}
    assert (context["routeKey"], context["eventType"]) == ("$connect", "CONNECT")
    assert not {"authorizer", "messageId", "disconnectReason"} & set(context)


async def test_the_context_reaches_every_event_as_strings(target, connect, recall, key):
    given = {"text": "t", "number": 1, "fraction": 1.5, "truth": True}
    query = {"decision": "allow", "key": key, "context": json.dumps(given)}
    socket = await connect(target.others["guarded"], TOKEN, query=query)
    message = (await socket.ask("x"))["event"]["requestContext"]
    shown = {"principalId": "somebody", "text": "t", "number": "1", "fraction": "1.5", "truth": "true"}
    assert message["authorizer"] == shown
    opening = (await recall(key, "CONNECT"))["requestContext"]["authorizer"]
    latency = opening.pop("integrationLatency")
    assert isinstance(latency, int)
    assert opening == shown
    await socket.close()
    context = (await recall(message["connectionId"], "DISCONNECT"))["requestContext"]
    assert context["authorizer"] == shown
    assert list(context)[:3] == ["routeKey", "disconnectStatusCode", "authorizer"]


async def test_the_authorizer_is_asked_once_for_each_connection(target, connect, recall, key):
    first = await connect(target.others["guarded"], TOKEN, query={"decision": "allow", "key": key})
    await first.ask("x")
    seen = (await recall(key, "REQUEST"))["requestContext"]["connectionId"]
    await connect(target.others["guarded"], TOKEN, query={"decision": "allow", "key": key})
    assert (await recall(key, "REQUEST"))["requestContext"]["connectionId"] != seen, "no answer is kept"


async def test_a_denied_message_route_is_served_all_the_same(target, connect):
    socket = await connect(target.others["guarded"], TOKEN, query={"decision": "routes"})
    assert (await socket.ask("x"))["event"]["requestContext"]["routeKey"] == "$default"


async def test_an_unsigned_upgrade_is_forbidden_where_a_signature_is_wanted(target, connect):
    assert (await refusal(connect, target.others["signed"])).status == 403


async def test_a_signed_upgrade_gets_in(target, connect):
    try:
        socket = await connect(target.signed_url(target.others["signed"]))
    except Refused as refused:
        pytest.fail(f"{refused.reply.status} {refused.reply.body!r}")
    assert socket.reply.status == 101


async def test_an_upgrade_signed_in_its_headers_gets_in(target, connect):
    url = target.others["signed"]
    socket = await connect(url, *target.signed_headers(url))
    assert socket.reply.status == 101
    stranger = [(key, value.replace("Signature=", "Signature=0")) for key, value in target.signed_headers(url)]
    assert (await refusal(connect, url, *stranger)).status == 403


async def test_a_signature_is_shown_in_identity(target, connect):
    socket = await connect(target.signed_url(target.others["signed"]))
    identity = (await socket.ask("x"))["event"]["requestContext"]["identity"]
    assert identity["accessKey"] == target.credentials.access_key
    assert re.fullmatch(r"\d{12}", identity["accountId"])
    assert identity["userArn"].startswith("arn:aws")
    assert {"caller", "user", "sourceIp"} <= set(identity)
    assert None not in identity.values()
