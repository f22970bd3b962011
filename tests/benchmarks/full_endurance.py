"""
Ten thousand clients and the real scheduler for a minute: every tick must be with all of them before the next begins.

``python -m scheduler`` runs beside the emulator with the keys and settings of the tick's function, on its real grid and
with all three streams; the clients follow the market. It takes three minutes, most of them for the clients to come in.
"""

from __future__ import annotations

import os
from statistics import median

from tests.benchmarks.measurement import Measurement, less, more
from tests.benchmarks.system import System
from tests.end_to_end.running import Program

CLIENTS = 10_000
TICKS = 12
PERIOD_MS = 5_000


def measure() -> list[Measurement]:
    """Measure ``TICKS`` ticks in a row."""
    with System() as system:
        system.open(CLIENTS)
        # All by itself: functions that post would share the emulator's core.
        scheduler = Program("-m", "scheduler", environment={**system.environment, "TICKWIRE_FANOUT_FUNCTION": ""})
        os.sched_setaffinity(scheduler.process.pid, os.sched_getaffinity(0))
        try:
            received = [system.crowd.received() for _ in range(TICKS + 1)][1:]  # the first is a process's first
            tally = system.crowd.tally()
        finally:
            scheduler.stop()
    seqs = [one["seq"] for one in received]
    if tally["doubled"] or tally["closed"] or seqs != list(range(seqs[0], seqs[0] + TICKS)):
        raise RuntimeError(f"not every client got every tick once: {seqs}, {tally}")
    taken = [max(one["at"]) / 1000 - one["seq"] * PERIOD_MS for one in received]
    in_time = sum(one < PERIOD_MS for one in taken)
    name = f"endurance: {CLIENTS:,} clients"
    return [
        more(f"{name}, ticks with all before the next", in_time, "ticks", TICKS, f"all of {TICKS}"),
        less(f"{name}, a tick's time to the last, median", median(taken), "ms", PERIOD_MS),
        less(f"{name}, a tick's time to the last, worst", max(taken), "ms", PERIOD_MS),
    ]
