"""Asking for order flow before its tick comes, of whoever answers only at a pace."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from scheduler.clock import epoch_ms
from scheduler.market.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from handlers.hub.instruments import Instrument
    from scheduler.market.flow import FlowProvider

AHEAD_MS: Final = 12_000
"""How long before the next fetch its answer is begun to be asked for, in milliseconds."""

WITHIN_S: Final = 11.0
"""How long that may take, in seconds: it is over when the fetch comes."""


class Prefetched:
    """
    A ``FlowProvider`` that keeps nobody waiting: each fetch gives what ``provider`` has said shortly before.

    The first one waits, and so does one after a pause: what was said more than a period ago is of no use. What is not
    complete yet is given by the fetch after. What it holds is lost with the process, and belongs to one event loop.

    Args:
        provider: Who is asked.
        now: Epoch milliseconds.
        sleep: Waits for so many seconds.
    """

    is_paced = False

    def __init__(
        self,
        provider: FlowProvider,
        *,
        now: Callable[[], int] = epoch_ms,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._provider = provider
        self._now = now
        self._sleep = sleep
        self._asking: asyncio.Task[Flow] | None = None

    @property
    def name(self) -> str:
        """That of ``provider``."""
        return self._provider.name

    @property
    def period_ms(self) -> int:
        """That of ``provider``."""
        return self._provider.period_ms

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> Flow:
        """Give what was said about the instruments of the fetch before, and have it asked about these."""
        now = self._now()
        if self._asking is not None and not self._asking.done():
            return Flow(now)
        asked, self._asking = self._asking, None
        flow = asked.result() if asked is not None else None
        if flow is None or now - flow.asked_at > self.period_ms:
            flow = await self._provider.fetch(instruments, within=within)
        self._asking = asyncio.create_task(self._ask(instruments, at=now + self.period_ms - AHEAD_MS))
        return flow

    async def _ask(self, instruments: Sequence[Instrument], *, at: int) -> Flow:
        await self._sleep(max(0, at - self._now()) / 1000)
        return await self._provider.fetch(instruments, within=WITHIN_S)

    async def close(self) -> None:
        """Leave what is being asked, and close ``provider``."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await self._provider.close()
