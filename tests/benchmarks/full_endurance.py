"""
Ten thousand clients and the real scheduler for a minute: every tick should be with all of them before the next begins.

``python -m scheduler`` runs beside the emulator with the keys and settings of the tick's function, on its real grid and
with all three streams; the clients follow the market. A tick that did not reach all of them is not among the times. It
takes three minutes, most of them for the clients to come in.
"""

from __future__ import annotations

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
        try:
            first = system.crowd.received()["seq"] + 1  # the one before is a process's first
            received = [system.crowd.received()]
            while received[-1]["seq"] < first + TICKS - 1:
                received.append(system.crowd.received())
            tally = system.crowd.tally()
        finally:
            scheduler.stop()
    if tally["doubled"] or tally["closed"]:
        raise RuntimeError(f"a client got a tick twice, or was closed: {tally}")
    taken = [max(one["at"]) / 1000 - one["seq"] * PERIOD_MS for one in received if one["seq"] < first + TICKS]
    in_time = sum(one < PERIOD_MS for one in taken)
    name = f"endurance: {CLIENTS:,} clients"
    return [
        more(f"{name}, ticks with all before the next", in_time, "ticks", TICKS, f"all of {TICKS}"),
        less(f"{name}, a tick's time to the last, median", median(taken), "ms", PERIOD_MS),
        less(f"{name}, a tick's time to the last, worst", max(taken), "ms", PERIOD_MS),
    ]
