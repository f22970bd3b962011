"""What Kraken's pairs cost a day ago, from their candles; ``Ticker`` itself compares with midnight only."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.market.quotes import price

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scheduler.market.quotes import Quote

DAY_MS: Final = 86_400_000

CANDLE_MINUTES: Final = 15
"""How close to a day ago the price is. One answer has the 97 candles of a day, which serve for the day to come."""

KEPT_MS: Final = 23 * 3_600_000
"""How long an answer is used, in milliseconds: less than the day it is good for."""

AGAIN_MS: Final = 60_000
"""How long after a question without an answer it is put again, in milliseconds."""

AT_ONCE: Final = 3
"""So many questions a tick, so that all are put within a few ticks and the pace is never exceeded."""

GAP_S: Final = 3_600
"""A candle older than this by the time looked for is not taken, in seconds: nobody knows the price then."""

_THOUSANDTHS: Final = Decimal("0.001")


class _Candle(msgspec.Struct, array_like=True):
    """What is used of a candle: when it began (epoch seconds), and at what price."""

    time: int
    open: str


_series = msgspec.json.Decoder(dict[str, msgspec.Raw])
_candles = msgspec.json.Decoder(list[_Candle])


class DayAgo:
    """
    What is known about the day before, by altname; lost with the process, and asked for again.

    Args:
        now: Epoch milliseconds.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._known: dict[str, list[tuple[int, str]]] = {}
        self._due_at: dict[str, int] = {}

    def due(self, altnames: Iterable[str]) -> list[str]:
        """Choose whom to ask about now, and take note that they are asked."""
        now = self._now()
        chosen = [altname for altname in altnames if self._due_at.get(altname, 0) <= now][:AT_ONCE]
        self._due_at |= dict.fromkeys(chosen, now + AGAIN_MS)
        return chosen

    def question(self, altname: str) -> dict[str, str]:
        """Say what to ask ``OHLC``: the candles of the last day and the one before them."""
        since = (self._now() - DAY_MS) // 1000 - 60 * CANDLE_MINUTES
        return {"pair": altname, "interval": str(CANDLE_MINUTES), "since": str(since)}

    def learn(self, altname: str, result: msgspec.Raw) -> None:
        """
        Keep the candles of an answer.

        Raises:
            ValueError: They are none.
        """
        members = _series.decode(result)
        rows = [_candles.decode(raw) for name, raw in members.items() if name != "last"]
        if len(rows) != 1:
            raise ValueError(f"{len(rows)} series of candles")
        self._known[altname] = sorted((candle.time, opened) for candle in rows[0] if (opened := price(candle.open)))
        self._due_at[altname] = self._now() + KEPT_MS

    def compare(self, altname: str, quote: Quote) -> Quote:
        """Give the quote with its change in percent, to thousandths, if it is known what it cost a day ago."""
        series = self._known.get(altname, [])
        at = (quote.ts - DAY_MS) // 1000
        place = bisect_right(series, at, key=lambda candle: candle[0])
        if quote.last is None or not place or at - series[place - 1][0] > GAP_S:
            return quote
        before = Decimal(series[place - 1][1])
        try:
            change = ((Decimal(quote.last) - before) / before * 100).quantize(_THOUSANDTHS)
        except InvalidOperation:  # more digits than Decimal computes with: one of the two prices is none
            return quote
        return replace(quote, change_pct=format(change, "f"))
