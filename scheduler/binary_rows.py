"""What the binary stream says of one instrument and knows from tick to tick: written down, and read back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.analysis import sentiment
from scheduler.analysis.sentiment import HORIZONS, METHOD, Measurement, Sentiment, TickMinute
from scheduler.market.moves import Moves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scheduler.composition import Known

CLOSED: Final = "closed"
"""The reason of no sentiment while the instrument's market is at rest; also what ``market`` is then."""

NO_DATA: Final = "no_data"
"""The reason of no sentiment when, within the longest horizon, nothing was traded or offered and no price was seen."""

NO_ANSWER: Final = "no_answer"
"""The reason of no sentiment when the market has opened, and its provider has not answered since."""

logger = logging.getLogger(__name__)


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    The wire's ``data``.

    ``ts`` is when what it says was asked for, because neither candles nor book tell such a time. ``reason`` is there
    only when no horizon has a value, ``market`` only for a class of instruments that rests at times.
    """

    method: str
    horizons: list[Sentiment]
    source: str | None
    ts: int
    stale: bool
    reason: str | None = None
    market: str | None = None
    proxy: bool = False

    def says_the_same_as(self, other: Content) -> bool:
        """Whether nothing worth sending is different; a new ``ts`` alone is not."""
        return msgspec.structs.replace(self, ts=other.ts) == other


class Counts(msgspec.Struct, frozen=True):
    """How often middle prices had moved by ``at``, epoch milliseconds, as the market stream counts."""

    at: int = 0
    moves: dict[str, Moves] = {}


class State(msgspec.Struct, frozen=True):
    """The running sums of the book and of the middle prices, by symbol; the latter's go on from ``counts``."""

    book: dict[str, list[TickMinute]] = {}
    mids: dict[str, list[TickMinute]] = {}
    counts: Counts = Counts()


_encoder = msgspec.json.Encoder(decimal_format="number")
_content = msgspec.json.Decoder(Content)


def of_measurements(
    measured: Sequence[Measurement],
    *,
    source: str | None,
    ts: int,
    now: int,
    market: str | None = None,
    proxy: bool = False,
) -> Content:
    """Judge one measurement for each horizon."""
    horizons = [sentiment.judge(horizon, one, now=now) for horizon, one in zip(HORIZONS, measured, strict=True)]
    return Content(
        method=METHOD,
        horizons=horizons,
        source=source,
        ts=ts,
        stale=False,
        reason=NO_DATA if all(one.call is None for one in horizons) else None,
        market=market,
        proxy=proxy,
    )


def of_nothing(reason: str, *, now: int, market: str) -> Content:
    """Say why there is no sentiment of an instrument whose market rests at times."""
    nothing = [sentiment.measure(horizon, (), (), now=now) for horizon in HORIZONS]
    judged = of_measurements(nothing, source=None, ts=now, now=now, market=market)
    return msgspec.structs.replace(judged, reason=reason)


def encode(content: Content | State) -> bytes:
    """Write it down."""
    return _encoder.encode(content)


def read_content(known: Known) -> dict[str, Content]:
    """Read the last values back; what another version has written otherwise counts as not known."""
    found = {}
    for symbol, written in known.content.items():
        try:
            found[symbol] = _content.decode(written)
        except msgspec.DecodeError as error:
            logger.warning("the last sentiment of %s cannot be read: %s", symbol, error)
    return found


def read_state(known: Known) -> State:
    """Read the running sums back; they begin anew when they cannot be read."""
    try:
        return msgspec.json.decode(known.state, type=State) if known.state else State()
    except msgspec.DecodeError as error:
        logger.warning("the binary stream's state cannot be read: %s", error)
        return State()
