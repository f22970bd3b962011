"""One instrument's closed candles in one timeframe, as far as this process has them, and what they come to."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from talipp.ohlcv import OHLCV  # type: ignore[import-untyped]  # talipp publishes no types

from scheduler.analysis.indicators import Indicators
from scheduler.analysis.rating import Rating, tally, votes
from scheduler.market import candles as wire
from scheduler.market.candles import TIMEFRAME_MS

if TYPE_CHECKING:
    from scheduler.market.candles import Candles, Figures

KEPT: Final = 500
"""So many candles are kept for whoever asks for them; a message has room for fewer."""


@dataclass(frozen=True, slots=True)
class Rated:
    """What the candles up to ``closed_at`` (epoch milliseconds) came to; ``atr`` is in the price's own unit."""

    rating: Rating
    closed_at: int
    atr: float | None
    source: str


class Series:
    """
    A series of closed candles that goes on.

    ``due_at`` is the epoch millisecond from which the next candle is worth asking for, ``rated`` None before the
    first. ``kept_at`` is for whoever writes the series down: the ``closed_at`` of what was written.
    """

    def __init__(self, timeframe: str) -> None:
        self.due_at = 0
        self.rated: Rated | None = None
        self.kept_at: int | None = None
        self._length = TIMEFRAME_MS[timeframe]
        self._rows: deque[bytes] = deque(maxlen=KEPT)
        self._opened_at: int | None = None
        self._source = ""
        self._indicators = Indicators()

    @property
    def since(self) -> int | None:
        """From where to ask for candles: the latest one again, to see whether it still is what it was."""
        return self._opened_at

    @property
    def payload(self) -> bytes:
        """The latest candles as a JSON array."""
        return b"[%b]" % b",".join(self._rows)

    def take(self, answer: Candles, *, now: int) -> None:
        """
        Go on with what was asked for ``since``, and rate it.

        When the latest candle has become another one, the source has corrected its past: the series begins anew with
        the next answer, and ``rated`` stays until then.

        Raises:
            ValueError: These are no candles, and nothing was taken.
        """
        self.due_at = now
        rows = [wire.write(candle) for candle in answer.candles]
        figures = wire.read(rows)
        if not rows:
            return
        if self._rows:
            if (rows[0], answer.source) != (self._rows[-1], self._source):
                self._rows.clear()
                self._opened_at = None
                return
            for one in figures[1:]:
                self._indicators.add(_ohlcv(one))
            rows = rows[1:]
        else:
            self._indicators = Indicators([_ohlcv(one) for one in figures])
        latest = answer.candles[-1]
        self._opened_at, self._source = latest.opened_at, answer.source
        if rows:
            self._rows.extend(rows)
            self.due_at = latest.closed_at + 1 + self._length
            readings = self._indicators.read()
            atr = readings.atr if readings else None
            self.rated = Rated(tally(votes(readings)), latest.closed_at, atr, answer.source)


def _ohlcv(one: Figures) -> OHLCV:
    return OHLCV(one.open, one.high, one.low, one.close, one.volume)
