"""Keeping a WebSocket to a provider open: back off when it fails, move over before it ends, connect none too often."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final

from scheduler.clock import epoch_ms
from scheduler.errors import ProviderFault
from scheduler.market.push.connection import Connection, Patience
from scheduler.market.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handlers.hub.instruments import Instrument
    from scheduler.market.breaker import Breaker
    from scheduler.market.push import Listening
    from scheduler.market.quotes import Quote

CONNECTIONS_AT_ONCE: Final = 10
CONNECTIONS_A_SECOND: Final = 0.1
"""
How often a process connects at most, to one provider: 70 times in the 10 minutes in which Kraken's edge allows an
address about 150, 40 times in the 5 minutes in which Binance allows 300.
"""

SHORTEST_S: Final = 1.0
LONGEST_S: Final = 60.0
"""How long the pause after the first failure is, and after many, each doubling it; less a random part up to half."""

MOST_DOUBLINGS: Final = 16
"""After half a day of failures a number of their own would be too great for a float."""

logger = logging.getLogger(__name__)


class Keeper:
    """
    Holds one WebSocket to a provider open, on the event loop that first follows anything; another one after ``close``.

    A failed connection is a fault to be told and no more: whoever wants a quote asks over HTTP meanwhile. So errors
    here do not count with the provider's breaker, which keeps HTTP from being asked; but while that is open, because
    the provider wants nothing of this address, nobody connects either, and a ban met here opens it.

    Args:
        name: The provider's.
        url: The WebSocket's address; paths behind it are the provider's.
        listening: How to begin to listen.
        breaker: The provider's.
        now: Epoch milliseconds.
        jitter: Random numbers from 0 to 1.
        patience: How long a connection may take for what.
        shortest: The pause after a first failure, in seconds.
    """

    def __init__(
        self,
        name: str,
        url: str,
        listening: Listening,
        *,
        breaker: Breaker,
        now: Callable[[], int] = epoch_ms,
        jitter: Callable[[], float] = random.random,
        patience: Patience | None = None,
        shortest: float = SHORTEST_S,
    ) -> None:
        self._name = name
        self._url = url.rstrip("/")
        self._listening = listening
        self._breaker = breaker
        self._now = now
        self._jitter = jitter
        self._patience = patience or Patience()
        self._shortest = shortest
        self._bucket = TokenBucket(CONNECTIONS_AT_ONCE, CONNECTIONS_A_SECOND, now=now)
        self._instruments: list[Instrument] = []
        self._connections: list[Connection] = []
        self._faults: list[ProviderFault] = []
        self._failures = 0
        self._shut_until = 0
        self._news = asyncio.Event()
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    def follow(self, instruments: Sequence[Instrument]) -> None:
        """Listen for these from now on; to go on with the same ones costs nothing."""
        if self._instruments != instruments:
            self._instruments = list(instruments)
            for connection in self._connections:
                connection.leave()
        loop = asyncio.get_running_loop()
        if self._instruments and (self._running is None or self._running[0] is not loop):
            self._news = asyncio.Event()
            self._connections = []
            self._running = loop, loop.create_task(self._keep())

    def quote(self, instrument: Instrument) -> Quote | None:
        """Give the latest word about an instrument; None when there is none that is sure."""
        found: Quote | None = None
        for connection in self._connections:
            try:
                quote = connection.listener.quote(instrument, source=connection.source)
            except ProviderFault as fault:
                self._faults.append(fault)
                continue
            if quote is not None and (found is None or quote.answered_at > found.answered_at):
                found = quote
        return found

    def take_faults(self) -> list[ProviderFault]:
        """Give what went wrong since the last time; it says nothing about calls over HTTP."""
        faults, self._faults = self._faults, []
        for connection in self._connections:
            faults += connection.listener.take_faults()
        return faults

    async def close(self) -> None:
        """Close every connection."""
        running, self._running = self._running, None
        if running is not None and running[0] is asyncio.get_running_loop():
            running[1].cancel()
            await asyncio.gather(running[1], return_exceptions=True)

    async def _keep(self) -> None:
        try:
            while True:
                try:
                    await self._wait()
                    await self._hold()
                except Exception:
                    # Quotes come over HTTP meanwhile, and the next turn, after the pause of a failure, may go well.
                    logger.exception("listening to %s met a bug", self._name)
                    self._failures += 1
                    await self._end()
                    # The pause itself may be what has failed.
                    await asyncio.sleep(self._shortest)
        finally:
            await self._end()

    async def _end(self) -> None:
        closing, self._connections = self._connections, []
        await asyncio.gather(*(connection.close() for connection in closing))

    async def _wait(self) -> None:
        """Wait until another connection may be tried."""
        doublings = min(self._failures - 1, MOST_DOUBLINGS)
        pause = min(LONGEST_S, self._shortest * 2**doublings) if self._failures else 0.0
        await asyncio.sleep(pause * (1 - self._jitter() / 2))
        while True:
            fault = self._breaker.fault
            wait = max(self._shut_until, fault.retry_at or 0 if fault else 0) - self._now()
            if wait <= 0:
                wait = self._bucket.take(1)
            if wait <= 0:
                return
            await asyncio.sleep(wait / 1000)

    async def _hold(self) -> None:
        """Open a connection, put it in the place of those before, and stay until it ends or wants to be replaced."""
        followed = list(self._instruments)
        try:
            listener = await self._listening.listen(followed)
        except ProviderFault as fault:
            self._note(fault)
            return
        connection = Connection(
            self._name, self._url, listener, now=self._now, patience=self._patience, news=self._news.set
        )
        before, self._connections = self._connections, [*self._connections, connection]
        await self._until(lambda: connection.is_heard or connection.fault is not None)
        if connection.fault is None:
            logger.info("listening to %s", self._name)
            self._failures = 0
            await self._hand_over(before)
            if followed != self._instruments:
                connection.leave()
            await self._until(lambda: connection.is_leaving or connection.fault is not None)
        if connection.fault is not None:
            self._note(connection.fault)
            if connection.is_ban:
                self._breaker.open(connection.fault)
        self._connections = [one for one in self._connections if one.fault is None]

    async def _hand_over(self, before: Sequence[Connection]) -> None:
        """Close the connections before, once the new one has had the time to say everything."""
        if any(one.fault is None for one in before):
            await asyncio.sleep(self._patience.handover)
        self._connections = [one for one in self._connections if one not in before]
        await asyncio.gather(*(one.close() for one in before))

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._news.clear()
            await self._news.wait()

    def _note(self, fault: ProviderFault) -> None:
        """Keep a fault to tell; what says until when, keeps everybody from connecting."""
        logger.info("not listening to %s: %s", self._name, fault)
        self._failures += 1
        self._faults.append(fault)
        self._shut_until = max(self._shut_until, fault.retry_at or 0)
