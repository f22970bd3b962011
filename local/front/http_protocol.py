"""A client before it is a WebSocket, or while it is none: uvicorn's HTTP protocol, with the gateway's own refusals."""

from __future__ import annotations

import sys
import time
from base64 import b64decode
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import httptools
from websockets.datastructures import Headers
from websockets.http11 import Request

from local.front.direct import DirectProtocol

if TYPE_CHECKING:
    import asyncio

    from local.front.socket_protocol import SocketProtocol

#: What a ``Sec-WebSocket-Key`` decodes to (RFC 6455, 4.1).
_KEY_BYTES = 16


class HttpProtocol(DirectProtocol):
    """uvicorn's HTTP protocol, which hands upgrades over with their header names as sent: ``$connect`` sees them so."""

    #: What websockets would not read, in bytes and in headers; it would leave the client waiting.
    _LONGEST_LINE = 8_000
    _MOST_HEADERS = 120
    #: What nobody's head is, in bytes; it is looked at while a head is not whole.
    _LONGEST_HEAD = 1_048_576
    #: Seconds after which a client that says nothing at all, or whose request has no whole head, is hung up on.
    patience = 10.0
    long_url_status = 414

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base class's
        """Give a new client its time to ask for something."""
        super().connection_made(transport)
        self.wait_for_head()

    def wait_for_head(self) -> None:
        """Give a request's head its time, from its first byte, and its room."""
        if self.head_timer is None:
            self.head_timer = self.loop.call_later(self.patience, self._give_up)
            self._head_size = 0
        self._head_size += len(self._arrived)
        if self._head_size > self._LONGEST_HEAD:
            self.transport.write(refusal(431, "Request Header Fields Too Large"))
            self.transport.close()

    def _give_up(self) -> None:
        self.transport.write(refusal(408, "Request Timeout"))
        self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """Hand the request over with its own header names, and what came behind it: frames."""
        fault = self._fault()
        if fault is not None:
            self.transport.write(refusal(*fault))
            self.transport.close()
            return
        self.connections.discard(self)
        protocol = cast("type[SocketProtocol]", self.ws_protocol_class)(
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        protocol.connection_made(self.transport)
        # The base class would write the request out, for websockets to read it once more.
        headers = Headers()
        for name, value in self._sent:
            headers.set_insecure(name.decode("ascii"), value.decode("latin-1"))
        protocol.handle_connect(Request(self.url.decode("ascii"), headers))
        self.transport.set_protocol(protocol)
        found = sys.exception()
        if isinstance(found, httptools.HttpParserUpgrade) and (behind := self._arrived[found.args[0] :]):
            protocol.data_received(behind)
        # Both point to each other; without a knot nobody has to look for what is left of this connection.
        self.parser = None  # type: ignore[assignment] # as the base class does at the end

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 # the base class's
        """Refuse what is no HTTP."""
        self.transport.write(refusal(400, "Bad Request"))
        self.transport.close()

    def _fault(self) -> tuple[int, str] | None:
        """Return why a request is none that begins a WebSocket: a status and what the body says."""
        if len(self.url) > self._LONGEST_LINE:
            return self.long_url_status, "Request-URI Too Long"
        longest = max(len(name) + len(value) for name, value in self.headers)
        if longest > self._LONGEST_LINE or len(self.headers) > self._MOST_HEADERS:
            return 431, "Request Header Fields Too Large"
        if self.scope["method"] != "GET":
            return 405, "Method Not Allowed"
        given: dict[bytes, list[bytes]] = {}
        for name, value in self.headers:
            given.setdefault(name, []).append(value)
        # A body would be taken for frames.
        has_body = b"transfer-encoding" in given or set(given.get(b"content-length", ())) - {b"0"}
        if self.scope["http_version"] != "1.1" or has_body or len(given.get(b"host", ())) != 1:
            return 400, "Bad Request"
        if given.get(b"sec-websocket-version") != [b"13"]:
            return 426, "Upgrade Required"
        return None if _is_key(given.get(b"sec-websocket-key", [])) else (400, "Bad Request")


def refusal(status: int, message: str) -> bytes:
    """Return the answer to a request that never reaches a stage; it looks like those that do."""
    body = f'{{"message":"{message}"}}'
    lines = [
        f"HTTP/1.1 {status} {message}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"x-amzn-RequestId: {uuid4()}",
        f"Date: {http_date()}",
        "Connection: close",
        *(["Sec-WebSocket-Version: 13"] if status == HTTPStatus.UPGRADE_REQUIRED else []),
        *(["Allow: GET"] if status == HTTPStatus.METHOD_NOT_ALLOWED else []),
    ]
    return "\r\n".join([*lines, "", body]).encode()


def http_date() -> str:
    """Return what a ``Date`` header says now."""
    return _date_of(int(time.time()))


@lru_cache(maxsize=1)
def _date_of(second: int) -> str:
    return formatdate(second, usegmt=True)


def _is_key(values: list[bytes]) -> bool:
    try:
        return len(values) == 1 and len(b64decode(values[0], validate=True)) == _KEY_BYTES
    except ValueError:
        return False
