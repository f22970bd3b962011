"""
What a tick of the signals costs in CPU for 30 instruments of 1,000 candles: cold, and when a candle has just closed.

``python tests/benchmarks/bench_rating.py`` prints one JSON object a line, each a measurement as ``measure()`` gives it.
The exchange is a process of its own that answers over HTTP, and the table keeps what it is given; everything else is
the stream's own and is counted: calls, reading, indicators, votes, what is written for the table and for the wire.
``ratio`` is how many times cheaper it is than the same work was allowed to be.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # run as a script, its own folder stands there instead

from talipp.ohlcv import OHLCV  # type: ignore[import-untyped]  # noqa: E402  # talipp publishes no types; after the path is set

from handlers.hub.instruments import Instrument  # noqa: E402  # after the path is set
from scheduler.analysis.indicators import Indicators  # noqa: E402  # likewise
from scheduler.analysis.rating import rate, votes  # noqa: E402  # likewise
from scheduler.composition import Known  # noqa: E402  # likewise
from scheduler.market.providers.binance_klines import BinanceKlines  # noqa: E402  # likewise
from scheduler.signals import Signals  # noqa: E402  # likewise
from tests.fakes import InMemoryCandleStore  # noqa: E402  # likewise

INSTRUMENTS = 30
CANDLES = 1_000
HOUR = 3_600_000
START = 1_741_226_400_000
ROUNDS = 3
COLD_BUDGET = 600.0  # milliseconds of CPU
WARM_BUDGET = 300.0


class Measurement(TypedDict):
    """One line of ``build/bench.json``; ``ratio`` says how many times better than ``against`` (above 1 is better)."""

    name: str
    value: float
    unit: str
    against: str
    ratio: float


def klines(seed: int, count: int = CANDLES + ROUNDS) -> list[list[object]]:
    """Make up candles that follow each other, in Binance's form, the first of which opened at ``START``."""
    chance, price, rows = random.Random(seed), 100.0 * (seed + 1), []
    for number in range(count):
        opening, price = price, price * (1 + chance.gauss(0, 0.005))
        reach = abs(chance.gauss(0, 0.003))
        opened_at = START + number * HOUR
        rows.append(
            [
                opened_at,
                f"{opening:.8f}",
                f"{max(opening, price) * (1 + reach):.8f}",
                f"{min(opening, price) * (1 - reach):.8f}",
                f"{price:.8f}",
                f"{chance.expovariate(0.01):.8f}",
                opened_at + HOUR - 1,
                f"{chance.expovariate(0.0001):.8f}",
                chance.randrange(10_000),
                f"{chance.expovariate(0.02):.8f}",
                f"{chance.expovariate(0.0002):.8f}",
                "0",
            ]
        )
    return rows


def _least(work: Callable[[], object], rounds: int = 5) -> float:
    """Give the milliseconds of CPU of the quietest round: what else runs only ever adds to it."""
    spent = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent) * 1000


async def _serve() -> None:
    """Be the exchange until the parent goes; its answers are made before it says where it is."""
    import uvicorn  # noqa: PLC0415  # for the server's process only

    rows = {
        f"S{number}USDT": [json.dumps(row, separators=(",", ":")) for row in klines(number)]
        for number in range(INSTRUMENTS)
    }
    whole = {name: f"[{','.join(candles[:CANDLES])}]".encode() for name, candles in rows.items()}

    async def answer(scope: Any, receive: object, send: Callable[[Any], Awaitable[None]]) -> None:
        asked = {name: value for name, (value,) in parse_qs(scope["query_string"].decode()).items()}
        body = whole[asked["symbol"]]
        if "startTime" in asked:
            first, end = (-(-(int(asked[bound]) - START) // HOUR) for bound in ("startTime", "endTime"))
            body = f"[{','.join(rows[asked['symbol']][first:end])}]".encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    server = uvicorn.Server(uvicorn.Config(answer, port=0, log_level="critical", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # uvicorn tells no other way
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)  # noqa: T201  # how the parent learns the port
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = server.force_exit = True
    await serving


async def _ticks(port: int) -> tuple[float, float]:
    """Run the stream's own composer; give what its first tick costs, and one when every candle has just closed."""
    now = START + CANDLES * HOUR + 2_000
    listed = [
        Instrument(symbol=f"S{number}", name="Share", kind="crypto", decimals=2, sources={"binance": f"S{number}USDT"})
        for number in range(INSTRUMENTS)
    ]

    def composer() -> Signals:
        provider = BinanceKlines(f"http://127.0.0.1:{port}", now=lambda: now)
        return Signals(listed, [provider], InMemoryCandleStore(), now=lambda: now)

    async def tick(signals: Signals, known: Known) -> tuple[float, Known]:
        started = time.process_time()
        fetched = await signals.fetch(within=60)
        composition = signals.compose(fetched, known, now=now, full=False)
        spent = (time.process_time() - started) * 1000
        if fetched.faults or len(fetched.rated) != INSTRUMENTS:
            raise RuntimeError(f"{len(fetched.rated)} ratings, and {fetched.faults}")
        return spent, Known(composition.content, composition.state)

    cold, warm = [], []
    for _ in range(ROUNDS):
        signals = composer()
        spent, known = await tick(signals, Known())
        cold.append(spent)
        await signals.close()
    signals = composer()
    _, known = await tick(signals, Known())
    for _ in range(ROUNDS):
        now += HOUR
        spent, known = await tick(signals, known)
        warm.append(spent)
    await signals.close()
    return min(cold), min(warm)


def measure() -> list[Measurement]:
    """Measure, in some seconds."""
    series = [
        [OHLCV(*map(float, row[1:6])) for row in klines(number, CANDLES + 1)]  # type: ignore[arg-type]  # prices are text
        for number in range(INSTRUMENTS)
    ]
    cold = _least(lambda: [rate(candles[:CANDLES]) for candles in series], rounds=3)
    known = [Indicators(candles[:CANDLES]) for candles in series]

    def go_on() -> None:
        for indicators, candles in zip(known, series, strict=True):
            indicators.add(candles[CANDLES])
            votes(indicators.read())

    warm = _least(go_on)
    with subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            tick_cold, tick_warm = asyncio.run(_ticks(int(server.stdout.readline())))
        finally:
            server.stdin.close()
    each = f"{INSTRUMENTS} instruments of {CANDLES} candles"
    return [
        _measurement(f"rate {each} for the first time", cold, COLD_BUDGET),
        _measurement(f"rate {each} after one more", warm, WARM_BUDGET),
        _measurement(f"signals tick of {each}, cold", tick_cold, COLD_BUDGET),
        _measurement(f"signals tick of {each}, all just closed", tick_warm, WARM_BUDGET),
    ]


def _measurement(name: str, value: float, budget: float) -> Measurement:
    return {
        "name": name,
        "value": round(value, 1),
        "unit": "ms CPU",
        "against": f"a budget of {budget:g} ms",
        "ratio": round(budget / value, 2),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(_serve())
    else:
        for line in measure():
            print(json.dumps(line))  # noqa: T201  # a command line program prints
