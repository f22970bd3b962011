"""What all three streams together take of Binance and Kraken, as the simulated exchange counts it, by the minute."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from handlers.hub.instruments import instruments
from local.exchange import binance as simulated
from local.exchange.application import exchange
from scheduler.binary import Sentiments
from scheduler.composition import Known
from scheduler.market.breaker import Breaker
from scheduler.market.candles import TIMEFRAME_MS
from scheduler.market.prefetched import Prefetched
from scheduler.market.prices import Prices
from scheduler.market.providers.binance import Binance
from scheduler.market.providers.binance_flow import BinanceFlow
from scheduler.market.providers.binance_klines import BinanceKlines
from scheduler.market.providers.kraken import Kraken
from scheduler.market.providers.kraken_candles import KrakenCandles
from scheduler.market.providers.kraken_flow import KrakenFlow
from scheduler.signals import Signals
from scheduler.virtual_time import run_virtually
from tests.fakes import InMemoryCandleStore
from tests.scheduler.fakes import Clock

MOST = 250
MOST_CALLS = 60
MINUTE_MS = 60_000
MIDNIGHT = 1_741_219_200_000  # 2025-03-06: candles of every length close
LISTED = [one for one in instruments().values() if "binance" in one.sources]


class Counting(httpx.ASGITransport):
    """Reads on every answer what was charged in its minute so far."""

    def __init__(self, clock):
        super().__init__(app=exchange(now=clock))
        self.clock = clock
        self.charged = {}

    async def handle_async_request(self, request):
        response = await super().handle_async_request(request)
        minute = self.clock.at // MINUTE_MS
        self.charged[minute] = max(self.charged.get(minute, 0), int(response.headers["x-mbx-used-weight-1m"]))
        return response


def quick_klines(market, interval, limit, *, now, start, end, offset):
    """Make at most sixty flat candles in place of the exchange's own, a thousand of which take a tenth of a second."""
    length = TIMEFRAME_MS[interval]
    last = min(now, end or now) // length * length
    first = max(start or 0, last - (min(limit, 60) - 1) * length)
    rows = [
        f'[{at},"1.5","1.6","1.4","1.5","10",{at + length - 1},"15",9,"5","7.5","0"]'
        for at in range(-(-first // length) * length, last + 1, length)
    ]
    return f"[{','.join(rows)}]"


@pytest.mark.contract
async def test_no_minute_of_all_streams_weighs_more_than_250(monkeypatch):
    """Neither the first two, in which all candles are asked for, nor those in which all have just closed."""
    monkeypatch.setattr(simulated, "klines", quick_klines)
    clock = Clock(MIDNIGHT - 2 * MINUTE_MS)
    transport, breaker = Counting(clock), Breaker("binance", now=clock)
    shared = {"now": clock, "transport": transport, "breaker": breaker}
    address = "http://exchange/binance"

    async def at_once(seconds):
        await asyncio.sleep(0)

    composers = {
        "market": Prices(LISTED, [Binance(address, **shared)], now=clock),
        "signals": Signals(
            LISTED,
            [BinanceKlines(address, **shared)],
            InMemoryCandleStore(),
            timeframes=tuple(TIMEFRAME_MS),
            now=clock,
            sleep=at_once,
        ),
        "binary": Sentiments(LISTED, [BinanceFlow(address, **shared)], now=clock),
    }
    known = dict.fromkeys(composers, Known())
    for tick in range(4 * 12):
        for stream, composer in composers.items():
            if stream == "market" or tick % 6 == 0:
                fetched = await composer.fetch(within=60)
                composition = composer.compose(fetched, known[stream], now=clock.at, full=False)
                assert not composition.faults
                known[stream] = Known(composition.content, composition.state)
        clock.at += 5_000
    await asyncio.gather(*(composer.close() for composer in composers.values()))
    assert len(transport.charged) == 4
    assert max(transport.charged.values()) < MOST
    # Twelve calls of 2 for quotes, twice the book of 4, and twice the 20 flows of 2.
    assert min(transport.charged.values()) >= 12 * 2 + 2 * 4 + 2 * len(composers["binary"]._sources) * 2
    assert set(known["signals"].content) == {one.symbol for one in LISTED}


class Calls(httpx.ASGITransport):
    """Counts the calls of each minute by their method, and the refusals."""

    def __init__(self, now):
        super().__init__(app=exchange(now=now))
        self.now = now
        self.made = Counter()
        self.by_minute = Counter()
        self.refused = 0

    async def handle_async_request(self, request):
        response = await super().handle_async_request(request)
        self.made[request.url.path.rpartition("/")[2]] += 1
        self.by_minute[self.now() // MINUTE_MS] += 1
        self.refused += b"Rate limit" in await response.aread()
        return response


@pytest.mark.contract
def test_no_minute_of_all_streams_asks_kraken_more_than_60_times():
    """Nor do any of them ask faster than a call a second, but for the burst that the exchange allows."""
    minutes = 6
    known, faults, told_after = {}, Counter(), {}

    def now():
        return MIDNIGHT - 2 * MINUTE_MS + round(1000 * asyncio.get_running_loop().time())

    async def run_stream(stream, composer, period):
        known[stream] = Known()
        for due in range(0, 60 * minutes, period):
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            composition = composer.compose(
                await composer.fetch(within=0.75 * period), known[stream], now=now(), full=False
            )
            told_after.setdefault(stream, []).append(asyncio.get_running_loop().time() - due)
            faults.update(composition.faults)
            known[stream] = Known(composition.content, composition.state)
        await composer.close()

    async def run():
        transport = Calls(now)
        shared = {"now": now, "transport": transport, "breaker": Breaker("kraken", now=now)}
        address = "http://exchange/kraken"
        flow = Prefetched(KrakenFlow(address, **shared), now=now)
        await asyncio.gather(
            run_stream("market", Prices(listed, [Kraken(address, **shared)], now=now), 5),
            run_stream("signals", Signals(listed, [KrakenCandles(address, **shared)], store, now=now), 30),
            run_stream("binary", Sentiments(listed, [flow], now=now), 30),
        )
        return transport

    listed = [one for one in instruments().values() if "kraken" in one.sources and one.kind != "crypto"]
    store = InMemoryCandleStore()
    transport = run_virtually(run())
    # What one stream may not ask yet, it asks at its next tick.
    assert set(faults) <= {"kraken: the next call would be too soon"}
    assert transport.refused == 0
    assert max(transport.by_minute.values()) <= MOST_CALLS
    assert len(transport.by_minute) == minutes
    # Quotes in every tick, a book and seven pairs for every sixth, and candles once.
    assert len(listed) == 7
    assert transport.made["Ticker"] == 12 * minutes + 2 * minutes
    assert transport.made["Trades"] >= 7 * 2 * minutes
    # The first tick waits for its answers, and no other.
    assert [seconds for seconds in told_after["binary"] if seconds > 0.1] == told_after["binary"][:1]
    # The list once for each stream, and signals ask for three series of candles at once.
    assert transport.made["AssetPairs"] <= 3 + 2
    for stream, last in known.items():
        assert set(last.content) - {"MARKET"} == {one.symbol for one in listed}, stream
    assert not any(b'"call":null' in data for data in known["binary"].content.values())
