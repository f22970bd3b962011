"""
Kraken's pairs for the market stream: ``Ticker``, and from ``OHLC`` what they cost a day ago.

Currencies trade there day and night, and thinly: their price is the middle of bid and ask rather than the last trade.
``Ticker`` has no time, so a quote's time is that of its receipt.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.clock import epoch_ms
from scheduler.errors import MalformedAnswer, ProviderFault, UnknownInstrument
from scheduler.market.providers import Answer
from scheduler.market.providers.kraken_day import DayAgo
from scheduler.market.providers.kraken_host import KrakenHost
from scheduler.market.quotes import Quote, middle, price

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import httpx

    from handlers.hub.instruments import Instrument
    from scheduler.market.breaker import Breaker

PATIENCE: Final = 1.5
"""How many seconds a tick waits for candles; they are not its business but the next one's."""

logger = logging.getLogger(__name__)


class _Ticker(msgspec.Struct):
    """What is used of a pair's entry: ask, bid and last trade, each with the price first."""

    a: list[str]
    b: list[str]
    c: list[str]


_tickers = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ticker = msgspec.json.Decoder(_Ticker)


class Kraken(KrakenHost):
    """The ``Provider`` on Kraken's REST API."""

    period_ms = 5_000

    def __init__(
        self,
        url: str,
        *,
        now: Callable[[], int] = epoch_ms,
        transport: httpx.AsyncBaseTransport | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        super().__init__(url, now=now, transport=transport, breaker=breaker)
        self._days = DayAgo(now)
        self._missed: set[str] = set()

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> Answer:
        """Ask for all pairs in one call; beside it, as far as the pace allows, for what some cost a day ago."""
        if (refusal := self._standing_refusal()) is not None:
            return Answer(faults=[refusal])
        wanted = {instrument.sources[self.name]: instrument for instrument in instruments}
        found: dict[str, Quote] = {}
        faults: list[ProviderFault] = []
        try:
            async with asyncio.timeout(within):
                names = await self._names(wanted)
                faults.extend(self._missing(wanted, names.values()))
                if names:
                    await asyncio.gather(
                        self._ask_for_tickers(names, wanted, found, faults),
                        self._ask_for_the_day_before(names, wanted),
                    )
        except TimeoutError:
            faults.append(self._late(within))
        except ProviderFault as fault:
            faults.append(fault)
        return Answer(found, faults)

    def _missing(self, wanted: Iterable[str], listed: Iterable[str]) -> list[ProviderFault]:
        """Say which pairs Kraken does not list, each once; a list that is read later may have them after all."""
        missing = set(wanted) - set(listed)
        news = sorted(missing - self._missed)
        self._missed |= missing
        return [UnknownInstrument(self.name, f"does not list {', '.join(news)}")] if news else []

    async def _ask_for_tickers(
        self,
        names: Mapping[str, str],
        wanted: Mapping[str, Instrument],
        found: dict[str, Quote],
        faults: list[ProviderFault],
    ) -> None:
        """Collect the quotes of the pairs; one that cannot be read is a fault of its own."""
        try:
            # Without a weight: one call in five seconds, before which everything else waits.
            result, response = await self._ask("Ticker", {"pair": ",".join(names.values())}, weight=0)
            rows = _tickers.decode(result)
        except ProviderFault as fault:
            faults.append(fault)
            return
        except ValueError as error:  # msgspec's errors are, and that of bytes that are no UTF-8
            faults.append(MalformedAnswer(self.name, f"no pairs: {error}"))
            return
        source, now = self._source(response), self._now()
        for name, row in rows.items():
            altname = names.get(name)
            if altname is None:
                continue
            try:
                bid, ask, last = _prices(_ticker.decode(row))
            except ValueError as error:  # msgspec's errors are ValueErrors
                faults.append(MalformedAnswer(self.name, f"{altname} cannot be read: {error}"))
            else:
                quote = self.complete(wanted[altname], bid=bid, ask=ask, last=last, source=source, at=now)
                found[quote.symbol] = quote

    def complete(
        self, instrument: Instrument, *, bid: str | None, ask: str | None, last: str | None, source: str, at: int
    ) -> Quote:
        """
        Make a quote of a pair's prices, compared with those of the day before as far as they are known.

        Args:
            instrument: Which.
            bid: The best one.
            ask: The best one.
            last: The last trade's; of currencies and metals the middle of bid and ask is taken instead.
            source: Who says so.
            at: When it came, epoch milliseconds.
        """
        if instrument.kind != "crypto":
            last = middle([bid, ask]) if bid and ask else None
        quote = Quote(instrument.symbol, last, bid=bid, ask=ask, change_pct=None, ts=at, source=source, answered_at=at)
        return self._days.compare(instrument.sources[self.name], quote)

    async def _ask_for_the_day_before(self, names: Mapping[str, str], wanted: Mapping[str, Instrument]) -> None:
        """
        Ask about pairs whose first source this is: the others come and go with somebody else's failures.

        Quotes do without it, so what goes wrong is no fault of theirs.
        """
        preferred = [altname for altname in names.values() if next(iter(wanted[altname].sources)) == self.name]

        async def ask(altname: str) -> None:
            try:
                result, _ = await self._ask("OHLC", self._days.question(altname))
                self._days.learn(altname, result)
            except (ProviderFault, ValueError) as trouble:  # msgspec's errors are ValueErrors
                logger.info("kraken did not say what %s cost a day ago: %s", altname, trouble)

        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(ask(altname) for altname in self._days.due(preferred)))
        except TimeoutError:
            logger.info("kraken did not say within %.1f s what pairs cost a day ago", PATIENCE)


def _prices(row: _Ticker) -> tuple[str | None, str | None, str | None]:
    """
    Read bid, ask and last trade of a pair's entry.

    Raises:
        ValueError: It has something else than prices.
    """
    if not (row.a and row.b and row.c):
        raise ValueError("an empty side")
    return price(row.b[0]), price(row.a[0]), price(row.c[0])
