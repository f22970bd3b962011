"""A WebSocket client of our own, which can do what libraries forbid: wrong frames, raw headers."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
WITHIN = 8.0


@dataclass(frozen=True)
class Reply:
    """What a server answered to an HTTP request; header names are as they were sent."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes
    fin: bool = True
    rsv1: bool = False


class Refused(Exception):
    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status, reply.body)
        self.reply = reply


class Closed(Exception):
    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Socket:
    """One open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply) -> None:
        self.reply = reply
        self._reader = reader
        self._writer = writer
        self._inflate = zlib.decompressobj(-15)

    async def frame(self, within: float = WITHIN) -> Frame:
        """Return the next frame; the end of the stream without one is a close frame without a code."""
        async with asyncio.timeout(within):
            try:
                first, second = await self._reader.readexactly(2)
                size = second & 0x7F
                if size == 126:
                    (size,) = struct.unpack("!H", await self._reader.readexactly(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
                payload = await self._reader.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError):
                raise Closed(None, "") from None
        return Frame(first & 0x0F, payload, bool(first & 0x80), bool(first & 0x40))

    async def text(self, within: float = WITHIN) -> str:
        """Return the next message; its frames are joined and inflated."""
        parts: list[bytes] = []
        compressed = False
        while True:
            frame = await self.frame(within)
            if frame.opcode == CLOSE:
                code = struct.unpack("!H", frame.payload[:2])[0] if frame.payload else None
                raise Closed(code, frame.payload[2:].decode())
            if frame.opcode in {PING, PONG}:
                continue
            compressed = compressed or frame.rsv1
            parts.append(frame.payload)
            if frame.fin:
                whole = b"".join(parts)
                return (self._inflate.decompress(whole + b"\0\0\xff\xff") if compressed else whole).decode()

    async def json(self, within: float = WITHIN) -> Any:
        return json.loads(await self.text(within))

    async def ask(self, message: Any, within: float = WITHIN) -> Any:
        """Send a message and return the next one."""
        await self.send(message)
        return await self.json(within)

    async def send(self, message: Any) -> None:
        await self.write(TEXT, (message if isinstance(message, str) else json.dumps(message)).encode())

    async def write(self, opcode: int, payload: bytes, **how: bool) -> None:
        """Send one frame, right or wrong."""
        await self.raw(encode(opcode, payload, **how))

    async def raw(self, content: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(content)
        await self._writer.drain()

    async def closed(self, within: float = WITHIN) -> Closed:
        """Skip everything up to the end, and return how it came."""
        while True:
            try:
                await self.text(within)
            except Closed as end:
                return end

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Say goodbye and wait for the answer."""
        payload = b"" if code is None else struct.pack("!H", code) + reason.encode()
        try:
            await self.write(CLOSE, payload)
            await self.closed()
        except (ConnectionError, TimeoutError):
            pass
        self.drop()

    def drop(self) -> None:
        """Let go of the TCP connection without a word."""
        self._writer.transport.abort()


def encode(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, rsv1: bool = False) -> bytes:
    """Make one frame, right or wrong."""
    head = bytes([opcode | 0x80 * fin | 0x40 * rsv1])
    flag = 0x80 * masked
    if len(payload) < 126:
        head += bytes([flag | len(payload)])
    elif len(payload) < 65_536:
        head += bytes([flag | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", len(payload))
    if masked:
        mask = os.urandom(4)
        whole = int.from_bytes(payload) ^ int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)])
        head += mask
        payload = whole.to_bytes(len(payload))
    return head + payload


async def call(
    method: str, url: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
) -> tuple[Reply, asyncio.StreamReader, asyncio.StreamWriter]:
    """Send one HTTP request as it is, and read the answer."""
    parts = urlsplit(url)
    secure = parts.scheme in {"wss", "https"}
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(
        parts.hostname, port, ssl=ssl.create_default_context() if secure else None, limit=2**20
    )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", *(f"{key}: {value}" for key, value in headers)]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    async with asyncio.timeout(35):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = [(key, value) for key, _, value in (line.partition(": ") for line in head[1:] if line)]
        reply = Reply(int(head[0].split()[1]), fields, b"")
        if reply.status != 101 and (size := int(reply.header("content-length") or 0)):
            reply = Reply(reply.status, fields, await reader.readexactly(size))
    return reply, reader, writer


async def connect(
    url: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    user_agent: str | None = "conformance",
    protocols: str | None = None,
    extensions: str | None = None,
) -> Socket:
    """
    Open a connection.

    Raises:
        Refused: The server answered with another status than 101.
    """
    fields = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()),
        ("Sec-WebSocket-Version", "13"),
    ]
    if user_agent is not None:
        fields.append(("User-Agent", user_agent))
    if protocols is not None:
        fields.append(("Sec-WebSocket-Protocol", protocols))
    if extensions is not None:
        fields.append(("Sec-WebSocket-Extensions", extensions))
    reply, reader, writer = await call("GET", url, [*fields, *headers])
    if reply.status != 101:
        writer.close()
        raise Refused(reply)
    return Socket(reader, writer, reply)
