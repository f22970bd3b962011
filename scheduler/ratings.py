"""Ratings as the signals stream tells them: written for the wire, and read back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.analysis.rating import METHOD
from scheduler.market.candles import TIMEFRAME_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scheduler.analysis import rating
    from scheduler.series import Rated

STALE_PERIODS: Final = 2
"""A rating is stale when its last candle closed longer ago than so many candles take."""

NO_CANDLES: Final = "no_candles"
"""The reason of no rating when there is nowhere to have candles from."""

TOO_FEW_CANDLES: Final = "too_few_candles"
"""The reason of no rating when there are candles, but no indicator can vote yet."""

# Enough to tell any two ratings apart that differ, and any rating from a threshold.
_DIGITS: Final = 5
_ATR_DIGITS: Final = 8
_VOTE_SIGNS: Final = {1: "+", 0: "0", -1: "-", None: "?"}

logger = logging.getLogger(__name__)


class Tally(msgspec.Struct, frozen=True):
    """How many of a group voted for what."""

    buy: int
    neutral: int
    sell: int


class Counts(msgspec.Struct, frozen=True):
    """Both groups."""

    ma: Tally
    osc: Tally


class TimeframeRating(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What candles of one timeframe came to; everything but ``timeframe`` and ``stale`` is None where there are none.

    ``closed_at`` is the last millisecond of the last candle. ``reason`` is there only when ``rating`` is None.
    """

    rating: float | None
    rating_ma: float | None
    rating_osc: float | None
    label: str | None
    reason: str | None = None
    counts: Counts | None
    timeframe: str
    closed_at: int | None
    atr: float | None
    source: str | None
    stale: bool
    proxy: bool = False

    def judged(self, now: int) -> TimeframeRating:
        """Say how old it is at ``now``, epoch milliseconds."""
        after = STALE_PERIODS * TIMEFRAME_MS.get(self.timeframe, 0)
        stale = self.closed_at is not None and now - self.closed_at > after
        return self if stale == self.stale else msgspec.structs.replace(self, stale=stale)

    def says_the_same_as(self, other: TimeframeRating) -> bool:
        """Whether nothing worth sending is different; a new candle and its ATR alone are not."""
        return msgspec.structs.replace(self, closed_at=other.closed_at, atr=other.atr) == other


class _Signal(TimeframeRating, frozen=True, kw_only=True, omit_defaults=True):
    """The wire's ``data``: the first timeframe's rating, then those of the other timeframes that are configured."""

    method: str
    other_timeframes: list[TimeframeRating] = []
    not_advice: bool


class _Votes(msgspec.Struct, frozen=True):
    """What a ``votes`` message says beside symbol, timeframe, source and ``closed_at``."""

    method: str
    rating: float | None
    rating_ma: float | None
    rating_osc: float | None
    label: str | None
    votes: dict[str, int | None]
    not_advice: bool


_signal = msgspec.json.Decoder(_Signal)
_members = TimeframeRating.__struct_fields__


def of_candles(rated: Rated, timeframe: str, *, is_proxy: bool = False) -> TimeframeRating:
    """Say what candles came to; a proxy's are of something else that goes with it, a token of gold for gold."""
    one = rated.rating
    return TimeframeRating(
        rating=_rounded(one.rating),
        rating_ma=_rounded(one.ma),
        rating_osc=_rounded(one.osc),
        label=one.label,
        reason=TOO_FEW_CANDLES if one.rating is None else None,
        counts=Counts(_tally(one.ma_counts), _tally(one.osc_counts)),
        timeframe=timeframe,
        closed_at=rated.closed_at,
        atr=None if rated.atr is None else float(f"{rated.atr:.{_ATR_DIGITS}g}"),
        source=rated.source,
        stale=False,
        proxy=is_proxy,
    )


def of_nothing(timeframe: str) -> TimeframeRating:
    """Say that there is nowhere to have candles from."""
    return TimeframeRating(
        rating=None,
        rating_ma=None,
        rating_osc=None,
        label=None,
        reason=NO_CANDLES,
        counts=None,
        timeframe=timeframe,
        closed_at=None,
        atr=None,
        source=None,
        stale=False,
    )


def encode(ratings: Sequence[TimeframeRating]) -> bytes:
    """Write an instrument's ratings, at least one, the first timeframe's first."""
    first, *others = ratings
    members = {name: getattr(first, name) for name in _members}
    return msgspec.json.encode(_Signal(**members, method=METHOD, other_timeframes=others, not_advice=True))


def decode(content: Mapping[str, bytes]) -> dict[str, list[TimeframeRating]]:
    """Read ratings back by symbol; what another version has written otherwise counts as not known."""
    found = {}
    for symbol, written in content.items():
        try:
            signal = _signal.decode(written)
        except msgspec.DecodeError as error:
            logger.warning("the last rating of %s cannot be read: %s", symbol, error)
        else:
            first = TimeframeRating(**{name: getattr(signal, name) for name in _members})
            found[symbol] = [first, *signal.other_timeframes]
    return found


def encode_votes(one: rating.Rating) -> bytes:
    """Write how every indicator voted, for a ``votes`` message."""
    return msgspec.json.encode(
        _Votes(
            METHOD,
            _rounded(one.rating),
            _rounded(one.ma),
            _rounded(one.osc),
            one.label,
            dict(one.votes),
            not_advice=True,
        )
    )


def short(votes: Iterable[int | None]) -> str:
    """Write votes down to be compared, a character for each."""
    return "".join(map(_VOTE_SIGNS.__getitem__, votes))


def _rounded(mean: float | None) -> float | None:
    return None if mean is None else round(mean, _DIGITS)


def _tally(counts: rating.Counts) -> Tally:
    return Tally(counts.buy, counts.neutral, counts.sell)
