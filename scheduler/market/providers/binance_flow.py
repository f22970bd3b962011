"""
Order flow of Binance's spot symbols: ``/api/v3/klines`` of a minute, and ``/api/v3/ticker/bookTicker``.

A call for candles takes one symbol and weighs 2, the one for the book takes them all and weighs 4: 44 for 20 symbols,
88 a minute. The rows and weights are those of https://github.com/binance/binance-spot-api-docs (rest-api.md), read in
July 2026.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.analysis.sentiment import LONGEST_MS, MINUTE_MS, TradedMinute, book_share
from scheduler.errors import MalformedAnswer, ProviderFault, Unreachable
from scheduler.market.flow import Flow, quantity
from scheduler.market.providers.binance_host import BadSymbol, BinanceHost

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from handlers.hub.instruments import Instrument

CANDLES: Final = LONGEST_MS // MINUTE_MS + 1
"""The last full minutes of the longest horizon, and the minute under way."""

AT_ONCE: Final = 4
"""Calls under way at once."""


class _Kline(msgspec.Struct, array_like=True):
    """What is used of one row of ``klines``, and what stands between; quantities are text, times epoch milliseconds."""

    opened_at: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    closed_at: int
    quote_volume: str
    trades: int
    taker_buy_volume: str


class _Book(msgspec.Struct, rename="camel"):
    """What is used of one row of ``ticker/bookTicker``."""

    symbol: str
    bid_qty: str
    ask_qty: str


_klines = msgspec.json.Decoder(list[_Kline])
_books = msgspec.json.Decoder(list[_Book])


class BinanceFlow(BinanceHost):
    """The ``FlowProvider`` on Binance's REST API."""

    period_ms = 30_000
    is_paced = False

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> Flow:
        """
        Ask for the book of all symbols in one call, and then for the candles of each, a few at once.

        When there is no way to Binance, it is the first call that shows it; it is tried once more, and no other is
        made. A symbol that Binance does not know fails the book's call for all of them, once: the call for its candles
        puts it into quarantine.
        """
        collected = _Collected(symbols={instrument.sources[self.name]: instrument.symbol for instrument in instruments})
        trusted = self._trusted(collected.symbols)
        asked_at = self._now()
        try:
            async with asyncio.timeout(within):
                reached = not trusted or await self._ask_for_book(trusted, collected)
                if reached or await self._ask_for_book(trusted, collected):
                    names = [*trusted, *self._on_trial(collected.symbols)]
                    await asyncio.gather(*(self._ask_for_candles(name, collected) for name in names))
        except TimeoutError:
            collected.take(self._late(within))
        return Flow(
            asked_at, collected.traded, collected.book, collected.sources, faults=list(collected.faults.values())
        )

    async def _ask_for_candles(self, name: str, collected: _Collected) -> None:
        symbol = collected.symbols[name]
        try:
            async with collected.gate:
                response = await self._get("klines", {"symbol": name, "interval": "1m", "limit": str(CANDLES)})
            collected.traded[symbol] = self._traded(response, name)
        except BadSymbol as refusal:
            collected.take(self._put_in_quarantine(name, str(refusal)))
        except ProviderFault as fault:
            collected.take(fault)
        else:
            collected.sources[symbol] = self._source(response)
            self._trust([name])

    async def _ask_for_book(self, names: list[str], collected: _Collected) -> bool:
        """Collect the shares of the book; says whether there is any use in further calls."""
        parameters = {"symbols": msgspec.json.encode(names).decode()}
        try:
            response = await self._get("ticker/bookTicker", parameters, weight=4)
            for row in _books.decode(response.content):
                share = book_share(quantity(row.bid_qty), quantity(row.ask_qty))
                if share is not None and row.symbol in collected.symbols:
                    collected.book[collected.symbols[row.symbol]] = share
        except BadSymbol as refusal:
            collected.take(MalformedAnswer(self.name, f"no book: {refusal}"))
        except ProviderFault as fault:
            collected.take(fault)
            return not isinstance(fault, Unreachable)
        except ValueError as error:  # msgspec's errors are ValueErrors
            collected.take(MalformedAnswer(self.name, f"the book cannot be read: {error}"))
        return True

    def _traded(self, response: httpx.Response, name: str) -> list[TradedMinute]:
        """
        Read one symbol's candles.

        Raises:
            MalformedAnswer: They are not what Binance documents, or more was bought than traded.
        """
        try:
            return [_minute(row) for row in _klines.decode(response.content)]
        except ValueError as error:  # msgspec's errors are ValueErrors
            raise MalformedAnswer(self.name, f"candles of {name} cannot be read: {error}") from error


class _Collected:
    """What the calls of one fetch have brought; ``symbols`` leads from Binance's name of an instrument to ours."""

    def __init__(self, symbols: dict[str, str]) -> None:
        self.symbols = symbols
        self.gate = asyncio.Semaphore(AT_ONCE)
        self.traded: dict[str, list[TradedMinute]] = {}
        self.book: dict[str, int] = {}
        self.sources: dict[str, str] = {}
        self.faults: dict[str, ProviderFault] = {}

    def take(self, fault: ProviderFault) -> None:
        """Keep a fault; twenty calls that fail alike are one."""
        self.faults.setdefault(str(fault), fault)


def _minute(row: _Kline) -> TradedMinute:
    volume, bought = quantity(row.volume), quantity(row.taker_buy_volume)
    if bought > volume or row.trades < 0:
        raise ValueError(f"{bought} of {volume} bought in {row.trades} trades")
    return TradedMinute(row.opened_at, volume, bought, quantity(row.quote_volume), row.trades)
