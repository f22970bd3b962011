"""What Binance says of order flow, right and wrong, over a transport in memory; the limits are test_binance.py's."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

import local.exchange.application as simulated
from scheduler.analysis.sentiment import TradedMinute
from scheduler.errors import MalformedAnswer, RateLimited, Refused, Unavailable, UnknownInstrument, Unreachable
from scheduler.market.providers.binance_flow import AT_ONCE, BinanceFlow
from scheduler.market.providers.host import QUARANTINE_MS
from tests.scheduler.fakes import BITCOIN, ETHER, NOON, Clock

SHARED = os.environ.get("TICKWIRE_SHARED")
recorded = pytest.mark.skipif(SHARED is None, reason="TICKWIRE_SHARED does not name the folder of recorded answers")
BOTH = [BITCOIN, ETHER]
BOOK = "/api/v3/ticker/bookTicker"
CANDLES = "/api/v3/klines"


def kline(opened_at=NOON, **changes):
    """Write a row of ``klines`` as documented."""
    row = {
        "opened_at": opened_at,
        "open": "91776.00000000",
        "high": "91780.00000000",
        "low": "91770.00000000",
        "close": "91779.00000000",
        "volume": "2.50000000",
        "closed_at": opened_at + 59_999,
        "turnover": "229440.00000000",
        "trades": 400,
        "bought": "1.50000000",
        "bought_turnover": "137664.00000000",
        "unused": "0",
    }
    return list((row | changes).values())


def book(symbol, bid="3.00000000", ask="1.00000000"):
    return {"symbol": symbol, "bidPrice": "1", "bidQty": bid, "askPrice": "2", "askQty": ask}


class Exchange:
    """Stands in for Binance: knows some symbols, and answers what it is told to in place of an answer to a path."""

    def __init__(self, *known, headers=None):
        self.known = set(known)
        self.headers = headers or {}
        self.asked = []
        self.instead = {}
        self.under_way = self.most = 0

    async def __call__(self, request):
        path, parameters = request.url.path, dict(request.url.params)
        self.asked.append((path, parameters))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if path in self.instead:
            return self.instead[path]
        symbols = json.loads(parameters["symbols"]) if path == BOOK else [parameters["symbol"]]
        if not set(symbols) <= self.known:
            return httpx.Response(400, json={"code": -1121, "msg": "Invalid symbol."})
        rows = [book(symbol) for symbol in symbols] if path == BOOK else [kline(NOON - 60_000), kline()]
        return httpx.Response(200, json=rows, headers=self.headers)

    def calls(self, path):
        return [parameters for asked, parameters in self.asked if asked == path]


@pytest.fixture
def exchange():
    return Exchange("BTCUSDT", "ETHUSDT")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def provider(exchange, clock):
    provider = BinanceFlow("http://exchange.test", now=clock, transport=httpx.MockTransport(exchange))
    yield provider
    await provider.close()


def faults(flow):
    return [type(fault) for fault in flow.faults]


async def test_candles_and_book_are_read_exactly(provider):
    flow = await provider.fetch(BOTH, within=1)
    assert (flow.asked_at, flow.faults) == (NOON, [])
    minute = TradedMinute(NOON, Decimal("2.5"), Decimal("1.5"), Decimal(229440), 400)
    assert flow.traded == {symbol: [replace(minute, at=NOON - 60_000), minute] for symbol in ("BTC", "ETH")}
    assert flow.book == {"BTC": 750_000, "ETH": 750_000}
    assert flow.sources == {"BTC": "binance", "ETH": "binance"}


async def test_the_calls_are_the_documented_ones_and_their_weight_is_two_a_symbol_and_four(provider, exchange):
    await provider.fetch(BOTH, within=1)
    assert exchange.calls(BOOK) == [{"symbols": '["BTCUSDT","ETHUSDT"]'}]
    assert exchange.calls(CANDLES) == [
        {"symbol": name, "interval": "1m", "limit": "16"} for name in ("BTCUSDT", "ETHUSDT")
    ]
    assert len(exchange.asked) == 3


async def test_only_a_few_calls_are_under_way_at_once(provider, exchange):
    names = [f"{letter}USDT" for letter in "ABCDEFGHIJKLMNOPQRST"]
    exchange.known = set(names)
    listed = [replace(BITCOIN, symbol=name, sources={"binance": name}) for name in names]
    flow = await provider.fetch(listed, within=1)
    assert len(flow.traded) == len(flow.book) == 20
    assert exchange.most == AT_ONCE


async def test_a_stand_in_for_the_exchange_is_named_as_the_source(provider, exchange):
    exchange.headers = {"X-Tickwire-Source": "replay"}
    assert (await provider.fetch([BITCOIN], within=1)).sources == {"BTC": "replay"}


async def test_an_unknown_symbol_costs_the_others_one_book_and_is_asked_for_alone_an_hour_later(
    provider, exchange, clock
):
    exchange.known = {"BTCUSDT"}
    flow = await provider.fetch(BOTH, within=1)
    assert (set(flow.traded), flow.book) == ({"BTC"}, {})
    assert sorted(map(str, flow.faults)) == [
        "binance: ETHUSDT: -1121 Invalid symbol.",
        "binance: no book: -1121 Invalid symbol.",
    ]
    flow = await provider.fetch(BOTH, within=1)
    assert (set(flow.traded), set(flow.book), flow.faults) == ({"BTC"}, {"BTC"}, [])
    clock.at += QUARANTINE_MS
    assert faults(await provider.fetch(BOTH, within=1)) == [UnknownInstrument]
    exchange.known = {"BTCUSDT", "ETHUSDT"}
    clock.at += QUARANTINE_MS
    assert set((await provider.fetch(BOTH, within=1)).traded) == {"BTC", "ETH"}
    assert set((await provider.fetch(BOTH, within=1)).book) == {"BTC", "ETH"}


async def test_nothing_is_asked_for_when_there_is_nothing_to_ask_for(provider, exchange):
    assert (await provider.fetch([], within=1)).traded == {}
    exchange.known = set()
    await provider.fetch([BITCOIN], within=1)
    exchange.asked.clear()
    await provider.fetch([BITCOIN], within=1)
    assert exchange.asked == []


@pytest.mark.parametrize(("status", "fault"), [(418, RateLimited), (429, RateLimited), (451, Refused), (403, Refused)])
async def test_after_a_refusal_no_further_call_is_made_before_its_time(provider, exchange, clock, status, fault):
    names = [f"{letter}USDT" for letter in "ABCDEFGHIJKLMNOPQRST"]
    listed = [replace(BITCOIN, symbol=name, sources={"binance": name}) for name in names]
    exchange.known = set(names)
    refusal = httpx.Response(status, headers={"Retry-After": "90"}, json={"code": -1003, "msg": "Too much."})
    exchange.instead = {CANDLES: refusal, BOOK: refusal}
    flow = await provider.fetch(listed, within=1)
    assert (flow.traded, flow.book, faults(flow)) == ({}, {}, [fault])
    assert len(exchange.asked) == 1
    clock.at = NOON + 89_999
    exchange.asked.clear()
    assert faults(await provider.fetch(listed, within=1)) == [fault]
    assert exchange.asked == []
    clock.at, exchange.instead = NOON + 90_000, {}
    assert len((await provider.fetch(listed, within=1)).traded) == 20


async def test_a_refusal_on_the_way_ends_the_rest_of_the_calls(provider, exchange):
    names = [f"{letter}USDT" for letter in "ABCDEFGHIJKLMNOPQRST"]
    exchange.known = set(names)
    exchange.instead = {CANDLES: httpx.Response(429, json={})}
    flow = await provider.fetch([replace(BITCOIN, symbol=name, sources={"binance": name}) for name in names], within=1)
    assert (flow.traded, len(flow.book), faults(flow)) == ({}, 20, [RateLimited])
    assert len(exchange.calls(CANDLES)) == AT_ONCE


@pytest.mark.parametrize(("failing", "calls", "known"), [(2, 2, set()), (1, 4, {"BTC", "ETH"})])
async def test_no_way_to_binance_is_found_out_by_two_calls_and_not_by_twenty(clock, exchange, failing, calls, known):
    tried = []

    async def nobody_at_first(request):
        tried.append(request)
        if len(tried) <= failing:
            raise httpx.ConnectError("nobody listens")
        return await exchange(request)

    provider = BinanceFlow("http://exchange.test", now=clock, transport=httpx.MockTransport(nobody_at_first))
    flow = await provider.fetch(BOTH, within=1)
    await provider.close()
    assert (set(flow.traded), set(flow.book), faults(flow), len(tried)) == (known, known, [Unreachable], calls)


async def test_trouble_with_the_book_leaves_the_candles(provider, exchange):
    for answer, fault in (
        (httpx.Response(503, text="<html>"), Unavailable),
        (httpx.Response(200, text="<html>"), MalformedAnswer),
        (httpx.Response(200, json=[book("BTCUSDT", bid="NaN")]), MalformedAnswer),
        (httpx.Response(200, json=[{"symbol": "BTCUSDT"}]), MalformedAnswer),
    ):
        exchange.instead = {BOOK: answer}
        flow = await provider.fetch(BOTH, within=1)
        assert (set(flow.traded), flow.book, faults(flow)) == ({"BTC", "ETH"}, {}, [fault])


async def test_nobody_offering_and_strangers_are_no_book_and_no_fault(provider, exchange):
    rows = [book("BTCUSDT", bid="0.00000000", ask="0.00000000"), book("XYZUSDT"), book("ETHUSDT", bid="0.00000000")]
    exchange.instead = {BOOK: httpx.Response(200, json=rows)}
    flow = await provider.fetch(BOTH, within=1)
    assert (flow.book, flow.faults) == ({"ETH": 0}, [])


@pytest.mark.parametrize(
    "wrong",
    [
        "<html>",
        "",
        '{"code":0}',
        '[[1,"2"',
        [kline()[:9]],
        [kline(volume="NaN")],
        [kline(volume="1e999999")],
        [kline(volume="-1")],
        [kline(bought="2.50000001")],
        [kline(bought=1.5)],
        [kline(trades=-1)],
        [kline(turnover="")],
        [["noon", *kline()[1:]]],
    ],
)
async def test_candles_that_are_none_are_a_fault_and_the_book_stays(provider, exchange, wrong):
    text = wrong if isinstance(wrong, str) else json.dumps(wrong)
    exchange.instead = {CANDLES: httpx.Response(200, text=text)}
    flow = await provider.fetch([BITCOIN], within=1)
    assert (flow.traded, set(flow.book), faults(flow)) == ({}, {"BTC"}, [MalformedAnswer])
    assert "BTCUSDT" in str(flow.faults[0])


async def test_twenty_calls_that_fail_alike_are_one_fault(provider, exchange):
    exchange.instead = {path: httpx.Response(500, json={"code": -1000, "msg": "?"}) for path in (BOOK, CANDLES)}
    assert faults(await provider.fetch(BOTH, within=1)) == [Unavailable]


async def test_what_has_come_in_time_is_kept(clock):
    async def slow(request):
        if request.url.path == BOOK:
            return httpx.Response(200, json=[book("BTCUSDT")])
        return await asyncio.Event().wait()

    provider = BinanceFlow("http://exchange.test", now=clock, transport=httpx.MockTransport(slow))
    flow = await provider.fetch([BITCOIN], within=0.05)
    await provider.close()
    assert (flow.traded, flow.book) == ({}, {"BTC": 750_000})
    assert [str(fault) for fault in flow.faults] == ["binance: no whole answer within 0.1 s"]
    assert faults(flow) == [Unreachable]


async def test_the_simulated_exchange_is_read_like_the_real_one(clock):
    clock.at = NOON + 30_500
    transport = httpx.ASGITransport(app=simulated.exchange(now=clock))
    provider = BinanceFlow("http://exchange.test/binance", now=clock, transport=transport)
    flow = await provider.fetch(BOTH, within=5)
    await provider.close()
    assert (flow.faults, flow.sources) == ([], {"BTC": "simulated", "ETH": "simulated"})
    assert set(flow.book) == {"BTC", "ETH"}
    for minutes in flow.traded.values():
        assert [minute.at for minute in minutes] == [NOON - before * 60_000 for before in range(15, -1, -1)]
        assert all(0 < minute.bought < minute.volume and minute.trades > 1 for minute in minutes)


@recorded
async def test_recorded_answers_are_read(provider, exchange):
    folder = Path(SHARED) / "market" / "recordings"
    rows = json.loads((folder / "binance_klines_BTCUSDT_5m_500.json").read_text(encoding="utf-8"))
    books = json.loads((folder / "binance_bookTicker_30symbols_DERIVED.json").read_text(encoding="utf-8"))
    exchange.instead = {CANDLES: httpx.Response(200, json=rows), BOOK: httpx.Response(200, json=books)}
    flow = await provider.fetch(BOTH, within=1)
    assert flow.faults == []
    assert [str(minute.bought) for minute in flow.traded["BTC"]] == [row[9] for row in rows]
    # .14123 bid, .09415 asked
    assert flow.book["BTC"] == 600_008
