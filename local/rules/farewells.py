"""The end of a connection, as its ``$disconnect`` route hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.events import context_of, disconnect_event
from local.rules.effects import Log
from local.rules.mappings import ask
from local.stack import CustomIntegration
from local.velocity.variables import variables_of

if TYPE_CHECKING:
    from random import Random

    from local.events import Caller
    from local.limits import Choices
    from local.rules.alarms import Alarms
    from local.rules.calls import Calls
    from local.rules.effects import Effect
    from local.rules.ids import Ids
    from local.stack import Route, WebSocketApi


class Farewells:
    """Runs ``$disconnect`` of one stage: at once and always, unless the choices say otherwise."""

    def __init__(
        self, api: WebSocketApi, calls: Calls, ids: Ids, *, alarms: Alarms, choices: Choices, random: Random
    ) -> None:
        self._api = api
        self._calls = calls
        self._ids = ids
        self._alarms = alarms
        self._choices = choices
        self._random = random

    def say(self, caller: Caller, code: int, reason: str, now: float) -> list[Effect]:
        """Tell that a connection has ended, with the code and the reason that the function is to see."""
        route = self._api.routes.get("$disconnect")
        if route is None:
            return []
        if self._choices.disconnect_lost and self._random.random() < self._choices.disconnect_lost:
            return [Log("$disconnect is not run, as --choice disconnect_lost wants it")]
        if late_by := self._choices.disconnect_late_by:
            self._alarms.set(now + late_by, lambda at: self._tell(caller, route, code, reason, at))
            return []
        return self._tell(caller, route, code, reason, now)

    def _tell(self, caller: Caller, route: Route, code: int, reason: str, now: float) -> list[Effect]:
        request_id = self._ids.request(now)
        if isinstance(route.integration, CustomIntegration):
            context = context_of(
                caller,
                route_key="$disconnect",
                kind="DISCONNECT",
                request_id=request_id,
                now=now,
                closed=(code, reason),
            )
            asked = ask(route.integration, "", variables_of(context=context, stage=self._api.stage.variables))
            if asked.fault:
                return [Log(f"route $disconnect: {asked.reason}")]
            event = asked.payload
        else:
            event = disconnect_event(caller, code=code, reason=reason, request_id=request_id, now=now)
        told = self._calls.tell(caller, route, event, request_id, now)
        return [] if told is None else [told]
