"""How fast this process may post: its part of what the gateway lets the whole account call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from handlers.hub.protocol import PERIOD_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

POSTS_PER_SECOND: Final = 10_000
"""API Gateway's throttle of an account and region, for all its APIs together ("Amazon API Gateway quotas")."""

BURST: Final = 5_000
"""How many calls its bucket holds (the same page)."""


def part_of(stream: str, streams: Collection[str]) -> float:
    """
    Tell which part of the quota is ``stream``'s when all ``streams`` are sent: as much as it is of all messages.

    A part for good, and not what the others leave: a stream of 30 seconds then never delays one of 5.
    """
    often = {one: 1 / PERIOD_MS[one] for one in {*streams, stream}}
    return often[stream] / sum(often.values())


class Quota:
    """
    A token bucket that makes who comes too early wait, in order.

    It belongs to one event loop, and goes by its clock. Full at first; ``per_second`` posts flow in.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second = per_second
        self.burst = burst
        self._tokens = burst
        self._filled_at: float | None = None

    def take_now(self, now: float) -> bool:
        """Take one token if it is there; ``now`` is the loop's time."""
        self._fill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def take(self) -> None:
        """Take one token; returns when it is there. Who is cancelled while it waits has taken none."""
        self._fill(asyncio.get_running_loop().time())
        self._tokens -= 1
        if self._tokens < 0:
            # The debt is what those before have taken already, so nobody overtakes.
            try:
                await asyncio.sleep(-self._tokens / self.per_second)
            except asyncio.CancelledError:
                # At 20 posts a second, the 64 who wait when a tick ends would cost the next one three seconds.
                self._tokens += 1
                raise

    def _fill(self, now: float) -> None:
        if self._filled_at is not None:
            self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.per_second)
        self._filled_at = now


def quotas(streams: Collection[str], *, per_second: float, burst: float) -> Mapping[str, Quota]:
    """Divide what the account may call among the streams; every stream can always post one."""
    parts = {stream: part_of(stream, streams) for stream in streams}
    return {stream: Quota(per_second * part, max(1, burst * part)) for stream, part in parts.items()}
