"""Candles: how they are kept, checked and written, and where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.hub.instruments import Instrument

TIMEFRAME_MS: Final = {"1m": 60_000, "15m": 900_000, "1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000}
"""How long a candle of each timeframe is, in milliseconds; each begins at a multiple of that since the epoch."""


class Candle(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    What was traded from ``opened_at`` to ``closed_at``, its last millisecond; both are epoch milliseconds.

    Prices and ``volume`` (of what is traded; None where the source has none) are the source's own digits. Read from
    an array, these are its first members, as in Binance's klines.
    """

    opened_at: int
    open: str
    high: str
    low: str
    close: str
    volume: str | None
    closed_at: int


class Figures(NamedTuple):
    """A candle as the wire writes it, ``[opened_at, open, high, low, close, volume]``, in floats to compute with."""

    opened_at: int
    open: float
    high: float
    low: float
    close: float
    volume: float | None


class Candles(NamedTuple):
    """What a provider answered: closed candles without repetition, oldest first, and who said so."""

    candles: Sequence[Candle]
    source: str


class CandleProvider(Protocol):
    """A place where candles come from."""

    @property
    def name(self) -> str:
        """The word in ``Instrument.sources``."""

    @property
    def calls_a_tick(self) -> int:
        """How many calls may be made in one tick; a tick is 30 s."""

    async def candles(
        self, instrument: Instrument, timeframe: str, *, since: int | None = None, until: int | None = None
    ) -> Candles:
        """
        Ask for the closed candles of ``instrument``, which has this provider among its sources.

        Args:
            instrument: Whose.
            timeframe: One of ``TIMEFRAME_MS``.
            since: Only those that opened then or later, epoch milliseconds; None for as many as one call brings.
            until: Only those that closed before then; None for now.

        Raises:
            ProviderFault: There are none, and why.
        """

    async def close(self) -> None:
        """Close what is open; nothing is asked afterwards."""


_figures = msgspec.json.Decoder(list[Figures])


def write(candle: Candle) -> bytes:
    """Write one candle for the wire, digit for digit; not checked."""
    volume = "null" if candle.volume is None else candle.volume
    return f"[{candle.opened_at},{candle.open},{candle.high},{candle.low},{candle.close},{volume}]".encode()


def read(rows: Sequence[bytes]) -> list[Figures]:
    """
    Read what ``write`` has written, and check it.

    Raises:
        ValueError: Something in it is no JSON number, a price is nought or below, the volume is negative, or the
            candles are not in order of time.
    """
    figures = _figures.decode(b"[%b]" % b",".join(rows))
    if len(figures) != len(rows):
        raise ValueError(f"{len(rows)} candles read as {len(figures)}")
    before = -1
    for one in figures:
        opened_at, opening, high, low, close, volume = one
        if not (0 < low <= opening <= high and low <= close <= high):
            raise ValueError(f"prices of no candle: {one[1:5]}")
        if volume is not None and volume < 0:
            raise ValueError(f"a negative volume: {volume}")
        if opened_at <= before:
            raise ValueError(f"a candle of {opened_at} after that of {before}")
        before = opened_at
    return figures
