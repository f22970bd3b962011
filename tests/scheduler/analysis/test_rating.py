"""The rules by which indicators vote, each on readings of its own, and what votes come to on whole series."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talipp.ohlcv import OHLCV

from scheduler.analysis.indicators import Cloud, Indicators, Readings, Then
from scheduler.analysis.rating import MA_VOTES, OSC_VOTES, Counts, label, rate, tally, votes
from tests.scheduler.analysis.series import flat, made_up, recorded, recordings

NOTHING = Then()
NEUTRAL = Readings(
    close=100.0,
    averages=dict.fromkeys(MA_VOTES[:-1], 100.0),
    cloud=Cloud(100.0, 100.0, 100.0, 100.0, 100.0),
    rsi=Then(50.0, 50.0),
    stochastic=(Then(50.0, 50.0), Then(50.0, 50.0)),
    cci=Then(0.0, 0.0),
    adx=Then(10.0, 10.0),
    plus_di=20.0,
    minus_di=20.0,
    awesome=Then(1.0, 1.0, 1.0),
    momentum=Then(1.0, 1.0),
    macd=1.0,
    signal=1.0,
    trend=100.0,
    stoch_rsi=(Then(50.0), Then(50.0)),
    williams=Then(-50.0, -50.0),
    bull=Then(1.0, 1.0),
    bear=Then(-1.0, -1.0),
    ultimate=50.0,
    atr=1.0,
)
UP, DOWN = {"trend": 99.0}, {"trend": 101.0}


def k_and_d(k, d, before=50.0):
    return Then(k, 50.0), Then(d, before)


@recorded
def test_the_known_rating_of_a_recorded_series_comes_out():
    rating = rate(recordings()["BTCUSDT"])
    assert (round(rating.rating, 5), round(rating.ma, 5), round(rating.osc, 5)) == (0.60303, 0.93333, 0.27273)
    assert rating.label == "STRONG_BUY"


def test_there_are_fifteen_and_eleven_votes_by_their_names():
    assert (len(MA_VOTES), len(OSC_VOTES)) == (15, 11)
    cast = votes(NEUTRAL)
    assert (*cast,) == (*MA_VOTES, *OSC_VOTES)
    assert set(cast.values()) == {0}


@pytest.mark.parametrize("name", MA_VOTES[:-1])
def test_an_average_below_the_price_says_buy(name):
    def with_average(value):
        return votes(replace(NEUTRAL, averages=NEUTRAL.averages | {name: value}))[name]

    assert [with_average(value) for value in (99.0, 100.0, 101.0, None)] == [1, 0, -1, None]
    assert [with_average(value) for value in (100.0 * (1 - 1e-14), 100.0 * (1 + 1e-14))] == [0, 0]


@pytest.mark.parametrize(
    ("name", "changes", "vote"),
    [
        ("Ichimoku", {"cloud": Cloud(99.0, 98.0, 97.0, 96.0, 0.0)}, 1),
        ("Ichimoku", {"cloud": Cloud(101.0, 102.0, 103.0, 104.0, 0.0)}, -1),
        ("Ichimoku", {"cloud": Cloud(99.0, 98.0, 97.0, 97.0, 0.0)}, 0),
        ("Ichimoku", {"cloud": Cloud(99.0, 98.0, 98.0, 96.0, 0.0)}, 0),
        ("Ichimoku", {"cloud": Cloud(98.0, 98.0, 97.0, 96.0, 0.0)}, 0),
        ("Ichimoku", {"cloud": Cloud(100.0, 98.0, 97.0, 96.0, 0.0)}, 0),
        ("Ichimoku", {"cloud": Cloud(99.0, 98.0, None, None, 0.0)}, 0),
        ("Ichimoku", {"cloud": Cloud(99.0, 98.0, 97.0, 96.0, None)}, None),
        ("RSI", {"rsi": Then(29.9, 29.0)}, 1),
        ("RSI", {"rsi": Then(29.9, 29.95)}, 0),
        ("RSI", {"rsi": Then(30.0, 29.0)}, 0),
        ("RSI", {"rsi": Then(30.0 - 1e-12, 29.0)}, 0),
        ("RSI", {"rsi": Then(70.1, 71.0)}, -1),
        ("RSI", {"rsi": Then(70.1, 70.0)}, 0),
        ("RSI", {"rsi": Then(20.0 + 1e-13, 20.0)}, 0),
        ("RSI", {"rsi": Then(29.0)}, None),
        ("RSI", {"rsi": NOTHING}, None),
        ("Stoch", {"stochastic": k_and_d(19.0, 18.0)}, 1),
        ("Stoch", {"stochastic": k_and_d(18.0, 19.0)}, 0),
        ("Stoch", {"stochastic": k_and_d(20.0, 19.0)}, 0),
        ("Stoch", {"stochastic": k_and_d(20.0 - 1e-12, 19.0)}, 0),
        ("Stoch", {"stochastic": k_and_d(80.0 + 1e-12, 82.0)}, 0),
        ("Stoch", {"stochastic": k_and_d(81.0, 82.0)}, -1),
        ("Stoch", {"stochastic": k_and_d(82.0, 81.0)}, 0),
        ("Stoch", {"stochastic": k_and_d(19.0, 18.0, before=None)}, None),
        ("Stoch", {"stochastic": (NOTHING, Then(None, 50.0))}, None),
        ("CCI", {"cci": Then(-101.0, -102.0)}, 1),
        ("CCI", {"cci": Then(-100.0, -102.0)}, 0),
        ("CCI", {"cci": Then(100.0 + 1e-12, 102.0)}, 0),
        ("CCI", {"cci": Then(101.0, 102.0)}, -1),
        ("CCI", {"cci": Then(101.0, 100.5)}, 0),
        ("CCI", {"cci": Then(-101.0)}, None),
        ("ADX", {"adx": Then(21.0, 20.5), "plus_di": 30.0}, 1),
        ("ADX", {"adx": Then(21.0, 20.5), "minus_di": 30.0}, -1),
        ("ADX", {"adx": Then(21.0, 20.5)}, 0),
        ("ADX", {"adx": Then(21.0, 21.5), "plus_di": 30.0}, 0),
        ("ADX", {"adx": Then(20.0, 19.0), "plus_di": 30.0}, 0),
        ("ADX", {"adx": Then(20.0 + 1e-12, 19.0), "plus_di": 30.0}, 0),
        ("ADX", {"adx": Then(21.0), "plus_di": 30.0}, 0),
        ("ADX", {"adx": NOTHING, "plus_di": None, "minus_di": None}, None),
        ("AO", {"awesome": Then(0.1, 0.0, -1.0)}, 1),
        ("AO", {"awesome": Then(0.1, -0.1)}, 1),
        ("AO", {"awesome": Then(2.0, 1.0, 1.5)}, 1),
        ("AO", {"awesome": Then(2.0, 1.0, 0.5)}, 0),
        ("AO", {"awesome": Then(2.0, 1.0)}, 0),
        ("AO", {"awesome": Then(0.9, 1.0, 1.5)}, 0),
        ("AO", {"awesome": Then(-0.1, 0.0, 1.0)}, -1),
        ("AO", {"awesome": Then(-2.0, -1.0, -1.5)}, -1),
        ("AO", {"awesome": Then(-2.0, -1.0, -0.5)}, 0),
        ("AO", {"awesome": Then(1e-13, -1e-13)}, 0),
        ("AO", {"awesome": Then(1.0)}, None),
        ("Mom", {"momentum": Then(2.0, 1.0)}, 1),
        ("Mom", {"momentum": Then(-2.0, -1.0)}, -1),
        ("Mom", {"momentum": Then(0.1 + 0.2, 0.3)}, 0),
        ("Mom", {"momentum": Then(2.0)}, None),
        ("MACD", {"macd": 1.1}, 1),
        ("MACD", {"macd": 0.9}, -1),
        ("MACD", {"signal": None}, None),
        ("StochRSI", {"stoch_rsi": k_and_d(19.0, 18.0), **DOWN}, 1),
        ("StochRSI", {"stoch_rsi": k_and_d(19.0, 18.0), **UP}, 0),
        ("StochRSI", {"stoch_rsi": k_and_d(81.0, 82.0), **UP}, -1),
        ("StochRSI", {"stoch_rsi": k_and_d(81.0, 82.0), **DOWN}, 0),
        ("StochRSI", {"trend": None}, None),
        ("StochRSI", {"stoch_rsi": (NOTHING, NOTHING)}, None),
        ("WilliamsR", {"williams": Then(-81.0, -82.0)}, 1),
        ("WilliamsR", {"williams": Then(-80.0, -82.0)}, 0),
        ("WilliamsR", {"williams": Then(-80.0 - 1e-12, -82.0)}, 0),
        ("WilliamsR", {"williams": Then(-20.0 + 1e-12, -18.0)}, 0),
        ("WilliamsR", {"williams": Then(-19.0, -18.0)}, -1),
        ("WilliamsR", {"williams": Then(-19.0)}, None),
        ("BBPower", {"bear": Then(-1.0, -2.0), **UP}, 1),
        ("BBPower", {"bear": Then(-1.0, -2.0), **DOWN}, 0),
        ("BBPower", {"bear": Then(-2.0, -1.0), **UP}, 0),
        ("BBPower", {"bear": Then(1.0, -2.0), **UP}, 0),
        ("BBPower", {"bull": Then(1.0, 2.0), **DOWN}, -1),
        ("BBPower", {"bull": Then(1.0, 2.0), **UP}, 0),
        ("BBPower", {"bull": Then(-1.0, 2.0), **DOWN}, 0),
        ("BBPower", {"trend": None}, None),
        ("UO", {"ultimate": 70.1}, 1),
        ("UO", {"ultimate": 70.0}, 0),
        ("UO", {"ultimate": 70.0 + 1e-12}, 0),
        ("UO", {"ultimate": 30.0 - 1e-12}, 0),
        ("UO", {"ultimate": 29.9}, -1),
        ("UO", {"ultimate": None}, None),
    ],
)
def test_an_oscillator_votes_by_its_rule(name, changes, vote):
    assert votes(replace(NEUTRAL, **changes))[name] == vote


@pytest.mark.parametrize(
    ("rating", "named"),
    [
        ("0", "NEUTRAL"),
        ("1/10", "NEUTRAL"),
        ("-1/10", "NEUTRAL"),
        ("11/100", "BUY"),
        ("-11/100", "SELL"),
        ("1/2", "BUY"),
        ("-1/2", "SELL"),
        ("51/100", "STRONG_BUY"),
        ("-51/100", "STRONG_SELL"),
    ],
)
def test_a_rating_at_a_threshold_has_the_weaker_label(rating, named):
    assert label(Fraction(rating)) == named


def cast(ma, osc):
    names = (*MA_VOTES, *OSC_VOTES)
    return dict(zip(names, [*ma, *[None] * (15 - len(ma)), *osc, *[None] * (11 - len(osc))], strict=True))


def test_a_label_does_not_hang_on_rounding():
    """0.8 - 0.6 is 0.20000000000000007 in floats; half of that would be a BUY."""
    rating = tally(cast([1] * 9 + [-1], [-1] * 8 + [1] * 2))
    assert (rating.ma, rating.osc, rating.rating, rating.label) == (0.8, -0.6, 0.1, "NEUTRAL")


def test_a_group_without_votes_is_null_and_the_other_one_is_the_rating():
    only_ma = tally(cast([1, 1, 0], []))
    assert (only_ma.rating, only_ma.ma, only_ma.osc, only_ma.label) == (2 / 3, 2 / 3, None, "STRONG_BUY")
    only_osc = tally(cast([], [-1, 0]))
    assert (only_osc.rating, only_osc.ma, only_osc.osc, only_osc.label) == (-0.5, None, -0.5, "SELL")


@pytest.mark.parametrize("candles", [[], made_up(1), made_up(9)])
def test_without_votes_there_is_neither_rating_nor_label(candles):
    rating = rate(candles)
    assert (rating.rating, rating.ma, rating.osc, rating.label) == (None, None, None, None)
    assert rating.ma_counts == rating.osc_counts == Counts(0, 0, 0)
    assert set(rating.votes.values()) == {None}


@pytest.mark.parametrize("price", [0.1, 67_000.1, 0.00001234])
def test_where_nothing_moves_nobody_votes_for_anything(price):
    rating = rate(flat(300, price))
    assert (rating.rating, rating.label) == (0, "NEUTRAL")
    assert {name for name, vote in rating.votes.items() if vote is None} == {
        "Stoch",
        "CCI",
        "ADX",
        "StochRSI",
        "WilliamsR",
        "UO",
    }
    assert {vote for vote in rating.votes.values() if vote is not None} == {0}


def test_without_volume_fourteen_averages_vote():
    rating = rate([OHLCV(one.open, one.high, one.low, one.close, None) for one in made_up(300)])
    assert rating.votes["VWMA20"] is None
    assert sum((rating.ma_counts.buy, rating.ma_counts.neutral, rating.ma_counts.sell)) == 14


@pytest.mark.parametrize("seed", range(4))
def test_to_mirror_prices_is_to_mirror_what_averages_say(seed):
    candles = made_up(260, seed=seed)
    mirrored = [OHLCV(500 - one.open, 500 - one.low, 500 - one.high, 500 - one.close, one.volume) for one in candles]
    assert [rate(mirrored).votes[name] for name in MA_VOTES] == [-rate(candles).votes[name] for name in MA_VOTES]


PRICE = st.one_of(
    st.just(0.0),
    st.sampled_from([1.0, 1.1, 100.0, 1e-8]),
    st.floats(0, 1e12, allow_subnormal=True),
    st.floats(allow_nan=False, allow_infinity=False),
)
VOLUME = st.none() | st.just(0.0) | st.floats(0, 1e300)
CANDLE = st.builds(
    lambda prices, order, volume: OHLCV(prices[order[0]], max(prices), min(prices), prices[order[1]], volume),
    st.lists(PRICE, min_size=4, max_size=4),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    VOLUME,
)
# Few different candles, in runs: flats and jumps of every length.
SERIES = st.lists(st.tuples(CANDLE, st.sampled_from([1, 1, 2, 15, 60, 250])), max_size=8).map(
    lambda runs: [candle for candle, times in runs for _ in range(times)]
)


LABELS = [
    (Fraction(1, 2), "STRONG_BUY"),
    (Fraction(1, 10), "BUY"),
    (Fraction(-1, 10) - Fraction(1, 10**6), "NEUTRAL"),
    (Fraction(-1, 2) - Fraction(1, 10**6), "SELL"),
    (Fraction(-2), "STRONG_SELL"),
]
"""Beyond what a label begins; at -1/10 and -1/2 it is still the weaker one."""


@settings(max_examples=40, deadline=None)
@given(SERIES, st.integers(0, 60))
def test_whatever_the_candles_there_is_a_rating_or_a_reason_for_none(candles, later):
    """Any prices at all, finite as they are in JSON."""
    indicators = Indicators(candles[: len(candles) - later])
    for candle in candles[len(candles) - later :] if later else []:
        indicators.add(candle)
    rating = tally(votes(indicators.read()))
    assert set(rating.votes.values()) <= {-1, 0, 1, None}
    means = [mean for mean in (rating.ma, rating.osc) if mean is not None]
    assert (rating.rating is None) == (rating.label is None) == (not means)
    if rating.rating is not None:
        assert -1 <= rating.rating <= 1
        assert rating.rating == pytest.approx(sum(means) / len(means))
        exactly = Fraction(rating.rating).limit_denominator(10_000)
        assert rating.label == next(named for least, named in LABELS if exactly > least)
    for names, mean in ((MA_VOTES, rating.ma), (OSC_VOTES, rating.osc)):
        voted = [rating.votes[name] for name in names if rating.votes[name] is not None]
        assert mean == (sum(voted) / len(voted) if voted else None)
