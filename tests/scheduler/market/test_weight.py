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
from scheduler.market.prices import Prices
from scheduler.market.providers.binance import Binance
from scheduler.market.providers.binance_flow import BinanceFlow
from scheduler.market.providers.binance_klines import BinanceKlines
from scheduler.market.providers.kraken import Kraken
from scheduler.market.providers.kraken_candles import KrakenCandles
from scheduler.market.providers.kraken_flow import KrakenFlow
from scheduler.signals import Signals
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

    def __init__(self, clock):
        super().__init__(app=exchange(now=clock))
        self.clock = clock
        self.made = Counter()
        self.by_minute = Counter()
        self.refused = 0

    async def handle_async_request(self, request):
        response = await super().handle_async_request(request)
        self.made[request.url.path.rpartition("/")[2]] += 1
        self.by_minute[self.clock.at // MINUTE_MS] += 1
        self.refused += b"Rate limit" in await response.aread()
        return response


@pytest.mark.contract
async def test_no_minute_of_all_streams_asks_kraken_more_than_60_times():
    """Nor do any of them ask faster than a call a second, but for the burst that the exchange allows."""
    clock = Clock(MIDNIGHT - 2 * MINUTE_MS)
    transport, breaker = Calls(clock), Breaker("kraken", now=clock)
    shared = {"now": clock, "transport": transport, "breaker": breaker}
    address = "http://exchange/kraken"
    listed = [one for one in instruments().values() if "kraken" in one.sources and one.kind != "crypto"]
    store = InMemoryCandleStore()

    async def wait(seconds):
        clock.at += round(1000 * seconds)

    composers = {
        "market": Prices(listed, [Kraken(address, **shared)], now=clock),
        "signals": Signals(listed, [KrakenCandles(address, **shared)], store, now=clock, sleep=wait),
        "binary": Sentiments(listed, [KrakenFlow(address, **shared, sleep=wait)], now=clock),
    }
    known, faults = dict.fromkeys(composers, Known()), Counter()
    begun = clock.at
    for tick in range(6 * 12):
        clock.at = max(clock.at, begun + 5_000 * tick)
        for stream, composer in composers.items():
            if stream == "market" or tick % 6 == 0:
                composition = composer.compose(await composer.fetch(within=60), known[stream], now=clock.at, full=False)
                faults.update(composition.faults)
                known[stream] = Known(composition.content, composition.state)
    await asyncio.gather(*(composer.close() for composer in composers.values()))
    # What one stream may not ask yet, it asks at its next tick.
    assert set(faults) <= {"kraken: the next call would be too soon"}
    assert transport.refused == 0
    assert max(transport.by_minute.values()) <= MOST_CALLS
    assert len(transport.by_minute) == 6
    # Quotes in every tick, a book and seven pairs in every sixth, and candles once.
    assert len(listed) == 7
    assert transport.made["Ticker"] == 6 * 12 + 12
    assert transport.made["Trades"] >= 12 * 7
    # The list once for each stream, and signals ask for three series of candles at once.
    assert transport.made["AssetPairs"] <= 3 + 2
    for stream in composers:
        assert set(known[stream].content) - {"MARKET"} == {one.symbol for one in listed}
    assert not any(b'"call":null' in data for data in known["binary"].content.values())
