"""
One simulated market: candles, trades and the book, all derived from one price path and consistent to the digit.

Prices are whole ticks and quantities whole lots, so that sums are exact. Trades of takers who buy and of takers who
sell are two flows; each span of the path (see ``local.exchange.price_path``) has its volume, turnover and count of
both, and hands all of it down to its parts. The shortest spans (leaves) hand it to trades, which open, peak, bottom
and close as the leaf does.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, inf, sqrt
from operator import gt, itemgetter, mul
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

from local.exchange.price_path import DAY, FAN_OUT, LEVELS, Noise, PricePath
from local.exchange.trades import Trade, leaf_trades

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.exchange.listings import Listing

LEAST_COUNT, LEAST_LOTS = 4, 4
"""What each flow has at least in a leaf: enough trades to touch all four prices at an exact turnover."""

# How volume spreads over time: chosen so that five-minute candles scatter about as recorded ones do.
_TYPICAL_RANGE = 1.6  # the mean range of Brownian motion in standard deviations, sqrt(8 / pi)
_ROUGHNESS = 0.2  # standard deviation of the logarithm of a part's share of the volume
_TILT = 0.25  # how far a move draws the flow of its own direction along
_LEAN = 1.5  # how far, as a logarithm, a part's volume may be moved to meet the average price
_STIFFNESS = 0.12  # how freely average prices leave the middle of their range, in ranges
_STRETCH = 0.7  # how far from there towards its limit a part's average price may go before volume moves
_MOST_MOVED = 0.8  # how much of a part's volume moves at once
_HIGH, _LOW = itemgetter(1), itemgetter(2)
_BOOK = -3
_BOOK_SIDE = -4
_quantile = NormalDist().inv_cdf


class Flow(NamedTuple):
    """What the takers of one side did: lots, turnover in ticks times lots, number of trades."""

    lots: int
    quote: int
    trades: int


class Candle(NamedTuple):
    """A stretch of time; prices are in ticks, ``first_id`` is the id of its first trade."""

    open: int
    high: int
    low: int
    close: int
    first_id: int
    buys: Flow
    sells: Flow

    @property
    def lots(self) -> int:
        """Volume in lots."""
        return self.buys.lots + self.sells.lots

    @property
    def quote(self) -> int:
        """Turnover in ticks times lots."""
        return self.buys.quote + self.sells.quote

    @property
    def trades(self) -> int:
        """Number of trades."""
        return self.buys.trades + self.sells.trades


class Book(NamedTuple):
    """Bids and asks, best first, as (price in ticks, lots)."""

    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class Market:
    """
    One listing on one path.

    Everything is a pure function of the seed and of time. What happened is known leaf by leaf: ask only for whole
    leaves (``settled``).
    """

    def __init__(self, listing: Listing, path: PricePath, *, base: float, seed: str, venue: str) -> None:
        self.listing = listing
        self._path = path
        self._noise = Noise(seed, venue, listing.symbol)
        self._scale = base * listing.premium * 10**listing.decimals
        self._daily_lots = listing.volume * 10**listing.lot_decimals
        self._leaf_level = LEVELS.index(listing.leaf)
        self._parts = lru_cache(maxsize=2048)(self._divide)
        self._day = lru_cache(maxsize=4096)(self._whole_day)
        self.trades = lru_cache(maxsize=256)(self._trades)

    def settled(self, now: int) -> int:
        """Return the epoch second up to which everything is known at ``now``, epoch milliseconds."""
        return now // 1000 // self.listing.leaf * self.listing.leaf

    def price(self, second: int) -> int:
        """Return the underlying's price here, in ticks, when ``second`` begins."""
        return self._ticks(self._path.at(second))

    def candle(self, start: int, end: int) -> Candle:
        """
        Return the candle of ``[start, end)``, epoch seconds, both multiples of ``listing.leaf``.

        An empty stretch is flat at the price of its start.
        """
        if start >= end:
            last = self._node(self._leaf_level, start // self.listing.leaf - 1)
            nothing = Flow(0, 0, 0)
            price = last.close
            return Candle(price, price, price, price, last.first_id + last.trades, nothing, nothing)
        return fold(self._cover(start, end))

    def book(self, second: int, depth: int = 1) -> Book:
        """Return ``depth`` levels on each side as they stand when ``second`` begins."""
        price = self.price(second)
        spread = self.listing.spread
        uniforms = self._noise.uniforms(_BOOK, second)
        # The last trade took the ask or hit the bid; a wide spread lies around the price.
        below = spread // 2 if spread > 1 else int(uniforms[0] < 0.5)  # noqa: PLR2004 - a fair coin
        typical = self._daily_lots / self.listing.trades
        bid = max(1, price - below)
        bids = self._side(bid, -1, typical, second * 2, depth)
        return Book(bids, self._side(bid + spread, 1, typical, second * 2 + 1, depth))

    def leaf_of(self, trade: int) -> int:
        """Return when the leaf begins, epoch seconds, that the trade with this id belongs to."""
        day = trade // self.listing.trades
        while trade < self._day(day).first_id:
            day -= 1
        index = day
        for level in range(self._leaf_level):
            parts = self._parts(level, index)
            place = sum(trade >= part.first_id for part in parts) - 1
            index = index * FAN_OUT[level] + place
        return index * self.listing.leaf

    def _side(self, best: int, direction: int, typical: float, place: int, depth: int) -> list[tuple[int, int]]:
        levels: list[tuple[int, int]] = []
        price = best
        while price > 0:
            uniforms = self._noise.uniforms(_BOOK_SIDE, place * 4096 + len(levels) // 8)
            for uniform in uniforms:
                if len(levels) == depth or price <= 0:
                    return levels
                levels.append((price, 1 + int(typical * exp(1.2 * _quantile(uniform)))))
                price += direction * (1 + int(uniform * self.listing.spread))
        return levels

    def _ticks(self, logarithm: float) -> int:
        return max(1, int(self._scale * exp(logarithm) + 0.5))

    def _cover(self, start: int, end: int) -> list[Candle]:
        """Return the fewest whole spans that make up the stretch, oldest first."""
        candles = []
        level = self._leaf_level
        while start < end:
            while level > 0 and start % LEVELS[level - 1] == 0 and start + LEVELS[level - 1] <= end:
                level -= 1
            while start + LEVELS[level] > end or start % LEVELS[level]:
                level += 1
            candles.append(self._node(level, start // LEVELS[level]))
            start += LEVELS[level]
        return candles

    def _node(self, level: int, index: int) -> Candle:
        if level == 0:
            return self._day(index)
        fan_out = FAN_OUT[level - 1]
        return self._parts(level - 1, index // fan_out)[index % fan_out]

    def _count_before(self, day: int) -> int:
        # Days since the epoch times the daily count, disturbed: so ids rise forever and no sum over days is needed.
        return int(self.listing.trades * (day + 0.3 * self._noise.uniforms(0, day)[3]))

    def _whole_day(self, day: int) -> Candle:
        span = self._path.span(0, day)
        opened, high, low, closed = map(self._ticks, span)
        deviation = sqrt(self._path.variance * DAY)
        uniforms = self._noise.uniforms(0, day)
        lots = self._daily_lots * exp(0.3 * _quantile(uniforms[1])) * _liveliness(span.high - span.low, deviation)
        lots = max(lots, 4 * LEAST_LOTS * DAY / self.listing.leaf)
        first_id = self._count_before(day)
        count = self._count_before(day + 1) - first_id
        share = 0.5 + 0.02 * (span.close - span.open) / deviation + 0.04 * (uniforms[2] - 0.5)
        share = min(0.6, max(0.4, share))
        typical = (high + low) // 2
        bought, sold = int(lots * share), int(lots * (1 - share))
        buying = int(count * share)
        buys, sells = Flow(bought, bought * typical, buying), Flow(sold, sold * typical, count - buying)
        return Candle(opened, high, low, closed, first_id, buys, sells)

    def _divide(self, level: int, index: int) -> tuple[Candle, ...]:
        whole = self._node(level, index)
        spans = self._path.parts(level, index)
        length = LEVELS[level + 1]
        deviation = sqrt(self._path.variance * length)
        uniforms = self._noise.uniforms(level + 1, index, 16)
        buying, selling = [], []
        for place, span in enumerate(spans):
            extent = span.high - span.low
            weight = exp(_ROUGHNESS * _quantile(uniforms[2 * place])) * _liveliness(extent, deviation)
            tilt = _TILT * ((span.close - span.open) / extent + uniforms[2 * place + 1] - 0.5) if extent else 0.0
            buying.append(weight * (1 + tilt))
            selling.append(weight * (1 - tilt))
        prices = [*(self._ticks(span.open) for span in spans), whole.close]
        highs = [self._ticks(span.high) for span in spans]
        lows = [self._ticks(span.low) for span in spans]
        # A turnover may have widened the whole beyond its path (see below): then the nearest part is widened, too.
        highs[highs.index(max(highs))] = whole.high
        lows[lows.index(min(lows))] = whole.low
        leaves = length // self.listing.leaf
        bought = allot(whole.buys, highs, lows, buying, leaves=leaves)
        sold = allot(whole.sells, highs, lows, selling, leaves=leaves)
        candles = []
        first_id = whole.first_id
        for place, (buys, sells) in enumerate(zip(bought, sold, strict=True)):
            high = max(highs[place], -(-buys.quote // buys.lots), -(-sells.quote // sells.lots))
            low = min(lows[place], buys.quote // buys.lots, sells.quote // sells.lots)
            candles.append(Candle(prices[place], high, low, prices[place + 1], first_id, buys, sells))
            first_id += buys.trades + sells.trades
        return tuple(candles)

    def _trades(self, start: int) -> tuple[Trade, ...]:
        """Return the trades of the leaf that begins at ``start``, epoch seconds, oldest first."""
        index = start // self.listing.leaf
        return leaf_trades(self._node(self._leaf_level, index), start, self.listing.leaf, self._noise)


def fold(candles: Sequence[Candle]) -> Candle:
    """Join consecutive candles; at least one."""
    if len(candles) == 1:
        return candles[0]
    buys = [candle.buys for candle in candles]
    sells = [candle.sells for candle in candles]
    return Candle(
        candles[0].open,
        max(map(_HIGH, candles)),
        min(map(_LOW, candles)),
        candles[-1].close,
        candles[0].first_id,
        Flow(*map(sum, zip(*buys, strict=True))),
        Flow(*map(sum, zip(*sells, strict=True))),
    )


def _liveliness(extent: float, deviation: float) -> float:
    """Return how much volume a range draws: 1 at the usual range, with a floor."""
    return 0.35 + 0.65 * extent / (_TYPICAL_RANGE * deviation)


def allot(
    flow: Flow, highs: Sequence[int], lows: Sequence[int], weights: Sequence[float], *, leaves: int
) -> list[Flow]:
    """
    Hand ``flow`` down to the parts of its span, with nothing lost and nothing added.

    Volumes follow ``weights``; each part has ``leaves`` leaves and gets the least volume and count that they need. Its
    average price lies between its low and its high, if that is possible at all; if not, it lies where another part
    has been.
    """
    least = LEAST_LOTS * leaves
    typical = [(high + low) / 2 for high, low in zip(highs, lows, strict=True)]
    highest, lowest = max(highs), min(lows)
    wanted = flow.quote / flow.lots
    lots = _portions(flow.lots, _lean(weights, typical, wanted, _STIFFNESS * (highest - lowest)), least)
    quotes, strain = _spend(flow.quote, lots, typical, highs, lows)
    if abs(strain) > _STRETCH:
        limits, furthest = (highs, highest) if strain > 0 else (lows, lowest)
        reach = [price + _STRETCH * (limit - price) for price, limit in zip(typical, limits, strict=True)]
        lots = _shift(lots, reach, wanted, furthest=limits.index(furthest), least=least)
        quotes, strain = _spend(flow.quote, lots, typical, highs, lows)
        if abs(strain) > 1:
            everywhere = [highest] * len(lots), [lowest] * len(lots)
            quotes, _ = _spend(flow.quote, lots, typical, *everywhere)
    counts = _portions(flow.trades, [volume / flow.lots for volume in lots], LEAST_COUNT * leaves)
    if any(map(gt, counts, lots)):
        counts = _fill(list(map(min, lots, counts)), lots, flow.trades)
    return list(map(Flow, lots, quotes, counts))


def _lean(weights: Sequence[float], prices: Sequence[float], wanted: float, stiffness: float) -> list[float]:
    """
    Return shares of the volume, near ``weights``, at which the average of ``prices`` comes near ``wanted``.

    That is how the average price of the whole is met: by when people traded rather than at what price they did.
    """
    total = sum(weights)
    mean = sum(map(mul, weights, prices)) / total
    away = [price - mean for price in prices]
    variance = sum(map(mul, weights, map(mul, away, away))) / total
    if variance > 0:
        pull = (wanted - mean) / (variance + stiffness * stiffness)
        weights = [
            weight * exp(max(-_LEAN, min(_LEAN, pull * distance)))
            for weight, distance in zip(weights, away, strict=True)
        ]
        total = sum(weights)
    return [weight / total for weight in weights]


def _portions(whole: int, shares: Sequence[float], least: int) -> list[int]:
    """Split ``whole`` by ``shares``, which sum up to 1, giving each portion at least ``least``."""
    spare = whole - least * len(shares)
    portions = [least + int(spare * share) for share in shares]
    portions[-1] += whole - sum(portions)
    return portions


def _shift(lots: Sequence[int], reach: Sequence[float], wanted: float, *, furthest: int, least: int) -> list[int]:
    """
    Move volume to the part that reaches ``furthest``, until average prices within ``reach`` make the ``wanted`` one.

    Without this a part could be left with an average price at the very end of its range, and all of its own parts.
    """
    whole = sum(lots)
    reached = sum(map(mul, lots, reach)) / whole
    distance = reach[furthest] - reached
    moved = (wanted - reached) / distance if distance else _MOST_MOVED
    moved = min(_MOST_MOVED, max(0.0, moved))
    shifted = [least + int((volume - least) * (1 - moved)) for volume in lots]
    shifted[furthest] += whole - sum(shifted)
    return shifted


def _spend(
    quote: int, lots: Sequence[int], typical: Sequence[float], highs: Sequence[int], lows: Sequence[int]
) -> tuple[list[int], float]:
    """
    Divide a turnover so that each part's average price goes the same portion of its way from typical to its limit.

    Also return that portion: above 0 to the high, below 0 to the low. Beyond 1 and -1 prices stop at their limits and
    the sum is not ``quote``.
    """
    # Typical prices are halves; as floats these products would lose digits.
    quotes = [volume * int(2 * price) // 2 for volume, price in zip(lots, typical, strict=True)]
    missing = quote - sum(quotes)
    if missing == 0:
        return quotes, 0.0
    most = list(map(mul, lots, highs if missing > 0 else lows))
    sign = 1 if missing > 0 else -1
    room = [sign * (limit - amount) for limit, amount in zip(most, quotes, strict=True)]
    available = sum(room)
    if abs(missing) > available:
        return most, sign * (abs(missing) / available if available else inf)
    steps = _fill([space * abs(missing) // available for space in room], room, abs(missing))
    return [amount + sign * step for amount, step in zip(quotes, steps, strict=True)], missing / available


def _fill(amounts: list[int], limits: Sequence[int], whole: int) -> list[int]:
    """Bring the sum of ``amounts`` up to ``whole``, first come first served, none beyond its limit."""
    rest = whole - sum(amounts)
    filled = []
    for amount, limit in zip(amounts, limits, strict=True):
        more = min(rest, limit - amount)
        rest -= more
        filled.append(amount + more)
    return filled
