"""Clients that do not read what they are sent: nothing piles up for them, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from local.front.http_protocol import HttpProtocol
from local.front.socket_protocol import SocketProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
#: A ping and a text of 100 bytes, under a mask of zeros.
PING = b"\x89\xe4\0\0\0\0" + b"p" * 100
TEXT = b"\x81\xe4\0\0\0\0" + b"t" * 100
#: More than all buffers on the way hold.
MUCH = 64_000_000


class _Gateway:
    """Sends every message back ten times, as fast as it comes."""

    def __init__(self) -> None:
        self.protocol: SocketProtocol | None = None
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, _send: Any) -> None:
        self.protocol = protocol = scope["extensions"]["tickwire.socket"]["protocol"]
        protocol.heard = lambda message: protocol.send_text(message.encode() * 10)
        await receive()
        protocol.accept(None)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        self.ended.set()


@pytest.fixture
async def served() -> AsyncIterator[tuple[_Gateway, socket.socket]]:
    gateway = _Gateway()
    config = uvicorn.Config(gateway, port=0, http=HttpProtocol, ws=SocketProtocol, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    with socket.create_connection(server.servers[0].sockets[0].getsockname()) as client:
        await asyncio.to_thread(client.sendall, UPGRADE)
        assert (await asyncio.to_thread(client.recv, 4_096)).startswith(b"HTTP/1.1 101")
        client.settimeout(0.5)
        yield gateway, client
    server.should_exit = True
    await serving


def _pour(client: socket.socket, frame: bytes) -> int:
    """Send frames until nobody takes any more; return how many bytes went."""
    chunk, sent = frame * 600, 0
    try:
        while sent < MUCH:
            # The next goes on where the last was cut off.
            sent += client.send(chunk[sent % len(chunk) :])
    except TimeoutError:
        pass
    return sent


@pytest.mark.parametrize("frame", [PING, TEXT], ids=["pings", "messages"])
async def test_who_does_not_read_is_not_read_from_and_misses_nothing(served, frame: bytes) -> None:
    gateway, client = served
    sent = await asyncio.to_thread(_pour, client, frame)
    assert sent < MUCH
    assert gateway.protocol is not None
    # What one read may bring is answered tenfold before anybody looks.
    assert gateway.protocol.unread < 12 * SocketProtocol.backlog
    whole, owed = divmod(sent, len(frame))
    answer = 102 if frame is PING else 1_004

    def read(size: int) -> None:
        while size > 0:
            size -= len(client.recv(1_000_000))

    await asyncio.to_thread(read, whole * answer)
    await asyncio.to_thread(client.sendall, frame[owed:] if owed else frame)
    await asyncio.to_thread(read, answer)


async def test_who_reads_nothing_to_the_end_is_let_go(served, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, client = served
    monkeypatch.setattr("local.front.socket_protocol._READ_FOR", 0.1)
    await asyncio.to_thread(_pour, client, PING)
    gateway.protocol.close_timeout = 0.1
    gateway.protocol.hang_up(1001, "Going away")
    async with asyncio.timeout(2):
        await gateway.ended.wait()
        while not gateway.protocol.disconnected:
            await asyncio.sleep(0.01)


async def _hear(client: socket.socket) -> bytes:
    return await asyncio.to_thread(client.recv, 4_096)


async def test_a_binary_message_is_noticed_when_it_begins(served) -> None:
    gateway, client = served
    began: list[str] = []
    gateway.protocol.binary_begun = lambda: began.append("binary")
    gateway.protocol.heard = lambda message: began.append(type(message).__name__)
    # A text in two frames, a binary message whole, then one that goes on.
    client.sendall(b"\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b" + b"\x82\x81\0\0\0\0c" + b"\x02\x81\0\0\0\0d")
    async with asyncio.timeout(2):
        while len(began) < 3:
            await asyncio.sleep(0.005)
    assert began == ["str", "bytes", "binary"]


@pytest.mark.parametrize("name", [b"Sec-WebSocket-Extensions", b"Sec-WebSocket-Protocol"])
async def test_an_empty_offer_is_none(served, name: bytes) -> None:
    _, client = served
    with socket.create_connection(client.getpeername()) as other:
        other.sendall(UPGRADE[:-2] + name + b":  \r\n\r\n")
        answer = await _hear(other)
    assert answer.startswith(b"HTTP/1.1 101")
    assert name.lower() not in answer.lower()
