"""
The technical rating of one instrument, ``tv-rating/3``: 15 moving averages and 11 oscillators vote.

The rules are those that TradingView publishes for its Technical Rating, version 3 of 29 November 2024, over closed
candles. A vote is 1 to buy, -1 to sell, 0 for neither, and None (n/a) when there are too few candles for it, or
nothing has moved or been traded; such a vote is left out of its group's mean. It is no advice.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from scheduler.analysis.indicators import AVERAGES, SAME, TIE, Indicators

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from talipp.ohlcv import OHLCV  # type: ignore[import-untyped]  # talipp publishes no types

    from scheduler.analysis.indicators import Cloud, Readings, Then

METHOD: Final = "tv-rating/3"
"""What this definition is called; another definition has another name."""

MA_VOTES: Final = (
    *(f"SMA{period}" for period in AVERAGES),
    *(f"EMA{period}" for period in AVERAGES),
    "HMA9",
    "VWMA20",
    "Ichimoku",
)
OSC_VOTES: Final = (
    "RSI",
    "Stoch",
    "CCI",
    "ADX",
    "AO",
    "Mom",
    "MACD",
    "StochRSI",
    "WilliamsR",
    "BBPower",
    "UO",
)

WEAK: Final = Fraction(1, 10)
STRONG: Final = Fraction(1, 2)
"""Beyond these a rating is (strongly) to buy or to sell; at them it is not yet."""

Vote = int | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How a group has voted; who could not is in none of them."""

    buy: int
    neutral: int
    sell: int

    @property
    def mean(self) -> Fraction | None:
        """The group's rating from -1 to 1; None when nobody has voted."""
        voted = self.buy + self.neutral + self.sell
        return Fraction(self.buy - self.sell, voted) if voted else None


@dataclass(frozen=True, slots=True)
class Rating:
    """
    What the votes come to, from -1 to 1.

    ``rating`` is the mean of the groups' means, ``ma`` and ``osc``; of one alone when the other is None; None, like
    ``label``, when both are. ``label`` is STRONG_SELL, SELL, NEUTRAL, BUY or STRONG_BUY.
    """

    votes: Mapping[str, Vote]
    rating: float | None
    ma: float | None
    osc: float | None
    label: str | None
    ma_counts: Counts
    osc_counts: Counts


def rate(candles: Sequence[OHLCV]) -> Rating:
    """Rate a series of closed candles, oldest first; 1,000 of them are best, and there may be none at all."""
    return tally(votes(Indicators(candles).read()))


def tally(cast: Mapping[str, Vote]) -> Rating:
    """Count all 26 votes."""
    ma_counts, osc_counts = (_count([cast[name] for name in names]) for names in (MA_VOTES, OSC_VOTES))
    # Fractions, because 0.8 - 0.6 is more than 0.2 in floats, and a label hangs on it.
    means = [mean for mean in (ma_counts.mean, osc_counts.mean) if mean is not None]
    rating = sum(means, Fraction()) / len(means) if means else None
    return Rating(
        votes=cast,
        rating=_float(rating),
        ma=_float(ma_counts.mean),
        osc=_float(osc_counts.mean),
        label=None if rating is None else label(rating),
        ma_counts=ma_counts,
        osc_counts=osc_counts,
    )


def label(rating: Fraction) -> str:
    """Name a rating; at a threshold, by the weaker side."""
    if abs(rating) <= WEAK:
        return "NEUTRAL"
    side = "BUY" if rating > 0 else "SELL"
    return f"STRONG_{side}" if abs(rating) > STRONG else side


def votes(readings: Readings | None) -> dict[str, Vote]:
    """Have every indicator vote, moving averages first; with no readings, none does."""
    if readings is None:
        return dict.fromkeys((*MA_VOTES, *OSC_VOTES))
    near = TIE * abs(readings.close)
    r = readings
    up, down = _is_above(r.close, r.trend, near), _is_above(r.trend, r.close, near)
    (k, d), (rsi_k, rsi_d) = r.stochastic, r.stoch_rsi
    return {
        **{name: _of_average(r.close, average, near) for name, average in r.averages.items()},
        "Ichimoku": _of_cloud(r.close, r.cloud, near),
        "RSI": _of_turn(r.rsi, low=30, high=70),
        "Stoch": _of_crossing(k.now, d.now, buys=True, sells=True) if d.before is not None else None,
        "CCI": _of_turn(r.cci, low=-100, high=100),
        "ADX": _of_direction(r),
        "AO": _of_awesome(r.awesome, near),
        "Mom": _compare(r.momentum.now, r.momentum.before, near),
        "MACD": _compare(r.macd, r.signal, near),
        "StochRSI": None if r.trend is None else _of_crossing(rsi_k.now, rsi_d.now, buys=down, sells=up),
        "WilliamsR": _of_turn(r.williams, low=-80, high=-20),
        "BBPower": None if r.trend is None else _of_power(r, up=up, down=down, near=near),
        "UO": _of_pressure(r.ultimate),
    }


def _count(cast: Sequence[Vote]) -> Counts:
    return Counts(buy=cast.count(1), neutral=cast.count(0), sell=cast.count(-1))


def _float(mean: Fraction | None) -> float | None:
    return None if mean is None else float(mean)


def _vote(*, buy: bool, sell: bool) -> int:
    return 1 if buy else -1 if sell else 0


def _is_above(one: float | None, other: float | None, near: float) -> bool:
    """Say whether ``one`` is above ``other``, and not only by rounding; no n/a is above anything."""
    return one is not None and other is not None and one - other > near


def _compare(one: float | None, other: float | None, near: float) -> Vote:
    """Buy when ``one`` is above ``other``."""
    if one is None or other is None:
        return None
    return _vote(buy=_is_above(one, other, near), sell=_is_above(other, one, near))


def _of_average(close: float, average: float | None, near: float) -> Vote:
    return _compare(close, average, near)


def _of_cloud(close: float, cloud: Cloud, near: float) -> Vote:
    """Buy when close, conversion, base, and the spans of 26 candles ago are in falling order, sell when in rising."""
    if cloud.slow is None:
        return None
    order = (close, cloud.conversion, cloud.base, cloud.span_a, cloud.span_b)
    steps = list(pairwise(order))
    return _vote(
        buy=all(_is_above(upper, lower, near) for upper, lower in steps),
        sell=all(_is_above(lower, upper, near) for upper, lower in steps),
    )


def _of_turn(value: Then, *, low: float, high: float) -> Vote:
    """Buy when an oscillator rises from below ``low``, sell when it falls from above ``high``."""
    if value.now is None or value.before is None:
        return None
    near = SAME * max(1.0, abs(value.now))
    return _vote(
        buy=_is_above(low, value.now, near) and _is_above(value.now, value.before, near),
        sell=_is_above(value.now, high, near) and _is_above(value.before, value.now, near),
    )


def _of_crossing(k: float | None, d: float | None, *, buys: bool, sells: bool) -> Vote:
    """Buy when %K is above %D at the bottom, sell when it is below at the top, each only if allowed."""
    if k is None or d is None:
        return None
    return _vote(
        buy=buys and _is_above(20, max(k, d), SAME) and _is_above(k, d, SAME),
        sell=sells and _is_above(min(k, d), 80, SAME) and _is_above(d, k, SAME),
    )


def _of_direction(readings: Readings) -> Vote:
    """Go with the stronger direction while ADX is above 20 and rises."""
    adx = readings.adx
    if adx.now is None:
        return None
    trending = _is_above(adx.now, 20, SAME) and _is_above(adx.now, adx.before, SAME)
    return _vote(
        buy=trending and _is_above(readings.plus_di, readings.minus_di, SAME),
        sell=trending and _is_above(readings.minus_di, readings.plus_di, SAME),
    )


def _of_awesome(ao: Then, near: float) -> Vote:
    """Buy when it crosses nought upwards, or above it turns up again (a saucer); sell in the mirror."""
    if ao.now is None or ao.before is None:
        return None

    def rises(now: float, before: float, earlier: float | None) -> bool:
        crosses = now > near and before <= near
        turns = now > near and before > near and now - before > near and _is_above(earlier, before, near)
        return crosses or turns

    mirrored = None if ao.earlier is None else -ao.earlier
    return _vote(buy=rises(ao.now, ao.before, ao.earlier), sell=rises(-ao.now, -ao.before, mirrored))


def _of_pressure(ultimate: float | None) -> Vote:
    """Buy above 70, sell below 30."""
    if ultimate is None:
        return None
    return _vote(buy=_is_above(ultimate, 70, SAME), sell=_is_above(30, ultimate, SAME))


def _of_power(readings: Readings, *, up: bool, down: bool, near: float) -> int:
    """Buy when bears lose power in an uptrend, sell when bulls lose it in a downtrend."""
    bear, bull = readings.bear, readings.bull
    return _vote(
        buy=up and bear.now is not None and bear.now < -near and _is_above(bear.now, bear.before, near),
        sell=down and bull.now is not None and bull.now > near and _is_above(bull.before, bull.now, near),
    )
