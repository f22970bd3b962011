"""The Lambda entry point that posts one tick to one group of shards."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from handlers.hub.connections import connection_store
from handlers.hub.errors import ServiceUnavailable
from handlers.hub.management import ManagementApi
from handlers.hub.settings import HubSettings, hub_settings
from handlers.hub.snapshots import snapshot_store
from scheduler.broadcast import Place, broadcast, forget
from scheduler.clock import epoch_ms
from scheduler.fanout import Assignment
from scheduler.groups import Tally, Turn, group_store
from scheduler.quota import Quota
from scheduler.telling import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from handlers.hub.connections import ConnectionStore
    from handlers.hub.management import Poster
    from handlers.hub.snapshots import SnapshotStore
    from scheduler.broadcast import Delivery
    from scheduler.groups import GroupStore

SIGN_EVERY_S: Final = 0.5
"""How often a sign of life is given, in seconds."""

BROADCAST_SHARE: Final = 0.95
"""The part of the time left that posting may take; the rest is for forgetting the gone."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ports:
    """What a group reaches the world through; ``left_off`` is where posting had to stop here, by stream."""

    groups: GroupStore
    snapshots: SnapshotStore
    connections: ConnectionStore
    gateway: Poster
    left_off: dict[str, Place] = field(default_factory=dict)


async def deliver(
    assignment: Assignment, *, ports: Ports, quota: Quota, now: Callable[[], int] = epoch_ms
) -> Tally | None:
    """
    Post what ``assignment`` tells to the followers in its shards, and write the tally down.

    Nothing is done, and None returned, for one that was taken already, whose time is over or whose tick is past. One
    that is taken over by the next attempt stops. ``now`` is epoch milliseconds.
    """
    turn = Turn(assignment.stream, assignment.group, assignment.seq, assignment.attempt)
    groups = ports.groups
    if now() >= assignment.until or not await asyncio.to_thread(groups.take, turn, now=now()):
        return None
    try:
        telling = await asyncio.to_thread(unpack, assignment.told, ports.snapshots)
        if telling is None:
            # The snapshot is a later tick's already. Who was not told meets a gap there, and asks for all of it.
            logger.warning("tick %d of %s is past: group %d was not told", turn.seq, turn.stream, turn.group)
            await asyncio.to_thread(groups.finish, turn, Tally(unread=len(assignment.shards)), now=now())
            return None
        posting = asyncio.create_task(
            broadcast(
                assignment.stream,
                telling.messages(),
                to=ports.connections,
                gateway=ports.gateway,
                now=telling.now,
                within=BROADCAST_SHARE * max(0, assignment.until - now()) / 1000,
                shards=assignment.shards,
                quota=quota,
                left_off=ports.left_off.setdefault(assignment.stream, Place()),
            )
        )
        delivery = await _watched(posting, turn, groups, now=now)
        if delivery is None:
            return None
        forgotten = await forget(delivery.gone, ports.connections, now=telling.now) if delivery.gone else 0
    except BaseException:
        await asyncio.to_thread(groups.stay, turn, alive_at=0)
        raise
    tally = _tally(delivery, forgotten)
    await asyncio.to_thread(groups.finish, turn, tally, now=now())
    return tally


async def _watched(
    posting: asyncio.Task[Delivery], turn: Turn, groups: GroupStore, *, now: Callable[[], int]
) -> Delivery | None:
    """Give signs of life until ``posting`` is done; None when another attempt has taken over."""
    try:
        while not (await asyncio.wait({posting}, timeout=SIGN_EVERY_S))[0]:
            try:
                if not await asyncio.to_thread(groups.stay, turn, alive_at=now()):
                    return None
            except ServiceUnavailable as trouble:
                logger.warning("no sign of life could be given: %r", trouble)
        return posting.result()
    finally:
        if not posting.done():
            posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)


def _tally(delivery: Delivery, forgotten: int) -> Tally:
    return Tally(
        followers=delivery.followers,
        posted=delivery.posted,
        bytes=delivery.bytes,
        limited=delivery.limited,
        failed=delivery.failed,
        late=delivery.late,
        unread=delivery.unread,
        gone=len(delivery.gone),
        forgotten=forgotten,
    )


class _Process:
    """
    What a warm process keeps: its event loop with open sockets to the gateway, and what it may post.

    Without it every event would begin with as many TLS handshakes as there are posts under way.
    """

    def __init__(self, settings: HubSettings) -> None:
        self._runner = asyncio.Runner()
        self._settings = settings
        self._ports: Ports | None = None
        self._quotas: dict[tuple[str, int], Quota] = {}

    def run(self, assignment: Assignment) -> Tally | None:
        return self._runner.run(self._deliver(assignment))

    async def _deliver(self, assignment: Assignment) -> Tally | None:
        settings = self._settings
        if self._ports is None:
            gateway = ManagementApi.from_environment(settings)
            self._ports = Ports(group_store(settings), snapshot_store(settings), connection_store(settings), gateway)
        quota = self._quotas.setdefault(
            (assignment.stream, assignment.group), Quota(assignment.per_second, assignment.burst)
        )
        quota.per_second, quota.burst = assignment.per_second, assignment.burst
        return await deliver(assignment, ports=self._ports, quota=quota)


# An event loop is one thread's; a runtime that calls in several has one for each.
_kept = threading.local()


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any] | None:  # noqa: ARG001 - Lambda's signature
    """
    Serve one group of one tick; Lambda's entry point.

    An event may come twice or late: it is served once, and not after its time.
    """
    assignment = msgspec.convert(event, Assignment)
    process: _Process | None = getattr(_kept, "process", None)
    if process is None:
        process = _kept.process = _Process(hub_settings())
    tally = process.run(assignment)
    told = {"event": "group", "stream": assignment.stream, "seq": assignment.seq, "group": assignment.group}
    said = {"outcome": "elsewhere"} if tally is None else msgspec.structs.asdict(tally)
    print(msgspec.json.encode({**told, "attempt": assignment.attempt, **said}).decode())  # noqa: T201 - one line of the log
    return None if tally is None else msgspec.structs.asdict(tally)
