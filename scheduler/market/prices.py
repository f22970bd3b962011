"""The content of the market stream: one quote an instrument, from whichever provider it is fetched."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.market import quotes
from scheduler.market.providers import Answer
from scheduler.streams import Composition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from handlers.hub.instruments import Instrument
    from scheduler.errors import ProviderFault
    from scheduler.market.providers import Provider
    from scheduler.market.quotes import Quote
    from scheduler.streams import Known

STALE_PERIODS: Final = 2
"""A value is stale when the last good answer is older than so many periods of its provider."""

logger = logging.getLogger(__name__)


class _State(msgspec.Struct):
    """What is known of the quotes beside what clients are sent: when the last good answer came, by symbol."""

    answered_at: dict[str, int] = {}


class Prices:
    """
    The ``Composer`` of the market stream.

    Each instrument is asked of the first of its sources that is among ``providers``. All that is known of the last
    good values comes from ``Known``; so ticks may be run by different processes in turn.

    Raises:
        ValueError: An instrument has none of the providers among its sources.
    """

    def __init__(self, instruments: Iterable[Instrument], providers: Iterable[Provider]) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._asked: dict[str, list[Instrument]] = {name: [] for name in self._providers}
        self._stale_after: dict[str, int] = {}
        for instrument in instruments:
            source = next((name for name in instrument.sources if name in self._providers), None)
            if source is None:
                raise ValueError(
                    f"{instrument.symbol} has no source among the providers; there are {', '.join(self._providers)}"
                )
            self._asked[source].append(instrument)
            self._stale_after[instrument.symbol] = STALE_PERIODS * self._providers[source].period_ms

    async def fetch(self, *, within: float) -> Answer:
        """Ask every provider at once for its instruments."""
        answers = await asyncio.gather(
            *(
                self._providers[name].fetch(instruments, within=within)
                for name, instruments in self._asked.items()
                if instruments
            )
        )
        found: dict[str, Quote] = {}
        faults: list[ProviderFault] = []
        for answer in answers:
            found.update(answer.quotes)
            faults.extend(answer.faults)
        return Answer(found, faults)

    def compose(self, fetched: Answer, known: Known, *, now: int, full: bool) -> Composition:
        """Write down the quotes that hold, and those of them that say something new."""
        before = _read(known)
        held = quotes.merge(before, fetched.quotes, symbols=self._stale_after, now=now, stale_after=self._stale_after)
        content = {symbol: quotes.encode(quote, full=True) for symbol, quote in held.items()}
        updates: dict[str, bytes] = {}
        for symbol, quote in held.items():
            old = before.get(symbol)
            if full or old is None or quote.origin != old.origin:
                updates[symbol] = content[symbol]
            elif not quote.says_the_same_as(old):
                updates[symbol] = quotes.encode(quote, full=False)
        state = _State({symbol: quote.answered_at for symbol, quote in held.items()})
        return Composition(updates, content, msgspec.json.encode(state), [str(fault) for fault in fetched.faults])

    async def close(self) -> None:
        """Close the providers."""
        await asyncio.gather(*(provider.close() for provider in self._providers.values()))


def _read(known: Known) -> Mapping[str, Quote]:
    """
    Read the last good values back.

    What another version has written otherwise counts as not known, and the next good answer takes its place; a value
    without its time counts as answered long ago.
    """
    try:
        answered_at = msgspec.json.decode(known.state, type=_State).answered_at if known.state else {}
    except msgspec.DecodeError as error:
        logger.warning("the market stream's state cannot be read: %s", error)
        answered_at = {}
    found: dict[str, Quote] = {}
    for symbol, written in known.content.items():
        try:
            found[symbol] = quotes.decode(symbol, written, answered_at=answered_at.get(symbol, 0))
        except msgspec.DecodeError as error:
            logger.warning("the last value of %s cannot be read: %s", symbol, error)
    return found
