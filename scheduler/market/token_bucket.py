"""How many calls, or how much of a documented weight, may still be spent on a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TokenBucket:
    """
    A bucket that is full at first and fills up again at a steady rate.

    Args:
        capacity: What it holds when full.
        per_second: How much flows in.
        now: Epoch milliseconds; a clock that is set back only stops the flow until it has caught up.
    """

    def __init__(self, capacity: float, per_second: float, *, now: Callable[[], int]) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._now = now
        self._tokens = capacity
        self._filled_at = now()

    def take(self, tokens: float) -> int:
        """
        Take ``tokens``, all or none.

        Returns how many milliseconds there would be to wait for them; 0 means that they have been taken. More than
        the bucket holds is never there.
        """
        now = self._now()
        if now > self._filled_at:
            flowed = (now - self._filled_at) / 1000 * self._per_second
            self._tokens = min(self._capacity, self._tokens + flowed)
            self._filled_at = now
        if tokens > self._tokens:
            return int((tokens - self._tokens) / self._per_second * 1000) + 1
        self._tokens -= tokens
        return 0
