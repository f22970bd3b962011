"""
The proxy's side of a function's connection to the rest of the world: the CONNECT request, its answer, the tunnel.

Where the emulator itself was started behind a proxy (``HTTPS_PROXY``), tunnels go through that.
"""

from __future__ import annotations

import asyncio
import base64
import re
import urllib.request
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT: Final = b"CONNECT "
LONGEST_HEAD: Final = 8_192
"""Bytes of a CONNECT request with its headers."""

_CONNECT_FOR: Final = 10.0
_CHUNK: Final = 65_536
_REQUEST: Final = re.compile(rb"CONNECT \[?([A-Za-z0-9.:_-]+?)\]?:(\d{1,5}) HTTP/1\.[01]\r\n")
_ANSWER: Final = re.compile(rb"HTTP/1\.[01] 2\d\d")


class ProxyFault(Exception):
    """A CONNECT that is not served; ``status`` is its answer, ``str()`` the sentence for it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def outer_proxies() -> dict[str, str]:
    """
    Read the proxies of this process's environment.

    Before functions run in this very process: the environment says then that we ourselves are the proxy.
    """
    return urllib.request.getproxies_environment()


def read_target(head: bytes) -> tuple[str, int]:
    """
    Return the host and port that a CONNECT request names.

    Raises:
        ProxyFault: It is none, or more follows before it was answered.
    """
    found = _REQUEST.match(head)
    if found is None or head.find(b"\r\n\r\n") != len(head) - 4 or not 0 < int(found[2]) <= 0xFFFF:  # noqa: PLR2004 # ports
        raise ProxyFault(400, "this is no CONNECT request")
    return found[1].decode().lower(), int(found[2])


def proxy_answer(status: int, sentence: str = "") -> bytes:
    """Return the answer to a CONNECT request; ``sentence`` is the body of a refusal."""
    reason = "Connection established" if status == HTTPStatus.OK else HTTPStatus(status).phrase
    head = f"HTTP/1.1 {status} {reason}\r\n"
    if sentence:
        head += f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(sentence.encode()) + 1}\r\n"
        head += f"Connection: close\r\n\r\n{sentence}\n"
    else:
        head += "\r\n"
    return head.encode()


async def relay(near: asyncio.Transport, host: str, port: int, *, proxies: Mapping[str, str]) -> None:
    """
    Connect a client to a host, answer its request, and carry what either says until both have ended.

    ``proxies`` are those of the emulator's own environment (``outer_proxies``).

    Raises:
        ProxyFault: The host cannot be reached.
    """
    try:
        async with asyncio.timeout(_CONNECT_FOR):
            reader, writer = await _connect(host, port, proxies)
    except (OSError, TimeoutError, ValueError, EOFError) as error:
        raise ProxyFault(502, f"{host}:{port} cannot be reached: {error or 'no answer'}") from error
    loop = asyncio.get_running_loop()
    near_reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(near_reader, loop=loop)
    near.set_protocol(protocol)
    protocol.connection_made(near)
    near_writer = asyncio.StreamWriter(near, protocol, near_reader, loop)
    near_writer.write(proxy_answer(HTTPStatus.OK))
    near.resume_reading()
    ways = [asyncio.create_task(_carry(reader, near_writer)), asyncio.create_task(_carry(near_reader, writer))]
    try:
        await asyncio.gather(*ways)
    finally:
        for way in ways:
            way.cancel()
        for one in (writer, near_writer):
            one.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one direction to its end; the other may go on."""
    try:
        while part := await reader.read(_CHUNK):
            writer.write(part)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


async def _connect(
    host: str, port: int, proxies: Mapping[str, str]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    upstream = proxies.get("https")
    bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined] # typeshed does not have it
    if upstream is None or bypass(f"{host}:{port}", dict(proxies)):
        return await asyncio.open_connection(host, port)
    proxy = urlsplit(upstream if "://" in upstream else f"http://{upstream}")
    if proxy.scheme != "http" or proxy.hostname is None:
        raise ValueError("the proxy in HTTPS_PROXY is not of the form http://host:port")
    reader, writer = await asyncio.open_connection(proxy.hostname, proxy.port or 80)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n"
    if proxy.username:
        secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        request += f"Proxy-Authorization: Basic {base64.b64encode(secret.encode()).decode()}\r\n"
    writer.write(f"{request}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not _ANSWER.match(head):
        writer.transport.abort()
        line = head.partition(b"\r\n")[0].decode("latin-1")
        raise ConnectionError(f"the proxy in HTTPS_PROXY answers {line!r}")
    return reader, writer
