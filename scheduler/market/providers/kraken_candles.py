"""
Candles of Kraken's pairs: ``OHLC``; its errors, names and pace are ``kraken_host``'s.

A call brings the latest 720 candles at most, the last of which is under way (https://docs.kraken.com/api, in 2026).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.errors import MalformedAnswer, UnknownInstrument
from scheduler.market.candles import TIMEFRAME_MS, Candle, Candles
from scheduler.market.providers.kraken_host import KrakenHost

if TYPE_CHECKING:
    from handlers.hub.instruments import Instrument

_MINUTE_MS: Final = 60_000


class _Row(msgspec.Struct, array_like=True):
    """What is used of a candle: when it opened (epoch seconds), prices, and what was traded."""

    time: int
    open: str
    high: str
    low: str
    close: str
    vwap: str
    volume: str


_series = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows = msgspec.json.Decoder(list[_Row])


class KrakenCandles(KrakenHost):
    """The ``CandleProvider`` on Kraken's REST API."""

    # Of a call a second, most belong to the quotes.
    calls_a_tick = 3

    async def candles(
        self, instrument: Instrument, timeframe: str, *, since: int | None = None, until: int | None = None
    ) -> Candles:
        """Ask for candles in one call, and leave the one under way out."""
        altname = instrument.sources[self.name]
        length = TIMEFRAME_MS[timeframe]
        end = (self._now() if until is None else until) // length * length
        if not await self._names([altname]):
            raise UnknownInstrument(self.name, f"{altname} is not listed there")
        question = {"pair": altname, "interval": str(length // _MINUTE_MS)}
        if since is not None:
            question["since"] = str(since // 1000 - 1)
        result, response = await self._ask("OHLC", question)
        try:
            (rows,) = (_rows.decode(raw) for name, raw in _series.decode(result).items() if name != "last")
        except ValueError as error:  # msgspec's errors are ValueErrors, and so are none or two series
            raise MalformedAnswer(self.name, f"candles of {altname} cannot be read: {error}") from error
        found = (
            Candle(1000 * row.time, row.open, row.high, row.low, row.close, row.volume, 1000 * row.time + length - 1)
            for row in rows
        )
        wanted = [candle for candle in found if candle.opened_at >= (since or 0) and candle.closed_at < end]
        return Candles(wanted, self._source(response))
