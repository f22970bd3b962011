"""The sockets under the gateway's rules: what comes in is reported to them, what they decide is done."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic, time
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from local.effects import Accept, Invoke, Log, Refuse, Send
from local.events import Handshake
from local.functions import FunctionNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from litestar.types import Receive, Scope
    from litestar.types import Send as AsgiSend

    from local.effects import Answer, Effect
    from local.functions import Functions
    from local.gateway import Gateway

_log = logging.getLogger("tickwire.gateway")
#: The largest frame that the gateway sends; longer messages are split (quotas page: frames of 32 KB).
_FRAME = 32_768
_START = time() - monotonic()


def now() -> float:
    """Return the instant in epoch seconds; unlike the system's clock it never jumps back."""
    return _START + monotonic()


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which also keeps header names as they were sent: ``$connect`` sees them so."""

    def on_message_begin(self) -> None:
        """Start a new list of names."""
        super().on_message_begin()
        self._names: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the name, which the base class lowers."""
        super().on_header(name, value)
        self._names.append(name)

    def handle_websocket_upgrade(self) -> None:
        """Hand the request over with its own header names."""
        self.scope["headers"] = [(name, value) for name, (_, value) in zip(self._names, self.headers, strict=True)]
        super().handle_websocket_upgrade()


class SocketProtocol(WebSocketsSansIOProtocol):
    """
    uvicorn's WebSocket protocol with what ASGI has no word for.

    Frame sizes, whether a close frame came at all, how many bytes the client has not read, sending without waiting.
    The limits are set on the class, once for the process, before the first connection.
    """

    max_frame = 32_768
    max_message = 131_072

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 # handed through
        super().__init__(*args, **kwargs)
        self.conn.max_message_size = self.max_message
        self.conn.max_fragment_size = self.max_frame
        self.close_timeout = 1.0
        #: Messages for a client that is accepted but has not got its 101 yet.
        self._early: list[bytes] = []

    async def run_asgi(self) -> None:
        """Run the application with this protocol in its scope."""
        self.scope["extensions"]["tickwire.socket"] = {"protocol": self}
        await super().run_asgi()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report a socket that went without a close frame as 1006, which the base class reports as 1005."""
        if self.handshake_complete and self.conn.close_rcvd is None and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006, "reason": ""})
        super().connection_lost(exc)

    @property
    def unread(self) -> int:
        """How many bytes wait for the client to take them."""
        return self.transport.get_write_buffer_size()

    def send_text(self, text: bytes) -> None:
        """Send one text message at once, in frames of at most 32 KB; nothing happens on a closing socket."""
        if self.close_sent or self.transport.is_closing():
            return
        if not self.handshake_complete:
            self._early.append(text)
            return
        try:
            if len(text) <= _FRAME:
                self.conn.send_text(text)
            else:
                self.conn.send_text(text[:_FRAME], fin=False)
                for at in range(_FRAME, len(text), _FRAME):
                    self.conn.send_continuation(text[at : at + _FRAME], fin=at + _FRAME >= len(text))
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))

    def send_early(self) -> None:
        """Send what was posted between the decision to accept and the 101."""
        for text in self._early:
            self.send_text(text)
        self._early.clear()

    def hang_up(self, code: int, reason: str) -> None:
        """Send a close frame and give the client a second to answer it."""
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        try:
            self.conn.send_close(code, reason)
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)


class Sockets:
    """Every socket of one gateway. All methods belong to the event loop's thread."""

    def __init__(self, gateway: Gateway, functions: Functions) -> None:
        self.gateway = gateway
        self._functions = functions
        self._protocols: dict[str, SocketProtocol] = {}
        self._handshakes: dict[str, asyncio.Future[Accept | Refuse]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._stopped = False

    async def serve(self, scope: Scope, receive: Receive, send: AsgiSend) -> None:
        """Serve one upgrade request as an ASGI application, to the end of its connection."""
        await receive()
        protocol = cast("SocketProtocol", (scope["extensions"] or {})["tickwire.socket"]["protocol"])
        connection_id, effects = self.gateway.opened(_handshake(scope), now())
        outcome: asyncio.Future[Accept | Refuse] = asyncio.get_running_loop().create_future()
        self._handshakes[connection_id] = outcome
        self._protocols[connection_id] = protocol
        self._perform(effects)
        try:
            decision = await outcome
            if isinstance(decision, Refuse):
                await refuse(send, decision.status, decision.body)
                return
            await send({"type": "websocket.accept", "subprotocol": decision.subprotocol, "headers": []})
            protocol.send_early()
            await self._read(connection_id, receive)
        finally:
            del self._handshakes[connection_id]
            del self._protocols[connection_id]
            # Whatever ended the conversation, the gateway hears of it; a second report has no effect.
            self._perform(self.gateway.closed(connection_id, 1006, "", now()))

    async def _read(self, connection_id: str, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.receive":
                text = message.get("text")
                content = text if text is not None else message.get("bytes") or b""
                self._perform(self.gateway.received(connection_id, content, now()))
            elif message["type"] == "websocket.disconnect":
                code, reason = message.get("code") or 1005, str(message.get("reason") or "")
                self._perform(self.gateway.closed(connection_id, code, reason, now()))
                return

    def post(self, connection_id: str, message: bytes) -> Answer:
        """Do what a POST to ``@connections`` asks for."""
        protocol = self._protocols.get(connection_id)
        unread = protocol.unread if protocol is not None else 0
        answer, effects = self.gateway.posted(connection_id, message, now(), unread=unread)
        if effects and protocol is not None:
            protocol.send_text(message)
        return answer

    def delete(self, connection_id: str) -> Answer:
        """Do what a DELETE of ``@connections`` asks for."""
        answer, effects = self.gateway.deleted(connection_id, now())
        self._perform(effects)
        return answer

    def _perform(self, effects: Iterable[Effect]) -> None:
        if self._stopped:
            return
        for effect in effects:
            if isinstance(effect, Invoke):
                task = asyncio.create_task(self._invoke(effect))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            elif isinstance(effect, Log):
                _log.warning("%s: %s", self.gateway.api.name, effect.text)
            elif isinstance(effect, Accept | Refuse):
                if (outcome := self._handshakes.get(effect.connection_id)) is not None and not outcome.done():
                    outcome.set_result(effect)
            elif (protocol := self._protocols.get(effect.connection_id)) is not None:
                if isinstance(effect, Send):
                    protocol.send_text(effect.text)
                else:
                    protocol.hang_up(effect.code, effect.reason)
        self._set_timer()

    async def _invoke(self, effect: Invoke) -> None:
        try:
            result = await self._functions.invoke(effect.function, effect.event)
        except FunctionNotFound as error:
            _log.warning("route %s: %s", effect.route_key, error)
            self._perform(self.gateway.failed(effect.invocation, "missing", now()))
            return
        if result.error is not None:
            self._perform(self.gateway.failed(effect.invocation, "error", now()))
        else:
            self._perform(self.gateway.answered(effect.invocation, result.payload, now()))

    def _set_timer(self) -> None:
        at = self.gateway.next_alarm()
        if at is None or at >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - now()), self._wake)

    def _wake(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._perform(self.gateway.woken(now()))

    def stop(self) -> None:
        """Let go of the timer and of every invocation under way; nothing is performed from now on."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()


async def refuse(send: AsgiSend, status: int, body: bytes) -> None:
    """Answer an upgrade request with an HTTP status."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})


def _handshake(scope: Scope) -> Handshake:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    host = next((value for name, value in headers if name.lower() == "host"), "127.0.0.1")
    client = scope["client"]
    return Handshake(
        headers=headers,
        query=scope["query_string"].decode("latin-1"),
        source_ip=client[0] if client else "127.0.0.1",
        domain_name=host,
    )
