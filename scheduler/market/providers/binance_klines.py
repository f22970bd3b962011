"""
Candles of Binance's spot symbols: ``/api/v3/klines``; its limits are ``binance_host``'s.

A call weighs 2 however many candles it asks for, at most 1,000. The rows are those of
https://github.com/binance/binance-spot-api-docs (rest-api.md), read in July 2026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.errors import MalformedAnswer, UnknownInstrument
from scheduler.market.candles import TIMEFRAME_MS, Candle, Candles
from scheduler.market.providers.binance_host import BadSymbol, BinanceHost

if TYPE_CHECKING:
    from handlers.hub.instruments import Instrument

MOST: Final = 1_000
"""Candles in one answer, at most."""

# A row begins like a Candle, and goes on with five members that are not used.
_klines = msgspec.json.Decoder(list[Candle])


class BinanceKlines(BinanceHost):
    """The ``CandleProvider`` on Binance's REST API."""

    # A weight of 120 a minute at most: with the market and the binary stream of 20 instruments 232.
    calls_a_tick = 30

    async def candles(
        self, instrument: Instrument, timeframe: str, *, since: int | None = None, until: int | None = None
    ) -> Candles:
        """
        Ask for candles in one call, which leaves the one under way out.

        A symbol that Binance does not know is not asked for again for an hour.
        """
        name = instrument.sources[self.name]
        if not (self._trusted([name]) or self._on_trial([name])):
            raise UnknownInstrument(self.name, f"{name} is not known there")
        length = TIMEFRAME_MS[timeframe]
        end = (self._now() if until is None else until) // length * length
        parameters = {"symbol": name, "interval": timeframe, "endTime": str(end - 1), "limit": str(MOST)}
        if since is not None:
            parameters["startTime"] = str(since)
        try:
            response = await self._get("klines", parameters)
        except BadSymbol as refusal:
            raise self._put_in_quarantine(name, str(refusal)) from refusal
        try:
            rows = _klines.decode(response.content)
        except ValueError as error:  # msgspec's errors are ValueErrors
            raise MalformedAnswer(self.name, f"candles of {name} cannot be read: {error}") from error
        self._trust([name])
        return Candles([candle for candle in rows if candle.closed_at < end], self._source(response))
