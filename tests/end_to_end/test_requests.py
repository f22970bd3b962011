"""What clients may ask for, and what a bad request costs: an answer, and nobody else anything."""

import asyncio

import pytest

from tests.end_to_end.clients import Client

SUBSCRIBE = {"action": "subscribe", "id": "1", "streams": ["market"]}


async def test_a_ping_is_answered_as_json_and_as_bare_text(emulator, session):
    client = await Client.connect(session, emulator.ready["websocket"])
    pong = await client.ask({"action": "ping", "id": "p"})
    assert (pong["type"], pong["id"]) == ("pong", "p")
    assert (await client.ask("ping"))["type"] == "pong"
    await client.close()


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("{", "bad_json"),
        ("[1]", "bad_json"),
        ('{"action":"dance","id":"9"}', "unknown_action"),
        ('{"action":"subscribe","id":"9","streams":["weather"]}', "unknown_stream"),
        ('{"action":"subscribe","id":"9","streams":["market"],"symbols":["BTC","ABC"]}', "unknown_symbol"),
        ('{"action":"subscribe","id":"9","streams":"market"}', "bad_request"),
        ('{"action":"subscribe","id":"9"}', "bad_request"),
    ],
)
async def test_a_bad_request_gets_its_error_and_the_connection_lives(emulator, session, request_text, code):
    client = await Client.connect(session, emulator.ready["websocket"])
    error = await client.ask(request_text)
    assert (error["type"], error["code"], error["retryable"]) == ("error", code, False)
    if '"id"' in request_text:
        assert error["id"] == "9"
    assert (await client.ask("ping"))["type"] == "pong"
    await client.close()


async def test_501_symbols_are_too_many(emulator, session):
    client = await Client.connect(session, emulator.ready["websocket"])
    error = await client.ask(SUBSCRIBE | {"symbols": [f"S{number}" for number in range(501)]})
    assert error["code"] == "too_many_symbols"
    assert (await client.ask("ping"))["type"] == "pong"
    await client.close()


async def test_a_message_of_200_kb_ends_that_connection_alone(emulator, session):
    other = await Client.connect(session, emulator.ready["websocket"])
    await other.subscribe()
    client = await Client.connect(session, emulator.ready["websocket"])
    await client.send("x" * 200_000)
    assert await client.ended() == 1009
    assert (await other.ask("ping"))["type"] == "pong"
    heard = len(other.ticks)
    await other.batches(heard + 1, within=12)
    await other.close()


async def test_a_frame_over_32_kb_ends_the_connection(emulator, session):
    client = await Client.connect(session, emulator.ready["websocket"])
    await client.send("x" * 32_769)
    assert await client.ended() == 1009


async def test_a_binary_message_ends_the_connection(emulator, session):
    client = await Client.connect(session, emulator.ready["websocket"])
    await client.socket.send_bytes(b"\x00\x01")
    assert await client.ended() == 1003


async def test_an_unknown_stream_in_the_url_is_refused(emulator, session):
    with pytest.raises(Exception, match="400") as refusal:
        await session.ws_connect(emulator.ready["websocket"] + "?stream=weather")
    assert refusal.value.status == 400


async def test_requests_of_many_clients_do_not_mix(emulator, session):
    clients = [await Client.connect(session, emulator.ready["websocket"]) for _ in range(30)]
    answers = await asyncio.gather(
        *(client.ask({"action": "ping", "id": str(number)}) for number, client in enumerate(clients))
    )
    assert [answer["id"] for answer in answers] == [str(number) for number in range(30)]
    await asyncio.gather(*(client.close() for client in clients))
