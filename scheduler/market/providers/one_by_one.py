"""What providers have in common whose every instrument is a call of its own, and whose answers keep for a while."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from http import HTTPStatus
from typing import TYPE_CHECKING

from scheduler.clock import epoch_ms
from scheduler.errors import MalformedAnswer, ProviderFault
from scheduler.market.providers import Answer
from scheduler.market.providers.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from handlers.hub.instruments import Instrument
    from scheduler.market.breaker import Breaker
    from scheduler.market.quotes import Quote


class OneByOne(Host):
    """A ``Provider`` to be built on: it asks, all at once, for what is not kept from the last time."""

    def __init__(
        self,
        url: str,
        *,
        now: Callable[[], int] = epoch_ms,
        transport: httpx.AsyncBaseTransport | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        super().__init__(url, now=now, transport=transport, breaker=breaker)
        # The answer about each name, and until when it is kept.
        self._kept: dict[str, tuple[Quote, int]] = {}

    @abstractmethod
    def _path(self, name: str) -> str:
        """Say where the instrument is that the provider calls ``name``."""

    @abstractmethod
    def _read(self, response: httpx.Response, symbol: str) -> Quote | None:
        """
        Read an answer of status 200; None when there is no such instrument.

        Raises:
            ValueError: It is not what the provider answers.
        """

    @abstractmethod
    def _kept_for(self, response: httpx.Response) -> int:
        """Tell for how many milliseconds an answer is kept."""

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> Answer:
        """Give what is kept, and ask for the rest."""
        names = {instrument.sources[self.name]: instrument.symbol for instrument in instruments}
        now = self._now()
        kept = {name: self._kept[name][0] for name in names if name in self._kept and now < self._kept[name][1]}
        found = {names[name]: quote for name, quote in kept.items()}
        asked = [name for name in (*self._trusted(names), *self._on_trial(names)) if name not in kept]
        if asked and (refusal := self._standing_refusal()) is not None:
            return Answer(found, [refusal])
        faults: list[ProviderFault] = []
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*(self._ask(name, names[name], found, faults) for name in asked))
        except TimeoutError:
            faults.append(self._late(within))
        return Answer(found, faults)

    async def _ask(self, name: str, symbol: str, found: dict[str, Quote], faults: list[ProviderFault]) -> None:
        try:
            response = await self._get(self._path(name))
            quote = self._quote(response, symbol)
        except ProviderFault as fault:
            faults.append(fault)
            return
        if quote is None:
            faults.append(self._put_in_quarantine(name, self._reason(response)))
            return
        self._trust([name])
        self._kept[name] = quote, self._now() + self._kept_for(response)
        found[symbol] = quote

    def _quote(self, response: httpx.Response, symbol: str) -> Quote | None:
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if response.status_code != HTTPStatus.OK:
            raise MalformedAnswer(self.name, f"unexpected answer {self._reason(response)}")
        try:
            return self._read(response, symbol)
        except ValueError as error:  # msgspec's errors are ValueErrors
            raise MalformedAnswer(self.name, f"{symbol} cannot be read: {error}") from error
