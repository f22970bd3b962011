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


def taken(pid: int) -> tuple[float, float]:
    """Return for how many seconds the threads of a process have had a processor, and queued for one; 0 if unknown."""
    had = queued = 0
    tasks = f"/proc/{pid}/task"
    try:
        for thread in os.listdir(tasks):  # noqa: PTH208 # looked at every 20 ms while events wait
            with open(f"{tasks}/{thread}/schedstat", "rb") as counters:  # noqa: PTH123 # as above
                of_thread, in_queue, _ = counters.read().split()
            had += int(of_thread)
            queued += int(in_queue)
    except (OSError, ValueError):
        return 0.0, 0.0  # it has just ended, or the system keeps no such counters
    return had / 1e9, queued / 1e9


class Demand:
    """
    What the processes of one function, and the emulator, want from a moment on.

    Args:
        pids: The function's processes.
        now: The moment, on any clock in seconds.
    """

    def __init__(self, pids: Iterable[int], now: float) -> None:
        self.since = now
        self._own = taken(os.getpid())
        self._taken = {pid: taken(pid) for pid in pids}

    def leaves_nothing(self, now: float) -> bool:
        """
        Tell whether one process more would only take from the others: all processors are taken already.

        They are when the emulator, which computes for the functions too, and the processes have had nearly all of their
        time; or, on a machine that is busy with other things, when they would have had it and the processes compute.
        Processes that hardly do, as they wait for something else, do not say so then.
        """
        passed = now - self.since
        if passed <= 0 or not self._taken:
            return False
        had, queued = _more(taken(os.getpid()), self._own)
        share = 0.0
        for pid, before in self._taken.items():
            of_process, in_queue = _more(taken(pid), before)
            had += of_process
            queued += in_queue
            share += of_process + in_queue
        if had >= 0.9 * processors() * passed:
            return True
        return share >= len(self._taken) / 4 * passed and had + queued >= (processors() - 0.5) * passed


def _more(now: tuple[float, float], before: tuple[float, float]) -> tuple[float, float]:
    return max(0.0, now[0] - before[0]), max(0.0, now[1] - before[1])
