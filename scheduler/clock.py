"""
The grid that ticks follow: the multiples of a stream's period since the epoch, bounded or endless.

The grid is absolute, so every scheduler anywhere means the same instant by the same tick number.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

logger = logging.getLogger(__name__)


def epoch_ms() -> int:
    """Tell the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def next_point(at: int, period_ms: int) -> int:
    """Find the first point of the grid at or after ``at``; both are epoch milliseconds."""
    return -(-at // period_ms) * period_ms


@dataclass(frozen=True, slots=True)
class Job:
    """``run`` is called with the number of each tick: ``floor(scheduled time / period_ms)``."""

    name: str
    period_ms: int
    run: Callable[[int], Awaitable[object]]


class GridTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 publishes no types
    """
    Fires at every point of the grid before ``until`` (epoch milliseconds; None: without an end).

    Points that were slept through are passed over, not caught up with: an old tick is worth nothing.
    """

    def __init__(self, period_ms: int, *, until: int | None = None) -> None:
        self._period_ms = period_ms
        self._until = until

    def __str__(self) -> str:
        return f"every {self._period_ms / 1000:g} s of the epoch"

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Answer APScheduler; the times are aware, and exact to the millisecond."""
        earliest = -((_EPOCH - now) // _MILLISECOND)  # rounded up, so that a point just passed is not fired again
        if previous_fire_time is not None:
            earliest = max(earliest, (previous_fire_time - _EPOCH) // _MILLISECOND + 1)
        point = next_point(earliest, self._period_ms)
        if self._until is not None and point >= self._until:
            return None
        return _EPOCH + point * _MILLISECOND


async def follow_grid(
    jobs: Iterable[Job],
    *,
    until: int | None = None,
    stop: asyncio.Event | None = None,
    now: Callable[[], int] = epoch_ms,
) -> None:
    """
    Run every job at its points of the grid, at most one tick of a job at a time.

    A tick that fails is logged, and the next point goes on. A point that is met later than its whole period less a
    second is left out.

    Args:
        jobs: What to run, each at its own period.
        until: The epoch millisecond at and after which no tick is started; those under way are waited for.
        stop: Ends everything at once, ticks under way included.
        now: Epoch milliseconds.
    """
    stopping = asyncio.ensure_future((stop or asyncio.Event()).wait())
    under_way: set[asyncio.Task[None]] = set()

    async def tick(job: Job) -> None:
        # A task of our own: APScheduler would log its cancellation as a failure.
        task = asyncio.create_task(_tick(job, now() // job.period_ms))
        under_way.add(task)
        await asyncio.wait({task})
        under_way.discard(task)

    scheduler = AsyncIOScheduler(timezone=UTC)
    for job in jobs:
        scheduler.add_job(
            tick,
            GridTrigger(job.period_ms, until=until),
            args=[job],
            name=job.name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=max(1, job.period_ms // 1000 - 1),
        )
    scheduler.start()
    try:
        await asyncio.wait({stopping}, timeout=None if until is None else max(0, until - now()) / 1000)
        # A tick that was due in this very moment may be handed over and not begun yet; it is under way too.
        scheduler.remove_all_jobs()
        await asyncio.sleep(0)
        while under_way and not stopping.done():
            await asyncio.wait({stopping, *under_way}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        scheduler.remove_all_jobs()
        for task in (stopping, *under_way):
            task.cancel()
        await asyncio.gather(stopping, *under_way, return_exceptions=True)
        scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # the scheduler shuts down in the loop's next round


async def _tick(job: Job, seq: int) -> None:
    try:
        await job.run(seq)
    except Exception:
        logger.exception("tick %d of %s failed", seq, job.name)
