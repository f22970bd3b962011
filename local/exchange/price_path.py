"""
The price of one thing at every second of all time, as a pure function of a seed.

The path is geometric Brownian motion, drawn from the top down. Between knots 32 days apart lie the prices at
midnight (a Brownian bridge), and a day is divided into halves, the halves into four hours, and so on down to
seconds. Each span knows its open, high, low and close before it is divided, and its parts are drawn so that they
fit: the first opens where the span opens, the last closes where it closes, and the extremes of the parts are the
span's. So a candle of any length costs the same, and all of them agree with each other.

The law of the extremes of a Brownian bridge is a standard result: for a bridge from x to y of variance v,
P(max > m) = exp(-2 (m - x) (m - y) / v). Maximum and minimum are treated as independent of each other, which they
nearly are; that is the only approximation.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from math import erfc, exp, log, sqrt
from statistics import NormalDist
from struct import Struct
from typing import Literal, NamedTuple

LEVELS = (86_400, 43_200, 14_400, 7_200, 3_600, 1_800, 900, 300, 60, 15, 5, 1)
"""How long a span of each level is, in seconds; each is a whole multiple of the next."""

FAN_OUT = tuple(longer // shorter for longer, shorter in pairwise(LEVELS))
SECONDS_A_YEAR = 31_557_600
DAYS_A_BLOCK = 32
DAY = LEVELS[0]

_KNOT, _BRIDGE, _PEAK, _TROUGH = -1, -2, -6, -7
_CANDIDATES = 5
_SCATTER = 0.35
_PLACE = Struct("<bq")
_WORDS = {count: Struct(f"<{count}I") for count in (8, 16)}
_STEP = 2.0**-32
_HALF_A_STEP = _STEP / 2
_quantile = NormalDist().inv_cdf


class Noise:
    """Numbers that look random and depend on nothing but the names given here and the place asked for."""

    def __init__(self, *names: str) -> None:
        self._key = blake2b("\0".join(names).encode(), digest_size=32).digest()
        self.normal = lru_cache(maxsize=8192)(self._normal)

    def uniforms(self, level: int, index: int, count: Literal[8, 16] = 8) -> list[float]:
        """Return ``count`` numbers strictly between 0 and 1."""
        words = _WORDS[count].unpack(blake2b(_PLACE.pack(level, index), digest_size=4 * count, key=self._key).digest())
        return [word * _STEP + _HALF_A_STEP for word in words]

    def _normal(self, level: int, index: int) -> float:
        return _quantile(self.uniforms(level, index)[0])


class Span(NamedTuple):
    """A stretch of the path; each number is the natural logarithm of the price over the base price."""

    open: float
    high: float
    low: float
    close: float


class PricePath:
    """
    One thing's price.

    ``volatility`` is the standard deviation of a year's logarithmic return. ``common`` is the noise that a group of
    paths shares and ``share`` the correlation of daily returns with it, between 0 and 1; within a day it is less. The
    knots scatter around the base price by less than 32 days of free motion would, so that the price is plausible at
    any date.
    """

    def __init__(self, noise: Noise, *, volatility: float, common: Noise | None = None, share: float = 0.0) -> None:
        self._noise = noise
        self._common = common
        self._share = share
        self._own = sqrt(1 - share * share)
        self.variance = volatility * volatility / SECONDS_A_YEAR
        self.parts = lru_cache(maxsize=2048)(self._parts)
        self._block = lru_cache(maxsize=64)(self._midnights)

    def span(self, level: int, index: int) -> Span:
        """Return the span ``[index, index + 1) * LEVELS[level]``, in seconds of the epoch."""
        if level == 0:
            return self._day(index)
        fan_out = FAN_OUT[level - 1]
        return self.parts(level - 1, index // fan_out)[index % fan_out]

    def at(self, second: int) -> float:
        """Return the logarithm of the price over the base price when ``second`` of the epoch begins."""
        return self.span(len(LEVELS) - 1, second).open

    def _correlated(self, own: float, level: int, index: int) -> float:
        if self._common is None:
            return own
        return self._share * self._common.normal(level, index) + self._own * own

    def _knot(self, block: int) -> float:
        deviation = sqrt(self.variance * DAY * DAYS_A_BLOCK) * _SCATTER
        return deviation * self._correlated(self._noise.normal(_KNOT, block), _KNOT, block)

    def _midnights(self, block: int) -> list[float]:
        prices = [0.0] * (DAYS_A_BLOCK + 1)
        prices[0], prices[-1] = self._knot(block), self._knot(block + 1)
        stride = DAYS_A_BLOCK
        while stride > 1:
            half = stride // 2
            deviation = sqrt(self.variance * DAY * half / 2)
            for middle in range(half, DAYS_A_BLOCK, stride):
                place = block * DAYS_A_BLOCK + middle
                normal = self._correlated(self._noise.normal(_BRIDGE, place), _BRIDGE, place)
                prices[middle] = (prices[middle - half] + prices[middle + half]) / 2 + deviation * normal
            stride = half
        return prices

    def _day(self, day: int) -> Span:
        block, place = divmod(day, DAYS_A_BLOCK)
        midnights = self._block(block)
        opened, closed = midnights[place], midnights[place + 1]
        variance = self.variance * DAY
        uniforms = self._noise.uniforms(0, day)
        rise = _probability(self._correlated(_quantile(uniforms[0]), _PEAK, day))
        fall = _probability(self._correlated(_quantile(uniforms[1]), _TROUGH, day))
        high = _extreme(opened, closed, variance, rise)
        low = -_extreme(-opened, -closed, variance, fall)
        return Span(opened, high, low, closed)

    def _parts(self, level: int, index: int) -> tuple[Span, ...]:
        """Divide the span at ``level`` and ``index`` into its parts, which lie one level lower."""
        fan_out = FAN_OUT[level]
        one = self.variance * LEVELS[level + 1]
        rest = self.span(level, index)
        parts = []
        for left in range(fan_out - 1, 0, -1):
            place = (index + 1) * fan_out - left - 1
            uniforms = self._noise.uniforms(level + 1, place)
            normal = self._correlated(_quantile(uniforms[1]), level + 1, place)
            part, rest = _divide(rest, one, one * left, uniforms, _probability(normal))
            parts.append(part)
        parts.append(rest)
        return tuple(parts)


def _probability(normal: float) -> float:
    """Return how likely a standard normal number is smaller, strictly between 0 and 1."""
    return min(1 - _STEP, max(_STEP, 0.5 * erfc(-normal / sqrt(2))))


def _extreme(opened: float, closed: float, variance: float, chance: float) -> float:
    """Return what the maximum of a bridge exceeds with probability ``chance``."""
    move = closed - opened
    return max(opened, closed, (opened + closed + sqrt(move * move - 2 * variance * log(chance))) / 2)


_Split = tuple[float, float, float, float]  # price, weight, chance that the high lies before it, and the low


def _weigh(span: Span, price: float, before: float, after: float) -> _Split:
    """
    Say how well a boundary at ``price`` explains the span's extremes.

    For the maximum: either the part before reaches exactly ``high`` and the other stays below, or the other way
    round; the densities follow from the law in the module's docstring. The same holds for the minimum.
    """
    opened, high, low, closed = span
    up_open, up, up_close = high - opened, high - price, high - closed
    above_before = exp(-2 * up_open * up / before)
    above_after = exp(-2 * up * up_close / after)
    high_before = (up_open + up) / before * above_before * (1 - above_after)
    highs = high_before + (up + up_close) / after * above_after * (1 - above_before)
    down_open, down, down_close = opened - low, price - low, closed - low
    below_before = exp(-2 * down_open * down / before)
    below_after = exp(-2 * down * down_close / after)
    low_before = (down_open + down) / before * below_before * (1 - below_after)
    lows = low_before + (down + down_close) / after * below_after * (1 - below_before)
    weight = highs * lows
    if weight > 0:
        return price, weight, high_before / highs, low_before / lows
    # Both ends touch the extreme, or it lies too far off for a double: any boundary is as good, and the longer part is
    # the likelier one.
    share = before / (before + after)
    return price, 0.0, high_before / highs if highs > 0 else share, low_before / lows if lows > 0 else share


def _divide(span: Span, before: float, after: float, uniforms: list[float], chance: float) -> tuple[Span, Span]:
    """
    Cut a span in two parts of the given variances.

    The boundary is drawn from the bridge's own law at five strata, weighed by the extremes and picked at the
    quantile ``chance``, so that a common ``chance`` moves two paths the same way.
    """
    opened, high, low, closed = span
    mean = opened + (closed - opened) * before / (before + after)
    deviation = sqrt(before * after / (before + after))
    splits = []
    total = 0.0
    for stratum in range(_CANDIDATES):
        price = mean + deviation * _quantile((stratum + uniforms[0]) / _CANDIDATES)
        if low < price < high:
            split = _weigh(span, price, before, after)
            total += split[1]
            splits.append((total, split))
    if total > 0:
        threshold = chance * total
        split = next((split for reached, split in splits if reached >= threshold), splits[-1][1])
    else:
        split = _weigh(span, mean, before, after)
    price = split[0]
    high_first, low_first = uniforms[2] < split[2], uniforms[3] < split[3]
    # The part without the extreme draws its own, on the condition that it stays inside.
    from_, to, variance = (price, closed, after) if high_first else (opened, price, before)
    least = exp(-2 * (high - from_) * (high - to) / variance)
    other_high = min(high, _extreme(from_, to, variance, least + uniforms[4] * (1 - least)))
    from_, to, variance = (price, closed, after) if low_first else (opened, price, before)
    least = exp(-2 * (from_ - low) * (to - low) / variance)
    other_low = max(low, -_extreme(-from_, -to, variance, least + uniforms[5] * (1 - least)))
    return (
        Span(opened, high if high_first else other_high, low if low_first else other_low, price),
        Span(price, other_high if high_first else high, other_low if low_first else low, closed),
    )
