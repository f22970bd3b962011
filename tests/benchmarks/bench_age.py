"""
How old a quote is when a client has it: the receipt minus the source's own time, on the simulated exchange.

Real ticks at their real times, a thousand clients; what counts is every changed quote at every client. gold-api asks
its clients to keep an answer for 30 seconds, so what comes from there may be that much older.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict

from handlers.hub.instruments import instruments
from tests.benchmarks.measurement import Measurement, less
from tests.benchmarks.system import Broadcaster, System

CLIENTS = 1_000
TICKS = 8
"""So many that gold-api, which is asked every 30 s, says something in each run."""
PERIOD_S = 5
BUDGETS_S = {"crypto": 1.0, "metal": 35.0}
PART = 0.99


async def run_ticks(system: System) -> dict[str, list[float]]:
    """Return the ages in seconds by kind of instrument."""
    ages: dict[str, list[float]] = defaultdict(list)
    known = instruments()
    last: dict[str, int] = {}
    async with Broadcaster(system) as broadcaster:
        for number in range(TICKS + 1):
            seq = int(time.time()) // PERIOD_S + 1
            await asyncio.sleep(seq * PERIOD_S - time.time())
            await broadcaster.tick_number(seq)
            received = await asyncio.to_thread(system.crowd.received)
            assert received["seq"] == seq
            for update in json.loads(received["text"])["updates"]:
                symbol, stamp = update["symbol"], update["data"]["ts"]
                is_new = last.get(symbol) != stamp
                last[symbol] = stamp
                if is_new and number:  # the first tick is a process's first
                    ages[known[symbol].kind] += [(at / 1000 - stamp) / 1000 for at in received["at"]]
    return ages


def measure() -> list[Measurement]:
    """Take about a minute."""
    with System() as system:
        system.open(CLIENTS)
        ages = asyncio.run(run_ticks(system))
        system.check_nobody_missed()
    rows = []
    for kind, budget in BUDGETS_S.items():
        sorted_ages = sorted(ages[kind])
        worst = sorted_ages[int(len(sorted_ages) * PART)]
        rows.append(less(f"age: {kind} at {CLIENTS:,} clients, 99 % of {len(sorted_ages):,}", worst, "s", budget))
    return rows
