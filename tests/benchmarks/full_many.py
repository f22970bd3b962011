"""
How fast a tick of the market reaches five thousand clients, from the end of the fetch to the last one.

As ``bench_delivery`` measures it for a thousand; it takes two minutes, most of them for the clients to come in.
"""

from __future__ import annotations

import asyncio
from statistics import median

from tests.benchmarks.bench_delivery import Times, tick
from tests.benchmarks.measurement import Measurement, less
from tests.benchmarks.system import Broadcaster, System

CLIENTS = 5_000
TICKS = 9
BUDGET_MS = 600.0


async def run_ticks(system: System) -> list[float]:
    """Run ticks; return the milliseconds from the end of the fetch to the last client."""
    times = Times([], [], [], [], [])
    async with Broadcaster(system) as broadcaster:
        for _ in range(TICKS + 1):
            await tick(system, broadcaster, times)
    return times.whole[1:]  # the first opened the sockets


def measure() -> list[Measurement]:
    """Measure them."""
    with System() as system:
        system.open(CLIENTS)
        taken = asyncio.run(run_ticks(system))
        system.check_nobody_missed()
    return [
        less(f"delivery: {CLIENTS:,} clients, end of fetch to the last", median(taken), "ms", BUDGET_MS),
        less(f"delivery: {CLIENTS:,} clients, end of fetch to the last, best of {TICKS}", min(taken), "ms", BUDGET_MS),
    ]
