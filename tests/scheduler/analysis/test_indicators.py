"""Every indicator against TA-Lib, an implementation that shares nothing with ours, and what TA-Lib does not say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import talib
from talipp.ohlcv import OHLCV

from scheduler.analysis.indicators import AVERAGES, Indicators, Then, reach
from tests.scheduler.analysis.series import flat, made_up, recordings

RECORDED = recordings()
SERIES = {
    "made up": made_up(1_000),
    "made up, few digits": made_up(400, seed=2, price=0.2, decimals=4),
    "made up, wild": made_up(1_000, seed=3, volatility=0.2),
    "made up, calm": made_up(700, seed=4, volatility=0.00002),
    **RECORDED,
}


def columns(candles):
    return tuple(
        np.array([getattr(candle, member) for candle in candles]) for member in ("high", "low", "close", "volume")
    )


def smoothed(values):
    return np.convolve(values, np.ones(3) / 3, mode="valid")


def by_talib(candles):
    """Give what TA-Lib says at the last candle, and one and two before, by the names of ours."""
    high, low, close, volume = columns(candles)
    median = (high + low) / 2
    expected = {}
    for period in AVERAGES:
        expected[f"SMA{period}"] = talib.SMA(close, period)
        expected[f"EMA{period}"] = talib.EMA(close, period)
    expected["HMA9"] = talib.WMA(2 * talib.WMA(close, 4) - talib.WMA(close, 9), 3)
    expected["VWMA20"] = talib.SMA(close * volume, 20) / talib.SMA(volume, 20)
    expected["RSI"] = talib.RSI(close, 14)
    expected["K"], expected["D"] = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
    expected["CCI"] = talib.CCI(close, close, close, 20)
    expected["ADX"] = talib.ADX(high, low, close, 14)
    expected["+DI"] = talib.PLUS_DI(high, low, close, 14)
    expected["-DI"] = talib.MINUS_DI(high, low, close, 14)
    expected["AO"] = talib.SMA(median, 5) - talib.SMA(median, 34)
    expected["Mom"] = talib.MOM(close, 10)
    expected["MACD"], expected["signal"], _ = talib.MACD(close, 12, 26, 9)
    expected["trend"] = talib.EMA(close, 50)
    fast, expected["RSI K"] = talib.STOCHRSI(close, 14, 14, 3, 0)
    expected["RSI D"] = smoothed(smoothed(fast[-9:]))
    expected["WilliamsR"] = talib.WILLR(high, low, close, 14)
    expected["bull"] = high - talib.EMA(close, 13)
    expected["bear"] = low - talib.EMA(close, 13)
    expected["UO"] = talib.ULTOSC(high, low, close, 7, 14, 28)
    expected["ATR"] = talib.ATR(high, low, close, 14)
    expected["conversion"] = (talib.MAX(high, 9) + talib.MIN(low, 9)) / 2
    expected["base"] = (talib.MAX(high, 26) + talib.MIN(low, 26)) / 2
    expected["slow span"] = (talib.MAX(high, 52) + talib.MIN(low, 52)) / 2
    expected["A"] = ((expected["conversion"] + expected["base"]) / 2)[:-26]
    expected["B"] = expected["slow span"][:-26]
    return {name: Then(*values[-1:-4:-1]) for name, values in expected.items()}


def ours(candles):
    readings = Indicators(candles).read()
    (k, d), (rsi_k, rsi_d) = readings.stochastic, readings.stoch_rsi
    cloud = readings.cloud
    single = {
        **readings.averages,
        "+DI": readings.plus_di,
        "-DI": readings.minus_di,
        "MACD": readings.macd,
        "signal": readings.signal,
        "trend": readings.trend,
        "UO": readings.ultimate,
        "ATR": readings.atr,
        "conversion": cloud.conversion,
        "base": cloud.base,
        "slow span": cloud.slow,
        "A": cloud.span_a,
        "B": cloud.span_b,
    }
    return {name: Then(value) for name, value in single.items()} | {
        "RSI": readings.rsi,
        "K": k,
        "D": d,
        "CCI": readings.cci,
        "ADX": readings.adx,
        "AO": readings.awesome,
        "Mom": readings.momentum,
        "RSI K": rsi_k,
        "RSI D": rsi_d,
        "WilliamsR": readings.williams,
        "bull": readings.bull,
        "bear": readings.bear,
    }


@pytest.mark.parametrize("name", SERIES)
def test_every_indicator_is_talibs_to_a_billionth(name):
    candles = SERIES[name]
    price = candles[-1].close
    expected, found = by_talib(candles), ours(candles)
    assert found.keys() == expected.keys()
    for indicator, values in found.items():
        for ago in ("now", "before", "earlier"):
            if (value := getattr(values, ago)) is not None:
                known = getattr(expected[indicator], ago)
                # Differences of prices have lost the digits that the prices have in common.
                assert value == pytest.approx(known, rel=1e-9, abs=1e-9 * min(1, price)), (indicator, ago)
        assert values.now is not None, indicator


@pytest.mark.skipif(not RECORDED, reason="TICKWIRE_SHARED does not name the folder of recorded answers")
def test_the_recordings_are_there():
    assert len(RECORDED) == 15


@pytest.mark.parametrize("start", [1, 20, 53, 199, 700])
def test_a_series_fed_candle_by_candle_says_what_the_whole_says(start):
    candles = SERIES["made up"]
    going_on = Indicators(candles[:start])
    for candle in candles[start:]:
        going_on.add(candle)
    one, other = going_on.read(), Indicators(candles).read()
    for member in one.__dataclass_fields__:
        expected = pytest.approx(flattened(getattr(other, member)), rel=1e-9, abs=1e-9, nan_ok=True)
        assert flattened(getattr(one, member)) == expected, member


def flattened(value):
    if isinstance(value, dict):
        return flattened(tuple(value.values()))
    if isinstance(value, tuple):
        return [one for part in value for one in flattened(part)]
    if hasattr(value, "__dataclass_fields__"):
        return flattened(tuple(getattr(value, member) for member in value.__dataclass_fields__))
    return [math.nan if value is None else value]


def test_what_is_kept_does_not_grow():
    indicators = Indicators(made_up(1_000))
    for candle in made_up(1_500, seed=9):
        indicators.add(candle)
    assert all(len(kept.input_values) <= 1_200 for kept, _ in indicators._kept)
    assert by_talib(made_up(1_500, seed=9))["EMA200"].now == pytest.approx(
        indicators.read().averages["EMA200"], rel=1e-6
    )


def test_an_average_is_fed_until_its_beginning_is_forgotten():
    assert reach(10) == 148
    assert (1 - 2 / 11) ** (reach(10) - 10) <= 1e-12


@pytest.mark.parametrize(
    ("reading", "first"),
    [
        (lambda r: r.averages["SMA10"], 10),
        (lambda r: r.averages["EMA200"], 200),
        (lambda r: r.averages["HMA9"], 11),
        (lambda r: r.averages["VWMA20"], 20),
        (lambda r: r.cloud.slow, 52),
        (lambda r: r.cloud.span_b, 78),
        (lambda r: r.rsi.now, 15),
        (lambda r: r.rsi.before, 16),
        (lambda r: r.stochastic[0].now, 16),
        (lambda r: r.stochastic[1].now, 18),
        (lambda r: r.stochastic[1].before, 19),
        (lambda r: r.cci.before, 21),
        (lambda r: r.adx.now, 28),
        (lambda r: r.adx.before, 29),
        (lambda r: r.awesome.earlier, 36),
        (lambda r: r.momentum.before, 12),
        (lambda r: r.macd, 26),
        (lambda r: r.signal, 34),
        (lambda r: r.stoch_rsi[1].now, 32),
        (lambda r: r.williams.before, 15),
        (lambda r: r.bull.before, 14),
        (lambda r: r.ultimate, 29),
        (lambda r: r.atr, 14),
    ],
)
def test_a_value_begins_with_the_first_candle_that_completes_it(reading, first):
    candles = made_up(first)
    assert reading(Indicators(candles[:-1]).read()) is None
    assert reading(Indicators(candles).read()) is not None


def test_without_candles_there_is_nothing_to_read():
    assert Indicators().read() is None


def test_where_nothing_moves_what_would_be_nought_by_nought_is_not_there():
    readings = Indicators(flat(300)).read()
    assert readings.stochastic == readings.stoch_rsi == (Then(), Then())
    assert readings.cci == readings.adx == readings.williams == Then()
    assert readings.ultimate is None
    assert readings.atr == 0
    assert readings.averages["EMA50"] == pytest.approx(0.1)


def test_after_a_long_rest_rounding_is_not_taken_for_a_movement():
    """RSI and ADX stand still while nothing moves; what is left of their movement is what floats have lost."""
    readings = Indicators(made_up(500) + flat(400, price=made_up(500)[-1].close)).read()
    assert readings.stoch_rsi == (Then(), Then())
    assert readings.adx == Then()


def test_a_window_that_was_flat_is_not_there_though_the_next_one_is():
    moving = [OHLCV(1, 3, 1, 2, 1), OHLCV(2, 4, 2, 3, 1)]
    readings = Indicators(flat(40, price=1.0) + moving[:1]).read()
    assert readings.williams == Then(-50.0, None)
    assert readings.cci.before is None
    assert readings.stochastic == (Then(), Then())


@pytest.mark.parametrize("volume", [None, 0.0])
def test_without_volume_there_is_no_mean_by_volume(volume):
    readings = Indicators([OHLCV(one.open, one.high, one.low, one.close, volume) for one in made_up(60)]).read()
    assert readings.averages["VWMA20"] is None
    assert readings.averages["SMA50"] is not None


def test_an_average_does_not_remember_a_spike_that_it_has_passed():
    indicators = Indicators([*flat(50, 0.1), *flat(1, 1e9), *flat(9, 0.1)])
    for candle in flat(300, 0.1):
        indicators.add(candle)
    averages = indicators.read().averages
    assert [averages[f"SMA{period}"] for period in AVERAGES] == pytest.approx([0.1] * len(AVERAGES), rel=1e-14)


def test_only_moves_make_rsi_and_adx_forget():
    """The last 600 candles of these hardly move, and what was before is still in what the averages are quotients of."""
    candles = [*made_up(300), *flat(600, made_up(300)[-1].close)]
    candles += [OHLCV(one.open, one.high, one.low, one.close, 1) for one in made_up(5, price=candles[-1].close)]
    going_on = Indicators()
    for candle in candles:
        going_on.add(candle)
    one, other = going_on.read(), Indicators(candles).read()
    assert flattened((one.rsi, one.adx)) == pytest.approx(flattened((other.rsi, other.adx)), rel=1e-9, nan_ok=True)
    assert other.adx.now == pytest.approx(talib.ADX(*columns(candles)[:3], 14)[-1], rel=1e-9)


def test_a_first_candle_with_a_reach_is_no_movement_after_it():
    still = Indicators([OHLCV(2, 3, 1, 2, 1), *flat(60, 2.0)])
    assert still.read().adx == Then()
    still.add(OHLCV(2, 2.5, 2, 2, 1))
    assert still.read().adx.now is not None


def test_an_rsi_that_hardly_rises_still_rises():
    falling_then_rising = [1_000 - n for n in range(300)] + [701 + n for n in range(400)]
    readings = Indicators([OHLCV(price, price, price, price, 1) for price in falling_then_rising]).read()
    assert readings.stoch_rsi[1].now == pytest.approx(100)
