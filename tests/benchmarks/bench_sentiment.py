"""
What one tick of the binary stream costs in CPU for 20 symbols, all of it but the network and the table.

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
from scheduler.market.providers.binance_flow import BinanceFlow  # noqa: E402  # after the path is set
from scheduler.messages import Messages  # noqa: E402  # after the path is set
from tests.scheduler.fakes import follower  # noqa: E402  # after the path is set

if TYPE_CHECKING:
    from collections.abc import Iterator

SYMBOLS = 20
WARM_UP = 31
TICKS = 60
PERIOD = 30_000
START = 1_795_000_020_000
BUDGET = 150.0  # milliseconds of CPU that a tick of the market stream may take


class Answers:
    """The exchange's answers of one moment, each made once; a transport for httpx."""

    def __init__(self) -> None:
        self._real = httpx.ASGITransport(app=exchange(now=lambda: START))  # type: ignore[arg-type]  # an ASGI application
        self._made: dict[str, tuple[bytes, httpx.Headers]] = {}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        key = str(request.url)
        if key not in self._made:
            answer = await self._real.handle_async_request(request)
            self._made[key] = (await answer.aread(), answer.headers)
        content, headers = self._made[key]
        return httpx.Response(200, content=content, headers=headers)


async def run() -> tuple[float, float, float, int]:
    """Run the ticks; gives the milliseconds of CPU of fetching, composing and writing one, and a batch's bytes."""
    listed = [one for one in instruments().values() if one.kind == "crypto"][:SYMBOLS]
    clock = START - WARM_UP * PERIOD
    provider = BinanceFlow(
        "http://exchange/binance", now=lambda: clock, transport=httpx.MockTransport(Answers().__call__)
    )
    composer = Sentiments(listed, provider)
    watching = follower(stream="binary")
    known, spent, size = Known(), [0.0, 0.0, 0.0], 0
    for tick in range(-WARM_UP, TICKS):  # before the first that counts, the running sums fill up
        clock = START + tick * PERIOD
        now = min(clock, START)  # the answers stay those of one moment
        before = time.process_time()
        fetched = await composer.fetch(within=20)
        fetched_at = time.process_time()
        composition = composer.compose(fetched, known, now=now, full=True)
        composed_at = time.process_time()
        state = Snapshot("binary", tick, now, composition.content, composition.state)
        (batch,) = Messages(state, prev=tick - 1, updates=composition.updates, now=now).to(watching)
        written_at = time.process_time()
        if fetched.faults or set(composition.updates) != {*(one.symbol for one in listed), MARKET}:
            raise RuntimeError(f"not a whole tick: {fetched.faults}")
        if tick >= 0:
            for number, cost in enumerate((fetched_at - before, composed_at - fetched_at, written_at - composed_at)):
                spent[number] += cost * 1000 / TICKS
        known, size = Known(composition.content, composition.state), len(batch)
    await composer.close()
    return *spent, size


def measure() -> list[dict[str, Any]]:
    """Measure a full tick with every running sum filled."""
    return list(_rows(*asyncio.run(run())))


def _rows(fetching: float, composing: float, writing: float, size: int) -> Iterator[dict[str, Any]]:
    against = f"the {BUDGET:.0f} ms that a market tick may take"
    total = fetching + composing + writing
    for name, value in (
        ("one tick in all", total),
        ("ask for and parse 20 x 16 candles and the book", fetching),
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
