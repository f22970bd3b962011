"""
Answers without ASGI, for what is asked thousands of times a second: posts to connections and calls of DynamoDB.

For each request uvicorn makes a task, an event, a scope and the messages of three coroutines, which costs more than all
that the gateway does for a post. Here a request is collected, one function is called with it, and its answer goes out
in one write. Only plain requests are answered so: HTTP/1.1 with no upgrade and nothing expected (``Expect``), to a
client that takes its answers, with none before it that uvicorn still serves. All others, and those that the function
leaves alone, go to the ASGI application as ever, which answers with the same functions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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


#: Answers a request, given its scope and all of its body; None leaves it to the application.
Responder = Callable[[Mapping[str, Any], bytes], Reply | None]
#: Tells who answers a request directly, if anybody does. The scope is an ASGI scope's ``type``, ``method``,
#: ``raw_path``, ``query_string`` and ``headers``, no more.
Find = Callable[[Mapping[str, Any]], Responder | None]

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
        self._keep_alive = True
        #: Whether an answer has said that it is the last one: what a client has sent behind its request is not read.
        self._is_over = False
        #: One timer for a connection, not one for each answer: it looks when the last one was, if nothing came since.
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        #: What has come last: behind a request there may be something that is none of HTTP's.
        self._arrived = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what arrives."""
        self._arrived = data
        self._idle_since = None
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request; what uvicorn wants of it is made when it is uvicorn that serves it."""
        self.url = b""
        self._sent = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field as it was sent."""
        self._sent.append((name, value))

    def on_headers_complete(self) -> None:
        """Find out who serves a request."""
        if self._is_over:
            return
        headers = [(name.lower(), value) for name, value in self._sent]
        if self.find is not None and (scope := self._plain_scope(headers)) is not None:
            self._responder = self.find(scope)
            if self._responder is not None:
                self._scope = scope
                self._keep_alive = self.parser.should_keep_alive()
                return
        self._begin(headers)

    def _plain_scope(self, headers: list[tuple[bytes, bytes]]) -> dict[str, Any] | None:
        """Return the scope of a request that may be answered directly."""
        parser, url = self.parser, self.url
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        if self.flow.write_paused or parser.should_upgrade() or parser.get_http_version() != "1.1":
            return None
        # Whole URLs and fragments are for a parser of URLs, which uvicorn has; all others are of ASCII by now.
        if url[:1] != b"/" or b"#" in url:
            return None
        method = parser.get_method()
        if method == b"HEAD":
            return None
        for name, _ in headers:
            if name == b"expect":
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
        """Give a request to uvicorn, as if it had seen its head from the beginning."""
        self._idle_since = None
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
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """Answer the request that has been collected."""
        if self._is_over:
            return
        responder, parts = self._responder, self._parts
        if responder is None:
            super().on_message_complete()
            return
        self._responder, self._parts = None, []
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        try:
            reply = responder(self._scope, body)
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
            # Nor is an upgrade that stands behind it.
            self.headers = []
            self.transport.close()
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

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
