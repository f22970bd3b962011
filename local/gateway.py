"""
The rules of the gateway, without input or output.

One ``Gateway`` is one stage of one WebSocket API. What happens comes in through its methods (``opened``,
``received``, ``answered``, ``failed``, ``closed``, ``posted``, ``looked``, ``deleted``, ``woken``), what is to be done
comes out as effects in the order in which they are to be done. Time, ids and randomness are arguments; no rule needs a
socket or a sleep to be tested.

A connection's life::

    opened ──▶ connecting ──answered 2xx──▶ open ──closed, deleted, idle, too old──▶ forgotten, after one $disconnect
                    └──────answered else, failed──▶ refused, without a $disconnect
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from local.effects import Accept, Answer, Close, Effect, Fault, Invoke, Log, Refuse, Send
from local.events import Caller, Handshake, connect_event, disconnect_event, identity_of, message_event
from local.ids import Ids, is_connection_id
from local.limits import Choices, Limits
from local.proxy import read_answer, subprotocol_of
from local.selection import compile_selection
from local.stack import LambdaIntegration, Throttle, UnsupportedIntegration
from local.throttling import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from local.stack import Route, WebSocketApi

_SERVER_ERROR = "Internal server error"
_TIMED_OUT = "Endpoint request timed out"
_FORBIDDEN = "Forbidden"


@dataclass(slots=True)
class _Connection:
    caller: Caller
    host: int
    last_active_at: float
    open: bool = False


@dataclass(slots=True)
class _Invocation:
    kind: Literal["connect", "message"]
    connection_id: str
    route: Route
    request_id: str


class Gateway:
    """One stage of one WebSocket API: who is connected, and what follows from what happens."""

    def __init__(
        self,
        api: WebSocketApi,
        *,
        region: str,
        random: Random,
        limits: Limits | None = None,
        choices: Choices | None = None,
    ) -> None:
        self.api = api
        self.limits = limits or Limits()
        self.choices = choices or Choices()
        self._region = region
        self._random = random
        self._ids = Ids(region, random)
        self._select = compile_selection(api.selection)
        self._connections: dict[str, _Connection] = {}
        self._invocations: dict[int, _Invocation] = {}
        self._next_invocation = 1
        self._alarms: list[tuple[float, int, Callable[[float], list[Effect]]]] = []
        self._next_alarm = 0
        # Answers are awaited in order of asking for each length of wait, so a queue for each is sorted by itself.
        self._awaited: dict[float, deque[tuple[float, int]]] = {}
        self._stage_bucket = _bucket(api.stage.throttle)
        self._route_buckets = {key: Bucket(t.rate, t.burst) for key, t in api.stage.route_throttles.items()}
        self._account_bucket = Bucket(self.limits.rate, self.limits.burst) if self.limits.rate else None
        self._connects_bucket = Bucket(self.limits.connects, self.limits.connects) if self.limits.connects else None

    @property
    def connected(self) -> int:
        """How many connections are open."""
        return sum(1 for connection in self._connections.values() if connection.open)

    # The handshake

    def opened(self, handshake: Handshake, now: float) -> tuple[str, list[Effect]]:
        """Take a client's upgrade request; the id is new, and gone until the client is accepted."""
        connection_id, host = self._ids.connection(now)
        while connection_id in self._connections:
            connection_id, host = self._ids.connection(now)
        if self._is_throttled("$connect", now) or (self._connects_bucket and not self._connects_bucket.takes(now)):
            return connection_id, [Refuse(connection_id, 429, _body("Too Many Requests"))]
        caller = Caller(
            connection_id=connection_id,
            connected_at=now,
            api_id=self.api.id,
            stage=self.api.stage.name,
            domain_name=handshake.domain_name,
            identity=identity_of(handshake),
            stage_variables=self.api.stage.variables,
        )
        self._connections[connection_id] = _Connection(caller, host, now)
        route = self.api.routes.get("$connect")
        if route is None or route.integration is None:
            return connection_id, self._accept(connection_id, None, now)
        request_id = self._ids.request(now)
        trace_id = f"Root=1-{int(now):08x}-{self._random.getrandbits(96):024x}"
        event = connect_event(caller, handshake, request_id=request_id, trace_id=trace_id, now=now)
        return connection_id, self._invoke("connect", connection_id, route, event, request_id, now)

    def _accept(self, connection_id: str, subprotocol: str | None, now: float) -> list[Effect]:
        connection = self._connections[connection_id]
        connection.open = True
        connection.last_active_at = now
        self._alarm(now + self.limits.idle, lambda at: self._idle(connection_id, at))
        self._alarm(connection.caller.connected_at + self.limits.life, lambda at: self._too_old(connection_id, at))
        return [Accept(connection_id, subprotocol)]

    def _refuse(self, connection_id: str, status: int, message: str) -> list[Effect]:
        del self._connections[connection_id]
        return [Refuse(connection_id, status, _body(message))]

    # Messages from the client

    def received(self, connection_id: str, message: str | bytes, now: float) -> list[Effect]:
        """Take one whole message from a client; ``bytes`` is a binary one, which the gateway does not serve."""
        connection = self._connections.get(connection_id)
        if connection is None or not connection.open:
            return []
        connection.last_active_at = now
        if isinstance(message, bytes):
            return self._hang_up(connection_id, 1003, self.choices.refusal_reason, now)
        if len(message) > self.limits.message or len(message.encode()) > self.limits.message:
            return self._hang_up(connection_id, 1009, self.choices.refusal_reason, now)
        return self._dispatch(connection, message, now)

    def _dispatch(self, connection: _Connection, message: str, now: float) -> list[Effect]:
        connection_id = connection.caller.connection_id
        route = self._route_for(message)
        request_id = self._ids.request(now)
        if route is None:
            return [self._error_frame(connection_id, _FORBIDDEN, request_id)]
        if self._is_throttled(route.key, now):
            return [self._error_frame(connection_id, self.choices.throttled_message, request_id)]
        if route.integration is None:
            return [
                self._error_frame(connection_id, _SERVER_ERROR, request_id),
                Log(f"route {route.key} has no integration"),
            ]
        event = message_event(
            connection.caller,
            message,
            route_key=route.key,
            request_id=request_id,
            message_id=self._ids.message(now, connection.host),
            now=now,
        )
        return self._invoke("message", connection_id, route, event, request_id, now)

    def pinged(self, connection_id: str, now: float) -> None:
        """Take note of a client's ping frame."""
        connection = self._connections.get(connection_id)
        if connection is not None and self.choices.ping_resets_idle:
            connection.last_active_at = now

    def _route_for(self, message: str) -> Route | None:
        key = self._select(message)
        # A message cannot ask for $connect, $disconnect or $default by name: custom keys do not start with a dollar.
        route = None if key is None or key.startswith("$") else self.api.routes.get(key)
        return route or self.api.routes.get("$default")

    def _is_throttled(self, route_key: str, now: float) -> bool:
        buckets = (self._account_bucket, self._route_buckets.get(route_key, self._stage_bucket))
        return any(bucket is not None and not bucket.takes(now) for bucket in buckets)

    # Functions

    def answered(self, invocation: int, payload: bytes, now: float) -> list[Effect]:
        """Take what a function returned."""
        waiting = self._invocations.pop(invocation, None)
        if waiting is None or waiting.connection_id not in self._connections:
            return []
        answer = read_answer(payload)
        if waiting.kind == "connect":
            return self._connect_answered(waiting, answer, now)
        return self._message_answered(waiting, payload, answer, now)

    def _connect_answered(self, waiting: _Invocation, answer: dict[str, Any] | None, now: float) -> list[Effect]:
        connection_id = waiting.connection_id
        if answer is None or "statusCode" not in answer:
            return [
                *self._refuse(connection_id, 502, _SERVER_ERROR),
                Log("$connect: the function's answer is malformed: it needs a statusCode and no unknown members"),
            ]
        status = answer["statusCode"]
        if 200 <= status < 300:  # noqa: PLR2004 # what success means in HTTP
            return self._accept(connection_id, subprotocol_of(answer), now)
        return self._refuse(connection_id, status, _refusal_text(status))

    def _message_answered(
        self, waiting: _Invocation, payload: bytes, answer: dict[str, Any] | None, now: float
    ) -> list[Effect]:
        connection_id = waiting.connection_id
        if answer is None:
            if payload == b"null":
                return []
            return [
                self._error_frame(connection_id, _SERVER_ERROR, waiting.request_id),
                Log(f"route {waiting.route.key}: the function's answer is malformed: {payload[:200]!r}"),
            ]
        body = answer.get("body")
        if not waiting.route.two_way or not isinstance(body, str) or body == "":
            return []
        self._connections[connection_id].last_active_at = now
        return [Send(connection_id, body.encode())]

    def failed(self, invocation: int, fault: Fault, now: float) -> list[Effect]:  # noqa: ARG002 # every input has its instant
        """Take that a function raised or ended (``error``), could not be run (``missing``), or took too long."""
        waiting = self._invocations.pop(invocation, None)
        if waiting is None or waiting.connection_id not in self._connections:
            return []
        if waiting.kind == "connect":
            status = {"error": 502, "missing": 500, "timeout": self.choices.connect_timeout_status}[fault]
            return self._refuse(waiting.connection_id, status, _TIMED_OUT if fault == "timeout" else _SERVER_ERROR)
        text = _TIMED_OUT if fault == "timeout" else _SERVER_ERROR
        return [self._error_frame(waiting.connection_id, text, waiting.request_id)]

    def _invoke(
        self,
        kind: Literal["connect", "message"],
        connection_id: str,
        route: Route,
        event: bytes,
        request_id: str,
        now: float,
    ) -> list[Effect]:
        invocation = self._next_invocation
        self._next_invocation += 1
        self._invocations[invocation] = _Invocation(kind, connection_id, route, request_id)
        integration = route.integration
        if not isinstance(integration, LambdaIntegration):
            reason = integration.reason if isinstance(integration, UnsupportedIntegration) else "no integration"
            return [*self.failed(invocation, "missing", now), Log(f"route {route.key}: {reason}")]
        wait = min(integration.timeout, self.limits.integration)
        self._expect(invocation, now + wait, wait)
        return [Invoke(invocation, integration.function, event, route.key, connection_id)]

    # The end of a connection

    def closed(self, connection_id: str, code: int, reason: str, now: float) -> list[Effect]:
        """Take that a client has closed its socket, or lost it (1006)."""
        connection = self._connections.pop(connection_id, None)
        if connection is None or not connection.open:
            return []
        if code == 1005:  # noqa: PLR2004 # RFC 6455: no status code in the close frame
            reason = "Client-side close frame status not set"
        return self._disconnect(connection, code, reason, now)

    def _hang_up(
        self, connection_id: str, code: int, reason: str, now: float, seen: tuple[int, str] | None = None
    ) -> list[Effect]:
        """Close from our side; ``seen`` is what ``$disconnect`` is told where that differs from the frame."""
        connection = self._connections.pop(connection_id)
        told = seen or (code, reason)
        return [Close(connection_id, code, reason), *self._disconnect(connection, told[0], told[1], now)]

    def _disconnect(self, connection: _Connection, code: int, reason: str, now: float) -> list[Effect]:
        route = self.api.routes.get("$disconnect")
        if route is None or not isinstance(route.integration, LambdaIntegration):
            return []
        event = disconnect_event(
            connection.caller, code=code, reason=reason, request_id=self._ids.request(now), now=now
        )
        # Nobody sees what the function answers, so nothing waits for it: number 0 is never in the table.
        return [Invoke(0, route.integration.function, event, "$disconnect", connection.caller.connection_id)]

    def _idle(self, connection_id: str, now: float) -> list[Effect]:
        connection = self._connections.get(connection_id)
        if connection is None:
            return []
        ends_at = connection.last_active_at + self.limits.idle
        if now < ends_at:
            self._alarm(ends_at, lambda at: self._idle(connection_id, at))
            return []
        return self._hang_up(connection_id, 1001, "Going away", now)

    def _too_old(self, connection_id: str, now: float) -> list[Effect]:
        if connection_id not in self._connections:
            return []
        return self._hang_up(connection_id, 1001, "Going away", now)

    # The management API

    def posted(self, connection_id: str, message: bytes, now: float, *, unread: int = 0) -> tuple[Answer, list[Effect]]:
        """Take a POST to ``@connections``; ``unread`` is how many bytes the client has not taken yet."""
        connection = self._connections.get(connection_id)
        if connection is None or not connection.open:
            return self._absent(connection_id), []
        if len(message) > self.limits.message:
            return Answer(413, _body("Payload Too Large"), "PayloadTooLargeException"), []
        if self._account_bucket is not None and not self._account_bucket.takes(now):
            return Answer(429, _body("Limit Exceeded"), "LimitExceededException"), []
        if unread > self.limits.backlog:
            return Answer(429, _body("Limit Exceeded"), "LimitExceededException"), []
        connection.last_active_at = now
        return Answer(200), [Send(connection_id, message)]

    def looked(self, connection_id: str) -> Answer:
        """Take a GET of ``@connections``."""
        connection = self._connections.get(connection_id)
        if connection is None or not connection.open:
            return self._absent(connection_id)
        identity = connection.caller.identity
        view = {
            "connectedAt": _iso_time(connection.caller.connected_at),
            "identity": {"sourceIp": identity["sourceIp"], "userAgent": identity.get("userAgent")},
            "lastActiveAt": _iso_time(connection.last_active_at),
        }
        return Answer(200, msgspec.json.encode(view))

    def deleted(self, connection_id: str, now: float) -> tuple[Answer, list[Effect]]:
        """Take a DELETE of ``@connections``."""
        connection = self._connections.get(connection_id)
        if connection is None or not connection.open:
            return self._absent(connection_id), []
        frame = (self.choices.deleted_code, self.choices.deleted_reason)
        told = (1000, "Connection Closed Normally")
        return Answer(204), self._hang_up(connection_id, *frame, now, seen=told)

    def _absent(self, connection_id: str) -> Answer:
        if is_connection_id(connection_id):
            return Answer(410, b"", "GoneException")
        return Answer(400, _body(f"Invalid connectionId: {connection_id}"), "BadRequestException")

    # Time

    def next_alarm(self) -> float | None:
        """Return the instant at which ``woken`` should be called next, or ``None``."""
        instants = [queue[0][0] for queue in self._awaited.values() if queue]
        if self._alarms:
            instants.append(self._alarms[0][0])
        return min(instants, default=None)

    def woken(self, now: float) -> list[Effect]:
        """Do what time demands: end what is idle, too old or too slow."""
        effects: list[Effect] = []
        for queue in self._awaited.values():
            while queue and (queue[0][0] <= now or queue[0][1] not in self._invocations):
                effects += self.failed(queue.popleft()[1], "timeout", now)
        while self._alarms and self._alarms[0][0] <= now:
            _, _, ring = heapq.heappop(self._alarms)
            effects += ring(now)
        return effects

    def _alarm(self, at: float, ring: Callable[[float], list[Effect]]) -> None:
        self._next_alarm += 1
        heapq.heappush(self._alarms, (at, self._next_alarm, ring))

    def _expect(self, invocation: int, at: float, wait: float) -> None:
        queue = self._awaited.setdefault(wait, deque())
        while queue and queue[0][1] not in self._invocations:
            queue.popleft()
        queue.append((at, invocation))

    # Frames

    def _error_frame(self, connection_id: str, message: str, request_id: str) -> Send:
        # The spacing is the gateway's own: one blank after "message":, none after the other colons.
        text = f'{{"message": "{message}", "connectionId":"{connection_id}", "requestId":"{request_id}"}}'
        return Send(connection_id, text.encode())


def _bucket(throttle: Throttle | None) -> Bucket | None:
    return Bucket(throttle.rate, throttle.burst) if throttle is not None else None


def _body(message: str) -> bytes:
    return msgspec.json.encode({"message": message})


def _refusal_text(status: int) -> str:
    return {401: "Unauthorized", 403: _FORBIDDEN}.get(status, _SERVER_ERROR if status >= 500 else _FORBIDDEN)  # noqa: PLR2004 # HTTP's classes


def _iso_time(at: float) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 # only a GET needs it

    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
