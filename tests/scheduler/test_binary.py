"""The binary stream: what is said, when, and that no process needs to remember anything."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from handlers.hub.protocol import FULL_EVERY
from scheduler.analysis.sentiment import MINUTE_MS, TradedMinute
from scheduler.binary import MARKET, Fetched, Sentiments
from scheduler.composition import Known
from scheduler.errors import Unreachable
from scheduler.market.flow import Flow
from scheduler.market.moves import Moved, Moves
from scheduler.tick import Ports, tick
from tests.fakes import InMemoryConnectionStore, InMemorySnapshotStore, RecordingGateway
from tests.scheduler.fakes import BITCOIN, ETHER, EURO, GOLD, NOON, Clock, InMemoryClaimStore, follower
from tests.wire import schema, validate_message

BOTH = [BITCOIN, ETHER]
PERIOD = 30_000


class ScriptedFlow:
    """A ``FlowProvider`` that answers what it is told to."""

    period_ms = PERIOD

    def __init__(self, *flows, name="binance"):
        self.name = name
        self.flows = list(flows)
        self.asked = []
        self.closed = False

    async def fetch(self, instruments, *, within):
        self.asked.append([instrument.symbol for instrument in instruments])
        return self.flows.pop(0)

    async def close(self):
        self.closed = True


def flow(at=NOON, *, bought="1.5", book=750_000, symbols=("BTC", "ETH"), source="binance", turnover="1000", **changes):
    """What a provider says at ``at`` of a minute in which 2 were traded, and of the book."""
    minute = TradedMinute(at // MINUTE_MS * MINUTE_MS, Decimal(2), Decimal(bought), Decimal(turnover), 200)
    told = Flow(
        at,
        traded={symbol: [minute] for symbol in symbols},
        book={} if book is None else dict.fromkeys(symbols, book),
        sources=dict.fromkeys(symbols, source),
    )
    return replace(told, **changes)


DOWN = Flow(NOON, faults=[Unreachable("binance", "timed out")])


class Moving:
    """A ``MoveSource`` that says what it is told to."""

    def __init__(self, *moved):
        self.moved = list(moved)

    async def latest(self):
        return self.moved.pop(0)


@pytest.fixture
def composer():
    return Sentiments(BOTH, [ScriptedFlow()])


def compose(composer, fetched, known=Known(), *, now=NOON, full=False):  # noqa: B008 - frozen
    """Compose, and look at every ``data`` with the eyes of the contract."""
    if isinstance(fetched, Flow):
        fetched = Fetched({"binance": fetched})
    composition = composer.compose(fetched, known, now=now, full=full)
    for data in composition.content.values():
        schema("binaryData").validate(json.loads(data))
    assert set(composition.updates) <= set(composition.content)
    return composition


def after(composition):
    return Known(composition.content, composition.state)


def test_every_instrument_and_the_market_are_told_with_three_digits(composer):
    composition = compose(composer, flow())
    assert list(composition.content) == ["BTC", "ETH", MARKET]
    # flow .5 + .25 * 200/400 = .625, book .5 + .25 * 1/61 = .504098: (.6 * .625 + .2 * .504098) / .8 = .594775
    assert composition.content["BTC"] == (
        b'{"method":"flow-sentiment/1","horizons":['
        b'{"h":"1m","expiry":1741226460000,"call":0.595,"put":0.405,"index":60,"label":"NEUTRAL",'
        b'"parts":{"flow":0.750,"book":0.750},"n":200},'
        b'{"h":"5m","expiry":1741226700000,"call":0.595,"put":0.405,"index":60,"label":"BULLISH",'
        b'"parts":{"flow":0.750,"book":0.750},"n":200},'
        b'{"h":"15m","expiry":1741227300000,"call":0.595,"put":0.405,"index":60,"label":"BULLISH",'
        b'"parts":{"flow":0.750,"book":0.750},"n":200}],'
        b'"source":"binance","ts":1741226400000,"stale":false}'
    )
    assert composition.updates == composition.content


@pytest.mark.parametrize(
    "wrong",
    [
        {"call": 1.001},
        {"call": None},
        {"label": "CALM"},
        {"index": 59.5},
        {"h": "1h"},
        {"parts": {"long": 0.5}},
        {"n": -1},
        {"expiry": None},
    ],
)
def test_the_contract_tells_a_wrong_sentiment(composer, wrong):
    told = json.loads(compose(composer, flow()).content["BTC"])
    told["horizons"][0] |= wrong
    assert not schema("binaryData").is_valid(told)


def test_the_contract_tells_a_reason_beside_values_and_nothing_without_a_reason(composer):
    told = json.loads(compose(composer, flow()).content["BTC"])
    for wrong in ({"reason": "closed"}, {"source": None}, {"market": "asleep"}, {"proxy": False}):
        assert not schema("binaryData").is_valid(told | wrong)
    nothing = json.loads(compose(composer, flow(book=None, traded={"BTC": [], "ETH": []})).content["BTC"])
    del nothing["reason"]
    assert not schema("binaryData").is_valid(nothing)


# Forex and metals: of trades, or of prices, and closed at the weekend.

SILVER = replace(GOLD, symbol="XAG", name="Silver", sources={"gold-api": "XAG"}, proxies=frozenset())
SATURDAY = NOON + 2 * 86_400_000
SUNDAY_EVENING = 1_741_554_000_000  # 2025-03-09, 17:00 in New York


def resting(now=lambda: NOON):
    return Sentiments([BITCOIN, EURO, GOLD, SILVER], [ScriptedFlow(), ScriptedFlow(name="kraken")], now=now)


def fetched(at=NOON, moved=None, *, bought="1.5", **kraken):
    """What both providers say at ``at``, and how prices have moved."""
    symbols = kraken.pop("symbols", ("EURUSD", "XAU"))
    told = flow(at, bought=bought, symbols=symbols, source="kraken", **kraken)
    return Fetched({"binance": flow(at, symbols=["BTC"]), "kraken": told}, moved or Moved())


def moved(at, halves, ticks, symbols=("XAG",)):
    return Moved(at, dict.fromkeys(symbols, Moves(halves, ticks)), dict.fromkeys(symbols, "gold-api"))


def told_of(composition, symbol, horizon=1):
    data = json.loads(composition.content[symbol])
    return data, data["horizons"][horizon]


def test_forex_and_gold_are_told_of_their_trades_and_gold_as_a_proxy():
    composition = compose(resting(), fetched())
    assert list(composition.content) == ["BTC", "EURUSD", "XAU", "XAG", MARKET]
    euro, horizon = told_of(composition, "EURUSD")
    assert (euro["source"], euro["market"], euro.get("proxy"), euro.get("reason")) == ("kraken", "open", None, None)
    assert (horizon["call"], horizon["n"], horizon["label"], horizon.get("basis")) == (0.595, 200, "BULLISH", None)
    gold, horizon = told_of(composition, "XAU")
    assert (gold["market"], gold["proxy"], horizon["call"]) == ("open", True, 0.595)
    coin, _ = told_of(composition, "BTC")
    assert {"market", "proxy", "reason"} & coin.keys() == set()


def test_the_market_is_that_of_crypto_alone():
    composition = compose(resting(), fetched(bought="0"))
    assert told_of(composition, MARKET)[1]["call"] == told_of(composition, "BTC")[1]["call"] == 0.595
    assert told_of(composition, "EURUSD")[1]["call"] < 0.5


def test_without_a_source_of_trades_the_market_streams_prices_are_judged():
    composer = resting()
    first = compose(composer, fetched(moved=moved(NOON - 2_000, 100, 70)))
    silver, horizon = told_of(first, "XAG")
    # What was counted before has no minute of its own.
    assert (silver["reason"], silver["source"], horizon["call"], horizon["n"]) == ("no_data", None, None, 0)
    at = NOON + PERIOD
    # Four rises, one fall and a tie: .75; .5 + .25 * 6/66 = .522727
    second = compose(composer, fetched(at, moved(at - 2_000, 109, 76)), after(first), now=at)
    silver, horizon = told_of(second, "XAG")
    assert (silver["source"], silver["ts"], silver["stale"], silver["market"]) == (
        "gold-api",
        at - 2_000,
        False,
        "open",
    )
    assert (horizon["call"], horizon["parts"], horizon["n"], horizon["basis"]) == (0.523, {"flow": 0.75}, 6, "mids")
    assert "reason" not in silver
    assert "proxy" not in silver
    # A market stream that has died says nothing new, and so the value grows stale.
    for late, stale in ((2 * PERIOD, False), (3 * PERIOD, True)):
        third = compose(composer, fetched(NOON + late, moved(at - 2_000, 109, 76)), after(second), now=NOON + late)
        silver, horizon = told_of(third, "XAG")
        assert (silver["stale"], horizon["n"], silver["ts"]) == (stale, 6, at - 2_000)


def test_prices_stand_in_for_trades_only_in_a_horizon_that_has_none():
    composer = resting()
    both = ("EURUSD", "XAU", "XAG")
    first = compose(composer, fetched(moved=moved(NOON, 0, 0, both), book=None))
    at = NOON + 2 * MINUTE_MS
    told = fetched(at - PERIOD, moved(at - PERIOD, 0, 0, both), book=None)
    between = compose(composer, told, after(first), now=at - PERIOD)
    old = TradedMinute(NOON, Decimal(2), Decimal(2), Decimal(2), 200)
    traded = {"EURUSD": [old], "XAU": []}
    told = fetched(at, moved(at, 24, 12, both), traded=traded, book=None)
    composition = compose(composer, told, after(between), now=at)
    euro = told_of(composition, "EURUSD")[0]
    # .5 + .5 * 12/72 = .583333 of twelve rises; .5 + .5 * 200/400 = .75 of the trades of two minutes ago
    assert [(one["call"], one["n"], one.get("basis")) for one in euro["horizons"]] == [
        (0.583, 12, "mids"),
        (0.75, 200, None),
        (0.75, 200, None),
    ]
    assert euro["source"] == "gold-api, kraken"
    gold = told_of(composition, "XAU")[0]
    assert [one["basis"] for one in gold["horizons"]] == ["mids"] * 3
    assert gold["proxy"] is True


async def test_at_the_weekend_forex_and_metals_are_closed_and_nobody_is_asked_about_them():
    clock = Clock(SATURDAY)
    binance, kraken = ScriptedFlow(flow(SATURDAY, symbols=["BTC"])), ScriptedFlow(name="kraken")
    composer = Sentiments([BITCOIN, EURO, GOLD, SILVER], [binance, kraken], moved=Moving(Moved()), now=clock)
    told = await composer.fetch(within=1)
    assert (binance.asked, kraken.asked) == ([["BTC"]], [])
    friday = compose(resting(), fetched(moved=moved(NOON, 1, 1)))
    composition = compose(composer, told, after(friday), now=SATURDAY)
    for symbol in ("EURUSD", "XAU", "XAG"):
        data, horizon = told_of(composition, symbol)
        assert (data["reason"], data["market"], data["stale"], data["source"]) == ("closed", "closed", False, None)
        assert [horizon[member] for member in ("call", "put", "index", "label", "parts", "n")] == [*[None] * 4, {}, 0]
        assert horizon["expiry"] == SATURDAY + 5 * MINUTE_MS
    assert told_of(composition, "BTC")[1]["call"] == 0.595
    assert list(json.loads(composition.state)["book"]) == ["BTC"]


def test_after_the_weekend_there_is_nothing_until_somebody_answers():
    composer = resting()
    closed = compose(composer, fetched(SUNDAY_EVENING - 1), now=SUNDAY_EVENING - 1)
    assert told_of(closed, "EURUSD")[0]["reason"] == "closed"
    silent = Fetched({"binance": flow(SUNDAY_EVENING, symbols=["BTC"]), "kraken": replace(DOWN)})
    opened = compose(composer, silent, after(closed), now=SUNDAY_EVENING)
    assert told_of(opened, "EURUSD")[0] | {"horizons": []} == {
        "method": "flow-sentiment/1",
        "horizons": [],
        "source": None,
        "ts": SUNDAY_EVENING,
        "stale": False,
        "reason": "no_answer",
        "market": "open",
    }
    later = compose(composer, silent, after(opened), now=SUNDAY_EVENING + 10 * PERIOD)
    assert told_of(later, "EURUSD")[0]["reason"] == "no_answer"
    back = compose(composer, fetched(SUNDAY_EVENING + PERIOD), after(opened), now=SUNDAY_EVENING + PERIOD)
    assert told_of(back, "EURUSD")[1]["call"] == 0.595


def test_a_silent_kraken_leaves_its_last_values_and_costs_crypto_nothing():
    composer = resting()
    first = compose(composer, fetched())
    at = NOON + 2 * PERIOD + 1
    silent = Fetched(
        {"binance": flow(at, symbols=["BTC"]), "kraken": Flow(at, faults=[Unreachable("kraken", "timed out")])}
    )
    composition = compose(composer, silent, after(first), now=at)
    assert composition.faults == ["kraken: timed out"]
    assert told_of(composition, "EURUSD")[0] == told_of(first, "EURUSD")[0] | {"stale": True}
    assert told_of(composition, "BTC")[0]["stale"] is False
    # Nor does it judge by prices what has trades somewhere.
    assert "basis" not in told_of(composition, "XAU")[1]


def test_without_anything_at_all_a_crypto_instrument_says_so(composer):
    told = flow(book=None, traded={"BTC": [], "ETH": []})
    data, horizon = told_of(compose(composer, told), "BTC")
    assert (data["reason"], data["source"], horizon["call"]) == ("no_data", "binance", None)


def test_the_market_is_weighed_by_turnover(composer):
    large, small = flow(bought="2", turnover="300", symbols=["BTC"]), flow(bought="0", turnover="100", symbols=["ETH"])
    told = replace(large, traded=large.traded | small.traded, sources=large.sources | small.sources, book={})
    market = json.loads(compose(composer, told).content[MARKET])
    # .5 + .5 * 200/400 = .75 and .25: (.75 * 300 + .25 * 100) / 400 = .625
    assert [(one["call"], one["parts"], one["n"]) for one in market["horizons"]] == [(0.625, {"flow": 0.75}, 400)] * 3


async def test_each_instrument_is_asked_of_its_first_source_that_has_order_flow():
    binance, kraken = ScriptedFlow(DOWN), ScriptedFlow(Flow(NOON), name="kraken")
    both = replace(BITCOIN, sources={"binance": "BTCUSDT", "kraken": "XBTUSD"})
    elsewhere = replace(ETHER, sources={"kraken": "ETHUSD"})
    silver = replace(GOLD, symbol="XAG", sources={"gold-api": "XAG"}, proxies=frozenset())
    composer = Sentiments([both, elsewhere, EURO, GOLD, silver], [binance, kraken], now=lambda: NOON)
    fetched = await composer.fetch(within=1)
    assert (binance.asked, kraken.asked) == ([["BTC"]], [["ETH", "EURUSD", "XAU"]])
    assert fetched == Fetched({"binance": DOWN, "kraken": Flow(NOON)})
    await composer.close()
    assert (binance.closed, kraken.closed) == (True, True)


def test_an_instrument_may_not_be_called_like_the_market():
    with pytest.raises(ValueError, match="MARKET is the market's own symbol"):
        Sentiments([replace(BITCOIN, symbol=MARKET)], [ScriptedFlow()])


def test_what_says_the_same_is_not_told_again_unless_the_tick_is_full(composer):
    first = compose(composer, flow(book=None), now=NOON)
    again = flow(NOON + PERIOD, book=None)
    second = compose(composer, again, after(first), now=NOON + PERIOD)
    assert second.updates == {}
    assert json.loads(second.content["BTC"])["ts"] == NOON + PERIOD
    full = compose(composer, again, after(first), now=NOON + PERIOD, full=True)
    assert full.updates == full.content
    # A new minute has a new expiry.
    later = compose(composer, again, after(first), now=NOON + 2 * PERIOD)
    assert set(later.updates) == {"BTC", "ETH", MARKET}
    changed = compose(
        composer, replace(again, traded=again.traded | flow(bought="0").traded), after(first), now=NOON + PERIOD
    )
    assert set(changed.updates) == {"BTC", "ETH", MARKET}


def test_the_mean_of_the_book_runs_on_from_tick_to_tick(composer):
    known = Known()
    for number, share in enumerate((1_000_000, 500_000, 0, 0)):
        at = NOON + number * PERIOD
        known = after(compose(composer, flow(at, book=share), known, now=at))
    parts = [one["parts"]["book"] for one in json.loads(known.content["BTC"])["horizons"]]
    assert parts == [0.375, 0.375, 0.375]
    at = NOON + 4 * PERIOD
    parts = [
        one["parts"]["book"]
        for one in json.loads(compose(composer, flow(at, book=0), known, now=at).content["BTC"])["horizons"]
    ]
    assert parts == [0.0, 0.3, 0.3]  # the first minute is out of reach of the shortest horizon


def test_without_an_answer_the_last_values_stay_and_grow_stale_after_two_periods(composer):
    first = compose(composer, flow(source="simulated"))
    for late, stale in ((PERIOD, False), (2 * PERIOD, False), (2 * PERIOD + 1, True)):
        composition = compose(composer, DOWN, after(first), now=NOON + late)
        assert json.loads(composition.content["BTC"]) == json.loads(first.content["BTC"]) | {"stale": stale}
        assert set(composition.updates) == ({"BTC", "ETH", MARKET} if stale else set())
        assert composition.state == first.state
        assert composition.faults == ["binance: timed out"]
    stale = after(composition)
    assert compose(composer, DOWN, stale, now=NOON + 4 * PERIOD).updates == {}
    back = compose(composer, flow(NOON + 4 * PERIOD), stale, now=NOON + 4 * PERIOD)
    assert not json.loads(back.updates["ETH"])["stale"]


def test_one_instrument_without_candles_keeps_its_value_and_its_book(composer):
    first = compose(composer, flow())
    told = flow(NOON + PERIOD, bought="0")
    told = replace(told, traded={"BTC": told.traded["BTC"]}, sources={"BTC": "binance"})
    second = compose(composer, told, after(first), now=NOON + PERIOD)
    assert second.content["ETH"] == first.content["ETH"]
    assert set(second.updates) == {"BTC", MARKET}
    assert json.loads(second.state)["book"]["ETH"] == [[NOON, 1_500_000, 2]]


def test_before_the_first_answer_there_is_nothing_and_without_trades_nothing_is_judged(composer):
    assert (compose(composer, DOWN).content, compose(composer, DOWN).state) == ({}, b"")
    nothing = [TradedMinute(NOON, Decimal(0), Decimal(0), Decimal(0), 0)]
    told = flow(book=None, traded={"BTC": nothing, "ETH": []}, sources={"BTC": "binance", "ETH": "binance"})
    for data in compose(composer, told).content.values():
        for horizon in json.loads(data)["horizons"]:
            assert [horizon[member] for member in ("call", "put", "index", "label", "parts", "n")] == [
                *[None] * 4,
                {},
                0,
            ]


def test_what_another_version_has_written_counts_as_not_known(composer, caplog):
    known = Known({"BTC": b'{"method":"flow-sentiment/0"}', "OLD": b"{}"}, b'{"book":7}')
    composition = compose(composer, flow(), known)
    assert composition.content == compose(composer, flow()).content
    assert "the last sentiment of BTC cannot be read" in caplog.text
    assert "the binary stream's state cannot be read" in caplog.text


def test_an_instrument_that_is_not_traded_any_more_is_forgotten(composer):
    known = after(compose(composer, flow()))
    alone = compose(Sentiments([BITCOIN], [ScriptedFlow()]), flow(symbols=["BTC"]), known)
    assert list(alone.content) == ["BTC", MARKET]
    assert list(json.loads(alone.state)["book"]) == ["BTC"]


async def test_two_schedulers_in_turn_say_what_one_would():
    """Through whole ticks, some of which send nothing: state goes by the snapshot or the claim, not by the process."""
    first = NOON // PERIOD
    assert first % FULL_EVERY == 0
    flows, counts = {}, {}
    for number in range(26):
        at = (first + number) * PERIOD
        told = flow(at, bought=str(number % 3), book=number * 38_000)
        flows[number] = told if number % 7 else replace(told, traded={}, sources={})
        counts[number] = moved(at - 1_000, number * number % 7 + 6 * number, 6 * number)
        if number and not number % 7:
            counts[number] = counts[number - 1]
    posted = []
    for schedulers in (1, 2):
        clock, gateway = Clock(), RecordingGateway()
        watching = InMemoryConnectionStore(follower("all=", stream="binary"))
        ports = Ports(InMemoryClaimStore(), InMemorySnapshotStore(), watching, gateway)
        composers = [
            Sentiments([*BOTH, SILVER], [ScriptedFlow()], moved=Moving(), now=clock) for _ in range(schedulers)
        ]
        for number, told in flows.items():
            clock.at = (first + number) * PERIOD
            composer = composers[number % schedulers]
            composer._providers["binance"].flows = [told]
            composer._moved.moved = [counts[number]]
            report = await tick("binary", first + number, composer=composer, ports=ports, now=clock)
            assert report.outcome in {"sent", "quiet"}
        posted.append([message for _, message in gateway.posts])
    assert posted[0] == posted[1]
    assert len(posted[0]) == 24
    for message in posted[0]:
        assert validate_message(message)["type"] == "binary_batch"
