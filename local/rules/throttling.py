"""Token buckets, as the gateway throttles with them, and the quotas of usage plans."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.limits import Limits
    from local.stack import ApiKey, Quota, Throttle, WebSocketApi


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


class Allowance:
    """What a usage plan's quota leaves one API key: so many uses in each day, week (from Sunday) or month, in UTC."""

    __slots__ = ("_left", "_period", "_quota")

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._period: object = None
        self._left = 0

    def takes(self, now: float) -> bool:
        """Take one use, and say whether there was one; ``now`` is epoch seconds."""
        period = self._period_of(now)
        if period != self._period:
            self._period, self._left = period, self._quota.limit
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _period_of(self, now: float) -> object:
        day = datetime.fromtimestamp(now, UTC).date() - timedelta(days=self._quota.offset)
        if self._quota.period == "MONTH":
            return day.year, day.month
        # The first of all days was a Monday and has the number 1.
        return day.toordinal() // 7 if self._quota.period == "WEEK" else day


class Account:
    """The buckets of the account, which all of its APIs share: of requests and of new connections."""

    def __init__(self, limits: Limits) -> None:
        self.requests = Bucket(limits.rate, limits.burst) if limits.rate else None
        self.connects = Bucket(limits.connects, limits.connects) if limits.connects else None


class Throttles:
    """All buckets that one stage takes from: the account's, the stage's, its routes', and those of its API keys."""

    def __init__(self, api: WebSocketApi, account: Account) -> None:
        self._account = account.requests
        self._connects = account.connects
        self._stage = _bucket(api.stage.throttle)
        self._routes = {key: _bucket(throttle) for key, throttle in api.stage.route_throttles.items()}
        self._keys = {key.value: _bucket(key.throttle) for key in api.api_keys.values()}
        self._allowances = {key.value: Allowance(key.quota) for key in api.api_keys.values() if key.quota is not None}

    def refuse(self, route_key: str, now: float) -> bool:
        """Say whether one more request for a route is too many."""
        if self._account is not None and not self._account.takes(now):
            return True
        own = self._routes.get(route_key, self._stage)
        return own is not None and not own.takes(now)

    def refuse_connection(self, now: float) -> bool:
        """Say whether one more connection is too many."""
        return self.refuse("$connect", now) or (self._connects is not None and not self._connects.takes(now))

    def refuse_post(self, now: float) -> bool:
        """Say whether one more call of the management API is too many."""
        return self._account is not None and not self._account.takes(now)

    def refuse_key(self, key: ApiKey, now: float) -> bool:
        """Say whether one more use of an API key is too many for its usage plan."""
        bucket = self._keys.get(key.value)
        return bucket is not None and not bucket.takes(now)

    def exhausts_key(self, key: ApiKey, now: float) -> bool:
        """Say whether the quota of an API key's usage plan is used up."""
        allowance = self._allowances.get(key.value)
        return allowance is not None and not allowance.takes(now)


def _bucket(throttle: Throttle | None) -> Bucket | None:
    return Bucket(throttle.rate, throttle.burst) if throttle is not None else None
