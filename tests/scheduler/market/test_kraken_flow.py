"""Kraken's trades and book as order flow, over a transport in memory; the errors of its host are test_kraken.py's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from urllib.parse import parse_qsl

import httpx
import pytest

import local.exchange.application as simulated
from handlers.hub.instruments import instruments
from scheduler.analysis.sentiment import LONGEST_MS, MINUTE_MS, TradedMinute
from scheduler.errors import MalformedAnswer, RateLimited, Refused, TooSoon, Unavailable, UnknownInstrument, Unreachable
from scheduler.market.breaker import Breaker
from scheduler.market.providers.host import QUARANTINE_MS
from scheduler.market.providers.kraken_flow import MOST_PAGES, PATIENCE_MS, WHOLE_PAGE, KrakenFlow
from tests.scheduler.analysis.series import recorded, recording
from tests.scheduler.fakes import EURO, GOLD, KRAKENS_OWN, NOON, Clock

BOTH = [EURO, GOLD]
NS = 1_000_000


def trade(at=NOON, side="b", *, volume="2.50000000", price="1.15000", number=1):
    """Write a row of ``Trades`` as documented."""
    return [price, volume, at / 1000, side, "l", "", number]


def minute(at=NOON, volume="2.5", bought="2.5", turnover="2.875", trades=1):
    return TradedMinute(at, Decimal(volume), Decimal(bought), Decimal(turnover), trades)


class Exchange:
    """Stands in for Kraken: has trades by pair, and answers what it is told to in place of an answer to a method."""

    def __init__(self):
        self.asked = []
        self.listed = ["EURUSD", "GBPUSD", "PAXGUSD"]
        self.trades = {name: [] for name in self.listed}
        self.lots = {}
        self.instead = {}
        self.headers = {}
        self.page = WHOLE_PAGE
        self.is_inclusive = False

    def __call__(self, request):
        method = request.url.path.removeprefix("/0/public/")
        query = dict(parse_qsl(request.url.query.decode()))
        self.asked.append((method, query))
        answer = self.instead.get((method, query.get("pair")), self.instead.get(method))
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        if answer is None:
            answers = {"AssetPairs": self.assetpairs, "Ticker": self.ticker, "Trades": self.trades_of}
            answer = answers[method](query)
        return httpx.Response(200, json={"error": [], "result": answer}, headers=self.headers)

    def assetpairs(self, query):
        return {KRAKENS_OWN.get(name, name): {"altname": name} for name in self.listed}

    def ticker(self, query):
        rows = {}
        for name in query["pair"].split(","):
            bid, ask = self.lots.get(name, ("3.000", "1.000"))
            rows[KRAKENS_OWN.get(name, name)] = {"a": ["1.2", "1", ask], "b": ["1.1", "3", bid], "c": ["1.1", "1"]}
        return rows

    def trades_of(self, query):
        name, since = query["pair"], int(query["since"])
        rows = [row for row in self.trades[name] if round(row[2] * 1000) * NS > since - self.is_inclusive]
        rows = rows[: self.page]
        last = round(rows[-1][2] * 1000) * NS if rows else since
        return {KRAKENS_OWN.get(name, name): rows, "last": str(last)}

    def calls(self, method):
        return [query for asked, query in self.asked if asked == method]

    def since(self, altname):
        return [int(query["since"]) for query in self.calls("Trades") if query["pair"] == altname]


@pytest.fixture
def exchange():
    return Exchange()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def provider(exchange, clock):
    async def wait(seconds):
        clock.at += round(seconds * 1000)
        await asyncio.sleep(0)

    transport = httpx.MockTransport(exchange)
    provider = KrakenFlow("http://exchange.test", now=clock, transport=transport, sleep=wait)
    yield provider
    await provider.close()


def faults(flow):
    return [type(fault) for fault in flow.faults]


async def test_trades_are_added_up_by_the_minute_and_by_the_takers_side(provider, exchange):
    exchange.trades["EURUSD"] = [
        trade(NOON - MINUTE_MS, "s"),
        trade(NOON - 1, volume="1.00000001"),
        trade(NOON, "s", volume="0.5"),
        trade(NOON, "b", volume="0.25", price="1.2"),
    ]
    flow = await provider.fetch(BOTH, within=1)
    assert (flow.asked_at, flow.faults) == (NOON, [])
    before = minute(NOON - MINUTE_MS, "3.50000001", "1.00000001", "4.0250000115", 2)
    assert flow.traded == {"EURUSD": [before, minute(NOON, "0.75", "0.25", "0.875", 2)], "XAU": []}
    assert flow.book == {"EURUSD": 750_000, "XAU": 750_000}
    assert flow.sources == {"EURUSD": "kraken", "XAU": "kraken"}


async def test_the_calls_are_one_for_the_book_and_one_for_each_pair_from_the_longest_horizon_on(provider, exchange):
    await provider.fetch(BOTH, within=1)
    assert exchange.calls("Ticker") == [{"pair": "EURUSD,PAXGUSD"}]
    since = str((NOON - LONGEST_MS) * NS - 1)
    assert exchange.calls("Trades") == [{"pair": name, "since": since} for name in ("EURUSD", "PAXGUSD")]
    assert len(exchange.asked) == 4


@pytest.mark.parametrize("is_inclusive", [False, True], ids=["later", "from-then-on"])
async def test_a_later_tick_asks_for_new_trades_only_and_counts_none_twice(provider, exchange, clock, is_inclusive):
    exchange.is_inclusive = is_inclusive
    exchange.trades["EURUSD"] = [trade(NOON - 900), trade(NOON - 500, number=2), trade(NOON - 500, "s", number=3)]
    await provider.fetch([EURO], within=1)
    clock.at += 30_000
    exchange.trades["EURUSD"] += [trade(NOON - 500, number=4), trade(NOON + 10_000, number=5)][not is_inclusive :]
    flow = await provider.fetch([EURO], within=1)
    assert exchange.since("EURUSD") == [(NOON - LONGEST_MS) * NS - 1, (NOON - 500) * NS]
    trades = [3 + is_inclusive, 1]
    assert [one.trades for one in flow.traded["EURUSD"]] == trades
    # And nothing new is nothing more.
    clock.at += 30_000
    assert [one.trades for one in (await provider.fetch([EURO], within=1)).traded["EURUSD"]] == trades


async def test_minutes_that_no_horizon_reaches_are_dropped(provider, exchange, clock):
    exchange.trades["EURUSD"] = [trade(NOON), trade(NOON + MINUTE_MS, number=2)]
    clock.at += MINUTE_MS
    await provider.fetch([EURO], within=1)
    clock.at = NOON + LONGEST_MS + MINUTE_MS
    flow = await provider.fetch([EURO], within=1)
    assert [one.at for one in flow.traded["EURUSD"]] == [NOON + MINUTE_MS]


async def test_trades_from_before_the_time_that_was_asked_for_are_not_counted(provider, exchange):
    rows = [trade(NOON - LONGEST_MS - 1), trade(NOON - LONGEST_MS, number=2)]
    exchange.instead["Trades"] = {"ZEURZUSD": rows, "last": str(NOON * NS)}
    assert [one.at for one in (await provider.fetch([EURO], within=1)).traded["EURUSD"]] == [NOON - LONGEST_MS]


async def test_who_was_not_asked_for_long_begins_anew(provider, exchange, clock):
    exchange.trades["EURUSD"] = [trade(NOON)]
    await provider.fetch([EURO], within=1)
    clock.at += LONGEST_MS + 2 * MINUTE_MS
    assert (await provider.fetch([EURO], within=1)).traded == {"EURUSD": []}
    assert exchange.since("EURUSD")[1] == (clock.at - LONGEST_MS) * NS - 1


async def test_whole_pages_are_followed_to_the_end(provider, exchange):
    exchange.trades["EURUSD"] = [trade(NOON - 90_000 + 20 * number, number=number) for number in range(2_500)]
    flow = await provider.fetch([EURO], within=1)
    assert sum(one.trades for one in flow.traded["EURUSD"]) == 2_500
    assert len(exchange.calls("Trades")) == 3


async def test_more_pages_than_a_tick_allows_are_no_value_before_the_next_one(provider, exchange, clock):
    exchange.trades["EURUSD"] = [trade(NOON - 90_000 + 10 * number, number=number) for number in range(4_500)]
    flow = await provider.fetch([EURO], within=1)
    assert (flow.traded, flow.faults, len(exchange.calls("Trades"))) == ({}, [], MOST_PAGES)
    clock.at += 30_000
    flow = await provider.fetch([EURO], within=1)
    assert sum(one.trades for one in flow.traded["EURUSD"]) == 4_500


async def test_a_stand_in_for_the_exchange_is_named_as_the_source(provider, exchange):
    exchange.headers = {"X-Tickwire-Source": "replay"}
    assert (await provider.fetch([EURO], within=1)).sources == {"EURUSD": "replay"}


async def test_nobody_offering_and_strangers_are_no_book_and_no_fault(provider, exchange):
    exchange.lots = {"EURUSD": ("0.000", "0.000"), "PAXGUSD": ("0.000", "2.5")}
    flow = await provider.fetch(BOTH, within=1)
    assert (flow.book, flow.faults) == ({"XAU": 0}, [])
    exchange.instead["Ticker"] = {"XXBTZUSD": {"a": ["1"], "b": ["1"]}}
    assert (await provider.fetch(BOTH, within=1)).book == {}


async def test_a_pair_that_is_not_listed_is_told_once_an_hour_and_never_asked_for(provider, exchange, clock):
    exchange.listed.remove("PAXGUSD")
    flow = await provider.fetch(BOTH, within=1)
    assert (set(flow.traded), faults(flow)) == ({"EURUSD"}, [UnknownInstrument])
    assert "PAXGUSD: it is not listed there" in str(flow.faults[0])
    assert (await provider.fetch(BOTH, within=1)).faults == []
    exchange.listed.append("PAXGUSD")
    clock.at += QUARANTINE_MS
    assert set((await provider.fetch(BOTH, within=1)).traded) == {"EURUSD", "XAU"}
    clock.at += 30_000
    assert set((await provider.fetch(BOTH, within=1)).traded) == {"EURUSD", "XAU"}
    assert len(exchange.calls("AssetPairs")) == 2


async def test_nothing_is_asked_for_when_there_is_nothing_to_ask_for(provider, exchange):
    assert (await provider.fetch([], within=1)).traded == {}
    exchange.listed.clear()
    await provider.fetch([EURO], within=1)
    assert exchange.calls("Ticker") == exchange.calls("Trades") == []


# The pace, which all that ask Kraken share.


async def test_calls_beyond_the_pace_wait_for_their_turn(provider, exchange, clock):
    names = [f"{letter}USD" for letter in "ABCDEFG"]
    exchange.listed, exchange.trades = names, dict.fromkeys(names, ())
    flow = await provider.fetch([replace(EURO, symbol=name, sources={"kraken": name}) for name in names], within=1)
    assert (len(flow.traded), flow.faults) == (7, [])
    # Five at once, and one a second: a call for the book, and seven for trades.
    assert 3_000 <= clock.at - NOON <= 3_010


async def test_who_had_no_turn_is_the_first_at_the_next_tick(exchange, clock):
    breaker = Breaker("kraken", now=clock)
    names = [f"{letter}USD" for letter in "ABCDEFGHIJKLMNOPQRST"]
    exchange.listed, exchange.trades = names, dict.fromkeys(names, ())
    listed = [replace(EURO, symbol=name, sources={"kraken": name}) for name in names]

    async def wait(seconds):
        clock.at += round(seconds * 1000)

    transport = httpx.MockTransport(exchange)
    provider = KrakenFlow("http://exchange.test", now=clock, transport=transport, breaker=breaker, sleep=wait)
    first = await provider.fetch(listed, within=1)
    assert PATIENCE_MS - 1_500 < clock.at - NOON <= PATIENCE_MS
    assert (list(first.traded), faults(first)) == (names[: len(first.traded)], [TooSoon])
    assert 11 <= len(first.traded) <= 12
    clock.at += 20_000
    second = await provider.fetch(listed, within=1)
    await provider.close()
    left = len(names) - len(first.traded)
    assert list(second.traded)[:left] == names[-left:]
    assert len(second.traded) == len(first.traded)


async def test_pairs_that_are_traded_often_wait_no_longer_than_those_that_never_are(provider, exchange, clock):
    names = [f"{letter}USD" for letter in "ABCDEFGHIJKLMNOPQRST"]
    exchange.listed, exchange.trades = names, dict.fromkeys(names, ())
    listed = [replace(EURO, symbol=name, sources={"kraken": name}) for name in names]
    heard = []
    for tick in range(10):
        clock.at = max(clock.at, NOON + 30_000 * tick)
        exchange.trades["TUSD"] = [trade(NOON + 30_000 * number) for number in range(tick)]
        heard.append("TUSD" in (await provider.fetch(listed, within=1)).traded)
    # Twelve of twenty at a tick: each at least at every second.
    assert all(one or other for one, other in pairwise(heard))


async def test_a_pair_that_is_never_answered_lets_the_others_have_their_turns(provider, exchange, clock):
    exchange.instead[("Trades", "EURUSD")] = httpx.ReadTimeout("slow")
    heard = set()
    for _ in range(2):
        heard |= (await provider.fetch(BOTH, within=1)).traded.keys()
        clock.at += 30_000
    assert heard == {"XAU"}


@pytest.mark.parametrize(("status", "fault"), [(429, RateLimited), (418, RateLimited), (451, Refused), (403, Refused)])
async def test_after_a_refusal_no_further_call_is_made_before_its_time(provider, exchange, clock, status, fault):
    exchange.instead["Trades"] = httpx.Response(status, headers={"Retry-After": "90"})
    flow = await provider.fetch(BOTH, within=1)
    assert (flow.traded, set(flow.book), faults(flow)) == ({}, {"EURUSD", "XAU"}, [fault])
    assert len(exchange.calls("Trades")) == 1
    clock.at += 89_999
    exchange.asked.clear()
    assert faults(await provider.fetch(BOTH, within=1)) == [fault]
    assert exchange.asked == []
    clock.at += 1
    exchange.instead.clear()
    assert set((await provider.fetch(BOTH, within=1)).traded) == {"EURUSD", "XAU"}


async def test_krakens_own_rate_limit_under_status_200_ends_the_calls_too(provider, exchange):
    exchange.instead["Trades"] = httpx.Response(200, json={"error": ["EAPI:Rate limit exceeded"]})
    flow = await provider.fetch(BOTH, within=1)
    assert (flow.traded, faults(flow), len(exchange.calls("Trades"))) == ({}, [RateLimited], 1)


# Trouble.


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (httpx.Response(200, json={"error": ["EService:Unavailable"]}), Unavailable),
        (httpx.Response(200, json={"error": ["EQuery:Unknown asset pair"]}), MalformedAnswer),
        (httpx.Response(503, text="<html>"), Unavailable),
        (httpx.Response(200, text="<html>"), MalformedAnswer),
        (httpx.Response(200, json={"error": []}), MalformedAnswer),
        (httpx.Response(404, json={}), MalformedAnswer),
    ],
    ids=["busy", "unknown", "503", "html", "empty", "404"],
)
async def test_trouble_with_one_pair_costs_the_others_nothing_and_with_the_book_no_trades(
    provider, exchange, answer, fault
):
    exchange.instead[("Trades", "EURUSD")] = answer
    flow = await provider.fetch(BOTH, within=1)
    assert (set(flow.traded), set(flow.book), faults(flow)) == ({"XAU"}, {"EURUSD", "XAU"}, [fault])
    exchange.instead = {"Ticker": answer}
    flow = await provider.fetch(BOTH, within=1)
    assert (set(flow.traded), flow.book, faults(flow)) == ({"EURUSD", "XAU"}, {}, [fault])


async def test_what_is_missing_after_trouble_is_asked_for_later(provider, exchange, clock):
    exchange.trades["EURUSD"] = [trade(NOON - 900)]
    await provider.fetch([EURO], within=1)
    exchange.trades["EURUSD"].append(trade(NOON + 10_000, number=2))
    exchange.instead["Trades"] = httpx.Response(503)
    clock.at += 30_000
    assert (await provider.fetch([EURO], within=1)).traded == {}
    exchange.instead.clear()
    clock.at += 30_000
    flow = await provider.fetch([EURO], within=1)
    assert sum(one.trades for one in flow.traded["EURUSD"]) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {"last": "1"},
        {"A": [], "B": [], "last": "1"},
        {"ZEURZUSD": []},
        {"ZEURZUSD": [], "last": 1},
        {"ZEURZUSD": [], "last": "-1"},
        {"ZEURZUSD": [], "last": "soon"},
        {"ZEURZUSD": [], "last": "9" * 40},
        {"ZEURZUSD": [trade()[:3]], "last": "1"},
        {"ZEURZUSD": [trade(side="x")], "last": "1"},
        {"ZEURZUSD": [trade(volume="NaN")], "last": "1"},
        {"ZEURZUSD": [trade(volume="-1")], "last": "1"},
        {"ZEURZUSD": [trade(volume="1e999999")], "last": "1"},
        {"ZEURZUSD": [trade(price="0.00000")], "last": "1"},
        {"ZEURZUSD": [trade(price="")], "last": "1"},
        {"ZEURZUSD": [trade(at=-1)], "last": "1"},
        {"ZEURZUSD": [trade(at=NOON + 2 * 3_600_000)], "last": "1"},
        {"ZEURZUSD": [["1.1", "1", "noon", "b", "l", "", 1]], "last": "1"},
    ],
    ids=str,
)
async def test_trades_that_are_none_are_a_fault_and_nothing_is_counted(provider, exchange, wrong):
    exchange.instead["Trades"] = wrong
    flow = await provider.fetch([EURO], within=1)
    assert (flow.traded, set(flow.book), faults(flow)) == ({}, {"EURUSD"}, [MalformedAnswer])
    assert "EURUSD" in str(flow.faults[0])
    exchange.instead.clear()
    assert (await provider.fetch([EURO], within=1)).traded == {"EURUSD": []}


@pytest.mark.parametrize("wrong", [[], {"ZEURZUSD": {"a": [], "b": ["1"]}}, {"ZEURZUSD": {"a": ["x"], "b": ["1"]}}])
async def test_a_book_that_is_none_is_a_fault(provider, exchange, wrong):
    exchange.instead["Ticker"] = wrong
    flow = await provider.fetch([EURO], within=1)
    assert (set(flow.traded), flow.book, faults(flow)) == ({"EURUSD"}, {}, [MalformedAnswer])


async def test_one_slip_of_a_socket_costs_the_book_and_no_way_at_all_is_found_out_by_two_calls(provider, exchange):
    exchange.instead["Ticker"] = httpx.ReadError("closed meanwhile")
    flow = await provider.fetch(BOTH, within=1)
    assert (set(flow.traded), flow.book, faults(flow)) == ({"EURUSD", "XAU"}, {}, [Unreachable])
    exchange.instead["Trades"] = httpx.ConnectError("nobody listens")
    exchange.asked.clear()
    flow = await provider.fetch(BOTH, within=1)
    assert (flow.traded, set(faults(flow)), len(exchange.asked)) == ({}, {Unreachable}, 2)


async def test_what_has_come_in_time_is_kept(clock, exchange):
    async def slow(request):
        if "Trades" in request.url.path and b"PAXG" in request.url.query:
            return await asyncio.Event().wait()
        return exchange(request)

    provider = KrakenFlow("http://exchange.test", now=clock, transport=httpx.MockTransport(slow))
    flow = await provider.fetch(BOTH, within=0.05)
    await provider.close()
    assert (set(flow.traded), set(flow.book)) == ({"EURUSD"}, {"EURUSD", "XAU"})
    assert [str(fault) for fault in flow.faults] == ["kraken: no whole answer within 0.1 s"]


# Answers that were not made up here.


async def test_the_simulated_exchange_is_read_like_the_real_one(clock):
    clock.at = NOON + 30_500
    transport = httpx.ASGITransport(app=simulated.exchange(now=clock))
    provider = KrakenFlow("http://exchange.test/kraken", now=clock, transport=transport)
    forex = [one for one in instruments().values() if one.kind == "forex"][:2]
    flow = await provider.fetch([*forex, GOLD], within=5)
    assert (flow.faults, set(flow.sources.values())) == ([], {"simulated"})
    assert set(flow.book) == set(flow.traded) == {"EURUSD", "GBPUSD", "XAU"}
    for minutes in flow.traded.values():
        assert [one.at for one in minutes] == [NOON - before * MINUTE_MS for before in range(15, -1, -1)]
        assert all(0 < one.bought < one.volume and one.trades > 1 for one in minutes)
    clock.at += 30_000
    later = await provider.fetch([*forex, GOLD], within=5)
    fresh = KrakenFlow("http://exchange.test/kraken", now=clock, transport=transport)
    assert later.traded == (await fresh.fetch([*forex, GOLD], within=5)).traded
    await provider.close()
    await fresh.close()


@recorded
async def test_recorded_trades_are_read(provider, exchange, clock):
    """Of 2013, from before trades had numbers: 14 sales in a tenth of a second."""
    answer = recording("kraken_trades_XXBTZUSD.json")["result"]
    clock.at = 1_385_579_842_000
    exchange.instead["Trades"] = answer
    exchange.instead["Ticker"] = recording("kraken_ticker_XXBTZEUR.json")["result"]
    exchange.listed.append("XBTUSD")
    flow = await provider.fetch([replace(EURO, symbol="BTC", sources={"kraken": "XBTUSD"})], within=1)
    assert flow.faults == []
    (one,) = flow.traded["BTC"]
    rows = answer["XXBTZUSD"]
    assert (one.at, one.trades, one.bought) == (1_385_579_820_000, 14, 0)
    assert one.volume == sum(Decimal(row[1]) for row in rows)
    assert one.turnover == sum(Decimal(row[0]) * Decimal(row[1]) for row in rows)
    exchange.instead.clear()
    exchange.trades["XBTUSD"] = []
    await provider.fetch([replace(EURO, symbol="BTC", sources={"kraken": "XBTUSD"})], within=1)
    assert exchange.since("XBTUSD")[1] == int(answer["last"])
