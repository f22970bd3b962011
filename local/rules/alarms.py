"""What is to happen at which instant: the gateway's clockwork, which is told the time and never reads it."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from local.rules.effects import Effect


class Alarms:
    """Things to do at instants; one is dropped by doing nothing when it rings."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[float], list[Effect]]]] = []
        self._number = 0

    def set(self, at: float, ring: Callable[[float], list[Effect]]) -> None:
        """Call ``ring`` with the time at ``at`` or soon after it."""
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, ring))

    def next(self) -> float | None:
        """Return the instant of the next one, or ``None``."""
        return self._heap[0][0] if self._heap else None

    def ring(self, now: float) -> list[Effect]:
        """Do everything that is due."""
        effects: list[Effect] = []
        while self._heap and self._heap[0][0] <= now:
            _, _, ring = heapq.heappop(self._heap)
            effects += ring(now)
        return effects


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
