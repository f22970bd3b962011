"""How often a client may ask: Binance's weight a minute with its bans, and Kraken's pace."""

from __future__ import annotations

from dataclasses import dataclass

WEIGHT_LIMIT = 6_000
"""Binance: weight a minute and address (``exchangeInfo``, rateLimits)."""

REFUSALS_BEFORE_BAN = 10
"""How many requests over the limit are ignored before a ban; Binance does not say how many it takes."""

FIRST_BAN_MS = 120_000
LONGEST_BAN_MS = 3 * 86_400_000
"""Binance: bans "scale in duration for repeat offenders, from 2 minutes to 3 days" (rest-api.md, IP Limits)."""

KRAKEN_BURST = 15
KRAKEN_CALLS_A_SECOND = 1.0
"""Kraken publishes no limit for public calls; its clients pace themselves at about one a second."""

MESSAGES_A_SECOND = 5
"""Binance: so many messages a second a WebSocket may send (web-socket-streams.md)."""

SOCKET_LIFE_MS = 24 * 3_600_000
"""Binance: a WebSocket is valid for so long; Kraken's has no documented end, and gets the same one here."""

PING_AFTER_S, PONG_WITHIN_S = 20.0, 60.0
"""Binance: how often a WebSocket gets a ping, and how long its pong may take."""

_MINUTE_MS = 60_000


@dataclass(slots=True)
class _Usage:
    minute: int = 0
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request: status 200, 429 or 418; ``used`` weight this minute; ``until`` epoch milliseconds."""

    status: int
    used: int
    until: int = 0


class WeightMeter:
    """Count Binance's weight for each client address; minutes are the clock's."""

    def __init__(self) -> None:
        self._usage: dict[str, _Usage] = {}

    def spend(self, client: str, weight: int, *, now: int) -> Verdict:
        """Charge ``weight`` to ``client`` at ``now``, epoch milliseconds."""
        usage = self._usage.setdefault(client, _Usage())
        minute = now // _MINUTE_MS
        if minute != usage.minute:
            usage.minute, usage.used, usage.refused = minute, 0, 0
        if now < usage.banned_until:
            return Verdict(418, usage.used, usage.banned_until)
        usage.used += weight
        if usage.used <= WEIGHT_LIMIT:
            return Verdict(200, usage.used)
        usage.refused += 1
        if usage.refused > REFUSALS_BEFORE_BAN:
            usage.banned_until = now + min(LONGEST_BAN_MS, FIRST_BAN_MS * 2**usage.bans)
            usage.bans += 1
            return Verdict(418, usage.used, usage.banned_until)
        return Verdict(429, usage.used, (minute + 1) * _MINUTE_MS)


class CallPacer:
    """A token bucket for each client address."""

    def __init__(self, *, rate: float = KRAKEN_CALLS_A_SECOND, burst: int = KRAKEN_BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, tuple[float, int]] = {}

    def allows(self, client: str, *, now: int) -> bool:
        """Take one token at ``now``, epoch milliseconds, if there is one."""
        tokens, filled_at = self._buckets.get(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + max(0, now - filled_at) / 1000 * self._rate)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, now)
        return allowed
