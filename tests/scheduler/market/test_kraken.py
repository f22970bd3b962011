"""Kraken's documented answers and errors, over a transport in memory."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest

from handlers.hub.instruments import instruments
from scheduler.errors import MalformedAnswer, RateLimited, Refused, Unavailable, UnknownInstrument
from scheduler.market.providers.kraken import Kraken
from scheduler.market.providers.kraken_host import LISTED_FOR_MS
from tests.scheduler.fakes import BITCOIN, EURO, GOLD, NOON, Clock, kraken

SHARED = os.environ.get("TICKWIRE_SHARED")
recorded = pytest.mark.skipif(SHARED is None, reason="TICKWIRE_SHARED does not name the folder of recorded answers")
COIN = replace(BITCOIN, sources={"binance": "BTCUSDT", "kraken": "XBTUSD"})
ALL = [EURO, GOLD, COIN]


def recording(name):
    return json.loads((Path(SHARED) / "market" / "recordings" / name).read_text(encoding="utf-8"))


class Exchange:
    """Stands in for Kraken; ``instead`` leads from a method to what it answers in place of the usual."""

    def __init__(self):
        self.asked = []
        self.instead = {}
        self.unlisted = ()
        self.headers = {}

    def __call__(self, request):
        method = request.url.path.removeprefix("/0/public/")
        query = dict(parse_qsl(request.url.query.decode()))
        self.asked.append((method, query.get("pair", "")))
        answer = self.instead.get(method)
        if isinstance(answer, httpx.Response):
            return answer
        body = kraken(method, query, unlisted=self.unlisted) if answer is None else answer
        return httpx.Response(200, json=body, headers=self.headers)

    def methods(self):
        return [method for method, _ in self.asked]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def exchange():
    return Exchange()


@pytest.fixture
async def provider(exchange, clock):
    provider = Kraken("http://exchange.test", now=clock, transport=httpx.MockTransport(exchange))
    yield provider
    await provider.close()


async def test_the_price_of_a_currency_is_the_middle_of_bid_and_ask(provider, clock):
    clock.at = NOON + 700
    answer = await provider.fetch(ALL, within=1)
    assert answer.faults == []
    euro = answer.quotes["EURUSD"]
    assert (euro.last, euro.bid, euro.ask) == ("1.150375", "1.15033", "1.15042")
    assert (euro.source, euro.ts, euro.answered_at) == ("kraken", NOON + 700, NOON + 700)


async def test_the_price_of_a_coin_is_its_last_trade(provider):
    coin = (await provider.fetch(ALL, within=1)).quotes["BTC"]
    assert (coin.last, coin.bid, coin.ask) == ("91776.50000", "91775.00000", "91777.00000")


async def test_pairs_are_known_by_their_altnames_whatever_kraken_calls_them_and_in_whatever_order(provider, exchange):
    row = kraken("Ticker", {"pair": "EURUSD"})["result"]["ZEURZUSD"]
    other = row | {"a": ["3002.00", "1", "1"], "b": ["3000.00", "1", "1"]}
    exchange.instead["Ticker"] = {"error": [], "result": {"PAXGUSD": other, "ZEURZUSD": row, "XETHZUSD": other}}
    answer = await provider.fetch(ALL, within=1)
    assert {symbol: quote.last for symbol, quote in answer.quotes.items()} == {"XAU": "3001.00", "EURUSD": "1.150375"}
    assert answer.faults == []


async def test_a_side_that_nobody_offers_leaves_no_middle(provider, exchange):
    row = kraken("Ticker", {"pair": "EURUSD"})["result"]["ZEURZUSD"] | {"b": ["0.00000", "0", "0.000"]}
    exchange.instead["Ticker"] = {"error": [], "result": {"ZEURZUSD": row}}
    euro = (await provider.fetch([EURO], within=1)).quotes["EURUSD"]
    assert (euro.last, euro.bid, euro.ask) == (None, None, "1.15042")


async def test_all_pairs_are_one_call_and_the_list_is_read_once_an_hour(provider, exchange, clock):
    await provider.fetch(ALL, within=1)
    assert exchange.asked[:2] == [("AssetPairs", ""), ("Ticker", "EURUSD,PAXGUSD,XBTUSD")]
    clock.at += LISTED_FOR_MS - 1
    await provider.fetch(ALL, within=1)
    clock.at += 1
    await provider.fetch(ALL, within=1)
    assert exchange.methods().count("AssetPairs") == 2
    assert exchange.methods().count("Ticker") == 3


async def test_a_stand_in_is_named_as_the_source(provider, exchange):
    exchange.headers = {"X-Tickwire-Source": "simulated"}
    assert (await provider.fetch([EURO], within=1)).quotes["EURUSD"].source == "simulated"


async def test_a_pair_that_is_not_listed_is_said_once_and_costs_the_others_nothing(provider, exchange):
    exchange.unlisted = ("XBTUSD",)
    answer = await provider.fetch(ALL, within=1)
    assert set(answer.quotes) == {"EURUSD", "XAU"}
    assert [str(fault) for fault in answer.faults] == ["kraken: does not list XBTUSD"]
    assert isinstance(answer.faults[0], UnknownInstrument)
    again = await provider.fetch(ALL, within=1)
    assert (set(again.quotes), again.faults) == ({"EURUSD", "XAU"}, [])


async def test_nothing_is_asked_about_no_pair(provider, exchange):
    exchange.unlisted = ("EURUSD",)
    await provider.fetch([EURO], within=1)
    assert exchange.methods() == ["AssetPairs"]


async def test_a_pair_that_is_delisted_has_the_list_read_again(provider, exchange):
    await provider.fetch(ALL, within=1)
    exchange.unlisted = ("PAXGUSD",)
    answer = await provider.fetch(ALL, within=1)
    assert [str(fault) for fault in answer.faults] == ["kraken: EQuery:Unknown asset pair"]
    assert set((await provider.fetch(ALL, within=1)).quotes) == {"EURUSD", "BTC"}


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ("EService:Unavailable", Unavailable),
        ("EService:Busy", Unavailable),
        ("EGeneral:Invalid arguments", MalformedAnswer),
        ("EGeneral:Internal error", MalformedAnswer),
    ],
)
async def test_an_error_under_status_200_is_a_fault_and_the_next_tick_asks_again(provider, exchange, error, fault):
    exchange.instead["Ticker"] = {"error": [error]}
    answer = await provider.fetch([EURO], within=1)
    assert answer.quotes == {}
    assert [(type(found), str(found)) for found in answer.faults] == [(fault, f"kraken: {error}")]
    del exchange.instead["Ticker"]
    assert set((await provider.fetch([EURO], within=1)).quotes) == {"EURUSD"}


async def test_a_warning_is_no_error(provider, exchange):
    exchange.instead["Ticker"] = kraken("Ticker", {"pair": "EURUSD"}) | {"error": ["WGeneral:Deprecated"]}
    answer = await provider.fetch([EURO], within=1)
    assert (set(answer.quotes), answer.faults) == ({"EURUSD"}, [])


@pytest.mark.parametrize(
    "error", ["EAPI:Rate limit exceeded", "EGeneral:Too many requests", "EGeneral:Temporary lockout"]
)
async def test_nothing_is_asked_for_a_minute_after_too_many_calls(provider, exchange, clock, error):
    exchange.instead["AssetPairs"] = {"error": [error]}
    answer = await provider.fetch([EURO], within=1)
    assert [(type(fault), fault.retry_at) for fault in answer.faults] == [(RateLimited, NOON + 60_000)]
    exchange.instead.clear()
    clock.at = NOON + 59_999
    assert [type(fault) for fault in (await provider.fetch([EURO], within=1)).faults] == [RateLimited]
    assert len(exchange.asked) == 1
    clock.at = NOON + 60_000
    assert set((await provider.fetch([EURO], within=1)).quotes) == {"EURUSD"}


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (httpx.Response(500, text="<html>"), Unavailable),
        (httpx.Response(520, text="<html>"), Unavailable),
        (httpx.Response(403, text="<html>"), Refused),
        (httpx.Response(429, json={"error": ["EAPI:Rate limit exceeded"]}), RateLimited),
        (httpx.Response(404, text="nothing here"), MalformedAnswer),
        (httpx.Response(200, text="<html>maintenance</html>"), MalformedAnswer),
        (httpx.Response(200, text='{"error":[],"result":{"ZEUR'), MalformedAnswer),
        (httpx.Response(200, json={"error": []}), MalformedAnswer),
        (httpx.Response(200, content=b'{"error":["\xff"]}'), MalformedAnswer),
        (httpx.Response(404, content=b'{"error":"\xff"}'), MalformedAnswer),
        (httpx.Response(200, json={"error": [], "result": []}), MalformedAnswer),
    ],
    ids=lambda value: f"{value.status_code}" if isinstance(value, httpx.Response) else value.__name__,
)
@pytest.mark.parametrize("method", ["AssetPairs", "Ticker"])
async def test_an_answer_that_is_none_is_a_fault(provider, exchange, method, answer, fault):
    exchange.instead[method] = answer
    found = await provider.fetch([EURO], within=1)
    assert (found.quotes, [type(one) for one in found.faults]) == ({}, [fault])


@pytest.mark.parametrize("wrong", [{"a": []}, {"b": ["NaN"]}, {"c": ["-1"]}, {"a": None}])
async def test_a_pair_that_cannot_be_read_is_a_fault_of_its_own(provider, exchange, wrong):
    result = kraken("Ticker", {"pair": "EURUSD,PAXGUSD"})["result"]
    exchange.instead["Ticker"] = {"error": [], "result": result | {"ZEURZUSD": result["ZEURZUSD"] | wrong}}
    answer = await provider.fetch([EURO, GOLD], within=1)
    assert (set(answer.quotes), [type(fault) for fault in answer.faults]) == ({"XAU"}, [MalformedAnswer])


async def test_an_answer_that_does_not_come_is_a_fault_and_nobody_waits_longer(clock):
    async def silent(request):
        await asyncio.sleep(60)

    provider = Kraken("http://exchange.test", now=clock, transport=httpx.MockTransport(silent))
    answer = await provider.fetch([EURO], within=0.01)
    assert [str(fault) for fault in answer.faults] == ["kraken: no whole answer within 0.0 s"]
    await provider.close()


# What a pair cost a day ago.


async def test_the_change_is_that_over_a_day_by_the_candles(provider, clock):
    assert (await provider.fetch([EURO], within=1)).quotes["EURUSD"].change_pct is None
    clock.at += 5_000
    # From 1.14000 to 1.150375.
    assert (await provider.fetch([EURO], within=1)).quotes["EURUSD"].change_pct == "0.910"


async def test_the_candles_of_a_day_are_asked_for_once_a_day(provider, exchange, clock):
    for _ in range(46):
        await provider.fetch([EURO], within=1)
        clock.at += 30 * 60_000
    assert exchange.methods().count("OHLC") == 1
    quote = (await provider.fetch([EURO], within=1)).quotes["EURUSD"]
    assert quote.change_pct == "0.910"
    assert exchange.methods().count("OHLC") == 2


async def test_only_what_kraken_is_the_first_source_of_is_compared(provider, exchange):
    await provider.fetch(ALL, within=1)
    assert [pair for method, pair in exchange.asked if method == "OHLC"] == ["EURUSD"]


async def test_few_pairs_a_tick_are_asked_about_so_that_the_pace_is_kept(provider, exchange, clock):
    forex = [one for one in instruments().values() if one.kind == "forex"]
    for _ in range(3):
        answer = await provider.fetch(forex, within=1)
        assert answer.faults == []
        clock.at += 5_000
    assert exchange.methods() == ["AssetPairs", *["Ticker", "OHLC", "OHLC", "OHLC"] * 2, "Ticker"]


async def test_a_change_beyond_all_digits_is_not_known_and_the_quote_holds(provider, exchange, clock):
    rows = [[NOON // 1000 - 86_400, "1e-40", "1", "1", "1", "1", "1", 1]]
    exchange.instead["OHLC"] = {"error": [], "result": {"ZEURZUSD": rows, "last": 0}}
    await provider.fetch([EURO], within=1)
    clock.at += 5_000
    euro = (await provider.fetch([EURO], within=1)).quotes["EURUSD"]
    assert (euro.last, euro.change_pct) == ("1.150375", None)


async def test_a_day_ago_that_has_no_candle_is_not_known(provider, exchange, clock):
    hour_later = [[NOON // 1000 - 86_400 + 3_601 * 2, "1.1", "1", "1", "1", "1", "1", 1]]
    hours_before = [[NOON // 1000 - 86_400 - 3_606, "1.1", "1", "1", "1", "1", "1", 1]]
    for rows in (hour_later, hours_before, []):
        exchange.instead["OHLC"] = {"error": [], "result": {"ZEURZUSD": rows, "last": 0}}
        provider._days._due_at.clear()
        await provider.fetch([EURO], within=1)
        clock.at += 5_000
        assert (await provider.fetch([EURO], within=1)).quotes["EURUSD"].change_pct is None


@pytest.mark.parametrize(
    "answer",
    [
        {"error": ["EService:Busy"]},
        {"error": [], "result": {"ZEURZUSD": [["noon"]], "last": 0}},
        {"error": [], "result": {"last": 0}},
    ],
)
async def test_candles_that_do_not_come_are_asked_for_a_minute_later_and_are_no_fault(
    provider, exchange, clock, answer, caplog
):
    caplog.set_level("INFO")
    exchange.instead["OHLC"] = answer
    found = await provider.fetch([EURO], within=1)
    assert (set(found.quotes), found.faults) == ({"EURUSD"}, [])
    assert "kraken did not say what EURUSD cost a day ago" in caplog.text
    clock.at += 59_999
    await provider.fetch([EURO], within=1)
    assert exchange.methods().count("OHLC") == 1
    clock.at += 1
    await provider.fetch([EURO], within=1)
    assert exchange.methods().count("OHLC") == 2


async def test_a_tick_does_not_wait_long_for_candles(clock, exchange, monkeypatch):
    monkeypatch.setattr("scheduler.market.providers.kraken.PATIENCE", 0.01)

    async def slow_candles(request):
        if request.url.path.endswith("OHLC"):
            await asyncio.sleep(60)
        return exchange(request)

    provider = Kraken("http://exchange.test", now=clock, transport=httpx.MockTransport(slow_candles))
    answer = await provider.fetch([EURO], within=10)
    assert (set(answer.quotes), answer.faults) == ({"EURUSD"}, [])
    await provider.close()


# Recorded answers.


@recorded
async def test_the_recorded_ticker_is_read_digit_for_digit(provider, exchange):
    exchange.instead["AssetPairs"] = {"error": [], "result": {"XXBTZEUR": {"altname": "XBTEUR"}}}
    exchange.instead["Ticker"] = recording("kraken_ticker_XXBTZEUR.json")
    coin = replace(COIN, sources={"kraken": "XBTEUR"})
    exchange.instead["OHLC"] = {"error": ["EService:Busy"]}
    quote = (await provider.fetch([coin], within=1)).quotes["BTC"]
    assert (quote.last, quote.bid, quote.ask) == ("560.87711", "560.46600", "562.26651")


@recorded
async def test_the_recorded_list_of_pairs_has_every_currency_pair_under_its_altname(provider, exchange):
    listed = recording("kraken_assetpairs_fx_subset.json")
    exchange.instead["AssetPairs"] = listed
    row = kraken("Ticker", {"pair": "EURUSD"})["result"]["ZEURZUSD"]
    exchange.instead["Ticker"] = {"error": [], "result": dict.fromkeys(listed["result"], row)}
    wanted = [one for one in instruments().values() if one.kind == "forex"]
    answer = await provider.fetch([*wanted, GOLD], within=1)
    assert answer.faults == []
    assert set(answer.quotes) == {*(one.symbol for one in wanted), "XAU"}
    assert ("Ticker", "EURUSD,GBPUSD,USDJPY,USDCHF,AUDUSD,USDCAD,PAXGUSD") in exchange.asked


@recorded
async def test_recorded_candles_are_read(provider, exchange, clock):
    candles = recording("kraken_ohlc_XXBTZUSD_1m.json")
    series = candles["result"]["XXBTZUSD"]
    exchange.instead["OHLC"] = candles
    coin = replace(COIN, sources={"kraken": "XBTUSD"})
    clock.at = (series[100][0] + 86_400) * 1000
    await provider.fetch([coin], within=1)
    quote = (await provider.fetch([coin], within=1)).quotes["BTC"]
    change = (91776.5 / float(series[100][1]) - 1) * 100
    assert float(quote.change_pct) == pytest.approx(change, abs=0.0005)
