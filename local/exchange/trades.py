"""The trades of one leaf of a simulated market: few enough to invent at once, exact in every sum."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.exchange.market import Candle, Flow
    from local.exchange.price_path import Noise

_TRADES = -5
_ATTEMPTS = 16
_SHAPED = 12


class Trade(NamedTuple):
    """One trade: price in ticks, quantity in lots, ``at`` in epoch microseconds; whether the taker bought."""

    id: int
    price: int
    lots: int
    at: int
    bought: bool


def leaf_trades(candle: Candle, start: int, length: int, noise: Noise) -> tuple[Trade, ...]:
    """
    Return the trades of a leaf, oldest first: the first at its open, the last at its close, one at each extreme.

    Each side's lots and turnover add up to the candle's. ``start`` and ``length`` are seconds. In a leaf of a few lots
    the sides may have to be dealt anew, so that, say, a side that turned over little does not hold the peak; and if
    neither could have traded there (about one leaf in 5,000), nobody did, or the turnover is a few ticks off.
    """
    for attempt in range(_ATTEMPTS):
        uniforms: list[float] = []
        while len(uniforms) <= 3 * candle.trades:
            place = (start * _ATTEMPTS + attempt) * 4096 + len(uniforms) // 16
            uniforms += noise.uniforms(_TRADES, place, 16)
        trades = _deal(candle, uniforms, start * 1_000_000, length * 1_000_000, peaks=attempt < _SHAPED)
        if all(candle.low <= trade.price <= candle.high for trade in trades):
            return trades
    return tuple(trade._replace(price=min(candle.high, max(candle.low, trade.price))) for trade in trades)


def _deal(candle: Candle, uniforms: Sequence[float], start: int, length: int, *, peaks: bool) -> tuple[Trade, ...]:
    """Make up the trades; ``start`` and ``length`` are microseconds."""
    count = candle.trades
    order = sorted(range(count), key=uniforms.__getitem__)
    weights = uniforms[count : 2 * count]
    moments = sorted(uniforms[2 * count : 3 * count])
    inner = [place for place in order if 0 < place < count - 1]
    first, second = sorted(inner[:2])
    extremes = [candle.high, candle.low] if peaks else [candle.open, candle.close]
    if uniforms[3 * count] < 0.5:  # noqa: PLR2004 - a fair coin
        extremes.reverse()
    prices = _lines({0: candle.open, first: extremes[0], second: extremes[1], count - 1: candle.close})
    # Two trades of each side take no part in the shape, so that their prices are free to make its turnover exact.
    buying, selling = inner[2:4], inner[4:6]
    others = [place for place in order if place not in buying and place not in selling]
    buying += others[: candle.buys.trades - 2]
    selling += others[candle.buys.trades - 2 :]
    lots = [0] * count
    _settle(candle.buys, candle, buying, prices, lots, weights)
    _settle(candle.sells, candle, selling, prices, lots, weights)
    bought = set(buying)
    return tuple(
        Trade(
            candle.first_id + place, prices[place], lots[place], start + int(moments[place] * length), place in bought
        )
        for place in range(count)
    )


def _lines(anchors: dict[int, int]) -> list[int]:
    """Return prices on straight lines from anchor to anchor, in ticks."""
    prices = [anchors[0]]
    for left, right in pairwise(sorted(anchors)):
        step = (anchors[right] - anchors[left]) / (right - left)
        prices += [anchors[left] + round(step * place) for place in range(1, right - left)]
        prices.append(anchors[right])
    return prices


def _settle(
    flow: Flow, candle: Candle, places: list[int], prices: list[int], lots: list[int], weights: Sequence[float]
) -> None:
    """Give each place its lots; the first two of ``places`` also get prices, a tick apart, that make the sum exact."""
    for scale in (1.0, 0.1, 0.0):
        unit = scale * (flow.lots - flow.trades) / flow.trades
        left, quote = flow.lots, flow.quote
        for place in places[2:]:
            lots[place] = 1 + int(unit * weights[place])
            left -= lots[place]
            quote -= lots[place] * prices[place]
        if left * candle.low <= quote <= left * candle.high:
            break
    price, upper = divmod(quote, left)
    one, other = places[:2]
    prices[one], lots[one] = price, left - upper
    prices[other], lots[other] = price + 1, upper
    if upper == 0:
        prices[other], lots[other] = price, left // 2
        lots[one] = left - left // 2
