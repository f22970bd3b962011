"""
What one tick of the binary stream costs in CPU for all instruments, all of it but the network and the table.

``python tests/benchmarks/bench_sentiment.py`` prints one JSON object a line. The answers are the simulated exchange's
own, made beforehand and handed over in memory; so the figures have httpx in them, and neither sockets nor TLS.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # run as a script, its own folder stands there instead

from handlers.hub.instruments import instruments  # noqa: E402  # after the path is set
from handlers.hub.snapshots import Snapshot  # noqa: E402  # after the path is set
from local.exchange.application import exchange  # noqa: E402  # after the path is set
from scheduler.binary import MARKET, Sentiments  # noqa: E402  # after the path is set
from scheduler.composition import Known  # noqa: E402  # after the path is set
from scheduler.market.moves import Moved, Moves  # noqa: E402  # after the path is set
from scheduler.market.providers.binance_flow import BinanceFlow  # noqa: E402  # after the path is set
from scheduler.market.providers.kraken_flow import KrakenFlow  # noqa: E402  # after the path is set
from scheduler.messages import Messages  # noqa: E402  # after the path is set
from tests.scheduler.fakes import follower  # noqa: E402  # after the path is set

if TYPE_CHECKING:
    from collections.abc import Iterator

WARM_UP = 31
TICKS = 20
PERIOD = 30_000
START = 1_790_000_040_000  # 2026-09-21, a Monday
BUDGET = 150.0  # milliseconds of CPU that a tick of the market stream may take
COUNTED = [one.symbol for one in instruments().values() if one.kind != "crypto"]


class Clock:
    """Tells the time, which stands still during a tick unless somebody waits."""

    tick = at = START - WARM_UP * PERIOD

    def __call__(self) -> int:
        """Give it in epoch milliseconds."""
        return self.at


class Answers:
    """The exchange's answers of one moment, each made when it is first asked for; a transport for httpx."""

    def __init__(self, clock: Clock) -> None:
        self._real = httpx.ASGITransport(app=exchange(now=clock))  # type: ignore[arg-type]  # an ASGI application
        self._clock = clock
        self._made: dict[str, tuple[bytes, httpx.Headers]] = {}
        self._made_at = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if self._made_at != self._clock.tick:
            self._made, self._made_at = {}, self._clock.tick
        key = str(request.url)
        if key not in self._made:
            answer = await self._real.handle_async_request(request)
            self._made[key] = (await answer.aread(), answer.headers)
        content, headers = self._made[key]
        return httpx.Response(200, content=content, headers=headers)


class Moving:
    """A market stream whose prices rise in every second tick."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def latest(self) -> Moved:
        """Give the counts of now."""
        ticks = (self._clock.at - START) // 5_000 + 1_000
        counts = dict.fromkeys(COUNTED, Moves(ticks + ticks // 2, ticks))
        return Moved(self._clock.at, counts, dict.fromkeys(COUNTED, "simulated"))


async def run() -> tuple[float, float, float, int]:
    """Run the ticks; gives the milliseconds of CPU of fetching, composing and writing one, and a batch's bytes."""
    listed = list(instruments().values())
    clock = Clock()
    transport = httpx.MockTransport(Answers(clock).__call__)

    async def wait(seconds: float) -> None:
        clock.at += round(1000 * seconds)

    def make() -> Sentiments:
        providers = [
            BinanceFlow("http://exchange/binance", now=clock, transport=transport),
            KrakenFlow("http://exchange/kraken", now=clock, transport=transport, sleep=wait),
        ]
        return Sentiments(listed, providers, moved=Moving(clock), now=clock)

    composer, rehearsal = make(), make()
    watching = follower(stream="binary")
    known, spent, size = Known(), [0.0, 0.0, 0.0], 0
    for tick in range(-WARM_UP, TICKS):  # before the first that counts, the running sums fill up
        clock.tick = clock.at = now = START + tick * PERIOD
        await rehearsal.fetch(within=20)
        clock.at = now
        before = time.process_time()
        fetched = await composer.fetch(within=20)
        fetched_at = time.process_time()
        composition = composer.compose(fetched, known, now=now, full=True)
        composed_at = time.process_time()
        state = Snapshot("binary", tick, now, composition.content, composition.state)
        (batch,) = Messages(state, prev=tick - 1, updates=composition.updates, now=now).to(watching)
        written_at = time.process_time()
        if tick >= 0 and (composition.faults or set(composition.updates) != {*(one.symbol for one in listed), MARKET}):
            raise RuntimeError(f"not a whole tick: {composition.faults}")
        if tick >= 0:
            for number, cost in enumerate((fetched_at - before, composed_at - fetched_at, written_at - composed_at)):
                spent[number] += cost * 1000 / TICKS
        known, size = Known(composition.content, composition.state), len(batch)
    await composer.close()
    await rehearsal.close()
    return *spent, size


def measure() -> list[dict[str, Any]]:
    """Measure a full tick with every running sum filled."""
    return list(_rows(*asyncio.run(run())))


def _rows(fetching: float, composing: float, writing: float, size: int) -> Iterator[dict[str, Any]]:
    against = f"the {BUDGET:.0f} ms that a market tick may take"
    total = fetching + composing + writing
    for name, value in (
        ("one tick in all", total),
        ("ask for and parse 20 x 16 candles, the new trades of 7 pairs, and both books", fetching),
        ("measure, judge and encode", composing),
    ):
        yield {
            "name": f"sentiment: {name}",
            "value": round(value, 2),
            "unit": "ms of CPU",
            "against": against,
            "ratio": round(BUDGET / value, 1),
        }
    yield {"name": "sentiment: a full batch", "value": size, "unit": "bytes", "against": "", "ratio": None}


if __name__ == "__main__":
    for row in measure():
        sys.stdout.write(json.dumps(row) + "\n")
