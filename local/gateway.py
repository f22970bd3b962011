"""
The rules of the gateway, without input or output.

One ``Gateway`` is one stage of one WebSocket API. What happens comes in through its methods (``opened``,
``received``, ``answered``, ``fetched``, ``failed``, ``closed``, ``posted``, ``looked``, ``deleted``, ``woken``), what
is to be done comes out as effects in the order in which they are to be done. Time, ids and randomness are arguments;
no rule needs a socket or a sleep to be tested.

A connection's life::

    opened ──▶ authorized ──▶ connecting ──answered 2xx──▶ open ──closed, deleted, idle, too old──▶ forgotten,
          └──────────┴─────────────┴──answered else, failed──▶ refused                    after one $disconnect
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from local.events import Caller, Handshake, connect_event, context_of, identity_of, message_event
from local.limits import Choices, Limits
from local.regions import partition_of
from local.rules import answers
from local.rules.admission import BAD_ANSWER, SERVER_ERROR, Admission, Upgrade
from local.rules.alarms import Alarms
from local.rules.calls import Call, Calls
from local.rules.connections import Connection, Connections
from local.rules.effects import Accept, Close, Effect, Fault, Log, Refusal, Refuse, Send
from local.rules.farewells import Farewells
from local.rules.ids import Ids
from local.rules.mappings import NotTaken, ask, mapped_response, obeys_its_model
from local.rules.proxy import read_answer, subprotocol_of
from local.rules.selection import compile_selection
from local.rules.throttling import Account, Throttles
from local.stack import CustomIntegration, LambdaIntegration, MockIntegration, UnsupportedIntegration
from local.velocity.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from local.rules.admission import Verify
    from local.rules.effects import Answer
    from local.stack import Route, WebSocketApi


class Gateway:
    """
    One stage of one WebSocket API: who is connected, and what follows from what happens.

    ``verify`` checks the signature of an upgrade request where ``$connect`` asks for AWS_IAM; without it nobody passes.
    ``account`` holds the quotas that it has together with other APIs.
    """

    def __init__(
        self,
        api: WebSocketApi,
        *,
        region: str,
        random: Random,
        account_id: str = "000000000000",
        limits: Limits | None = None,
        choices: Choices | None = None,
        verify: Verify | None = None,
        account: Account | None = None,
    ) -> None:
        self.api = api
        self.limits = limits or Limits()
        self.choices = choices or Choices()
        self._random = random
        self._ids = Ids(region, random)
        self._select = compile_selection(api.selection, numbers_select=self.choices.numbers_select)
        self._calls = Calls(longest=self.limits.integration, variables=api.stage.variables)
        self._alarms = Alarms()
        self._due: list[Effect] = []
        self._connections = Connections(self.limits, self.choices, alarms=self._alarms, hang_up=self._hang_up)
        self._throttles = Throttles(api, account or Account(self.limits))
        self._farewells = Farewells(
            api, self._calls, self._ids, alarms=self._alarms, choices=self.choices, random=random
        )
        arn = f"arn:{partition_of(region)}:execute-api:{region}:{account_id}:{api.id}/{api.stage.name}/$connect"
        self._admission = Admission(api, self._throttles, choices=self.choices, arn=arn, verify=verify)

    @property
    def connected(self) -> int:
        """How many connections are open."""
        return self._connections.open

    # The handshake

    def opened(self, handshake: Handshake, now: float) -> tuple[str, list[Effect]]:
        """Take a client's upgrade request; the id is new, and gone until the client is accepted."""
        connection_id, host = self._ids.connection(now)
        while connection_id in self._connections:
            connection_id, host = self._ids.connection(now)
        trace_id = f"Root=1-{int(now):08x}-{self._random.getrandbits(96):024x}"
        upgrade = Upgrade(handshake, self._ids.request(now), trace_id, now)
        caller = Caller(
            connection_id=connection_id,
            connected_at=now,
            api_id=self.api.id,
            stage=self.api.stage.name,
            domain_name=handshake.domain_name,
            identity=identity_of(handshake),
            stage_variables=self.api.stage.variables,
        )
        self._connections.add(Connection(caller, host, now, upgrade, now))
        if (refusal := self._admission.turn_away(handshake, now)) is not None:
            return connection_id, self._refuse(connection_id, refusal)
        route = self.api.routes.get("$connect")
        if route is None:
            return connection_id, self._accept(connection_id, None, now)
        question = self._admission.question(caller, upgrade, route)
        if isinstance(question, Refusal):
            return connection_id, self._refuse(connection_id, question)
        if question is None:
            return connection_id, self._admit(connection_id, upgrade, route, now)
        return connection_id, [self._calls.ask(caller, route, question, upgrade.request_id, now)]

    def _authorized(self, waiting: Call, payload: bytes, now: float) -> list[Effect]:
        connection = self._connections[waiting.connection_id]
        upgrade = connection.upgrade
        if upgrade is None:  # pragma: no cover # an authorizer is asked before anybody is accepted
            return []
        refusal, said = self._admission.verdict(connection.caller, upgrade, payload)
        if refusal is not None:
            return [*self._refuse(waiting.connection_id, refusal), Log(f"$connect: {said}")]
        return self._admit(waiting.connection_id, upgrade, waiting.route, now)

    def _admit(self, connection_id: str, upgrade: Upgrade, route: Route, now: float) -> list[Effect]:
        """Go on with a client that is authorized."""
        caller = self._connections[connection_id].caller
        if (refusal := self._admission.check_key(caller, upgrade, route, now)) is not None:
            return self._refuse(connection_id, refusal)
        integration = route.integration
        if integration is None:
            return self._accept(connection_id, None, now)
        if isinstance(integration, MockIntegration | CustomIntegration):
            context = context_of(
                caller, route_key="$connect", kind="CONNECT", request_id=upgrade.request_id, now=upgrade.at
            )
            return self._transformed("connect", caller, route, "", context, now)
        if not isinstance(integration, LambdaIntegration):
            return self._start("connect", caller, route, b"", upgrade.request_id, now)
        known = caller.authorizer
        if known is not None:
            # Only the event of $connect tells how long the authorizer took.
            caller.authorizer = {**known, "integrationLatency": round((now - upgrade.at) * 1000)}
        event = connect_event(
            caller, upgrade.handshake, request_id=upgrade.request_id, trace_id=upgrade.trace_id, now=upgrade.at
        )
        caller.authorizer = known
        return self._start("connect", caller, route, event, upgrade.request_id, now)

    def _accept(self, connection_id: str, subprotocol: str | None, now: float) -> list[Effect]:
        self._connections.accept(connection_id, now)
        return [Accept(connection_id, subprotocol)]

    def _refuse(self, connection_id: str, refusal: Refusal) -> list[Effect]:
        connection = self._connections.pop(connection_id)
        upgrade = connection.upgrade if connection is not None else None
        request_id = upgrade.request_id if upgrade is not None else ""
        said = answers.body(refusal.message, refusal.member)
        return [Refuse(connection_id, refusal.status, said, refusal.error, request_id)]

    def _decide(self, connection_id: str, status: int, subprotocol: str | None, now: float) -> list[Effect]:
        """Accept or refuse by the status that a ``$connect`` integration answered with."""
        refusal = self._admission.answered(status)
        if refusal is None:
            return self._accept(connection_id, subprotocol, now)
        caller = self._connections[connection_id].caller
        told = self._farewells.say(caller, 1006, "", now) if self.choices.refused_is_told else []
        return [*self._refuse(connection_id, refusal), *told]

    # Messages from the client

    def received(self, connection_id: str, message: str | bytes, now: float) -> list[Effect]:
        """Take one whole message from a client; ``bytes`` is a binary one, which the gateway does not serve."""
        connection = self._connections.find_open(connection_id)
        if connection is None:
            return []
        connection.last_active_at = connection.heard_at = now
        if isinstance(message, bytes):
            return self._hang_up(connection_id, 1003, self.choices.refusal_reason, now)
        if len(message) > self.limits.message or len(message.encode()) > self.limits.message:
            return self._hang_up(connection_id, 1009, self.choices.refusal_reason, now)
        return self._dispatch(connection, message, now)

    def _dispatch(self, connection: Connection, message: str, now: float) -> list[Effect]:
        connection_id = connection.caller.connection_id
        route = self._route_for(message)
        request_id = self._ids.request(now)
        if route is None:
            return [self._error_frame(connection_id, answers.FORBIDDEN, request_id)]
        if self._throttles.refuse(route.key, now):
            return [self._error_frame(connection_id, self.choices.throttled_message, request_id)]
        integration = route.integration
        if isinstance(integration, LambdaIntegration):
            event = message_event(
                connection.caller,
                message,
                route_key=route.key,
                request_id=request_id,
                message_id=self._ids.message(now, connection.host),
                now=now,
            )
            return self._start("message", connection.caller, route, event, request_id, now)
        if not isinstance(integration, MockIntegration | CustomIntegration):
            return self._start("message", connection.caller, route, message.encode(), request_id, now)
        message_id = self._ids.message(now, connection.host)
        if not obeys_its_model(message, route):
            return [Send(connection_id, answers.bad_request_frame(connection_id, message_id))]
        context = context_of(
            connection.caller,
            route_key=route.key,
            kind="MESSAGE",
            request_id=request_id,
            now=now,
            message_id=message_id,
        )
        return self._transformed("message", connection.caller, route, message, context, now)

    def _transformed(
        self,
        kind: Literal["connect", "message"],
        caller: Caller,
        route: Route,
        message: str,
        context: dict[str, Any],
        now: float,
    ) -> list[Effect]:
        """Run an integration whose templates make what is asked of it."""
        integration = route.integration
        request_id = context["requestId"]
        variables = variables_of(context=context, stage=self.api.stage.variables)
        call = Call(kind, caller.connection_id, route, request_id, variables)
        if not isinstance(integration, MockIntegration | CustomIntegration):
            raise TypeError(f"{integration!r} has no templates")
        asked = ask(integration, message, variables)
        if asked.fault:
            said = Log(f"route {route.key}: {asked.reason}")
            return [*self._without_answer(call, "missing", b"", asked.fault), said]
        if asked.status is not None:
            return self._replied(call, asked.status, b"", now)
        return self._start(kind, caller, route, asked.payload, request_id, now, variables)

    def _replied(self, call: Call, status: int, payload: bytes, now: float) -> list[Effect]:
        """Take the answer of an HTTP backend, or of one behind templates."""
        if call.kind == "connect":
            return self._decide(call.connection_id, status, None, now)
        if not call.route.two_way:
            return []
        integration = call.route.integration
        if isinstance(integration, MockIntegration | CustomIntegration):
            try:
                payload = mapped_response(status, payload, integration.responses, call.variables or {})
            except NotTaken as fault:
                return self._without_answer(call, "missing", b"", str(fault))
        return self._reply(call, self._text_of(payload), now) if payload else []

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

    # Integrations

    def answered(self, invocation: int, payload: bytes, now: float) -> list[Effect]:
        """Take what a function returned."""
        waiting = self._calls.take(invocation)
        if waiting is None or waiting.connection_id not in self._connections:
            return []
        if waiting.kind == "authorize":
            return self._authorized(waiting, payload, now)
        if isinstance(waiting.route.integration, CustomIntegration):
            return self._replied(waiting, 200, payload, now)
        answer = read_answer(payload)
        if waiting.kind == "connect":
            return self._connect_answered(waiting, answer, now)
        return self._message_answered(waiting, payload, answer, now)

    def _connect_answered(self, waiting: Call, answer: dict[str, Any] | None, now: float) -> list[Effect]:
        connection_id = waiting.connection_id
        said = "it needs a statusCode and no unknown members"
        if answer is not None and "statusCode" in answer:
            try:
                return self._decide(connection_id, answer["statusCode"], subprotocol_of(answer), now)
            except ValueError as fault:
                said = str(fault)
        return [
            *self._refuse(connection_id, BAD_ANSWER),
            Log(f"$connect: the function's answer is malformed: {said}"),
        ]

    def _message_answered(
        self, waiting: Call, payload: bytes, answer: dict[str, Any] | None, now: float
    ) -> list[Effect]:
        if answer is None:
            if payload == b"null" and not self.choices.null_is_an_error:
                return []
            return [
                self._error_frame(waiting.connection_id, answers.SERVER_ERROR, waiting.request_id),
                Log(f"route {waiting.route.key}: the function's answer is malformed: {payload[:200]!r}"),
            ]
        body = answer.get("body")
        if not waiting.route.two_way or not isinstance(body, str):
            return []
        if body == "" and not self.choices.empty_body_is_sent:
            return []
        return self._reply(waiting, body.encode(), now)

    def fetched(self, invocation: int, status: int, body: bytes, now: float) -> list[Effect]:
        """Take what an HTTP backend answered."""
        waiting = self._calls.take(invocation)
        if waiting is None or waiting.connection_id not in self._connections:
            return []
        return self._replied(waiting, status, body, now)

    def failed(self, invocation: int, fault: Fault, now: float, payload: bytes = b"") -> list[Effect]:  # noqa: ARG002 # every input has its instant
        """
        Take that an integration failed.

        A function raised or ended (``error``, ``payload`` says how), could not be run (``missing``), or took too long.
        """
        waiting = self._calls.take(invocation)
        if waiting is None or waiting.connection_id not in self._connections:
            return []
        return self._without_answer(waiting, fault, payload)

    def fallen(self, connection_id: str, now: float) -> list[Effect]:
        """Take that a rule failed which should not have: the client hears of it as of any failure."""
        connection = self._connections.get(connection_id)
        if connection is None:
            return []
        if connection.upgrade is not None:
            return self._refuse(connection_id, SERVER_ERROR)
        return [self._error_frame(connection_id, answers.SERVER_ERROR, self._ids.request(now))]

    def _without_answer(self, waiting: Call, fault: Fault, payload: bytes, said: str = "") -> list[Effect]:
        if waiting.kind == "authorize":
            refusal = self._admission.fault(payload) if fault == "error" else SERVER_ERROR
            return self._refuse(waiting.connection_id, refusal)
        text = said or (answers.TIMED_OUT if fault == "timeout" else answers.SERVER_ERROR)
        if waiting.kind == "connect":
            status = {"error": 502, "missing": 500, "timeout": self.choices.connect_timeout_status}[fault]
            return self._refuse(waiting.connection_id, Refusal(status, text, SERVER_ERROR.error))
        return [self._error_frame(waiting.connection_id, text, waiting.request_id)]

    def _start(
        self,
        kind: Literal["connect", "message"],
        caller: Caller,
        route: Route,
        event: bytes,
        request_id: str,
        now: float,
        variables: Mapping[str, Any] | None = None,
    ) -> list[Effect]:
        """Run a route's integration; ``event`` is the message itself where that is no function."""
        connection_id = caller.connection_id
        upgrade = self._connections[connection_id].upgrade
        shaken = upgrade.handshake if upgrade is not None else None
        started = self._calls.start(kind, caller, route, event, request_id, now, handshake=shaken, variables=variables)
        if started is not None:
            return [started]
        integration = route.integration
        reason = integration.reason if isinstance(integration, UnsupportedIntegration) else "it has no integration"
        call = Call(kind, connection_id, route, request_id)
        return [*self._without_answer(call, "missing", b""), Log(f"route {route.key}: {reason}")]

    # The end of a connection

    def closed(self, connection_id: str, code: int, reason: str, now: float) -> list[Effect]:
        """Take that a client has closed its socket, or lost it (1006)."""
        if code == 1006 and self.choices.lost_late_by:  # noqa: PLR2004 # RFC 6455: no close frame came
            return self._lose(connection_id, now)
        return self._close(connection_id, code, reason, now)

    def _lose(self, connection_id: str, now: float) -> list[Effect]:
        """Keep a connection whose client is gone for as long as that is not noticed."""
        connection = self._connections.get(connection_id)
        if connection is None or not connection.open:
            return self._close(connection_id, 1006, "", now)
        if not connection.lost:
            connection.lost = True
            noticed_at = now + self.choices.lost_late_by
            alarm = self._alarms.set(noticed_at, lambda at: self._close(connection_id, 1006, "", at))
            connection.alarms.append(alarm)
        return []

    def _close(self, connection_id: str, code: int, reason: str, now: float) -> list[Effect]:
        connection = self._connections.pop(connection_id)
        if connection is None or not connection.open:
            return []
        if code == 1005:  # noqa: PLR2004 # RFC 6455: no status code in the close frame
            reason = "Client-side close frame status not set"
        return self._farewells.say(connection.caller, code, reason, now)

    def _hang_up(
        self, connection_id: str, code: int, reason: str, now: float, seen: tuple[int, str] | None = None
    ) -> list[Effect]:
        """Close from our side; ``seen`` is what ``$disconnect`` is told where that differs from the frame."""
        caller = self._connections[connection_id].caller
        self._connections.pop(connection_id)
        told = seen or (code, reason)
        return [Close(connection_id, code, reason), *self._farewells.say(caller, *told, now)]

    # The management API

    def posted(self, connection_id: str, message: bytes, now: float, *, unread: int = 0) -> tuple[Answer, list[Effect]]:
        """Take a POST to ``@connections``; ``unread`` is how many bytes the client has not taken yet."""
        connection = self._connections.find_open(connection_id)
        if connection is None:
            return answers.absent(connection_id), []
        if len(message) > self.limits.message:
            return answers.TOO_LARGE, []
        if unread > self.limits.backlog or self._throttles.refuse_post(now):
            return answers.LIMITED, []
        connection.last_active_at = now
        return answers.POSTED, [Send(connection_id, self._text_of(message))]

    def looked(self, connection_id: str) -> Answer:
        """Take a GET of ``@connections``."""
        connection = self._connections.find_open(connection_id)
        if connection is None:
            return answers.absent(connection_id)
        posts_count = self.choices.post_moves_last_active
        return answers.view(connection.caller, connection.last_active_at if posts_count else connection.heard_at)

    def deleted(self, connection_id: str, now: float) -> tuple[Answer, list[Effect]]:
        """Take a DELETE of ``@connections``."""
        connection = self._connections.find_open(connection_id)
        if connection is None:
            return answers.absent(connection_id), []
        frame = (self.choices.deleted_code, self.choices.deleted_reason)
        told = (1000, "Connection Closed Normally")
        return answers.DELETED, self._hang_up(connection_id, *frame, now, seen=told)

    # Time

    def next_alarm(self) -> float | None:
        """Return the instant at which ``woken`` should be called next, or ``None``."""
        if self._due:
            return float("-inf")
        alarm, due = self._alarms.next(), self._calls.next()
        if alarm is None or due is None:
            return due if alarm is None else alarm
        return min(alarm, due)

    def woken(self, now: float) -> list[Effect]:
        """
        Do what time demands: end what is idle, too old or too slow.

        Where that fails for one, what it came to for others is returned by the next call.
        """
        for invocation in self._calls.lost(now):
            self._due += self.failed(invocation, "timeout", now)
        self._alarms.ring(now, self._due)
        due, self._due = self._due, []
        return due

    # Frames

    def _reply(self, call: Call, text: bytes, now: float) -> list[Effect]:
        """Send what a two-way route answers."""
        if len(text) > self.limits.message:
            said = f"route {call.route.key}: an answer of {len(text)} bytes is over the limit of {self.limits.message}"
            return [self._error_frame(call.connection_id, self.choices.long_answer_message, call.request_id), Log(said)]
        self._connections[call.connection_id].last_active_at = now
        return [Send(call.connection_id, text)]

    def _text_of(self, message: bytes) -> bytes:
        """Make text of what comes from outside, so that no client hangs up on it."""
        if self.choices.mend_text and not message.isascii():
            return message.decode(errors="replace").encode()
        return message

    def _error_frame(self, connection_id: str, message: str, request_id: str) -> Send:
        return Send(connection_id, answers.error_frame(message, connection_id, request_id))
