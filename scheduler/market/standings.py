"""How each provider does, for those who follow the stream: ``ok``, ``degraded``, ``down`` or ``closed``."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scheduler.composition import Status
from scheduler.market.choice import STALE_PERIODS
from scheduler.market.state import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Findings:
    """
    What one tick has found about one provider.

    ``heard_at`` is when its latest good answer came (epoch milliseconds), None when this tick brought none.
    ``period_ms`` is how often it has an answer to give. It ``is_shut`` when it may not be asked; it ``is_resting``
    when the markets of all that it is preferred for are closed; it ``is_faulty`` when a value of its is rejected, too
    far off the reference, stale or missing.
    """

    heard_at: int | None
    period_ms: int
    is_shut: bool = False
    is_resting: bool = False
    is_faulty: bool = False


def judge(before: Standing | None, found: Findings, *, now: int) -> Standing:
    """Say how a provider does; one that is new has until the end of its second period to answer."""
    heard_at = max(found.heard_at or 0, before.heard_at if before else 0) or now
    if found.is_resting:
        state = "closed"
    elif found.is_shut or now - heard_at > STALE_PERIODS * found.period_ms:
        state = "down"
    elif found.is_faulty:
        state = "degraded"
    else:
        state = "ok"
    return Standing(state, before.since if before and before.state == state else now, heard_at)


def is_settled(before: Standing | None, period_ms: int, *, now: int) -> bool:
    """Whether a provider has had the time to say everything since it was last taken to be well."""
    return before is not None and (before.state != "ok" or now - before.since > STALE_PERIODS * period_ms)


def changes(before: Mapping[str, Standing], after: Mapping[str, Standing]) -> list[Status]:
    """Find every provider whose state has changed; of a new one, that it is anything but ok."""
    changed = []
    for provider, standing in after.items():
        old = before[provider].state if provider in before else "ok"
        if standing.state != old:
            level = logging.WARNING if standing.state in {"degraded", "down"} else logging.INFO
            logger.log(level, "%s was %s and is %s", provider, old, standing.state)
            changed.append(_status(provider, standing))
    return changed


def statuses(standings: Mapping[str, Standing]) -> list[Status]:
    """Say of every provider how it does."""
    return [_status(provider, standing) for provider, standing in standings.items()]


def _status(provider: str, standing: Standing) -> Status:
    return Status(f"provider.{provider}", standing.state, standing.since)
