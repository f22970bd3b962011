"""A provider that is listened to, and asked for whatever its WebSocket does not say in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from scheduler.clock import epoch_ms
from scheduler.errors import ProviderFault, UnknownInstrument
from scheduler.market.providers import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handlers.hub.instruments import Instrument
    from scheduler.market.providers import Provider
    from scheduler.market.push.keeper import Keeper
    from scheduler.market.quotes import Quote

FRESH_MS: Final = 900
"""
What was pushed longer ago than this is asked for, in milliseconds: it may still hold, but nobody knows. What is sent is
less than a second old; the rest of that is for those who compose it.
"""


class Pushed:
    """
    The ``Provider`` of a provider that pushes.

    A connection is opened when the first fetch is done, over HTTP, and held until ``close``. It carries the instruments
    that have this provider as their first source; the others are asked for once a minute at most. At each fetch, what
    the connection has just said is taken, and all else asked for over HTTP: so a connection that is silent, late,
    unsure or gone costs nothing but a call.

    Args:
        rest: The provider over HTTP.
        keeper: What holds its WebSocket open.
        now: Epoch milliseconds.
    """

    def __init__(self, rest: Provider, keeper: Keeper, *, now: Callable[[], int] = epoch_ms) -> None:
        self._rest = rest
        self._keeper = keeper
        self._now = now

    @property
    def name(self) -> str:
        """The provider's."""
        return self._rest.name

    @property
    def period_ms(self) -> int:
        """That of its HTTP API, which is what remains when nothing is pushed."""
        return self._rest.period_ms

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> Answer:
        """Take what was just pushed; ask for the rest."""
        followed = [instrument for instrument in instruments if next(iter(instrument.sources)) == self.name]
        fresh = self._pushed(followed, FRESH_MS)
        unsure = [instrument for instrument in instruments if instrument.symbol not in fresh]
        answer = Answer()
        if unsure:
            answer = await self._rest.fetch(unsure, within=within)
            # Meanwhile there may be news.
            fresh |= self._pushed(followed, FRESH_MS)
        self._keeper.follow(followed)
        # What nobody has said anew is what was pushed before, as long as that is no older than an answer would be.
        kept = self._pushed(followed, self.period_ms)
        faults = [_of_calls_alone(fault) for fault in answer.faults] if fresh else answer.faults
        return Answer({**kept, **answer.quotes, **fresh}, [*self._keeper.take_faults(), *faults])

    async def close(self) -> None:
        """Close the WebSocket and the HTTP connections."""
        await asyncio.gather(self._keeper.close(), self._rest.close())

    def _pushed(self, instruments: Sequence[Instrument], within_ms: int) -> dict[str, Quote]:
        """Give what arrived less than so many milliseconds ago."""
        now = self._now()
        said = {instrument.symbol: self._keeper.quote(instrument) for instrument in instruments}
        return {symbol: quote for symbol, quote in said.items() if quote and now - quote.answered_at < within_ms}


def _of_calls_alone(fault: ProviderFault) -> ProviderFault:
    """Say that calls are refused without saying that the provider is shut: it is being heard."""
    if fault.retry_at is None or isinstance(fault, UnknownInstrument):
        return fault
    return type(fault)(fault.provider, fault.reason)
