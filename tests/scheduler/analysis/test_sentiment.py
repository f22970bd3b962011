"""flow-sentiment/1: figures worked by hand, what holds for any market, and what recorded candles say of it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.analysis.sentiment import (
    HORIZONS,
    LONGEST_MS,
    MILLION,
    MINUTE_MS,
    TickMinute,
    TradedMinute,
    add_ticks,
    book_share,
    judge,
    label_of,
    mean,
    measure,
)

SHARED = os.environ.get("TICKWIRE_SHARED")
recorded = pytest.mark.skipif(SHARED is None, reason="TICKWIRE_SHARED does not name the folder of recorded answers")
NOON = 1_741_226_400_000
NOW = NOON + 30_000
ONE, FIVE, FIFTEEN = HORIZONS


def minute(before, volume, bought, trades=100, *, turnover="1"):
    """What was traded in the minute that began so many minutes before the one under way."""
    return TradedMinute(NOON - before * MINUTE_MS, Decimal(volume), Decimal(bought), Decimal(turnover), trades)


def booked(before, share, ticks):
    return TickMinute(NOON - before * MINUTE_MS, round(Fraction(share) * MILLION) * ticks, ticks)


def sentiment(traded=(), book=(), horizon=FIVE, moved=(), *, now=NOW):
    return judge(horizon, measure(horizon, traded, book, moved, now=now), now=now)


# Worked by hand.


def test_flow_and_book_make_the_call_by_weight_after_each_is_drawn_to_one_half():
    # flow 560/1000 = .56, 1,200 trades: .5 + .06 * 1200/1400 = .551429
    # book .51, 10 ticks: .5 + .01 * 10/70 = .501429
    # call (.6 * .551429 + .2 * .501429) / .8 = .538929
    traded = [minute(before, "250", "140", 300) for before in (0, 1, 2, 3)]
    book = [booked(before, "0.51", 2) for before in range(5)]
    found = sentiment(traded, book)
    assert found.parts == {"flow": Decimal("0.560"), "book": Decimal("0.510")}
    assert (found.call, found.put, found.index, found.n) == (Decimal("0.539"), Decimal("0.461"), 54, 1_200)
    assert found.label == "NEUTRAL"


def test_a_part_alone_has_all_the_weight():
    # .5 + .4 * 200/400 = .7 and .5 - .25 * 60/120 = .375
    assert sentiment([minute(0, "10", "9", 200)]).call == Decimal("0.700")
    assert sentiment(book=[booked(1, "0.25", 60)]).call == Decimal("0.375")


@pytest.mark.parametrize(("trades", "call"), [(0, "0.500"), (1, "0.502"), (200, "0.750"), (1_000_000, "1.000")])
def test_the_more_trades_the_more_the_flow_counts(trades, call):
    assert sentiment([minute(0, "10", "10", trades)]).call == Decimal(call)


def test_a_horizon_holds_its_last_full_minutes_and_the_one_under_way():
    traded = [minute(before, "1", "0", 10**before) for before in (0, 1, 2, 5, 6)]
    assert [sentiment(traded, horizon=horizon).n for horizon in HORIZONS] == [11, 100_111, 1_100_111]
    book = [booked(0, "0.2", 1), booked(1, "0.4", 3), booked(2, "1", 9)]
    assert sentiment(book=book, horizon=ONE).parts == {"book": Decimal("0.350")}


def test_expiry_is_the_end_of_the_horizon_on_the_clocks_grid():
    at = 1_741_226_400_000 + 7 * MINUTE_MS + 12_345  # 02:07:12 UTC
    assert [sentiment(horizon=horizon, now=at).expiry - NOON for horizon in HORIZONS] == [480_000, 600_000, 900_000]
    assert sentiment(horizon=ONE, now=NOON).expiry == NOON + MINUTE_MS


def test_without_trades_and_without_a_book_there_is_nothing_to_say():
    found = sentiment([minute(0, "0", "0", 0)])
    assert (found.call, found.put, found.index, found.label, found.parts, found.n) == (None, None, None, None, {}, 0)
    assert sentiment() == found


def test_without_trades_the_book_alone_is_judged():
    assert sentiment([minute(0, "0.00000000", "0", 0)], [booked(0, "1", 60)]).parts == {"book": Decimal("1.000")}


def test_without_trades_the_middle_price_stands_in_for_them_and_says_so():
    # 12 ticks, 5 up and 2 down: (5 + 5/2) / 12 = .625; .5 + .125 * 12/72 = .520833
    moved = [TickMinute(NOON - MINUTE_MS, 7 * MILLION + MILLION // 2, 12)]
    found = sentiment([minute(0, "0", "0", 0)], moved=moved)
    assert (found.call, found.parts, found.n, found.basis) == (Decimal("0.521"), {"flow": Decimal("0.625")}, 12, "mids")
    # Beside a book: (.6 * .520833 + .2 * .375) / .8 = .484375
    assert sentiment([], [booked(1, "0.25", 60)], moved=moved).call == Decimal("0.484")
    # A single trade has the word.
    found = sentiment([minute(0, "1", "0", 1)], moved=moved)
    assert (found.parts, found.n, found.basis) == ({"flow": Decimal("0.000")}, 1, None)


@pytest.mark.parametrize(
    ("horizon", "bounds"),
    [(ONE, ("0.600", "0.800")), (FIVE, ("0.580", "0.740")), (FIFTEEN, ("0.560", "0.680"))],
    ids=["1m", "5m", "15m"],
)
def test_labels_begin_at_half_a_scale_and_at_one_and_a_half(horizon, bounds):
    bullish, strong = map(Decimal, bounds)
    thousandth = Decimal("0.001")
    named = [label_of(call, horizon) for call in (bullish - thousandth, bullish, strong - thousandth, strong)]
    assert named == ["NEUTRAL", "BULLISH", "BULLISH", "STRONG_BULLISH"]
    named = [label_of(1 - call, horizon) for call in (bullish - thousandth, bullish, strong - thousandth, strong)]
    assert named == ["NEUTRAL", "BEARISH", "BEARISH", "STRONG_BEARISH"]


def test_a_market_is_the_mean_of_its_instruments_by_turnover():
    large = measure(FIVE, [minute(0, "10", "9", 200, turnover="300")], [], now=NOW)
    small = measure(FIVE, [minute(0, "10", "1", 200, turnover="100")], [booked(0, "0.5", 7)], now=NOW)
    # The large one .5 + .4 / 2 = .7; the small one .3 of flow and .5 of book: (.6 * .3 + .2 * .5) / .8 = .35
    # The market (.7 * 300 + .35 * 100) / 400 = .6125, to the even .612
    found = judge(FIVE, mean([large, small]), now=NOW)
    assert (found.call, found.n) == (Decimal("0.612"), 400)
    assert found.parts == {"flow": Decimal("0.700"), "book": Decimal("0.500")}


def test_what_is_not_traded_has_no_say_in_the_market():
    traded = measure(FIVE, [minute(0, "10", "9", 200)], [], now=NOW)
    idle = measure(FIVE, [], [booked(0, "0", 500)], now=NOW)
    assert judge(FIVE, mean([traded, idle]), now=NOW) == judge(FIVE, traded, now=NOW)
    assert judge(FIVE, mean([idle]), now=NOW).call is None
    assert mean([]).call is None


def test_ticks_of_the_book_are_added_up_by_the_minute_and_dropped_when_no_horizon_reaches_them():
    minutes = []
    for number, share in enumerate((600_000, 500_000, 250_000)):
        minutes = add_ticks(minutes, share, now=NOON + number * 30_000)
    assert minutes == [TickMinute(NOON, 1_100_000, 2), TickMinute(NOON + MINUTE_MS, 250_000, 1)]
    later = NOON + LONGEST_MS
    assert add_ticks(minutes, 1, now=later)[:2] == minutes
    assert add_ticks(minutes, 1, now=later + MINUTE_MS) == [minutes[1], TickMinute(later + MINUTE_MS, 1, 1)]


def test_the_books_share_is_the_bids_part_of_the_best_prices_quantities():
    assert book_share(Decimal("0.14123000"), Decimal("0.09415000")) == 600_008
    assert book_share(Decimal(0), Decimal(3)) == 0
    assert book_share(Decimal("0.00000000"), Decimal(0)) is None


# What holds for any market.

QUANTITIES = st.decimals(min_value=0, max_value=10**12, places=8)
TRADED = st.builds(
    lambda before, volumes, turnover, trades: TradedMinute(
        NOON - before * MINUTE_MS, max(volumes), min(volumes), turnover, trades
    ),
    st.integers(0, 20),
    st.tuples(QUANTITIES, QUANTITIES) | st.just((Decimal(0), Decimal(0))) | st.tuples(QUANTITIES, st.just(Decimal(0))),
    QUANTITIES,
    st.integers(0, 10**7),
)
BOOKED = st.builds(
    lambda before, ticks, share: TickMinute(NOON - before * MINUTE_MS, share * ticks, ticks),
    st.integers(0, 20),
    st.integers(1, 12),
    st.integers(0, MILLION),
)
MARKETS = st.tuples(
    st.lists(TRADED, max_size=16) | st.just([]), st.lists(BOOKED, max_size=16), st.lists(BOOKED, max_size=16)
)


def swapped(traded, *ticks):
    return (
        [replace(one, bought=one.volume - one.bought) for one in traded],
        *(
            [msgspec.structs.replace(one, shares=one.ticks * MILLION - one.shares) for one in minutes]
            for minutes in ticks
        ),
    )


OPPOSITE = {
    None: None,
    "NEUTRAL": "NEUTRAL",
    "BULLISH": "BEARISH",
    "BEARISH": "BULLISH",
    "STRONG_BULLISH": "STRONG_BEARISH",
    "STRONG_BEARISH": "STRONG_BULLISH",
}


def check(found, other, horizon):
    if found.call is None:
        assert (found.put, found.index, found.label, other.call) == (None, None, None, None)
        return
    assert 0 <= found.call <= 1
    assert found.call + found.put == 1
    assert 0 <= found.index <= 100
    assert abs(found.index - 100 * found.call) <= Decimal("0.5")
    z = abs(found.call - Decimal("0.5")) / horizon.scale
    strength = "NEUTRAL" if z < Decimal("0.5") else "" if z < Decimal("1.5") else "STRONG_"
    side = "" if strength == "NEUTRAL" else "BULLISH" if found.call > found.put else "BEARISH"
    assert found.label == strength + side
    assert (other.call, other.put) == (found.put, found.call)
    assert (other.index, other.label, other.n) == (100 - found.index, OPPOSITE[found.label], found.n)
    assert other.basis == found.basis
    assert other.parts == {name: 1 - share for name, share in found.parts.items()}
    assert all(0 <= share <= 1 for share in found.parts.values())


@given(market=MARKETS, horizon=st.sampled_from(HORIZONS))
def test_any_sentiment_is_a_share_and_the_other_one_when_the_sides_are_swapped(market, horizon):
    traded, book, moved = market
    found = sentiment(traded, book, horizon, moved)
    traded, book, moved = swapped(*market)
    check(found, sentiment(traded, book, horizon, moved), horizon)


@settings(max_examples=30)
@given(markets=st.lists(MARKETS, max_size=4), horizon=st.sampled_from(HORIZONS))
def test_any_markets_mean_is_a_share_between_its_instruments(markets, horizon):
    measured = [measure(horizon, *market, now=NOW) for market in markets]
    other = [measure(horizon, *swapped(*market), now=NOW) for market in markets]
    found = mean(measured)
    check(judge(horizon, found, now=NOW), judge(horizon, mean(other), now=NOW), horizon)
    if found.call is not None:
        calls = [one.call for one in measured if one.call is not None]
        assert min(calls) <= found.call <= max(calls)


@given(QUANTITIES, QUANTITIES)
def test_any_books_share_is_the_rest_when_the_sides_are_swapped(bid, ask):
    share, other = book_share(bid, ask), book_share(ask, bid)
    assert (share, other) == (None, None) if bid == ask == 0 else share + other == MILLION


# Recorded candles.


@recorded
def test_recorded_candles_give_the_shares_they_have():
    """Binance's five-minute candles of 2026-02-12 and 13, in place of those of a minute: only the scale differs."""
    folder = Path(SHARED) / "market" / "recordings"
    rows = json.loads((folder / "binance_klines_BTCUSDT_5m_500.json").read_text(encoding="utf-8"))
    candles = [
        TradedMinute(NOON, volume=Decimal(row[5]), bought=Decimal(row[9]), turnover=Decimal(row[7]), trades=row[8])
        for row in rows
    ]
    # The first: 12.00001 of 36.40197 bought = .329653, in 16,224 trades: .5 - .170347 * 16224/16424 = .331727
    first = sentiment(candles[:1])
    assert (first.parts, first.n) == ({"flow": Decimal("0.330")}, 16_224)
    assert (first.call, first.put, first.index, first.label) == (Decimal("0.332"), Decimal("0.668"), 33, "BEARISH")
    # The last six as the minutes of one horizon: their volumes are added up, not their shares.
    last = sentiment([replace(one, at=NOON - before * MINUTE_MS) for before, one in enumerate(reversed(candles[-16:]))])
    rows_of_it = rows[-6:]
    share = sum(float(row[9]) for row in rows_of_it) / sum(float(row[5]) for row in rows_of_it)
    n = sum(row[8] for row in rows_of_it)
    assert (last.n, float(last.call)) == (n, pytest.approx(0.5 + (share - 0.5) * n / (n + 200), abs=0.0005))
    # As measured on all 10,000: the share agrees with the move of its own minutes, and says nothing of the next.
    flows = [measure(FIVE, [candle], [], now=NOW).flow for candle in candles]
    moves = [Decimal(row[4]) - Decimal(row[1]) for row in rows]
    with_its_own = agreement(flows, moves)
    with_the_next = agreement(flows[:-1], moves[1:])
    assert 0.65 < with_its_own < 0.8
    assert 0.42 < with_the_next < 0.58
    # The scale fits real candles: half of them are neutral, and few are strong.
    labels = [sentiment([candle]).label for candle in candles]
    assert 200 < labels.count("NEUTRAL") < 300
    assert sum(label.startswith("STRONG") for label in labels) < 50


def agreement(flows, moves):
    """How often more was bought than sold when the price rose, or the reverse; ties are left out."""
    pairs = [(flow > Fraction(1, 2), move > 0) for flow, move in zip(flows, moves, strict=True) if move]
    return sum(bought is rose for bought, rose in pairs) / len(pairs)
