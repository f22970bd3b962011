"""Whether a provider may be asked: not while it has forbidden it, not after too many errors, not beyond its pace."""

from __future__ import annotations

import logging
import random
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from scheduler.clock import epoch_ms
from scheduler.errors import ProviderFault, TooSoon, Unreachable
from scheduler.market.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ERRORS: Final = 5
"""So many transport errors in a row, and nothing is asked for a while. Of calls at the same time one counts."""

SHORTEST_MS: Final = 30_000
LONGEST_MS: Final = 120_000
"""How long that while is, in milliseconds: anything between, so that no two processes come back together."""


class Pace(NamedTuple):
    """How much may be spent on a provider: at once, and then a second."""

    at_once: float
    per_second: float


PACES: Final[Mapping[str, Pace]] = {
    # Of the 6,000 a minute that Binance gives an address (rest-api.md, IP Limits): 1,200 + 60 * 75 = 5,700.
    "binance": Pace(1_200, 75),
    # Kraken publishes no figure for public calls; those who live with it ask about once a second.
    "kraken": Pace(5, 1),
}
"""The providers that count calls or their weight; the others say only how long an answer keeps."""

logger = logging.getLogger(__name__)


class Breaker:
    """
    What one provider has told this process's address, or the way to it has shown, about calls to come.

    It is closed when calls may be made. A fault that names its ``retry_at`` opens it until then; so does the fifth
    transport error in a row, for 30 to 120 s, after which a single further one opens it again. Whatever the provider
    answers ends such a row.

    Args:
        provider: Its name.
        now: Epoch milliseconds.
        jitter: Random numbers from 0 to 1.
    """

    def __init__(
        self, provider: str, *, now: Callable[[], int] = epoch_ms, jitter: Callable[[], float] = random.random
    ) -> None:
        self._provider = provider
        self._now = now
        self._jitter = jitter
        pace = PACES.get(provider)
        self._bucket = TokenBucket(pace.at_once, pace.per_second, now=now) if pace else None
        self._open: ProviderFault | None = None
        self._errors = 0
        self._counted_at = 0

    @property
    def fault(self) -> ProviderFault | None:
        """Why no call may be made now; None when one may."""
        if self._open is not None and self._now() >= (self._open.retry_at or 0):
            self._open = None
        return self._open

    def spend(self, weight: float) -> None:
        """
        Take note of a call that is about to be made.

        Raises:
            TooSoon: It may not be made now, or the pace would be exceeded.
            ProviderFault: It may not be made: the breaker is open.
        """
        if (fault := self.fault) is not None:
            raise fault.with_traceback(None)
        wait = self._bucket.take(weight) if self._bucket else 0
        if wait:
            raise TooSoon(self._provider, "the next call would be too soon", retry_at=self._now() + wait)

    def open(self, fault: ProviderFault) -> ProviderFault:
        """Make no call before the fault's ``retry_at``; the longest stop counts. Gives the fault back."""
        until = fault.retry_at or 0
        if self._open is None or (self._open.retry_at or 0) < until:
            self._open = fault
            logger.warning("no call to %s for %.0f s: %s", self._provider, (until - self._now()) / 1000, fault)
        return fault

    def count_error(self, fault: Unreachable, *, begun_at: int) -> Unreachable:
        """
        Count a transport error; gives the fault to tell, with a ``retry_at`` if it was one too many.

        Calls that were under way when the last error was counted met the same trouble: streams ask for many candles at
        once, and a single slip of their provider must not take the quotes away.

        Args:
            fault: The error.
            begun_at: When the call was begun, epoch milliseconds.
        """
        if begun_at < self._counted_at:
            return fault
        self._counted_at = self._now()
        self._errors += 1
        if self._errors < ERRORS or self.fault is not None:
            return fault
        self._errors = ERRORS - 1
        pause = SHORTEST_MS + round((LONGEST_MS - SHORTEST_MS) * self._jitter())
        last = Unreachable(self._provider, fault.reason, retry_at=self._now() + pause)
        self.open(last)
        return last

    def count_answer(self) -> None:
        """Take note that the provider has answered, whatever it said."""
        self._errors = 0


@cache
def breaker_of(provider: str, url: str) -> Breaker:  # noqa: ARG001 - the address is a part of the key
    """
    Give this process's one breaker for a provider at an address.

    All streams share it, because a ban is the address's; so does the next run of a warm function.
    """
    return Breaker(provider)
