"""The signals stream: when candles are asked for, what is sent of their ratings, and what goes to the table."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import msgspec
import pytest

from handlers.hub.errors import CallRefused, ServiceUnavailable
from handlers.hub.instruments import Instrument
from scheduler.analysis.rating import METHOD
from scheduler.composition import Known
from scheduler.errors import Unavailable, UnknownInstrument
from scheduler.market.candles import TIMEFRAME_MS, Candle, Candles
from scheduler.signals import AT_ONCE, Signals, series_of
from scheduler.tick import Ports, tick
from tests.fakes import InMemoryCandleStore, InMemoryConnectionStore, InMemorySnapshotStore, RecordingGateway
from tests.scheduler.analysis.series import made_up
from tests.scheduler.fakes import BITCOIN, ETHER, NOON, Clock, InMemoryClaimStore, follower
from tests.wire import schema, validate_message

HOUR = TIMEFRAME_MS["1h"]
SILVER = Instrument(symbol="XAG", name="Silver", kind="metal", decimals=3, sources={"gold-api": "XAG"})
WALKS = {"BTC": made_up(400, seed=1), "ETH": made_up(400, seed=2)}
PERIOD = 30_000


class Exchange:
    """A ``CandleProvider`` whose candles follow the walks, each 200 long at noon; what ``instead`` names, in place."""

    name = "binance"
    calls_a_tick = 30

    def __init__(self):
        self.asked = []
        self.instead = {}
        self.source = "binance"
        self.under_way = self.most = 0
        self.closed = False
        self.correction = 0.0

    async def candles(self, instrument, timeframe, *, since=None, until=None):
        self.asked.append((instrument.symbol, timeframe, since, until))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if (instead := self.instead.get(instrument.symbol)) is not None:
            if isinstance(instead, Exception):
                raise instead
            return instead
        length = TIMEFRAME_MS[timeframe]
        walk = WALKS.get(instrument.symbol, WALKS["BTC"])
        start = NOON // length * length - 200 * length
        found = []
        for number, one in enumerate(walk):
            opened_at = start + number * length
            if opened_at >= (since or 0) and opened_at + length <= until:
                high = one.high + self.correction
                figures = [f"{figure:.8f}" for figure in (one.open, high, one.low, one.close, one.volume)]
                found.append(Candle(opened_at, *figures, opened_at + length - 1))
        return Candles(found, self.source)

    async def close(self):
        self.closed = True


class Watch(Clock):
    """A clock that goes on while somebody sleeps by it."""

    async def sleep(self, seconds):
        self.at += round(seconds * 1000)


@pytest.fixture
def clock():
    return Watch(NOON + 5_000)


@pytest.fixture
def exchange():
    return Exchange()


@pytest.fixture
def store():
    return InMemoryCandleStore()


@pytest.fixture
def composer_of(exchange, store, clock):
    def make(*instruments, **options):
        options = {"now": clock, "sleep": clock.sleep} | options
        return Signals(instruments or [BITCOIN, ETHER], [exchange], store, **options)

    return make


@pytest.fixture
def signals(composer_of):
    return composer_of()


async def compose(signals, clock, known=None, *, full=False):
    fetched = await signals.fetch(within=5)
    return signals.compose(fetched, known or Known(), now=clock.at, full=full)


def after(composition):
    return Known(composition.content, composition.state)


def told(content, symbol="BTC"):
    """Give one symbol's data, checked against the contract."""
    data = json.loads(content[symbol])
    schema("signalData").validate(data)
    return data


async def test_a_rating_is_told_with_all_that_belongs_to_it(signals, clock):
    composition = await compose(signals, clock)
    assert list(composition.content) == list(composition.updates) == ["BTC", "ETH"]
    data = told(composition.content)
    assert (data["timeframe"], data["closed_at"], data["source"], data["stale"]) == ("1h", NOON - 1, "binance", False)
    assert (data["method"], data["not_advice"]) == (METHOD, True)
    assert data["rating"] == pytest.approx((data["rating_ma"] + data["rating_osc"]) / 2, abs=1e-5)
    assert sum(data["counts"]["ma"].values()) == 15
    assert sum(data["counts"]["osc"].values()) == 11
    assert data["atr"] == float(f"{data['atr']:.8g}") > 0
    assert "reason" not in data
    assert composition.faults == []


async def test_nothing_is_sent_while_nothing_closes(signals, clock, exchange):
    first = await compose(signals, clock)
    clock.at += PERIOD
    second = await compose(signals, clock, after(first))
    assert (second.updates, second.content, second.state) == ({}, first.content, first.state)
    assert len(exchange.asked) == 2


async def test_a_full_tick_sends_all_of_it(signals, clock):
    first = await compose(signals, clock)
    assert (await compose(signals, clock, after(first), full=True)).updates == first.content


async def test_only_the_new_candle_is_asked_for_when_it_has_closed(signals, clock, exchange):
    await compose(signals, clock)
    assert exchange.asked == [("BTC", "1h", None, clock.at), ("ETH", "1h", None, clock.at)]
    exchange.asked.clear()
    clock.at = NOON + HOUR - 1
    await compose(signals, clock)
    assert exchange.asked == []
    clock.at = NOON + HOUR + 5_000
    composition = await compose(signals, clock)
    assert [(symbol, since) for symbol, _, since, _ in exchange.asked] == [("BTC", NOON - HOUR), ("ETH", NOON - HOUR)]
    assert told(composition.content)["closed_at"] == NOON + HOUR - 1


async def test_a_candle_that_closes_with_the_tick_is_given_a_moment_to_settle(signals, clock, exchange):
    await compose(signals, clock)
    clock.at = NOON + HOUR + 3
    await compose(signals, clock)
    assert {until for *_, until in exchange.asked[2:]} == {NOON + HOUR + 1_500}


async def test_a_changed_vote_is_sent_and_a_new_candle_alone_is_not(signals, clock):
    known, sent = Known(), []
    for hour in range(60):
        clock.at = NOON + hour * HOUR + 5_000
        composition = await compose(signals, clock, known)
        old, new = json.loads(known.state or '{"votes":{}}')["votes"], json.loads(composition.state)["votes"]
        assert set(composition.updates) == {symbol for symbol in new if new[symbol] != old.get(symbol)}
        assert all(told(composition.content, symbol)["closed_at"] == NOON + hour * HOUR - 1 for symbol in new)
        sent.append(len(composition.updates))
        known = after(composition)
    assert set(sent) >= {1, 2}


async def test_it_does_not_matter_which_scheduler_rated_last(composer_of, clock, exchange):
    one, other = composer_of(), composer_of()
    await compose(one, clock)
    clock.at = NOON + HOUR + 5_000
    known = after(await compose(other, clock))
    exchange.instead = dict.fromkeys(("BTC", "ETH"), Unavailable("binance", "500"))
    deaf = await compose(one, clock, known)
    assert (deaf.updates, deaf.content, deaf.state) == ({}, known.content, known.state)
    assert deaf.faults == ["binance: 500"]
    new = await compose(composer_of(), clock, known)
    assert (new.updates, new.content, new.state) == ({}, known.content, known.state)
    without_state = await compose(composer_of(), clock, Known(known.content))
    assert (without_state.updates, without_state.content, without_state.state) == ({}, known.content, b"")


async def test_a_rating_whose_candles_do_not_come_grows_stale_and_says_so_once(signals, clock, exchange):
    known = after(await compose(signals, clock))
    exchange.instead = dict.fromkeys(("BTC", "ETH"), Unavailable("binance", "500"))
    clock.at = NOON - 1 + 2 * HOUR
    assert (await compose(signals, clock, known)).updates == {}
    clock.at += 1
    stale = await compose(signals, clock, known)
    assert (told(stale.updates)["stale"], told(stale.updates)["closed_at"]) == (True, NOON - 1)
    assert (await compose(signals, clock, after(stale))).updates == {}


async def test_a_source_with_another_name_is_a_change(composer_of, clock, exchange):
    known = after(await compose(composer_of(BITCOIN), clock))
    exchange.source = "simulated"
    composition = await compose(composer_of(BITCOIN), clock, known)
    assert told(composition.updates)["source"] == "simulated"


async def test_where_there_are_no_candles_there_is_a_reason(composer_of, clock, exchange):
    signals = composer_of(BITCOIN, SILVER)
    first = await compose(signals, clock)
    data = told(first.updates, "XAG")
    assert (data["rating"], data["label"], data["counts"], data["reason"]) == (None, None, None, "no_candles")
    assert (data["timeframe"], data["not_advice"]) == ("1h", True)
    assert [symbol for symbol, *_ in exchange.asked] == ["BTC"]
    assert (await compose(signals, clock, after(first))).updates == {}


async def test_a_proxy_says_that_it_is_one(composer_of, clock):
    gold = replace(SILVER, symbol="XAU", sources={"gold-api": "XAU", "binance": "PAXGUSDT"}, proxies={"binance"})
    content = (await compose(composer_of(BITCOIN, gold), clock)).content
    assert told(content, "XAU")["proxy"] is True
    assert "proxy" not in told(content, "BTC")


async def test_too_few_candles_are_a_reason_too(signals, clock, exchange):
    exchange.instead["BTC"] = Candles([Candle(NOON - HOUR, "1", "1", "1", "1", None, NOON - 1)], "binance")
    data = told((await compose(signals, clock)).updates)
    assert (data["rating"], data["reason"], data["closed_at"]) == (None, "too_few_candles", NOON - 1)


async def test_before_its_first_candles_an_instrument_is_not_there(signals, clock, exchange):
    exchange.instead["BTC"] = UnknownInstrument("binance", "BTCUSDT", retry_at=NOON + HOUR)
    composition = await compose(signals, clock)
    assert list(composition.content) == ["ETH"]
    assert composition.faults == ["binance: BTCUSDT"]
    clock.at += PERIOD
    await compose(signals, clock)
    assert [symbol for symbol, *_ in exchange.asked] == ["BTC", "ETH"]


async def test_several_timeframes_stand_beside_the_first(composer_of, clock, exchange):
    signals = composer_of(BITCOIN, timeframes=("15m", "1h", "1d"))
    first = await compose(signals, clock)
    data = told(first.content)
    assert (data["timeframe"], [one["timeframe"] for one in data["other_timeframes"]]) == ("15m", ["1h", "1d"])
    assert data["other_timeframes"][1]["closed_at"] == NOON // TIMEFRAME_MS["1d"] * TIMEFRAME_MS["1d"] - 1
    assert set(json.loads(first.state)["votes"]["BTC"]) == {"15m", "1h", "1d"}
    assert (await compose(signals, clock, after(first))).updates == {}
    fewer = await compose(composer_of(BITCOIN), clock, after(first))
    assert "other_timeframes" not in told(fewer.updates)


async def test_a_timeframe_that_is_not_known_yet_is_left_out(composer_of, clock, exchange):
    exchange.calls_a_tick = 1
    signals = composer_of(BITCOIN, timeframes=("1m", "1h"))
    first = await compose(signals, clock)
    assert "other_timeframes" not in told(first.content)
    second = await compose(signals, clock, after(first))
    assert [one["timeframe"] for one in told(second.updates)["other_timeframes"]] == ["1h"]


def many(count):
    return [replace(BITCOIN, symbol=f"S{number}", sources={"binance": f"S{number}USDT"}) for number in range(count)]


async def test_calls_are_bounded_in_a_tick_and_at_once(composer_of, clock, exchange):
    signals = composer_of(*many(40))
    fetched = await signals.fetch(within=5)
    assert (len(exchange.asked), len(fetched.rated), exchange.most) == (30, 30, AT_ONCE)
    assert len((await signals.fetch(within=5)).rated) == 40
    assert len(exchange.asked) == 40


async def test_who_has_nothing_to_say_waits_for_the_others(composer_of, clock, exchange):
    exchange.instead = {f"S{number}": Unavailable("binance", "500") for number in range(30)}
    signals = composer_of(*many(40))
    await signals.fetch(within=5)
    clock.at += PERIOD
    fetched = await signals.fetch(within=5)
    assert len(fetched.rated) == 10
    assert {symbol for symbol, *_ in exchange.asked[30:40]} == {f"S{number}" for number in range(30, 40)}
    assert fetched.faults == ["binance: 500"]


async def test_candles_that_cannot_be_used_are_a_fault(signals, clock, exchange):
    exchange.instead["BTC"] = Candles([Candle(0, "1", "1", "2", "1", "1", 1)], "binance")
    composition = await compose(signals, clock)
    assert list(composition.content) == ["ETH"]
    assert composition.faults[0].startswith("binance: 1h candles of BTC cannot be used: prices of no candle")


async def test_a_source_that_corrects_its_past_is_asked_for_all_of_it_again(composer_of, clock, exchange):
    signals = composer_of(BITCOIN)
    known = after(await compose(signals, clock))
    clock.at = NOON + HOUR + 5_000
    exchange.correction = 0.5
    known = after(await compose(signals, clock, known))
    assert told(known.content)["closed_at"] == NOON - 1
    clock.at += PERIOD
    composition = await compose(signals, clock, known)
    assert exchange.asked[-1][2] is None
    assert told(composition.content)["closed_at"] == NOON + HOUR - 1


async def test_what_takes_too_long_is_left_for_the_next_tick(composer_of, clock, exchange):
    class Slow(Exchange):
        async def candles(self, instrument, timeframe, *, since=None, until=None):
            if instrument is ETHER:
                await asyncio.Event().wait()
            return await super().candles(instrument, timeframe, since=since, until=until)

    signals = Signals([BITCOIN, ETHER], [Slow()], InMemoryCandleStore(), now=clock)
    fetched = await signals.fetch(within=0.02)
    assert (set(fetched.rated), fetched.faults) == (
        {("BTC", "1h")},
        ["the signals were not complete within 0.0 s"],
    )


async def test_candles_and_votes_go_to_the_table_when_a_candle_has_closed(signals, clock, store, monkeypatch):
    kept = []
    monkeypatch.setattr(store, "keep", lambda items: kept.append(items) or InMemoryCandleStore.keep(store, items))
    await signals.fetch(within=5)
    await signals.fetch(within=5)
    assert [len(items) for items in kept] == [4]
    candles, votes = store.find_candles("BTC", "1h"), store.find_votes("BTC", "1h")
    assert (candles.closed_at, candles.source, len(json.loads(candles.payload))) == (NOON - 1, "binance", 200)
    said = json.loads(votes.payload)
    assert (votes.closed_at, len(said["votes"]), said["method"]) == (NOON - 1, 26, METHOD)
    clock.at = NOON + HOUR + 5_000
    await signals.fetch(within=5)
    assert [len(items) for items in kept] == [4, 4]
    assert store.find_votes("ETH", "1h").closed_at == NOON + HOUR - 1


async def test_what_the_table_does_not_take_is_written_in_the_next_tick(signals, clock, store, monkeypatch):
    monkeypatch.setattr(store, "keep", lambda items: items[1:2])
    fetched = await signals.fetch(within=5)
    assert fetched.faults == ["candles or votes of 1 series could not be written"]
    kept = []
    monkeypatch.setattr(store, "keep", lambda items: kept.extend(items) or ())
    await signals.fetch(within=5)
    assert [(type(item).__name__, item.symbol) for item in kept] == [("Candles", "BTC"), ("Votes", "BTC")]


async def test_a_table_that_is_out_costs_no_rating(signals, clock, store, monkeypatch):
    def out(items):
        raise ServiceUnavailable("ConnectFailed", "nowhere")

    monkeypatch.setattr(store, "keep", out)
    composition = await compose(signals, clock)
    assert len(composition.updates) == 2
    assert composition.faults[0].startswith("candles and votes could not be written: ServiceUnavailable")


async def test_a_table_that_may_not_be_written_is_a_bug(signals, store, monkeypatch):
    def refuse(items):
        raise CallRefused("AccessDeniedException")

    monkeypatch.setattr(store, "keep", refuse)
    with pytest.raises(CallRefused):
        await signals.fetch(within=5)


async def test_the_next_run_of_a_process_goes_on_with_its_series(composer_of, clock, exchange):
    series = series_of("http://exchange.test")
    assert series_of("http://exchange.test") is series
    await composer_of(BITCOIN, series=series).fetch(within=5)
    fetched = await composer_of(BITCOIN, series=series).fetch(within=5)
    assert (len(exchange.asked), len(fetched.rated)) == (1, 1)


async def test_what_another_version_has_written_counts_as_unknown(signals, clock, caplog):
    known = Known({"BTC": b'{"score":1}', "ETH": b"{}"}, b'{"votes":7}')
    composition = await compose(signals, clock, known)
    assert set(composition.updates) == {"BTC", "ETH"}
    assert "the last rating of BTC cannot be read" in caplog.text
    assert "the signals stream's state cannot be read" in caplog.text


async def test_closing_closes_the_providers(signals, exchange):
    await signals.close()
    assert exchange.closed


async def test_a_tick_tells_followers_and_says_the_same_nowhere_twice(signals, clock):
    gateway = RecordingGateway()
    watchers = [follower("one=", stream="signals"), follower("eth=", stream="signals", symbols=frozenset({"ETH"}))]
    ports = Ports(InMemoryClaimStore(), InMemorySnapshotStore(), InMemoryConnectionStore(*watchers), gateway)
    seq = NOON // PERIOD + 1
    clock.at = seq * PERIOD
    reports = [await tick("signals", seq + number, composer=signals, ports=ports, now=clock) for number in range(2)]
    assert [report.outcome for report in reports] == ["sent", "quiet"]
    (batch,) = [validate_message(message) for to, message in gateway.posts if to == "one="]
    assert (batch["type"], [one["symbol"] for one in batch["updates"]]) == ("signal_batch", ["BTC", "ETH"])
    (batch,) = gateway.messages("eth=")
    assert [one["symbol"] for one in batch["updates"]] == ["ETH"]
    snapshot = ports.snapshots.latest("signals")
    assert msgspec.json.decode(snapshot.data["BTC"])["closed_at"] == NOON - 1
