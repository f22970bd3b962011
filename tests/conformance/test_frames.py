"""Sections 4.1 and 4.2: sizes, frames, control frames, compression, and how long a connection may be silent."""

import asyncio
import zlib

import pytest

from tests.conformance.conftest import connection_id
from tests.conformance.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Closed, encode

OFFER = "permessage-deflate; client_max_window_bits"


def deflated(text):
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def test_a_message_in_fragments_arrives_as_one(socket):
    text = b'{"action":"ask","text":"' + "é".encode() * 2 + b'"}'
    await socket.write(TEXT, text[:25], fin=False)
    await socket.write(CONTINUATION, text[25:27], fin=False)
    await socket.write(PING, b"between")
    await socket.write(CONTINUATION, text[27:])
    assert (await socket.frame()).opcode == PONG
    assert (await socket.json())["event"]["body"] == text.decode()


async def test_a_message_of_128_kb_in_frames_of_32_kb_is_taken(socket):
    frames = [b"x" * 32_768] * 4
    for number, frame in enumerate(frames):
        await socket.write(TEXT if number == 0 else CONTINUATION, frame, fin=number == 3)
    answer = await socket.json()
    # The function was given it; its answer is longer than one message may be on the way back.
    assert "event" in answer or answer["message"] == "Message too long"


async def test_a_message_over_128_kb_closes_with_1009(socket):
    await socket.write(TEXT, b"x" * 32_768, fin=False)
    for _ in range(3):
        await socket.write(CONTINUATION, b"x" * 32_768, fin=False)
    await socket.write(CONTINUATION, b"x")
    end = await socket.closed()
    assert (end.code, end.reason) == (1009, "")


async def test_a_frame_over_32_kb_closes_with_1009(socket):
    await socket.write(TEXT, b"x" * 32_769)
    end = await socket.closed()
    assert (end.code, end.reason) == (1009, "")


async def test_a_long_post_arrives_in_frames_of_at_most_32_kb(target, management, socket):
    name = await connection_id(socket)
    await asyncio.to_thread(management.post_to_connection, ConnectionId=name, Data=b"x" * 131_072)
    sizes, fin = [], False
    while not fin:
        frame = await socket.frame()
        sizes.append(len(frame.payload))
        fin = frame.fin
    assert sum(sizes) == 131_072
    assert max(sizes) <= 32_768


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ((TEXT, b"x", {"masked": False}), 1002),
        ((0x3, b"x", {}), 1002),
        ((CONTINUATION, b"x", {}), 1002),
        ((TEXT, b"x", {"rsv1": True}), 1002),
        ((PING, b"x" * 126, {}), 1002),
        ((TEXT, b"\xff\xfe", {}), 1007),
        ((BINARY, b"x", {}), 1003),
        ((BINARY, b"x", {"fin": False}), 1003),
    ],
)
async def test_a_wrong_frame_closes_with_its_code(socket, frame, code):
    opcode, payload, how = frame
    await socket.write(opcode, payload, **how)
    assert (await socket.closed()).code == code


async def test_a_ping_is_answered_with_its_payload_and_no_function_hears_of_it(socket):
    await socket.write(PING, b"payload")
    frame = await socket.frame()
    assert (frame.opcode, frame.payload) == (PONG, b"payload")
    assert (await socket.ask("x"))["event"]["body"] == "x"


async def test_an_unasked_pong_is_ignored(socket):
    await socket.write(PONG, b"payload")
    assert (await socket.ask("x"))["event"]["body"] == "x"


async def test_a_close_frame_is_answered_with_its_code(socket):
    await socket.write(CLOSE, b"\x0f\xa0bye")
    end = await socket.closed()
    assert (end.code, end.reason) == (4000, "bye")


async def test_a_close_frame_between_fragments_ends_an_unfinished_message(socket):
    await socket.write(TEXT, b"half of", fin=False)
    await socket.write(CLOSE, b"\x03\xe8")
    assert (await socket.closed()).code == 1000


async def test_a_message_before_a_faulty_frame_is_handled_all_the_same(socket, recall, key):
    message = f'{{"action":"tell","remember":"{key}"}}'.encode()
    await socket.raw(encode(TEXT, message) + encode(0x3, b"x"))
    assert (await socket.closed()).code == 1002
    assert (await recall(key, "MESSAGE"))["body"] == message.decode()


async def test_compression_is_agreed_to_in_the_gateways_words(target, connect):
    socket = await connect(target.gateway, extensions=OFFER)
    assert socket.reply.header("Sec-WebSocket-Extensions") == "permessage-deflate;server_max_window_bits=12"


async def test_without_an_offer_nothing_is_compressed(socket):
    assert socket.reply.header("Sec-WebSocket-Extensions") is None
    await socket.send("x" * 5000)
    assert (await socket.frame()).rsv1 is False


async def test_compressed_messages_travel_both_ways(target, connect):
    socket = await connect(target.gateway, extensions=OFFER)
    text = '{"action":"ask","text":"' + "abc" * 1000 + '"}'
    await socket.write(TEXT, deflated(text.encode()), rsv1=True)
    frame = await socket.frame()
    assert frame.rsv1
    assert len(frame.payload) < len(text)
    await socket.write(TEXT, text.encode())
    assert (await socket.frame()).rsv1


async def test_a_client_with_a_small_window_is_understood(target, connect):
    socket = await connect(target.gateway, extensions="permessage-deflate; client_max_window_bits=10")
    assert socket.reply.header("Sec-WebSocket-Extensions") == "permessage-deflate;server_max_window_bits=12"
    await socket.write(TEXT, deflated(b"x" * 5000), rsv1=True)
    assert (await socket.json())["event"]["body"] == "x" * 5000


async def test_the_frame_limit_counts_the_wire_and_the_message_limit_what_is_inflated(target, connect):
    socket = await connect(target.gateway, extensions=OFFER)
    await socket.write(TEXT, deflated(b"x" * 100_000), rsv1=True)
    assert (await socket.json())["event"]["body"] == "x" * 100_000
    again = await connect(target.gateway, extensions=OFFER)
    await again.write(TEXT, deflated(b"x" * 131_073), rsv1=True)
    assert (await again.closed()).code == 1009


async def test_silence_ends_a_connection_with_1001(brief, connect, recall):
    socket = await connect(brief.gateway)
    name = await connection_id(socket)
    began = asyncio.get_running_loop().time()
    with pytest.raises(Closed) as end:
        await socket.text(within=4)
    assert (end.value.code, end.value.reason) == (1001, "Going away")
    assert 0.9 <= asyncio.get_running_loop().time() - began < 2.5
    context = (await recall(name, "DISCONNECT", at=brief))["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (1001, "Going away")


async def test_pings_do_not_keep_a_connection_and_the_gateway_sends_none(brief, connect):
    socket = await connect(brief.gateway)
    began = asyncio.get_running_loop().time()
    for _ in range(3):
        await asyncio.sleep(0.3)
        await socket.write(PING, b"")
        assert (await socket.frame()).opcode == PONG
    assert (await socket.closed(4)).code == 1001
    assert asyncio.get_running_loop().time() - began < 2


async def test_data_keeps_a_connection_to_the_end_of_its_life(brief, connect, recall):
    socket = await connect(brief.gateway)
    name = await connection_id(socket)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def keep_busy():
        # In one direction and then in the other.
        await brief.call("POST", name, b"x")
        assert await socket.text() == "x"
        await asyncio.sleep(0.6)
        await socket.send({"action": "tell"})
        try:
            await socket.text(within=0.6)
        except TimeoutError:
            return

    async def keep_busy_for_ever():
        while loop.time() - began < 6:
            await keep_busy()

    with pytest.raises(Closed) as end:
        await keep_busy_for_ever()
    assert (end.value.code, end.value.reason) == (1001, "Going away")
    assert 2.5 < loop.time() - began < 4.5
    context = (await recall(name, "DISCONNECT", at=brief))["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (1001, "Going away")
