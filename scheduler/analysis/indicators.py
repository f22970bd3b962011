"""
What technical indicators say of the latest of a series of closed candles.

talipp has the formulas, as far as it has the indicator. What stands here is which of its objects are fed with what,
and when a value is n/a: too few candles, or nought divided by nought because nothing has moved or been traded. talipp
gives such a value as the last good one, as 100, or raises. Averages are seeded with the mean of their first values.

Exponential averages, and what else depends on all of the past (RSI, ADX, ATR), are kept and brought up to date with
each candle; the others are computed from the last candles whenever they are read.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from talipp.indicators import (  # type: ignore[import-untyped]  # talipp publishes no types
    ADX,
    AO,
    CCI,
    EMA,
    RSI,
    SMA,
    UO,
    VWMA,
    WMA,
    DonchianChannels,
    Stoch,
    Williams,
)
from talipp.ohlcv import OHLCV  # type: ignore[import-untyped]  # likewise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TIE: Final = 1e-12
"""Prices nearer to each other than this part of themselves are equal: floats make such differences out of nothing."""

SAME: Final = 1e-9
"""Likewise for oscillators, in their own units; most go from 0 to 100."""

STILL: Final = 1e-12
"""An RSI that has moved no more than this has not moved: floats lose a tenth of it while prices rest."""

AVERAGES: Final = (10, 20, 30, 50, 100, 200)
"""Periods of the simple and of the exponential moving averages that vote."""

FORGOTTEN: Final = 1e-12
"""An exponential average is fed from so far back that its first value weighs no more than this in the last one."""

_RECENT: Final = max(AVERAGES)
_KEPT: Final = 3
_STOCHASTIC: Final = 14
_SMOOTH: Final = 3
_WILDER: Final = 14
_MACD: Final = (12, 26, 9)
_TREND: Final = 50
_POWER: Final = 13
_CLOUD: Final = (9, 26, 52)
_CLOUD_AHEAD: Final = 26
_HULL: Final = (9, 4, 3)
_CCI: Final = 20
_VWMA: Final = 20
_AO: Final = (5, 34)
_MOMENTUM: Final = 10
_UO: Final = (7, 14, 28)


@dataclass(frozen=True, slots=True)
class Then:
    """A value at the latest candle, and one and two candles before; None where it is n/a."""

    now: float | None = None
    before: float | None = None
    earlier: float | None = None


@dataclass(frozen=True, slots=True)
class Cloud:
    """Ichimoku 9/26/52: the lines of now, the spans of 26 candles ago, and the slow span of now."""

    conversion: float | None
    base: float | None
    span_a: float | None
    span_b: float | None
    slow: float | None


@dataclass(frozen=True, slots=True)
class Readings:
    """
    What the indicators say at the latest candle.

    ``averages`` is by the names of their votes: SMA10 to EMA200, HMA9, VWMA20. ``trend`` is EMA(50), ``bull`` and
    ``bear`` are the distances of high and low from EMA(13). Prices' own units, or 0 to 100 (``williams`` -100 to 0).
    """

    close: float
    averages: dict[str, float | None]
    cloud: Cloud
    rsi: Then
    stochastic: tuple[Then, Then]
    cci: Then
    adx: Then
    plus_di: float | None
    minus_di: float | None
    awesome: Then
    momentum: Then
    macd: float | None
    signal: float | None
    trend: float | None
    stoch_rsi: tuple[Then, Then]
    williams: Then
    bull: Then
    bear: Then
    ultimate: float | None
    atr: float | None


def reach(period: int) -> int:
    """Compute how many values an exponential average of ``period`` takes to forget its first one."""
    return period + math.ceil(math.log(FORGOTTEN) / math.log((period - 1) / (period + 1)))


class Indicators:
    """
    The indicators of one series of closed candles.

    Each candle costs some 50 µs; a series of 1,000 some 3 ms (2 cores of 2026). What is kept does not grow.

    Args:
        candles: The series so far, oldest first; prices and volumes as floats, the volume None where there is none.
    """

    def __init__(self, candles: Sequence[OHLCV] = ()) -> None:
        self._recent: list[OHLCV] = []
        self._ema = {period: EMA(period) for period in sorted({*AVERAGES, *_MACD[:2], _POWER})}
        self._signal = EMA(_MACD[2])
        self._rsi = RSI(_WILDER)
        self._adx = ADX(_WILDER, _WILDER)
        self._kept = [
            *((average, period) for period, average in self._ema.items()),
            (self._signal, _MACD[2]),
            (self._rsi, _WILDER + _STOCHASTIC + 2 * _SMOOTH),
            (self._adx, 3 * _WILDER),
        ]
        self._start(candles)

    def _start(self, candles: Sequence[OHLCV]) -> None:
        """Feed each object from where it needs to start, and no earlier."""
        self._recent = list(candles[-_RECENT:])
        closes = [candle.close for candle in candles]
        fast, slow = (self._ema[period] for period in _MACD[:2])
        for period, average in self._ema.items():
            # What the signal line is fed with has to be right for as long as the signal line remembers.
            last = reach(_MACD[2]) if period in _MACD else _KEPT
            average.add(_condensed(closes[-reach(period) - last :], period, last))
        lines = zip(reversed(fast), reversed(slow), strict=False)
        differences = [quick - calm for quick, calm in lines if quick is not None and calm is not None]
        self._signal.add(differences[::-1])
        # Wilder's average of n is an exponential one of 2n - 1; ADX averages twice.
        start = _moves_from(closes, reach(2 * _WILDER - 1) + 8 * _WILDER)
        self._rsi.add(closes[start:])
        self._adx.add(list(candles[start:]))
        self._has_moved = any(_is_move(one, following) for one, following in pairwise(candles))
        self._trim()

    def add(self, candle: OHLCV) -> None:
        """Go on by one candle, the one that follows the latest."""
        self._has_moved = self._has_moved or any(_is_move(latest, candle) for latest in self._recent[-1:])
        self._recent = [*self._recent[-_RECENT + 1 :], candle]
        for average in self._ema.values():
            average.add(candle.close)
        fast, slow = (self._ema[period][-1] for period in _MACD[:2])
        if slow is not None:
            self._signal.add(fast - slow)
        self._rsi.add(candle.close)
        self._adx.add(candle)
        self._trim()

    def _trim(self) -> None:
        """Have talipp's objects drop what they will not look at again."""
        for indicator, period in self._kept:
            # Never down to a single period: with exactly so many values talipp takes an average for a new one.
            if len(indicator.input_values) > 2 * _KEPT * period:
                indicator.purge_oldest(len(indicator.input_values) - _KEPT * period)

    def read(self) -> Readings | None:
        """Say what holds at the latest candle; None before the first."""
        if not self._recent:
            return None
        recent = self._recent
        closes = [candle.close for candle in recent]
        latest = recent[-1]
        averages = {f"SMA{period}": _simple(closes, period) for period in AVERAGES}
        averages |= {f"EMA{period}": _last(self._ema[period]) for period in AVERAGES}
        averages |= {"HMA9": _hull(closes), "VWMA20": _volume_weighted(recent)}
        direction = self._direction()
        return Readings(
            close=latest.close,
            averages=averages,
            cloud=_cloud(recent),
            rsi=_then(self._rsi),
            stochastic=_stochastic(recent),
            cci=_cci(closes),
            adx=Then(*direction[:2]),
            plus_di=direction[2],
            minus_di=direction[3],
            awesome=_then(AO(*_AO, recent[-_AO[1] - 2 :])),
            momentum=_momentum(closes),
            macd=_difference(_last(self._ema[_MACD[0]]), _last(self._ema[_MACD[1]])),
            signal=_last(self._signal),
            trend=_last(self._ema[_TREND]),
            stoch_rsi=self._stochastic_rsi(),
            williams=_williams(recent),
            bull=self._power([candle.high for candle in recent[-2:]]),
            bear=self._power([candle.low for candle in recent[-2:]]),
            ultimate=_last(UO(*_UO, recent[-_UO[2] - 1 :])),
            atr=_last(self._adx.atr),
        )

    def _direction(self) -> tuple[float | None, float | None, float | None, float | None]:
        """Give ADX now and before, +DI and -DI; n/a when nothing has moved for as long as they remember."""
        values = [value for value in self._adx[-2:] if value is not None]
        atr = _last(self._adx.atr)
        if not values or atr is None or not self._has_moved or atr <= TIE * abs(self._recent[-1].close):
            return None, None, None, None
        before = values[0].adx if len(values) > 1 else None
        return _finite(values[-1].adx), _finite(before), _finite(values[-1].plus_di), _finite(values[-1].minus_di)

    def _stochastic_rsi(self) -> tuple[Then, Then]:
        window = [value for value in self._rsi[-_STOCHASTIC - 2 * _SMOOTH :] if value is not None]
        return _stochastic([OHLCV(value, value, value, value) for value in window], flat_within=STILL)

    def _power(self, extremes: Sequence[float]) -> Then:
        average = self._ema[_POWER]
        distances = [_difference(extreme, _last(average, ago)) for ago, extreme in enumerate(reversed(extremes))]
        return Then(*distances)


def _condensed(values: Sequence[float], period: int, last: int) -> list[float]:
    """
    Shorten what an exponential average is fed with, so that it says the same of the ``last`` values.

    talipp's takes some microseconds a value, and begins with the mean of its first ``period`` values: so what it would
    have come to before the last ones is computed here, and given to it as its first values.
    """
    if len(values) <= period + last:
        return list(values)
    average, weight = sum(values[:period]) / period, 2.0 / (period + 1.0)
    for value in values[period:-last]:
        average = weight * value + (1.0 - weight) * average
    return [average] * period + list(values[-last:])


def _moves_from(closes: Sequence[float], moves: int) -> int:
    """
    Find where to begin, so that there are ``moves`` closes unlike the one before.

    Of what RSI and ADX are quotients of, both parts fade alike while nothing moves: only moves make them forget.
    """
    for start in range(len(closes) - 1, 0, -1):
        moves -= closes[start] != closes[start - 1]
        if not moves:
            return start - 1
    return 0


def _is_move(one: OHLCV, following: OHLCV) -> bool:
    """Whether a candle has a true range; that of the first one, which has none, talipp takes from its own reach."""
    return bool(following.high != following.low or following.close != one.close)


def _finite(value: float | None) -> float | None:
    """Give n/a for a value that overflowed on the way."""
    return value if value is not None and math.isfinite(value) else None


def _last(values: Sequence[Any], ago: int = 0) -> float | None:
    return _finite(values[-1 - ago]) if len(values) > ago else None


def _then(values: Sequence[Any]) -> Then:
    return Then(_last(values), _last(values, 1), _last(values, 2))


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else _finite(one - other)


def _is_flat(lowest: float, highest: float, within: float | None = None) -> bool:
    """Say whether a range is nothing to divide by: one of prices, or one that has to be more than ``within``."""
    nothing = TIE * abs(highest) if within is None else within
    return not highest - lowest > max(nothing, sys.float_info.min)


def _simple(closes: Sequence[float], period: int) -> float | None:
    """
    Compute SMA from its candles alone.

    talipp's goes on from its last value by a difference, and so keeps what rounding a price once very high has lost.
    """
    return None if len(closes) < period else _finite(sum(closes[-period:]) / period)


def _hull(closes: Sequence[float]) -> float | None:
    """Compute HMA(9) from talipp's weighted averages; its own HMA lets two candles pass before it begins."""
    slow, fast, smooth = _HULL
    if len(closes) < slow + smooth - 1:
        return None
    window = closes[-slow - smooth + 1 :]
    pairs = zip(WMA(fast, window)[-smooth:], WMA(slow, window)[-smooth:], strict=True)
    return _last(WMA(smooth, [2 * quick - calm for quick, calm in pairs]))


def _volume_weighted(recent: Sequence[OHLCV]) -> float | None:
    window = list(recent[-_VWMA:])
    if any(candle.volume is None for candle in window) or not sum(candle.volume for candle in window):
        return None
    return _last(VWMA(_VWMA, window))


def _middle(recent: Sequence[OHLCV], period: int, ago: int = 0) -> float | None:
    """Find the middle of the range of ``period`` candles, the last of which is ``ago`` candles old."""
    end = len(recent) - ago
    if end < period:
        return None
    return _finite(DonchianChannels(period, list(recent[end - period : end]))[-1].cb)


def _cloud(recent: Sequence[OHLCV]) -> Cloud:
    """Compute Ichimoku's lines from talipp's channels; its own Ichimoku takes the slow span one candle too early."""
    conversion, base, slow = _CLOUD
    fast_then, base_then = _middle(recent, conversion, _CLOUD_AHEAD), _middle(recent, base, _CLOUD_AHEAD)
    return Cloud(
        conversion=_middle(recent, conversion),
        base=_middle(recent, base),
        span_a=None if fast_then is None or base_then is None else (fast_then + base_then) / 2,
        span_b=_middle(recent, slow, _CLOUD_AHEAD),
        slow=_middle(recent, slow),
    )


def _stochastic(candles: Sequence[OHLCV], *, flat_within: float | None = None) -> tuple[Then, Then]:
    """
    Compute smoothed %K and %D, of three each.

    A window that is flat has no %K, nor has any average it would be part of. ``flat_within`` is for values that are no
    prices: a range up to which they are flat.
    """
    window = list(candles[-_STOCHASTIC - 2 * _SMOOTH :])
    raw = [
        None if _is_flat(*_range(window[end - _STOCHASTIC : end]), flat_within) else _finite(value.k)
        for end, value in enumerate(Stoch(_STOCHASTIC, _SMOOTH, window), start=1)
        if value is not None
    ]
    smoothed = _smooth(raw)
    return _then(smoothed), _then(_smooth(smoothed))


def _smooth(values: Sequence[float | None]) -> list[float | None]:
    windows = (values[end - _SMOOTH : end] for end in range(_SMOOTH, len(values) + 1))
    return [None if None in window else _last(SMA(_SMOOTH, list(window))) for window in windows]


def _range(candles: Iterable[OHLCV]) -> tuple[float, float]:
    candles = tuple(candles)
    return min(candle.low for candle in candles), max(candle.high for candle in candles)


def _williams(recent: Sequence[OHLCV]) -> Then:
    def at(ago: int) -> float | None:
        end = len(recent) - ago
        window = list(recent[max(0, end - _STOCHASTIC) : end])
        if len(window) < _STOCHASTIC or _is_flat(*_range(window)):
            return None
        return _last(Williams(_STOCHASTIC, window))

    return Then(at(0), at(1))


def _cci(closes: Sequence[float]) -> Then:
    def at(ago: int) -> float | None:
        end = len(closes) - ago
        window = closes[max(0, end - _CCI) : end]
        if len(window) < _CCI or _is_flat(min(window), max(window)):
            return None
        return _last(CCI(_CCI, [OHLCV(close, close, close, close) for close in window]))

    return Then(at(0), at(1))


def _momentum(closes: Sequence[float]) -> Then:
    """Compute the change over ten candles; talipp has it only in percent."""

    def at(ago: int) -> float | None:
        last = len(closes) - 1 - ago
        return None if last < _MOMENTUM else _finite(closes[last] - closes[last - _MOMENTUM])

    return Then(at(0), at(1))
