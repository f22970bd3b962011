"""
Order-flow sentiment, ``flow-sentiment/1``: how much of what was just traded and offered stood on the buyers' side.

**It does not forecast.** Measured on 10,000 real five-minute candles of BTCUSDT: the buyers' share agreed with the
move of the very same minutes 72 % of the time, but with that of the next 5, 15 or 60 minutes only 48 to 49 %, which is
a coin toss, and no better where the share was extreme. It says what has happened, never what will.

For a horizon H of 1, 5 or 15 minutes, over H's last full minutes and the one under way:

* *flow*, weight .6: what takers bought of all that was traded, Σ taker-buy volume / Σ volume; where nothing was
  traded, the share of the market stream's ticks in which the middle price rose, one without a move counting half;
* *book*, weight .2: the mean over the ticks of bid quantity / (bid + ask quantity) at the best prices;
* each is drawn to one half as its sample is small: .5 + (share - .5) · n / (n + n0), with n trades and n0 = 200 for
  flow, n ticks and n0 = 60 for what is counted in ticks;
* call is their mean by weight, the weights renormalised over the parts there are, and put is 1 - call. The definition
  has a third part, the share of accounts that are long; its source is not public everywhere, and it is left out.

``call`` is rounded to thousandths before anything is derived from it, so that whoever reads it comes to the same
``index`` and ``label``; half to even, so that to swap the sides swaps call and put and nothing else. Until then all
is exact. Instants are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

METHOD: Final = "flow-sentiment/1"
"""What the definition above is called; another definition has another name."""

MINUTE_MS: Final = 60_000

FLOW_WEIGHT: Final = Fraction(6, 10)
FLOW_SAMPLE: Final = 200
"""With so many trades, half of the flow's distance from one half counts."""

BOOK_WEIGHT: Final = Fraction(2, 10)
TICK_SAMPLE: Final = 60
"""With so many ticks, half of the book's or the middle prices' distance from one half counts."""

MILLION: Final = 1_000_000
"""Shares of ticks are kept in millionths: exact to add up, and short to write down."""

MIDS: Final = "mids"
"""The basis of a flow that is made of middle prices; one of trades, which is the rule, has none."""

_HALF: Final = Fraction(1, 2)
_NEUTRAL_BELOW: Final = Decimal("0.5")
_STRONG_FROM: Final = Decimal("1.5")


@dataclass(frozen=True, slots=True)
class Horizon:
    """
    What a sentiment looks back on, and the grid on which it expires.

    ``scale`` is the distance from one half that counts as one unit: the shorter the horizon, the wider the flow is
    spread (over the 10,000 candles 5 % of it lay below .22 and 5 % above .75 in 5m; .29 and .69 in 15m).
    """

    name: str
    length_ms: int
    scale: Decimal


HORIZONS: Final = (
    Horizon("1m", MINUTE_MS, Decimal("0.20")),
    Horizon("5m", 5 * MINUTE_MS, Decimal("0.16")),
    Horizon("15m", 15 * MINUTE_MS, Decimal("0.12")),
)

LONGEST_MS: Final = max(horizon.length_ms for horizon in HORIZONS)
"""So far back from the minute under way does any horizon reach."""


@dataclass(frozen=True, slots=True)
class TradedMinute:
    """
    What was traded in the minute that began ``at``, or so far in the one under way.

    ``volume`` and ``bought`` (by takers, at most ``volume``) are in the instrument, ``turnover`` in what it is paid
    with; none is negative.
    """

    at: int
    volume: Decimal
    bought: Decimal
    turnover: Decimal
    trades: int


class TickMinute(msgspec.Struct, frozen=True, array_like=True):
    """
    The running sum of one minute's ticks: their shares, in millionths, and how many they were.

    A share is the bid's part of the book; or of the middle price, whether it rose: all, half (no move) or nothing.
    """

    at: int
    shares: int
    ticks: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """
    What one horizon holds, exactly; ``flow`` and ``book`` as they are before they are drawn to one half.

    A part is None where there is nothing to make it of; ``call`` is None where there is neither. ``n`` counts the
    trades, or the ticks where ``basis`` is ``MIDS``.
    """

    call: Fraction | None
    flow: Fraction | None
    book: Fraction | None
    n: int
    turnover: Decimal
    basis: str | None = None


class Sentiment(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One horizon as clients are told it; shares have three digits after the point.

    ``expiry`` is when the horizon that is under way on the clock's grid ends. ``call``, ``put``, ``index`` and
    ``label`` are null when there is nothing to judge by, and ``parts`` names only what there is. ``basis`` is left out
    but where it is ``MIDS``.
    """

    h: str
    expiry: int
    call: Decimal | None
    put: Decimal | None
    index: int | None
    label: str | None
    parts: dict[str, Decimal]
    n: int
    basis: str | None = None


def book_share(bid_quantity: Decimal, ask_quantity: Decimal) -> int | None:
    """Give the bid's share of the best prices' quantities in millionths; None when nobody offers anything."""
    both = Fraction(bid_quantity) + Fraction(ask_quantity)
    return round(Fraction(bid_quantity) / both * MILLION) if both else None


def add_ticks(minutes: Iterable[TickMinute], shares: int, *, ticks: int = 1, now: int) -> list[TickMinute]:
    """Add ticks at ``now``, ``shares`` in all, to the running sums, and drop what no horizon reaches."""
    at = _minute(now)
    kept = [minute for minute in minutes if at - LONGEST_MS <= minute.at < at]
    under_way = [minute for minute in minutes if minute.at == at]
    shares += sum(minute.shares for minute in under_way)
    ticks += sum(minute.ticks for minute in under_way)
    return [*kept, TickMinute(at, shares, ticks)]


def measure(
    horizon: Horizon,
    traded: Iterable[TradedMinute],
    booked: Iterable[TickMinute],
    moved: Iterable[TickMinute] = (),
    *,
    now: int,
) -> Measurement:
    """
    Measure one instrument over the horizon's last full minutes and the one under way at ``now``.

    Args:
        horizon: Which.
        traded: What was traded.
        booked: The ticks of the book.
        moved: The ticks of the middle price, for a horizon in which nothing was traded.
        now: Epoch milliseconds.
    """
    since = _minute(now) - horizon.length_ms
    volume = bought = turnover = Decimal()
    n = 0
    for minute in traded:
        if minute.at >= since:
            volume += minute.volume
            bought += minute.bought
            turnover += minute.turnover
            n += minute.trades
    sample, basis = FLOW_SAMPLE, None
    flow = Fraction(bought) / Fraction(volume) if volume else None
    if flow is None and (rising := _share(moved, since)) is not None:
        (flow, n), sample, basis = rising, TICK_SAMPLE, MIDS
    parts = []
    if flow is not None:
        parts.append((FLOW_WEIGHT, _shrink(flow, n, sample)))
    book = None
    if (offered := _share(booked, since)) is not None:
        book, ticks = offered
        parts.append((BOOK_WEIGHT, _shrink(book, ticks, TICK_SAMPLE)))
    return Measurement(_mean(parts), flow, book, n, turnover, basis)


def mean(measurements: Sequence[Measurement]) -> Measurement:
    """Measure a market: the mean of its instruments by what was turned over, all of it in one currency."""
    return Measurement(
        _mean((Fraction(one.turnover), one.call) for one in measurements if one.call is not None),
        _mean((Fraction(one.turnover), one.flow) for one in measurements if one.flow is not None),
        _mean((Fraction(one.turnover), one.book) for one in measurements if one.book is not None),
        sum(one.n for one in measurements),
        sum((one.turnover for one in measurements), Decimal()),
    )


def judge(horizon: Horizon, measured: Measurement, *, now: int) -> Sentiment:
    """Round what was measured, and give it its index and label by the horizon's scale."""
    call = None if measured.call is None else _rounded(measured.call)
    return Sentiment(
        h=horizon.name,
        expiry=now // horizon.length_ms * horizon.length_ms + horizon.length_ms,
        call=call,
        put=None if call is None else 1 - call,
        index=None if call is None else round(100 * call),
        label=None if call is None else label_of(call, horizon),
        parts={
            name: _rounded(share)
            for name, share in (("flow", measured.flow), ("book", measured.book))
            if share is not None
        },
        n=measured.n,
        basis=measured.basis,
    )


def label_of(call: Decimal, horizon: Horizon) -> str:
    """
    Name a share of calls by z, its distance from one half in scales of the horizon.

    |z| < .5 is NEUTRAL, < 1.5 BULLISH or BEARISH, from there on STRONG_BULLISH or STRONG_BEARISH.
    """
    beyond = call - Decimal("0.5")
    if abs(beyond) < _NEUTRAL_BELOW * horizon.scale:
        return "NEUTRAL"
    side = "BULLISH" if beyond > 0 else "BEARISH"
    return side if abs(beyond) < _STRONG_FROM * horizon.scale else f"STRONG_{side}"


def _minute(now: int) -> int:
    return now // MINUTE_MS * MINUTE_MS


def _share(minutes: Iterable[TickMinute], since: int) -> tuple[Fraction, int] | None:
    """Give the mean share of the ticks from ``since`` on, and how many they are; None when there are none."""
    shares = ticks = 0
    for minute in minutes:
        if minute.at >= since:
            shares += minute.shares
            ticks += minute.ticks
    return (Fraction(shares, ticks * MILLION), ticks) if ticks else None


def _shrink(share: Fraction, n: int, half_at: int) -> Fraction:
    return _HALF + (share - _HALF) * Fraction(n, n + half_at)


def _mean(weighted: Iterable[tuple[Fraction, Fraction]]) -> Fraction | None:
    """Give the mean of (weight, value) pairs; None where nothing has weight."""
    pairs = list(weighted)
    weight = sum((weight for weight, _ in pairs), Fraction())
    return sum((weight * value for weight, value in pairs), Fraction()) / weight if weight else None


def _rounded(share: Fraction) -> Decimal:
    return Decimal(round(share * 1000)).scaleb(-3)
