"""
One tick of a stream, and the Lambda entry point that runs a minute of them.

A tick claims, fetches, composes, writes the snapshot, and only then reads the shards and posts: whoever subscribes
meanwhile either finds the new snapshot or is found by the query. Between the two it commits: a snapshot that was
written but not committed, because time was up or the process ended, counts as never sent, and the next tick goes on
from the one before it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from handlers.hub import protocol
from handlers.hub.connections import connection_store
from handlers.hub.errors import ServiceUnavailable
from handlers.hub.management import ManagementApi
from handlers.hub.snapshots import Snapshot, snapshot_store
from scheduler.broadcast import Place, broadcast, forget
from scheduler.claims import claim_store
from scheduler.clock import Job, epoch_ms, follow_grid
from scheduler.composition import Known
from scheduler.errors import SettingFault
from scheduler.fanout import Fanout
from scheduler.groups import group_store
from scheduler.invoker import LambdaInvoker
from scheduler.quota import quotas
from scheduler.report import Report, log, print_metrics
from scheduler.settings import SchedulerSettings, read_settings
from scheduler.streams import COMPOSERS
from scheduler.telling import Telling

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping

    from handlers.hub.connections import ConnectionStore
    from handlers.hub.management import Poster
    from handlers.hub.snapshots import SnapshotStore
    from scheduler.claims import Claim, ClaimStore
    from scheduler.composition import Composer
    from scheduler.quota import Quota

SPARE: Final = 0.02
"""The part of a period by which a tick ends before the next begins, so that no two of a stream ever overlap."""

FETCH_SHARE: Final = 0.75
"""The part of what is left of a tick that a fetch may take; the rest is for those who wait for it."""

BROADCAST_SHARE: Final = 0.9
"""The part of what is left then that posting may take; the rest is for forgetting the gone."""

LEAST_S: Final = 0.5
"""With less time left than this nothing is committed any more: too many would miss the tick."""

STOP_PATIENCE_S: Final = 0.5
"""How long a stop waits for a tick that is being sent: who is not served needs a snapshot from the next scheduler."""

THREADS: Final = 32
"""Calls to DynamoDB under way at once, like the hub's client has sockets."""

LAMBDA_SPARE_MS: Final = 1_000
"""How long before Lambda's own deadline everything has ended."""

LAMBDA_TICK_MS: Final = 5_000
"""A run begins no tick for which it would have less than this: another run could have claimed it."""

logger = logging.getLogger(__name__)
# Lambda's root logger starts at WARNING, and would drop the tick's line.
logging.getLogger("scheduler").setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class Ports:
    """
    What a tick reaches the world through, apart from its providers.

    ``quotas`` says how fast each stream may be posted, ``fanout`` has what is too much for one process posted by
    others, and ``audience`` remembers how many followers each stream had when they were last counted here, ``left_off``
    where posting had to stop, by stream.
    """

    claims: ClaimStore
    snapshots: SnapshotStore
    connections: ConnectionStore
    gateway: Poster
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    fanout: Fanout | None = None
    audience: dict[str, int] = field(default_factory=dict)
    left_off: dict[str, Place] = field(default_factory=dict)


async def tick(
    stream: str,
    seq: int,
    *,
    composer: Composer[Any],
    ports: Ports,
    now: Callable[[], int] = epoch_ms,
    end: int | None = None,
    tell: Callable[[Report], None] = log,
) -> Report:
    """
    Run tick ``seq`` of ``stream``, if no other run has it, and tell what it did.

    Nothing is raised for what the world does: a tick that fails says so in its report, and the next one is run all
    the same.

    Args:
        stream: Its public name.
        seq: ``floor(scheduled time / period)``.
        composer: What makes the stream's content.
        ports: The rest of the world.
        now: Epoch milliseconds.
        end: The epoch millisecond at which the whole process ends; a tick ends before the next one in any case.
        tell: What the report goes to; the log by default.
    """
    period = protocol.PERIOD_MS[stream]
    following = (seq + 1) * period
    end = min(following, end or following)
    run = _Run(composer, ports, now=now, end=end, deadline=min(int(following - SPARE * period), end))
    report = Report(stream, seq, full=seq % protocol.FULL_EVERY == 0)
    try:
        async with asyncio.timeout(run.left()) as limit:
            report.outcome = await run.prepare(report)
        if report.outcome in {"sent", "quiet"}:
            report.outcome = await _finish(run.send(report))
    except Exception as trouble:  # no trouble of one tick may end the loop
        cause = trouble.exceptions[0] if isinstance(trouble, ExceptionGroup) else trouble
        report.outcome = "late" if limit.expired() else "failed"
        report.reason = f"stopped in {list(report.phases)[-1]}" if limit.expired() else repr(cause)
        if not (limit.expired() or isinstance(cause, ServiceUnavailable)):
            logger.exception("tick %d of %s met a bug or a wrong deployment", seq, stream, exc_info=cause)
    tell(report)
    return report


async def _finish(sending: Coroutine[Any, Any, str]) -> str:
    """Wait for a tick that is being sent; a stop leaves it ``STOP_PATIENCE_S`` more."""
    task = asyncio.create_task(sending)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=STOP_PATIENCE_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


class _Run:
    """One run of one tick."""

    def __init__(
        self, composer: Composer[Any], ports: Ports, *, now: Callable[[], int], end: int, deadline: int
    ) -> None:
        self._composer = composer
        self._ports = ports
        self._now = now
        self._end = end
        self._deadline = deadline
        self._telling: Telling | None = None
        self._claim: Claim | None = None
        self._is_news = False
        self._untold: bytes | None = None

    def left(self) -> float:
        """Tell how many seconds are left until the deadline."""
        return max(0, self._deadline - self._now()) / 1000

    async def prepare(self, report: Report) -> str:
        """Go through the phases up to the snapshot; the outcomes ``sent`` and ``quiet`` are what ``send`` has to do."""
        if not self.left():
            return "late"
        with report.phase("claim"):
            # A name for this tick alone: the same run again is how the claim store knows its own retries.
            claim = await asyncio.to_thread(self._ports.claims.claim, report.stream, report.seq, uuid.uuid4().hex)
        if claim is None:
            return "elsewhere"
        self._claim = claim
        with report.phase("fetch"):
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(asyncio.to_thread(self._ports.snapshots.latest, report.stream))
                fetching = group.create_task(self._composer.fetch(within=FETCH_SHARE * self.left()))
        latest = reading.result()
        with report.phase("compose"):
            at = self._now()
            known = _known(claim, latest)
            prev = latest.seq if latest else None
            is_untold = prev != claim.sent_seq
            if is_untold:
                report.full, prev = True, claim.sent_seq
            composition = self._composer.compose(fetching.result(), known, now=at, full=report.full)
            # What the last snapshot said nobody was told: all is said again in full, to those who have what was before.
            updates = (composition.content if is_untold else composition.updates) or None
        report.changed = len(updates or ())
        report.faults = composition.faults
        news = composition.standing if is_untold else composition.news
        snapshot = latest
        if updates:
            snapshot = Snapshot(report.stream, report.seq, at, composition.content, composition.state)
        with report.phase("save"):
            # Whatever a tick sends is written down first; a tick that sends nothing leaves its state only.
            is_latest = True
            if snapshot is not None and snapshot is not latest:
                is_latest = await asyncio.to_thread(self._ports.snapshots.save, snapshot)
                self._is_news = True
            elif composition.state != known.state and news:
                # What only this tick has to say is on no snapshot: it is left once it is told, and else said again.
                self._untold = composition.state
            elif composition.state != known.state:
                is_latest = await asyncio.to_thread(self._ports.claims.leave, claim, composition.state)
        if not is_latest:
            return "overtaken"
        if snapshot is not None or composition.standing:
            self._telling = Telling(report.stream, snapshot, prev, updates, at, news, composition.standing)
        return "sent" if updates else "quiet"

    async def send(self, report: Report) -> str:
        """
        Commit and post what ``prepare`` has made; returns the outcome.

        Whoever cancels this while it commits may leave a tick that counts as sent and was not.
        """
        claim, telling, audience = self._claim, self._telling, self._ports.audience
        if claim is None or telling is None:
            return report.outcome
        followers = audience.get(report.stream, claim.followers)
        if self._is_news:
            if self.left() < LEAST_S:
                report.reason = "saved too late to be sent"
                return "late"
            with report.phase("commit"):
                is_latest = await asyncio.to_thread(self._ports.claims.commit, claim, followers)
            if not is_latest:
                return "overtaken"
        within = BROADCAST_SHARE * self.left()
        if self._is_news:
            # However long it took to commit: what is committed has to be posted, as long as no other tick is due.
            within = max(within, min(LEAST_S, (self._end - self._now()) / 1000))
            if within <= 0:
                report.reason = "committed too late to be posted"
                return "late"
        with report.phase("broadcast"):
            await self._deliver(telling, report, followers=max(followers, claim.followers), within=within)
        # Where time was up or a shard not read, there are more than were counted.
        is_whole = not (report.delivery.unread or report.delivery.late)
        audience[report.stream] = max(report.delivery.followers, 0 if is_whole else followers)
        if self._untold is not None:
            with report.phase("leave"), suppress(TimeoutError):
                async with asyncio.timeout(self.left()):
                    await asyncio.to_thread(self._ports.claims.leave, claim, self._untold)
        return report.outcome

    async def _deliver(self, telling: Telling, report: Report, *, followers: int, within: float) -> None:
        ports = self._ports
        quota = ports.quotas.get(report.stream)
        if ports.fanout is not None and quota is not None and ports.fanout.is_due(followers):
            until = self._now() + int(within * 1000)
            outcome = await ports.fanout.deliver(telling, report.seq, followers=followers, quota=quota, until=until)
            if outcome is not None:
                report.delivery, report.groups, report.gone, report.forgotten = outcome
                return
            within = max(0, until - self._now()) / 1000
        report.delivery = await broadcast(
            report.stream,
            telling.messages(),
            to=ports.connections,
            gateway=ports.gateway,
            now=telling.now,
            within=within,
            quota=quota,
            left_off=ports.left_off.setdefault(report.stream, Place()),
        )
        report.gone = len(report.delivery.gone)
        if report.gone:
            with report.phase("forget"), suppress(TimeoutError):
                async with asyncio.timeout(self.left()):
                    report.forgotten = await forget(report.delivery.gone, ports.connections, now=telling.now)


def _known(claim: Claim, latest: Snapshot | None) -> Known:
    """Join what was written last and what a later tick, that sent nothing, has left."""
    if latest is None:
        return Known(state=claim.state)
    return Known(latest.data, claim.state if claim.state_seq > latest.seq else latest.state)


async def run(
    settings: SchedulerSettings,
    streams: Collection[str] = tuple(COMPOSERS),
    *,
    until: int | None = None,
    end: int | None = None,
    stop: asyncio.Event | None = None,
    tell: Callable[[Report], None] = log,
) -> None:
    """
    Run the ticks of ``streams`` on the grid; what both hosts have in common.

    Args:
        settings: The deployment's.
        streams: Some of ``COMPOSERS``.
        until: The epoch millisecond from which no tick is begun; None for never.
        end: The epoch millisecond at which those under way must have ended, at the latest.
        stop: Ends everything at once, but for a tick that is being sent.
        tell: What the report of each tick goes to.

    Raises:
        SettingFault: A list that the settings name cannot be used.
    """
    try:
        composers = {stream: COMPOSERS[stream](settings) for stream in streams}
    except (ValueError, OSError) as error:
        raise SettingFault(str(error)) from error
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "tick"))
    try:
        async with ManagementApi.from_environment(settings) as gateway:
            connections = connection_store(settings)
            ports = Ports(
                claim_store(settings),
                snapshot_store(settings),
                connections,
                gateway,
                quotas(streams, per_second=settings.posts_per_second, burst=settings.post_burst),
                _fanout(settings, shards=connections.shards),
            )

            def job(stream: str) -> Job:
                async def begin(seq: int) -> None:
                    await tick(stream, seq, composer=composers[stream], ports=ports, end=end, tell=tell)

                return Job(stream, protocol.PERIOD_MS[stream], begin)

            await follow_grid(map(job, streams), until=until, stop=stop)
    finally:
        await asyncio.gather(*(composer.close() for composer in composers.values()))


def _fanout(settings: SchedulerSettings, *, shards: int) -> Fanout | None:
    if not settings.fanout_function:
        return None
    invoker = LambdaInvoker(settings.fanout_function)
    return Fanout(invoker, group_store(settings), shards, settings.fanout_threshold, epoch_ms)


class Context(Protocol):
    """What is used of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Tell how many milliseconds are left until Lambda ends the function."""
        ...


def handler(event: object, context: Context) -> None:  # noqa: ARG001 - a schedule's event has nothing to say
    """
    Run the ticks of about a minute; Lambda's entry point.

    Runs for ``TICKWIRE_RUN_FOR`` seconds, or as long as the function's own timeout leaves room for one more tick.
    Runs overlap by design: each tick is claimed by one of them.

    Raises:
        SettingFault: The deployment is incomplete.
    """
    settings = read_settings()
    started = epoch_ms()
    end = started + context.get_remaining_time_in_millis() - LAMBDA_SPARE_MS
    until = min(started + int(settings.run_for * 1000), end - LAMBDA_TICK_MS)
    if until <= started:
        logger.warning("no tick is run: the function's timeout leaves %d ms", end - started)
        return
    asyncio.run(run(settings, until=until, end=end, tell=print_metrics))
