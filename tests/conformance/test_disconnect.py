"""Section 6: what ``$disconnect`` is told, and when it is not run."""

import json
import struct

import pytest

from tests.conformance.conftest import connection_id
from tests.conformance.test_handshake import refusal
from tests.conformance.wire import BINARY, CLOSE, TEXT


async def told(recall, name):
    context = (await recall(name, "DISCONNECT"))["requestContext"]
    return context["disconnectStatusCode"], context["disconnectReason"]


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (struct.pack("!H", 1001), 1001, ""),
        (struct.pack("!H", 1000), 1000, ""),
        (b"", 1005, "Client-side close frame status not set"),
        (struct.pack("!H", 4321) + b"own words", 4321, "own words"),
    ],
)
async def test_the_function_is_told_how_the_client_left(socket, recall, payload, code, reason):
    name = await connection_id(socket)
    await socket.write(CLOSE, payload)
    assert await told(recall, name) == (code, reason)


async def test_a_client_that_vanishes_is_1006(target, socket, recall):
    if not target.is_emulator:
        pytest.skip("AWS may take minutes to notice")
    name = await connection_id(socket)
    socket.drop()
    assert await told(recall, name) == (1006, "")


@pytest.mark.parametrize(("opcode", "size", "code"), [(TEXT, 32_769, 1009), (BINARY, 2, 1003)])
async def test_a_client_that_was_hung_up_on_is_told_of_with_that_code(socket, recall, opcode, size, code):
    name = await connection_id(socket)
    await socket.write(opcode, b"x" * size)
    assert (await told(recall, name))[0] == code


async def test_the_event_has_no_body_no_query_and_no_message_id(socket, recall):
    name = await connection_id(socket)
    await socket.close()
    event = await recall(name, "DISCONNECT")
    assert not {"body", "queryStringParameters"} & set(event)
    assert "messageId" not in event["requestContext"]
    assert event["requestContext"]["identity"]["userAgent"] == "conformance"


async def test_a_post_to_an_ended_connection_is_gone(target, socket, recall):
    name = await connection_id(socket)
    await socket.close()
    await told(recall, name)
    assert (await target.call("POST", name, b"x")).status == 410


async def test_a_refused_handshake_has_no_disconnect(target, connect, recall, key):
    query = {"key": key, "return": json.dumps({"statusCode": 403})}
    await refusal(connect, target.gateway, query=query)
    name = (await recall(key, "CONNECT"))["requestContext"]["connectionId"]
    with pytest.raises(TimeoutError):
        await recall(name, "DISCONNECT", within=0.5)


async def test_the_event_does_not_wait_for_a_slow_message(socket, recall, key):
    name = await connection_id(socket)
    await socket.send({"action": "tell", "sleep": 1.5, "remember": key})
    await socket.close()
    context = (await recall(name, "DISCONNECT"))["requestContext"]
    with pytest.raises(TimeoutError):
        await recall(key, "MESSAGE", within=0.3)
    assert (await recall(key, "MESSAGE"))["requestContext"]["requestTimeEpoch"] <= context["requestTimeEpoch"]
