"""All 26 votes at many candles of recorded and made-up series, against the definition written down a second time."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from scheduler.analysis.indicators import Indicators
from scheduler.analysis.rating import MA_VOTES, OSC_VOTES, tally, votes
from tests.scheduler.analysis.series import made_up, recorded, recordings

SERIES = {
    **recordings(),
    "made up": made_up(500, seed=21),
    "made up, wild": made_up(500, seed=22, volatility=0.1),
    "made up, calm": made_up(500, seed=23, volatility=0.0001),
    "made up, rising": [*made_up(300, seed=24), *sorted(made_up(200, seed=24), key=lambda one: one.close)],
}
LAST = 60
"""At so many candles, the latest of each series, the votes are counted."""


def mean3(values):
    return (values[2:] + values[1:-1] + values[:-2]) / 3


def decimal(values):
    """Leave out what floats have added to decimals: there, a mean that is the price itself comes out unequal to it."""
    return np.round(values, 10)


def by_the_definition(candles):
    """
    Compute every vote at every candle from TA-Lib's raw values, in plain comparisons.

    Gives pairs of arrays by name, buy and sell, in the order of the public table's rows.
    """
    high, low, close, volume = (
        np.array([getattr(one, member) for one in candles]) for member in ("high", "low", "close", "volume")
    )
    said = {}

    def before(values, ago=1):
        return np.concatenate([np.full(ago, np.nan), values[:-ago]])

    def padded(values):
        return np.concatenate([np.full(len(close) - len(values), np.nan), values])

    for period in (10, 20, 30, 50, 100, 200):
        for kind, compute in (("SMA", talib.SMA), ("EMA", talib.EMA)):
            average = decimal(compute(close, period))
            said[f"{kind}{period}"] = average < close, average > close
    hull = talib.WMA(2 * talib.WMA(close, 4) - talib.WMA(close, 9), 3)
    said["HMA9"] = hull < close, hull > close
    weighted = talib.SMA(close * volume, 20) / talib.SMA(volume, 20)
    said["VWMA20"] = weighted < close, weighted > close
    conversion, base, slow = ((talib.MAX(high, period) + talib.MIN(low, period)) / 2 for period in (9, 26, 52))
    span_a, span_b = before((conversion + base) / 2, 26), before(slow, 26)
    said["Ichimoku"] = (
        (span_a > span_b) & (base > span_a) & (conversion > base) & (close > conversion),
        (span_a < span_b) & (base < span_a) & (conversion < base) & (close < conversion),
    )

    rsi = talib.RSI(close, 14)
    said["RSI"] = (rsi < 30) & (rsi > before(rsi)), (rsi > 70) & (rsi < before(rsi))
    k, d = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
    said["Stoch"] = (k < 20) & (d < 20) & (k > d), (k > 80) & (d > 80) & (k < d)
    cci = talib.CCI(close, close, close, 20)
    said["CCI"] = (cci < -100) & (cci > before(cci)), (cci > 100) & (cci < before(cci))
    adx, plus, minus = (each(high, low, close, 14) for each in (talib.ADX, talib.PLUS_DI, talib.MINUS_DI))
    trending = (adx > 20) & (adx > before(adx))
    said["ADX"] = trending & (plus > minus), trending & (plus < minus)
    ao = talib.SMA((high + low) / 2, 5) - talib.SMA((high + low) / 2, 34)
    ao1, ao2 = before(ao), before(ao, 2)
    said["AO"] = (
        ((ao > 0) & (ao1 <= 0)) | ((ao > 0) & (ao1 > 0) & (ao > ao1) & (ao2 > ao1)),
        ((ao < 0) & (ao1 >= 0)) | ((ao < 0) & (ao1 < 0) & (ao < ao1) & (ao2 < ao1)),
    )
    momentum = decimal(talib.MOM(close, 10))
    said["Mom"] = momentum > before(momentum), momentum < before(momentum)
    macd, signal, _ = talib.MACD(close, 12, 26, 9)
    said["MACD"] = macd > signal, macd < signal
    trend = talib.EMA(close, 50)
    fast = talib.STOCHRSI(close, 14, 14, 1, 0)[0]
    fast_k = mean3(fast[~np.isnan(fast)])
    k, d = padded(fast_k), padded(mean3(fast_k))
    said["StochRSI"] = (
        (close < trend) & (k < 20) & (d < 20) & (k > d),
        (close > trend) & (k > 80) & (d > 80) & (k < d),
    )
    williams = talib.WILLR(high, low, close, 14)
    said["WilliamsR"] = (
        (williams < -80) & (williams > before(williams)),
        (williams > -20) & (williams < before(williams)),
    )
    bull, bear = high - talib.EMA(close, 13), low - talib.EMA(close, 13)
    said["BBPower"] = (
        (close > trend) & (bear < 0) & (bear > before(bear)),
        (close < trend) & (bull > 0) & (bull < before(bull)),
    )
    ultimate = talib.ULTOSC(high, low, close, 7, 14, 28)
    said["UO"] = ultimate > 70, ultimate < 30
    return said


@pytest.mark.parametrize("name", SERIES)
def test_every_vote_and_the_rating_are_those_of_the_definition(name):
    candles = SERIES[name]
    expected = by_the_definition(candles)
    indicators = Indicators(candles[: len(candles) - LAST])
    for place in range(len(candles) - LAST, len(candles)):
        indicators.add(candles[place])
        cast = votes(indicators.read())
        assert cast == {vote: int(buy[place]) - int(sell[place]) for vote, (buy, sell) in expected.items()}, place
        rating = tally(cast)
        assert rating.ma == pytest.approx(sum(cast[vote] for vote in MA_VOTES) / 15)
        assert rating.osc == pytest.approx(sum(cast[vote] for vote in OSC_VOTES) / 11)
        assert rating.rating == pytest.approx((rating.ma + rating.osc) / 2)


@recorded
def test_every_vote_is_cast_both_ways_somewhere_in_these_series():
    """Or else the comparison above would show nothing."""
    cast = {name: set() for name in (*MA_VOTES, *OSC_VOTES)}
    for candles in SERIES.values():
        for name, (buy, sell) in by_the_definition(candles).items():
            cast[name] |= {int(up) - int(down) for up, down in zip(buy[-LAST:], sell[-LAST:], strict=True)}
    assert {name: said for name, said in cast.items() if not {1, -1} <= said} == {}
