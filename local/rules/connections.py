"""Who is connected to one stage, or is about to be; and who has been silent for too long, or has stayed too long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.events import Caller
    from local.limits import Choices, Limits
    from local.rules.admission import Upgrade
    from local.rules.alarms import Alarm, Alarms
    from local.rules.effects import Effect

    #: Closes a connection from our side: its id, the code and the reason of the close frame, and the instant.
    HangUp = Callable[[str, int, str, float], list[Effect]]


@dataclass(slots=True)
class Connection:
    """
    One client's; ``upgrade`` is there until it is accepted or refused. Instants are epoch seconds.

    It is ``lost`` when its socket is gone and nobody is to know yet.
    """

    caller: Caller
    host: int
    last_active_at: float
    upgrade: Upgrade | None
    heard_at: float
    open: bool = False
    lost: bool = False
    alarms: list[Alarm] = field(default_factory=list)


class Connections:
    """All of one stage, by their ids. ``hang_up`` is called for those whose time is over."""

    def __init__(self, limits: Limits, choices: Choices, *, alarms: Alarms, hang_up: HangUp) -> None:
        self._limits = limits
        self._idle_after = limits.idle + choices.idle_late_by
        self._alarms = alarms
        self._hang_up = hang_up
        self._by_id: dict[str, Connection] = {}

    def __contains__(self, connection_id: str) -> bool:
        return connection_id in self._by_id

    def __getitem__(self, connection_id: str) -> Connection:
        return self._by_id[connection_id]

    @property
    def open(self) -> int:
        """How many are open."""
        return sum(1 for connection in self._by_id.values() if connection.open)

    def get(self, connection_id: str) -> Connection | None:
        """Return one that is open or about to be."""
        return self._by_id.get(connection_id)

    def find_open(self, connection_id: str) -> Connection | None:
        """Return one that is open."""
        connection = self._by_id.get(connection_id)
        return connection if connection is not None and connection.open else None

    def add(self, connection: Connection) -> None:
        """Take a client that wants to connect."""
        self._by_id[connection.caller.connection_id] = connection

    def pop(self, connection_id: str) -> Connection | None:
        """Forget one, and return it if it was there."""
        connection = self._by_id.pop(connection_id, None)
        if connection is not None:
            for alarm in connection.alarms:
                self._alarms.call_off(alarm)
        return connection

    def accept(self, connection_id: str, now: float) -> None:
        """Open a connection, whose time runs from now on."""
        connection = self._by_id[connection_id]
        connection.open = True
        connection.upgrade = None
        connection.last_active_at = connection.heard_at = now
        life_ends_at = connection.caller.connected_at + self._limits.life
        connection.alarms = [
            self._alarms.set(now + self._idle_after, lambda at: self._end_idle(connection, at)),
            self._alarms.set(life_ends_at, lambda at: self._end(connection, at)),
        ]

    def _end_idle(self, connection: Connection, now: float) -> list[Effect]:
        ends_at = connection.last_active_at + self._idle_after
        if now < ends_at:
            connection.alarms[0] = self._alarms.set(ends_at, lambda at: self._end_idle(connection, at))
            return []
        return self._end(connection, now)

    def _end(self, connection: Connection, now: float) -> list[Effect]:
        return self._hang_up(connection.caller.connection_id, 1001, "Going away", now)
