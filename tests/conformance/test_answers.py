"""Sections 4.3 and 4.4: what becomes of a function's answer."""

import asyncio
import json

import pytest

from tests.conformance.test_routes import FRAME

MALFORMED = [{"ConnectionId": "x", "Data": "y"}, {"statusCode": 200, "more": 1}, "text", 7, [], {"statusCode": 99}]


async def error_of(socket, message, within=8.0):
    await socket.send(message)
    text = await socket.text(within)
    frame = FRAME.match(text)
    assert frame is not None, text
    return frame[1]


async def silent(socket):
    """Check that nothing came before the answer to a question."""
    assert "event" in await socket.ask({"action": "ask"})


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_a_two_way_route_sends_the_body_whatever_the_status(socket, status):
    await socket.send({"action": "ask", "return": {"statusCode": status, "body": "text"}})
    assert await socket.text() == "text"


@pytest.mark.parametrize("answer", [{"statusCode": 200, "body": "text"}, {"statusCode": 500}, {}, None])
async def test_a_one_way_route_sends_nothing(socket, answer):
    await socket.send({"action": "tell", "return": answer})
    await asyncio.sleep(0.1)
    await silent(socket)


@pytest.mark.parametrize("answer", [None, {"statusCode": 200}])
async def test_a_two_way_route_without_a_body_sends_nothing(socket, answer):
    await socket.send({"action": "ask", "return": answer})
    await asyncio.sleep(0.1)
    await silent(socket)


async def test_the_members_of_a_proxy_answer_are_taken(socket):
    answer = {"statusCode": 200, "headers": {}, "multiValueHeaders": {}, "body": "text", "isBase64Encoded": False}
    await socket.send({"action": "ask", "return": answer})
    assert await socket.text() == "text"


@pytest.mark.parametrize("answer", MALFORMED, ids=json.dumps)
@pytest.mark.parametrize("action", ["ask", "tell"])
async def test_a_malformed_answer_is_an_error_frame_on_either_route(socket, action, answer):
    assert await error_of(socket, {"action": action, "return": answer}) == "Internal server error"
    await silent(socket)


@pytest.mark.parametrize("action", ["ask", "tell"])
async def test_a_raising_function_is_an_error_frame_and_the_connection_stays(socket, action):
    assert await error_of(socket, {"action": action, "raise": True}) == "Internal server error"
    await silent(socket)


@pytest.mark.parametrize("how", ["exit", "sleep"])
async def test_a_function_that_ends_or_takes_too_long_by_its_own_limit_is_an_error_frame(socket, how):
    assert await error_of(socket, {"action": "quit", "how": how}) == "Internal server error"


async def test_an_integration_that_takes_too_long_is_given_up_and_the_function_runs_on(socket, recall, key):
    message = {"action": "slow", "sleep": 0.8, "remember": key}
    assert await error_of(socket, message) == "Endpoint request timed out"
    assert (await recall(key, "MESSAGE"))["requestContext"]["routeKey"] == "slow"
    await silent(socket)


async def test_a_throttled_route_answers_with_a_frame(socket):
    for _ in range(20):
        await socket.send({"action": "limited", "return": None})
    frame = FRAME.match(await socket.text())
    assert frame is not None
    assert frame[1] == "Too Many Requests"


async def test_messages_of_one_connection_overlap_and_answers_overtake(socket):
    await socket.send({"action": "ask", "sleep": 1, "return": {"statusCode": 200, "body": "slow"}})
    await socket.send({"action": "ask", "return": {"statusCode": 200, "body": "quick"}})
    assert [await socket.text(), await socket.text()] == ["quick", "slow"]


async def test_a_failed_message_is_not_tried_again(socket, recall, key):
    await error_of(socket, {"action": "tell", "return": 7, "remember": key})
    first = (await recall(key, "MESSAGE"))["requestContext"]["requestId"]
    await asyncio.sleep(0.2)
    assert (await recall(key, "MESSAGE"))["requestContext"]["requestId"] == first
