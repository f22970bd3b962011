"""What is to happen at which instant: the gateway's clockwork, which is told the time and never reads it."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from local.rules.effects import Effect


#: So many alarms that nobody waits for may lie about before they are cleared away.
_FEW = 64


@dataclass(slots=True, eq=False)
class Alarm:
    """One thing to do; ``None`` once it was done or called off."""

    ring: Callable[[float], list[Effect]] | None


class Alarms:
    """Things to do at instants."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._number = 0
        self._off = 0

    def __len__(self) -> int:
        return len(self._heap) - self._off

    def set(self, at: float, ring: Callable[[float], list[Effect]]) -> Alarm:
        """Call ``ring`` with the time at ``at`` or soon after it, unless it is called off before."""
        self._number += 1
        alarm = Alarm(ring)
        heapq.heappush(self._heap, (at, self._number, alarm))
        return alarm

    def call_off(self, alarm: Alarm) -> None:
        """Drop one; at most as many as are waited for are kept besides, for the life of a connection is long."""
        if alarm.ring is None:
            return
        alarm.ring = None
        self._off += 1
        if self._off > max(_FEW, len(self)):
            self._heap = [entry for entry in self._heap if entry[2].ring is not None]
            heapq.heapify(self._heap)
            self._off = 0

    def next(self) -> float | None:
        """Return the instant of the next one, or ``None``."""
        while self._heap and self._heap[0][2].ring is None:
            heapq.heappop(self._heap)
            self._off -= 1
        return self._heap[0][0] if self._heap else None

    def ring(self, now: float, effects: list[Effect]) -> None:
        """Do everything that is due, and append what comes of it to ``effects``, each at once."""
        while (at := self.next()) is not None and at <= now:
            alarm = heapq.heappop(self._heap)[2]
            ring, alarm.ring = alarm.ring, None
            if ring is not None:
                effects += ring(now)


class Patience:
    """
    How long each answer is waited for.

    Answers are awaited in order of asking for each length of wait, so a queue for each is sorted by itself.
    ``waiting`` holds the numbers whose answers are still to come; the others are forgotten on the way.
    """

    def __init__(self, waiting: Container[int]) -> None:
        self._waiting = waiting
        self._queues: dict[float, deque[tuple[float, int]]] = {}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def expect(self, number: int, wait: float, now: float) -> None:
        """Give the answer ``number`` the time until ``now + wait``."""
        queue = self._queues.get(wait)
        if queue is None:
            queue = self._queues[wait] = deque()
        while queue and queue[0][1] not in self._waiting:
            queue.popleft()
        queue.append((now + wait, number))

    def next(self) -> float | None:
        """Return the instant at which the next one is due, or ``None``."""
        return min((queue[0][0] for queue in self._queues.values() if queue), default=None)

    def lost(self, now: float) -> Iterator[int]:
        """Give the numbers whose time is over; each must be taken out of ``waiting`` before the next is asked for."""
        for queue in self._queues.values():
            while queue and (queue[0][0] <= now or queue[0][1] not in self._waiting):
                number = queue.popleft()[1]
                if number in self._waiting:
                    yield number
