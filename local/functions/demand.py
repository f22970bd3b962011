"""
How much of the processors some processes would take, if they got it.

What a process has computed says too little on a busy machine: one that waits for a processor wants it as much as one
that has it. Linux tells both of every thread (``/proc/PID/task/TID/schedstat``: nanoseconds on a processor, nanoseconds
in the queue for one). Elsewhere nothing is known, and every demand is 0.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def processors() -> int:
    """Return how many processors this process, and so its children, may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def wanted(pid: int) -> float:
    """Return for how many seconds the threads of a process have wanted a processor; 0 where that is not known."""
    nanoseconds = 0
    tasks = f"/proc/{pid}/task"
    try:
        for thread in os.listdir(tasks):  # noqa: PTH208 # looked at every 20 ms while events wait
            with open(f"{tasks}/{thread}/schedstat", "rb") as counters:  # noqa: PTH123 # as above
                computed, queued, _ = counters.read().split()
            nanoseconds += int(computed) + int(queued)
    except (OSError, ValueError):
        return 0.0  # it has just ended, or the system keeps no such counters
    return nanoseconds / 1e9


class Demand:
    """
    What the processes of one function, and the emulator, want from a moment on.

    Args:
        pids: The function's processes.
        now: The moment, on any clock in seconds.
    """

    def __init__(self, pids: Iterable[int], now: float) -> None:
        self.since = now
        self._own = wanted(os.getpid())
        self._wanted = {pid: wanted(pid) for pid in pids}

    def leaves_nothing(self, now: float) -> bool:
        """
        Tell whether one process more would only take from the others: they compute, and all processors are taken.

        The emulator counts too, as it computes for them; but processes that hardly compute, as they wait for something
        else than a processor, never say so.
        """
        passed = now - self.since
        if passed <= 0 or not self._wanted:
            return False
        share = sum(wanted(pid) - before for pid, before in self._wanted.items()) / passed
        own = (wanted(os.getpid()) - self._own) / passed
        return share >= len(self._wanted) / 4 and share + own >= processors() - 0.5
