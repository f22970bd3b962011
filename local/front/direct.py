"""
Answers without ASGI, for what is asked thousands of times a second: posts to connections and calls of DynamoDB.

For each request uvicorn makes a task, an event, a scope and the messages of three coroutines, which costs more than all
that the gateway does for a post. Here a request is collected, one function is called with it, and its answer goes out
in one write. Only plain requests are answered so: HTTP/1.1 with no upgrade and nothing expected (``Expect``), to a
client that takes its answers, with none before it that uvicorn still serves. All others, and those that the function
leaves alone, go to the ASGI application as ever, which answers with the same functions.

An upgrade to anything but a WebSocket is ignored, as a server may (RFC 9110, 7.8): the request is served as it is.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

    from litestar.types import ASGIApp, Receive, Scope, Send

_log = logging.getLogger("tickwire.front")


class Reply(NamedTuple):
    """A whole answer. The names of headers are in lower case; one of them tells the length of a body that may come."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class Responder(NamedTuple):
    """Answers a request directly."""

    #: Gives the answer for a request's scope and all of its body; None leaves it to the application.
    answer: Callable[[Mapping[str, Any], bytes], Reply | None]
    #: How many bytes a body may have.
    most: int
    #: Gives the answer to a longer one, of which nothing is kept.
    too_long: Callable[[Mapping[str, Any]], Reply]


#: Tells who answers a request directly, if anybody does. The scope is an ASGI scope's ``type``, ``method``,
#: ``raw_path``, ``query_string`` and ``headers``, no more.
Find = Callable[[Mapping[str, Any]], Responder | None]

#: Seconds in which a client may go on sending what is too long and is not kept: most read no answer before they have
#: sent it all.
LEFT_FOR_TOO_LONG: Final = 2.0
#: What uvicorn says when an application fails.
_FAILED: Final = Reply(
    500,
    ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21")),
    b"Internal Server Error",
)


class Leading:
    """
    An ASGI application that leads each request to another one, directly too where that one has a way (``direct``).

    Args:
        find: Tells which, by the request's scope.
    """

    def __init__(self, find: Callable[[Any], ASGIApp]) -> None:
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as ASGI has it."""
        await self._find(scope)(scope, receive, send)

    def direct(self, scope: Mapping[str, Any]) -> Responder | None:
        """Tell who answers a request directly: a ``Find``."""
        find: Find | None = getattr(self._find(scope), "direct", None)
        return None if find is None else find(scope)


async def send_reply(send: Send, reply: Reply) -> None:
    """Send as ASGI has it what would else be written directly."""
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})


class DirectProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, in front of which ``find`` may give a request to somebody who answers it directly."""

    find: Find | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base class's
        """Begin without a request."""
        super().connection_made(transport)
        #: The fields of a request's head as they were sent; what stands behind a body in chunks comes after them.
        self._sent: list[tuple[bytes, bytes]] = []
        self._responder: Responder | None = None
        #: The request that is being collected: its scope, the parts of its body, whether another may follow.
        self._scope: dict[str, Any] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._keep_alive = True
        #: Runs while the rest of a body arrives that is too long.
        self._refusal_timer: asyncio.TimerHandle | None = None
        #: Whether a request has begun whose head is not whole.
        self._is_heading = False
        #: Runs while it is not, if somebody has set it.
        self.head_timer: asyncio.TimerHandle | None = None
        #: Whether the request that is being read becomes a WebSocket.
        self._is_socket = False
        #: The fields of a request whose upgrade is ignored, until it is read once more without it.
        self._ignored: list[tuple[bytes, bytes]] = []
        #: What is to be read next: a request without its upgrade, and what came behind it.
        self._once_more = b""
        #: Whether an answer has said that it is the last one: what a client has sent behind its request is not read.
        self._is_over = False
        #: One timer for a connection, not one for each answer: it looks when the last one was, if nothing came since.
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        #: What has come last: behind a request there may be something that is none of HTTP's.
        self._arrived = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        for timer in (self._idle_timer, self._refusal_timer, self.head_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what arrives."""
        self._arrived = data
        super().data_received(data)
        while self._once_more:
            self._arrived, self._once_more = self._once_more, b""
            super().data_received(self._arrived)
        if self._is_heading:
            self.wait_for_head()

    def wait_for_head(self) -> None:
        """Be told that something has arrived, and that a head is not whole with it."""

    def on_message_begin(self) -> None:
        """Begin a request; what uvicorn wants of it is made when it is uvicorn that serves it."""
        self._idle_since = None
        self._is_heading = True
        self.url = b""
        self._sent = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field as it was sent."""
        self._sent.append((name, value))

    def on_headers_complete(self) -> None:
        """Find out who serves a request."""
        self._is_heading = False
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None
        if self._is_over:
            return
        if self._ignored:
            self._sent, self._ignored = self._ignored, []
        headers = [(name.lower(), value) for name, value in self._sent]
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._is_socket = self.ws_protocol_class is not None and _names_sockets(headers)
            if not self._is_socket:
                self._ignored = self._sent
                return
        elif self.find is not None and (scope := self._plain_scope(headers)) is not None:
            self._responder = self.find(scope)
            if self._responder is not None:
                self._scope = scope
                self._size = 0
                self._keep_alive = self.parser.should_keep_alive()
                return
        self._begin(headers)

    def _plain_scope(self, headers: list[tuple[bytes, bytes]]) -> dict[str, Any] | None:
        """Return the scope of a request that may be answered directly."""
        parser, url = self.parser, self.url
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        if self.flow.write_paused or parser.get_http_version() != "1.1":
            return None
        # Whole URLs and fragments are for a parser of URLs, which uvicorn has; all others are of ASCII by now.
        if url[:1] != b"/" or b"#" in url:
            return None
        method = parser.get_method()
        if method in {b"HEAD", b"CONNECT"}:
            return None
        names = [name for name, _ in headers]
        if b"expect" in names or names.count(b"host") != 1:
            return None
        path, _, query = url.partition(b"?")
        return {
            "type": "http",
            "method": method.decode("ascii"),
            "raw_path": path,
            "query_string": query,
            "headers": headers,
        }

    def _begin(self, headers: list[tuple[bytes, bytes]]) -> None:
        """
        Give a request to uvicorn, as if it had seen its head from the beginning.

        Raises:
            HttpParserError: It names no host, or more than one (RFC 9112, 3.2).
        """
        if self.parser.get_http_version() == "1.1" and [name for name, _ in headers].count(b"host") != 1:
            raise httptools.HttpParserError("not one Host")
        url = self.url
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if self._is_over:
            return
        if self._responder is None:
            super().on_body(body)
            return
        self._size += len(body)
        if self._size <= self._responder.most:
            self._parts.append(body)
        elif self._refusal_timer is None:
            self._parts = []
            self._keep_alive = False
            self._refusal_timer = self.loop.call_later(LEFT_FOR_TOO_LONG, self._refuse)

    def _refuse(self) -> None:
        """Answer a request whose body is too long."""
        if self._responder is not None and not self._is_over:
            self._answer(self._responder.too_long(self._scope))

    def on_message_complete(self) -> None:
        """Answer the request that has been collected."""
        if self._is_over or self._ignored:
            return
        if self._refusal_timer is not None:
            self._refuse()
            return
        responder, parts = self._responder, self._parts
        if responder is None:
            super().on_message_complete()
            return
        self._responder, self._parts = None, []
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        try:
            reply = responder.answer(self._scope, body)
        except Exception:  # noqa: BLE001 # logged, and answered as uvicorn answers a failure
            _log.exception("%s %s failed", self._scope["method"], self._scope["raw_path"].decode("ascii"))
            reply, self._keep_alive = _FAILED, False
        if reply is not None:
            self._answer(reply)
            return
        self._begin(self._scope["headers"])
        if body:
            super().on_body(body)
        super().on_message_complete()

    def _answer(self, reply: Reply) -> None:
        lines = [STATUS_LINE[reply.status]]
        for name, value in (*self.server_state.default_headers, *reply.headers):
            lines += (name, b": ", value, b"\r\n")
        if not self._keep_alive:
            lines.append(b"connection: close\r\n")
        lines += (b"\r\n", reply.body)
        self.transport.write(b"".join(lines))
        self.server_state.total_requests += 1
        if not self._keep_alive:
            self._is_over = True
            self.transport.close()
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

    def _should_upgrade(self) -> bool:
        """Tell whether a request becomes a WebSocket; none does behind the last answer."""
        return self._is_socket and not self._is_over

    def _unsupported_upgrade_warning(self) -> None:
        """
        Ignore an upgrade, instead of warning of it.

        The parser takes what stands behind such a head for something else than HTTP, and cannot be told that it is not.
        So a new one reads the head once more, without what has misled the first.
        """
        found = sys.exception()
        if not self._ignored or not isinstance(found, httptools.HttpParserUpgrade):
            return
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % field for field in self._ignored if field[0].lower() != b"upgrade"]
        self._once_more = b"\r\n".join([*lines, b"", self._arrived[found.args[0] :]])
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _look_whether_idle(self) -> None:
        """Hang up on a client that has asked for nothing since its last answer, or look again when that may be."""
        self._idle_timer = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            self.timeout_keep_alive_handler()
        else:
            self._idle_timer = self.loop.call_later(left, self._look_whether_idle)

    def shutdown(self) -> None:
        """End the connection; a request that is being collected is answered first, the server's patience permitting."""
        if self._responder is None:
            super().shutdown()
        else:
            self._keep_alive = False


def _names_sockets(headers: list[tuple[bytes, bytes]]) -> bool:
    """Tell whether a request that asks for an upgrade asks for one to WebSockets."""
    return any(
        name == b"upgrade" and b"websocket" in [one.strip().lower() for one in value.split(b",")]
        for name, value in headers
    )
