"""Integrations under way: what was asked of whom, for which connection, and how long an answer is waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from local.events import context_of
from local.rules.alarms import Patience
from local.rules.effects import Fetch, Invoke
from local.rules.integrations import request_of
from local.stack import Authorizer, CustomIntegration, HttpIntegration, LambdaIntegration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.events import Caller, Handshake
    from local.stack import Route

#: The number of invocations whose answers nobody waits for.
_NOBODY = 0
_KINDS = {"$connect": "CONNECT", "$disconnect": "DISCONNECT"}


@dataclass(slots=True)
class Call:
    """
    One of them; ``request_id`` is what an error frame tells the client.

    ``variables`` are those of the mapping templates, where the integration has such.
    """

    kind: Literal["authorize", "connect", "message"]
    connection_id: str
    route: Route
    request_id: str
    variables: Mapping[str, Any] | None = None


class Calls:
    """All of one stage. ``longest`` is how many seconds any answer is waited for."""

    def __init__(self, *, longest: float, variables: Mapping[str, str]) -> None:
        self._longest = longest
        self._variables = variables
        self._calls: dict[int, Call] = {}
        self._next = _NOBODY + 1
        self._patience = Patience(self._calls)

    def ask(self, caller: Caller, route: Route, question: bytes, request_id: str, now: float) -> Invoke:
        """Ask a route's authorizer."""
        authorizer = route.authorizer
        if not isinstance(authorizer, Authorizer):
            raise TypeError(f"{authorizer!r} is no function")
        number = self._add(Call("authorize", caller.connection_id, route, request_id))
        self._patience.expect(number, min(authorizer.timeout, self._longest), now)
        return Invoke(number, authorizer.function, question, route.key, caller.connection_id)

    def start(
        self,
        kind: Literal["connect", "message"],
        caller: Caller,
        route: Route,
        event: bytes,
        request_id: str,
        now: float,
        handshake: Handshake | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> Invoke | Fetch | None:
        """
        Run a route's integration; ``None`` where the emulator has none like it.

        ``event`` is for a function; an HTTP backend gets the message itself there, and the ``handshake``'s headers.
        """
        integration = _backend_of(route)
        if integration is None:
            return None
        number = self._add(Call(kind, caller.connection_id, route, request_id, variables))
        self._patience.expect(number, min(integration.timeout, self._longest), now)
        if isinstance(integration, LambdaIntegration):
            return Invoke(number, integration.function, event, route.key, caller.connection_id)
        return self._fetch(number, caller, route.key, integration, event, request_id, now, handshake)

    def tell(self, caller: Caller, route: Route, event: bytes, request_id: str, now: float) -> Invoke | Fetch | None:
        """Run an integration whose answer nobody sees; an HTTP backend gets an ``event`` that a template made."""
        integration = _backend_of(route)
        if isinstance(integration, LambdaIntegration):
            return Invoke(_NOBODY, integration.function, event, route.key, caller.connection_id)
        if isinstance(integration, HttpIntegration):
            body = event if isinstance(route.integration, CustomIntegration) else b""
            return self._fetch(_NOBODY, caller, route.key, integration, body, request_id, now, None)
        return None

    def take(self, number: int) -> Call | None:
        """Return the call that an answer belongs to; ``None`` where nobody waits for it any more."""
        return self._calls.pop(number, None)

    def next(self) -> float | None:
        """Return the instant at which the next answer is due."""
        return self._patience.next()

    def lost(self, now: float) -> Iterator[int]:
        """Give the calls whose time is over; each must be taken before the next is asked for."""
        return self._patience.lost(now)

    def _add(self, call: Call) -> int:
        number = self._next
        self._next += 1
        self._calls[number] = call
        return number

    def _fetch(
        self,
        number: int,
        caller: Caller,
        route_key: str,
        integration: HttpIntegration,
        body: bytes,
        request_id: str,
        now: float,
        handshake: Handshake | None,
    ) -> Fetch:
        kind = _KINDS.get(route_key, "MESSAGE")
        context = context_of(caller, route_key=route_key, kind=kind, request_id=request_id, now=now)
        url, headers = request_of(integration, context=context, variables=self._variables, handshake=handshake)
        wait = min(integration.timeout, self._longest)
        return Fetch(number, integration.method, url, headers, body, wait, route_key, caller.connection_id)


def _backend_of(route: Route) -> LambdaIntegration | HttpIntegration | None:
    integration = route.integration.backend if isinstance(route.integration, CustomIntegration) else route.integration
    return integration if isinstance(integration, LambdaIntegration | HttpIntegration) else None
