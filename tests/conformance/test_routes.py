"""Section 2: which route a message takes, and what a client reads when there is none."""

import json
import re
from base64 import b64decode, b64encode

import pytest

from tests.conformance.conftest import connection_id
from tests.conformance.wire import BINARY

FRAME = re.compile(r'^\{"message": "([^"]+)", "connectionId":"([^"]+)", "requestId":"([^"]+)"\}$')


async def route_of(socket, text):
    return (await socket.ask(text))["event"]["requestContext"]["routeKey"]


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ('{"action":"ask"}', "ask"),
        ('{"action":"ASK"}', "$default"),
        ('{"action":"ask "}', "$default"),
        ('{"action":1}', "1"),
        ('{"action":"nowhere"}', "$default"),
        ('{"other":"ask"}', "$default"),
        ('{"action":null}', "$default"),
        ("[1]", "$default"),
        ('"ask"', "$default"),
        ("hello", "$default"),
        ("{", "$default"),
        ("", "$default"),
        ('{"action":"$connect"}', "$default"),
        ('{"action":"$disconnect"}', "$default"),
        ('{"action":"$default"}', "$default"),
        ('{"action":"${request.body.other}","other":"ask"}', "$default"),
        ('{"action":"/a.k/"}', "$default"),
        (' {"action":"ask","n":1e400,"half":"\\ud800"} ', "ask"),
        ("[" * 10_000, "$default"),
    ],
)
async def test_a_message_takes_the_route_that_its_body_names(socket, text, route):
    assert await route_of(socket, text) == route


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ('{"action":"join"}', "join-"),
        ('{"action":"join","kind":"room"}', "join-room"),
        ('{"action":["a","b"],"kind":1}', "[a, b]-1"),
    ],
)
async def test_an_expression_of_several_parts_is_put_together(target, connect, text, route):
    assert await route_of(await connect(target.others["bare"]), text) == route


async def test_static_text_and_an_escaped_dollar_select_one_route(target, connect):
    socket = await connect(target.others["static"])
    for text in ('{"action":"ask"}', "hello"):
        assert await route_of(socket, text) == "$default"


async def test_an_empty_message_has_an_empty_body(socket):
    assert (await socket.ask(""))["event"]["body"] == ""


@pytest.mark.parametrize("text", ['{"action":"leave"}', "ping"])
async def test_without_a_route_the_client_reads_forbidden_and_stays(target, connect, text):
    socket = await connect(target.others["bare"])
    await socket.send(text)
    frame = FRAME.match(await socket.text())
    assert frame is not None
    assert frame[1] == "Forbidden"
    context = (await socket.ask({"action": "join"}))["event"]["requestContext"]
    assert frame[2] == context["connectionId"]
    assert re.match(r"^[\w-]{5}[E-H][\w-]{5}F[\w-]{2}[AQgw]=$", frame[3])
    assert frame[3] != context["requestId"]


async def test_a_message_that_breaks_its_model_is_a_bad_request(socket):
    name = await connection_id(socket)
    await socket.send({"action": "ping"})
    text = await socket.text()
    expected = rf'\{{"message" : "Bad request body", "connectionId": "{name}", "messageId": "[\w=-]{{16}}"\}}'
    assert re.fullmatch(expected, text)
    assert (await socket.ask({"action": "ping", "text": "hi"}))["type"] == "pong"


async def test_a_mock_answers_from_its_template(socket):
    name = await connection_id(socket)
    await socket.send({"action": "ping", "text": "hi"})
    assert json.loads(await socket.text()) == {"type": "pong", "to": name}


async def test_templates_make_the_event_and_the_answer_of_a_custom_integration(socket):
    name = await connection_id(socket)
    told = await socket.ask({"action": "custom", "text": "grüß dich", "quoted": '"/'})
    assert told["route"] == "custom"
    event = told["answer"]["event"]
    assert event["requestContext"] == {"eventType": "MESSAGE", "from": name}
    assert json.loads(event["body"]) == {"action": "custom", "text": "grüß dich", "quoted": '"/'}
    assert (event["upper"], event["colour"]) == ("GRÜSS DICH", "green")


async def test_the_body_selects_the_model_that_a_message_must_obey(socket):
    await socket.send({"action": "custom", "kind": "note"})
    assert "Bad request body" in await socket.text()
    assert (await socket.ask({"action": "custom", "kind": "note", "text": "x"}))["route"] == "custom"
    assert (await socket.ask({"action": "custom", "kind": "other", "text": "x"}))["route"] == "custom"


async def test_content_handling_decodes_what_goes_in_and_encodes_what_comes_out(target, connect):
    socket = await connect(target.others["converted"])
    await socket.send(b64encode(b'{"requestContext":{"eventType":"MESSAGE"},"body":"x"}').decode())
    answer = json.loads(b64decode(await socket.text()))
    assert json.loads(answer["body"])["event"]["body"] == "x"


async def test_a_binary_message_closes_with_1003(socket):
    await socket.write(BINARY, b"\x00\x01")
    assert (await socket.closed()).code == 1003
