"""
What one tick of the market stream costs in CPU: 30 instruments from three providers over HTTP, composed, saved, posted.

``python tests/benchmarks/bench_tick.py`` prints one JSON object a line, each a measurement as ``measure()`` gives it.
The simulated exchange is a process of its own and its clock runs fast, so that prices have changed at every tick; only
this process's CPU is counted: HTTP, parsing, choice, composition, state and messages. Stores and gateway are fakes in
memory, with a hundred followers of ten kinds. The cold tick is a process's first: connections, the list of Kraken's
pairs and every fallback are asked for too.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # run as a script, its own folder stands there instead

from handlers.hub.instruments import instruments  # noqa: E402  # after the path is set
from scheduler.market.prices import Prices  # noqa: E402  # after the path is set
from scheduler.market.providers.binance import Binance  # noqa: E402  # after the path is set
from scheduler.market.providers.gold_api import GoldApi  # noqa: E402  # after the path is set
from scheduler.market.providers.kraken import Kraken  # noqa: E402  # after the path is set
from scheduler.tick import Ports, tick  # noqa: E402  # after the path is set
from tests.benchmarks.measurement import Measurement, less  # noqa: E402  # after the path is set
from tests.benchmarks.system import serving  # noqa: E402  # after the path is set
from tests.fakes import InMemoryConnectionStore, InMemorySnapshotStore, RecordingGateway  # noqa: E402  # after the path
from tests.scheduler.fakes import Clock, InMemoryClaimStore, follower  # noqa: E402  # after the path is set

TICKS = 36
FOLLOWERS = 100
PERIOD_MS = 5_000
SPEED = 50  # the exchange's seconds in one of ours: a tenth of a second is a tick
MONDAY = 1_789_999_980_000  # 2026-09-21: forex and metals are traded
BUDGET = 150.0  # milliseconds of CPU a tick


async def _serve() -> None:
    import uvicorn  # noqa: PLC0415  # for the server's process only

    from local.exchange.application import exchange  # noqa: PLC0415  # likewise

    started = time.time()
    app = exchange(now=lambda: MONDAY + int((time.time() - started) * SPEED * 1000))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # uvicorn tells no other way
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)  # noqa: T201  # how the parent learns the port
    await asyncio.to_thread(sys.stdin.read)  # until the parent goes
    server.should_exit = server.force_exit = True
    await serving


async def _ticks(port: int) -> list[float]:
    """Run ticks; give the milliseconds of CPU of each."""
    clock = Clock(MONDAY)
    makers = {"binance": Binance, "kraken": Kraken, "gold-api": GoldApi}
    providers = [maker(f"http://127.0.0.1:{port}/{name}", now=clock) for name, maker in makers.items()]
    symbols = list(instruments())
    followers = [
        follower(f"{number}=", at=MONDAY - 60_000, symbols=frozenset(symbols[:kind]) if kind else None)
        for number in range(FOLLOWERS)
        for kind in [number % 10]
    ]
    gateway = RecordingGateway()
    ports = Ports(InMemoryClaimStore(), InMemorySnapshotStore(), InMemoryConnectionStore(*followers), gateway)
    prices = Prices(instruments().values(), providers, now=clock)
    spent = []
    for number in range(TICKS):
        began, posted = time.process_time(), len(gateway.posts)
        report = await tick("market", clock.at // PERIOD_MS, composer=prices, ports=ports, now=clock)
        spent.append((time.process_time() - began) * 1000)
        if report.outcome != "sent" or len(gateway.posts) - posted < FOLLOWERS or (number and report.faults):
            raise RuntimeError(report.line())
        clock.at += PERIOD_MS
        await asyncio.sleep(PERIOD_MS / 1000 / SPEED)
    await prices.close()
    return spent


def measure() -> list[Measurement]:
    """Run three minutes of ticks in about ten seconds."""
    with serving(__file__) as port:
        cold, *warm = asyncio.run(_ticks(port))
    name = f"tick: CPU of the market's, {len(instruments())} instruments, {FOLLOWERS} followers"
    return [
        less(f"{name}, median", median(warm), "ms", BUDGET),
        less(f"{name}, worst of {len(warm)}", max(warm), "ms", BUDGET),
        less(f"{name}, a process's first", cold, "ms", BUDGET),
    ]


def main() -> None:
    """Print the measurements; or be the server, if ``measure`` started this."""
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(_serve())
        return
    for measurement in measure():
        print(json.dumps(measurement, ensure_ascii=False))  # noqa: T201  # a script prints


if __name__ == "__main__":
    main()
