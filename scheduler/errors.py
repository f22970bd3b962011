"""
What can go wrong in the scheduler, by whose fault it is.

::

    SchedulerError
    ├── SettingFault            the deployment's: a setting is missing or unusable; the process ends with exit code 2
    └── ProviderFault           a provider's: the last good values stay, and grow stale
        ├── RateLimited         429 or 418, or the documented weight nearly used: no call before ``retry_at``
        │   └── TooSoon         our own pace: the call has not been made, and may be made at ``retry_at``
        ├── Refused             451 or 403: this place or this caller is not served; no call before ``retry_at``
        ├── Unreachable         no connection, or no whole answer in time
        ├── Unavailable         a 5xx: the provider says that the fault is its own
        ├── UnknownInstrument   the provider does not know a symbol; it is not asked for before ``retry_at``
        └── MalformedAnswer     an answer that is not what the provider documents
"""

from __future__ import annotations


class SchedulerError(Exception):
    """Root of everything the scheduler raises on purpose."""


class SettingFault(SchedulerError):
    """A setting is missing or cannot be used; the sentence names the environment variable."""


class ProviderFault(SchedulerError):
    """
    ``provider`` gave no new values, or not all of them.

    ``retry_at`` is the epoch millisecond before which the provider is not asked again, None when the next tick may.
    """

    def __init__(self, provider: str, reason: str, *, retry_at: int | None = None) -> None:
        super().__init__(provider, reason)
        self.provider = provider
        self.reason = reason
        self.retry_at = retry_at

    def __str__(self) -> str:
        return f"{self.provider}: {self.reason}"


class RateLimited(ProviderFault):
    """Too many calls."""


class TooSoon(RateLimited):
    """A call that was not made, because it would have been one too many by our own count."""


class Refused(ProviderFault):
    """Not served from here, or not to us."""


class Unreachable(ProviderFault):
    """No whole answer in time."""


class Unavailable(ProviderFault):
    """The provider's own failure."""


class UnknownInstrument(ProviderFault):
    """A symbol that the provider does not know."""


class MalformedAnswer(ProviderFault):
    """Not what the provider documents."""
