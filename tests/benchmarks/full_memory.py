"""
Whether a broadcaster that lives for long grows: a thousand ticks of the market to two thousand clients.

Real ticks on the simulated exchange, real signed posts over TLS; in the gateway's place is the server that the pool is
measured with, which answers every request with 200. It takes two minutes.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from handlers.hub.instruments import instruments
from handlers.hub.management import ManagementApi
from handlers.hub.origin import Origin
from handlers.hub.pool import Pool
from scheduler.market.prices import Prices
from scheduler.market.providers.binance import Binance
from scheduler.market.providers.gold_api import GoldApi
from scheduler.market.providers.kraken import Kraken
from scheduler.tick import Ports, tick
from tests.benchmarks import bench_pool, bench_tick
from tests.benchmarks.measurement import Measurement, less
from tests.benchmarks.system import serving
from tests.fakes import InMemoryConnectionStore, InMemorySnapshotStore
from tests.misbehaving import make_authority
from tests.scheduler.fakes import Clock, InMemoryClaimStore, follower

if TYPE_CHECKING:
    from tests.misbehaving import Authority

TICKS = 1_000
CLIENTS = 2_000
WARM = 100
READ_EVERY = 10
PERIOD_MS = 5_000
MOST_KB = 1_024
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


def resident() -> int:
    """Return this process's resident memory in KB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_KB


async def run_ticks(port: int, exchange: int, authority: Authority) -> list[int]:
    """Run the ticks; return the memory in KB, every now and then."""
    clock = Clock(bench_tick.MONDAY)
    makers = {"binance": Binance, "kraken": Kraken, "gold-api": GoldApi}
    providers = [maker(f"http://127.0.0.1:{exchange}/{name}", now=clock) for name, maker in makers.items()]
    prices = Prices(instruments().values(), providers, now=clock)
    followers = [follower(f"L0SM9cOFv{number:05}AM=", at=clock.at - 60_000) for number in range(CLIENTS)]
    pool = Pool(Origin("https", "127.0.0.1", port), tls=authority.client())
    endpoint, keys = f"https://127.0.0.1:{port}/live", bench_pool.KEYS
    readings = []
    async with ManagementApi(endpoint, region=bench_pool.REGION, credentials=lambda: keys, pool=pool) as gateway:
        ports = Ports(InMemoryClaimStore(), InMemorySnapshotStore(), InMemoryConnectionStore(*followers), gateway)
        for number in range(TICKS):
            report = await tick("market", clock.at // PERIOD_MS, composer=prices, ports=ports, now=clock)
            if report.outcome != "sent" or report.delivery.posted < CLIENTS:
                raise RuntimeError(report.line())
            clock.at += PERIOD_MS
            if number % READ_EVERY == 0:
                readings.append(resident())
    await prices.close()
    return readings


def measure() -> list[Measurement]:
    """Run them all."""
    with tempfile.TemporaryDirectory() as folder:
        authority = make_authority(Path(folder))
        with serving(bench_pool.__file__, str(authority.chain)) as port, serving(bench_tick.__file__) as exchange:
            readings = asyncio.run(run_ticks(port, exchange, authority))
    warm = readings[WARM // READ_EVERY :]
    tenth = len(warm) // 10
    growth = median(warm[-tenth:]) - median(warm[:tenth])
    name = f"memory: growth of the broadcaster over {TICKS - WARM} ticks to {CLIENTS:,} clients"
    against = f"at most {MOST_KB:,} KB, of {median(warm):,.0f} KB in all"
    return [less(name, max(growth, 1), "KB", MOST_KB, against)]
