"""Token buckets, as the gateway throttles with them."""

from __future__ import annotations


class Bucket:
    """A token bucket that starts full: ``rate`` tokens a second, at most ``burst`` of them. Instants are seconds."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def takes(self, now: float) -> bool:
        """Take one token, and say whether there was one."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
