"""The sockets under the gateway's rules: what comes in is reported to them, what they decide is done."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING, cast
from uuid import uuid4

from local.events import Handshake
from local.functions.service import Exhausted, FunctionNotFound
from local.http_backends import BackendUnreachable, HttpBackends
from local.rules.effects import Accept, Fetch, Invoke, Log, Refuse, Send

if TYPE_CHECKING:
    from collections.abc import Iterable

    from litestar.types import Receive, Scope
    from litestar.types import Send as AsgiSend

    from local.front.socket_protocol import SocketProtocol
    from local.functions.service import Functions, Result
    from local.gateway import Gateway
    from local.rules.effects import Answer, Effect

_log = logging.getLogger("tickwire.gateway")
_START = time() - monotonic()


def now() -> float:
    """Return the instant in epoch seconds; unlike the system's clock it never jumps back."""
    return _START + monotonic()


class Sockets:
    """Every socket of one gateway. All methods belong to the event loop's thread."""

    def __init__(self, gateway: Gateway, functions: Functions) -> None:
        self.gateway = gateway
        self._functions = functions
        self._backends = HttpBackends()
        self._protocols: dict[str, SocketProtocol] = {}
        self._handshakes: dict[str, asyncio.Future[Accept | Refuse]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._stopped = False

    async def serve(self, scope: Scope, receive: Receive, send: AsgiSend, *, lower_names: bool = False) -> None:
        """
        Serve one upgrade request as an ASGI application, to the end of its connection.

        With ``lower_names`` the function sees the names of all headers in lower case.
        """
        await receive()
        protocol = cast("SocketProtocol", (scope["extensions"] or {})["tickwire.socket"]["protocol"])
        connection_id, effects = self.gateway.opened(_handshake(scope, lower_names=lower_names), now())
        protocol.heard = partial(self._heard, connection_id)
        protocol.binary_begun = partial(self._heard, connection_id, b"")
        if self.gateway.choices.ping_resets_idle:
            protocol.pinged = lambda: self.gateway.pinged(connection_id, now())
        outcome: asyncio.Future[Accept | Refuse] = asyncio.get_running_loop().create_future()
        self._handshakes[connection_id] = outcome
        self._protocols[connection_id] = protocol
        self._perform(effects)
        try:
            decision = await outcome
            if isinstance(decision, Refuse):
                await refuse(send, decision.status, decision.body, error=decision.error, request_id=decision.request_id)
                return
            await self._read(connection_id, receive)
        finally:
            del self._handshakes[connection_id]
            del self._protocols[connection_id]
            # Whatever ended the conversation, the gateway hears of it; a second report has no effect.
            self._perform(self.gateway.closed(connection_id, 1006, "", now()))

    def _heard(self, connection_id: str, message: str | bytes) -> None:
        try:
            effects = self.gateway.received(connection_id, message, now())
        except Exception:  # noqa: BLE001 # see _fallen
            effects = self._fallen(connection_id)
        self._perform(effects)

    async def _read(self, connection_id: str, receive: Receive) -> None:
        while True:
            # Messages come by the protocol's ``heard``: through ASGI's queue they would cost twice as much.
            message = await receive()
            if message["type"] == "websocket.disconnect":
                code, reason = message.get("code") or 1005, str(message.get("reason") or "")
                self._perform(self.gateway.closed(connection_id, code, reason, now()))
                return

    def post(self, connection_id: str, message: bytes) -> Answer:
        """Do what a POST to ``@connections`` asks for."""
        protocol = self._protocols.get(connection_id)
        unread = protocol.unread if protocol is not None else 0
        answer, effects = self.gateway.posted(connection_id, message, now(), unread=unread)
        if protocol is not None:
            for effect in effects:
                protocol.send_text(cast("Send", effect).text)
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
                self._invoke(effect)
            elif isinstance(effect, Fetch):
                task = asyncio.create_task(self._fetch(effect))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            elif isinstance(effect, Log):
                _log.warning("%s: %s", self.gateway.api.name, effect.text)
            elif isinstance(effect, Accept | Refuse):
                self._decide(effect)
            elif (protocol := self._protocols.get(effect.connection_id)) is not None:
                if isinstance(effect, Send):
                    protocol.send_text(effect.text)
                else:
                    protocol.hang_up(effect.code, effect.reason)
        self._set_timer()

    def _decide(self, decision: Accept | Refuse) -> None:
        outcome = self._handshakes.get(decision.connection_id)
        if outcome is not None and not outcome.done():
            # The 101 goes out here, so that nothing can be sent to the client before it.
            if isinstance(decision, Accept):
                self._protocols[decision.connection_id].accept(decision.subprotocol)
            outcome.set_result(decision)

    def _invoke(self, effect: Invoke) -> None:
        # No task waits for the answer: each would cost a message more than all of the gateway's rules.
        try:
            answer = self._functions.submit(effect.function, effect.event)
        except (Exhausted, FunctionNotFound) as error:
            _log.warning("route %s: %s", effect.route_key, error)
            # As late as any answer, so that effects are not performed inside of others.
            asyncio.get_running_loop().call_soon(
                lambda: self._perform(self.gateway.failed(effect.invocation, "missing", now()))
            )
        else:
            answer.add_done_callback(partial(self._returned, effect))

    def _returned(self, effect: Invoke, answer: asyncio.Future[Result]) -> None:
        if answer.cancelled():
            return
        result = answer.result()
        try:
            if result.error is not None:
                effects = self.gateway.failed(effect.invocation, "error", now(), result.payload)
            else:
                effects = self.gateway.answered(effect.invocation, result.payload, now())
        except Exception:  # noqa: BLE001 # see _fallen
            effects = self._fallen(effect.connection_id)
        self._perform(effects)

    async def _fetch(self, effect: Fetch) -> None:
        try:
            status, body = await self._backends.call(effect)
        except BackendUnreachable as error:
            _log.warning("route %s: %s", effect.route_key, error)
            self._perform(self.gateway.failed(effect.invocation, "error", now()))
            return
        except Exception:  # noqa: BLE001 # logged; the client must not wait for ever
            _log.exception("route %s: the call of %s failed", effect.route_key, effect.url)
            self._perform(self.gateway.failed(effect.invocation, "error", now()))
            return
        try:
            effects = self.gateway.fetched(effect.invocation, status, body, now())
        except Exception:  # noqa: BLE001 # see _fallen
            effects = self._fallen(effect.connection_id)
        self._perform(effects)

    def _fallen(self, connection_id: str) -> list[Effect]:
        """Log the fault of a rule that is being handled, and return what its client hears: nobody waits for ever."""
        _log.exception("%s: a rule of the gateway itself failed", self.gateway.api.name)
        return self.gateway.fallen(connection_id, now())

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
        try:
            effects = self.gateway.woken(now())
        except Exception:  # noqa: BLE001 # logged, as in _fallen
            # One connection's fault; the next alarms belong to others.
            _log.exception("%s: a rule of the gateway itself failed", self.gateway.api.name)
            effects = []
        self._perform(effects)

    def stop(self) -> None:
        """Let go of the timer and of every invocation under way; nothing is performed from now on."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Let go of the connections to HTTP backends."""
        await self._backends.close()


async def refuse(send: AsgiSend, status: int, body: bytes, *, error: str | None = None, request_id: str = "") -> None:
    """Answer an upgrade request with an HTTP status; ``error`` and ``request_id`` become headers where given."""
    headers = [
        (b"Content-Type", b"application/json"),
        (b"Content-Length", str(len(body)).encode()),
        (b"x-amzn-RequestId", str(uuid4()).encode()),
    ]
    if error is not None:
        headers.append((b"x-amzn-ErrorType", error.encode()))
    if request_id:
        headers.append((b"x-amz-apigw-id", request_id.encode()))
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})


def _handshake(scope: Scope, *, lower_names: bool) -> Handshake:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    host = next((value for name, value in headers if name.lower() == "host"), "127.0.0.1")
    client = scope["client"]
    return Handshake(
        headers=headers,
        query=scope["query_string"].decode("latin-1"),
        source_ip=client[0] if client else "127.0.0.1",
        domain_name=host,
        path=scope["raw_path"].decode("latin-1"),
        lower_names=lower_names,
    )
