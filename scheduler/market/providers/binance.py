"""Binance's spot symbols for the market stream: ``/api/v3/ticker/24hr``; its limits are ``binance_host``'s."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.errors import MalformedAnswer, ProviderFault
from scheduler.market.providers import Answer
from scheduler.market.providers.binance_host import BadSymbol, BinanceHost
from scheduler.market.quotes import Quote, number, price

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx

    from handlers.hub.instruments import Instrument

BATCH: Final = 20
"""Symbols a call: up to 20 weigh 2, from 21 on the call weighs 40."""


class _Ticker(msgspec.Struct, rename="camel"):
    """What is used of one row of ``ticker/24hr`` with ``type=FULL``; prices are text, times epoch milliseconds."""

    symbol: str
    last_price: str
    bid_price: str
    ask_price: str
    price_change_percent: str
    close_time: int


_rows = msgspec.json.Decoder(list[msgspec.Raw])
_ticker = msgspec.json.Decoder(_Ticker)


class Binance(BinanceHost):
    """The ``Provider`` on Binance's REST API."""

    period_ms = 5_000

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> Answer:
        """Ask in calls of at most 20 symbols, all at once; a quarantined symbol whose time has come goes alone."""
        if (refusal := self._standing_refusal()) is not None:
            return Answer(faults=[refusal])
        symbols = {instrument.sources[self.name]: instrument.symbol for instrument in instruments}
        trusted = self._trusted(symbols)
        calls = [
            *(trusted[start : start + BATCH] for start in range(0, len(trusted), BATCH)),
            *([symbol] for symbol in self._on_trial(symbols)),
        ]
        collected = _Collected(symbols)
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*(self._ask(call, collected) for call in calls))
        except TimeoutError:
            collected.faults.append(self._late(within))
        return Answer(collected.quotes, collected.faults)

    async def _ask(self, symbols: list[str], collected: _Collected) -> None:
        """Collect the quotes of ``symbols``, or why there are none; halve a call until its bad symbol stands alone."""
        parameters = {"symbols": msgspec.json.encode(symbols).decode(), "type": "FULL"}
        try:
            response = await self._get("ticker/24hr", parameters)
            for quote in self._quotes(response, collected):
                collected.quotes[quote.symbol] = quote
        except BadSymbol as refusal:
            if len(symbols) == 1:
                collected.faults.append(self._put_in_quarantine(symbols[0], str(refusal)))
                return
            middle = len(symbols) // 2
            await asyncio.gather(self._ask(symbols[:middle], collected), self._ask(symbols[middle:], collected))
        except ProviderFault as fault:
            collected.faults.append(fault)
        else:
            self._trust(symbols)

    def _quotes(self, response: httpx.Response, collected: _Collected) -> Iterator[Quote]:
        """
        Read the quotes of an answer; a row that cannot be read is a fault of its own.

        Raises:
            MalformedAnswer: The answer is no JSON array.
        """
        try:
            rows = _rows.decode(response.content)
        except ValueError as error:  # msgspec's errors are, and that of bytes that are no UTF-8
            raise MalformedAnswer(self.name, f"no JSON array: {error}") from error
        source = self._source(response)
        answered_at = self._now()
        for row in rows:
            try:
                ticker = _ticker.decode(row)
                if ticker.symbol in collected.symbols:
                    yield Quote(
                        collected.symbols[ticker.symbol],
                        last=price(ticker.last_price),
                        bid=price(ticker.bid_price),
                        ask=price(ticker.ask_price),
                        change_pct=number(ticker.price_change_percent),
                        ts=ticker.close_time,
                        source=source,
                        answered_at=answered_at,
                    )
            except ValueError as error:  # msgspec's errors are ValueErrors
                collected.faults.append(MalformedAnswer(self.name, f"a row cannot be read: {error}"))


class _Collected:
    """What the calls of one fetch have brought; ``symbols`` leads from Binance's name of an instrument to ours."""

    def __init__(self, symbols: dict[str, str]) -> None:
        self.symbols = symbols
        self.quotes: dict[str, Quote] = {}
        self.faults: list[ProviderFault] = []
