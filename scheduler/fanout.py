"""One tick posted by many functions: which shards each gets, and what is done when one fails."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from handlers.hub.errors import ServiceUnavailable
from scheduler.broadcast import Delivery
from scheduler.groups import Tally, Turn
from scheduler.telling import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scheduler.groups import GroupStore, Standing
    from scheduler.invoker import Invoker
    from scheduler.quota import Quota
    from scheduler.telling import Telling

ATTEMPTS: Final = 2
"""How often a group is started within one tick."""

LOOK_EVERY_S: Final = 0.2
"""How often the groups are looked at, in seconds; what they do is not held up by it."""

START_WITHIN_MS: Final = 2_000
"""A group that nobody has taken after so long was lost; a cold start takes about one second."""

SILENT_FOR_MS: Final = 2_000
"""A function gives signs of life every half a second; after so long without one it is dead."""

REPORT_MS: Final = 150
"""How long before the tick's own end a group stops, to forget the gone and to write its tally down."""

logger = logging.getLogger(__name__)


class Assignment(msgspec.Struct, frozen=True):
    """
    What one function is told to do: the event of ``scheduler.deliver``.

    ``until`` is the epoch millisecond at which it ends. ``per_second`` and ``burst`` are its part of the quota, and
    ``told`` is what ``scheduler.telling`` packs.
    """

    stream: str
    seq: int
    group: int
    attempt: int
    shards: list[int]
    until: int
    per_second: float
    burst: float
    told: str


def divide(shards: int, followers: int, *, threshold: int) -> list[list[int]]:
    """
    Divide shards into as few groups as let each have at most ``threshold`` followers, as evenly as they come.

    Never more groups than shards, so a group may have more followers when there are few shards.
    """
    groups = max(1, min(shards, -(-followers // threshold)))
    return [list(range(number, shards, groups)) for number in range(groups)]


class Outcome(NamedTuple):
    """What became of all groups together."""

    delivery: Delivery
    groups: int
    gone: int
    forgotten: int


@dataclass(frozen=True, slots=True)
class Fanout:
    """
    Starts the functions and watches over them.

    ``shards`` is how many there are to read, ``threshold`` past how many followers a tick is divided, ``now`` epoch
    milliseconds.
    """

    invoker: Invoker
    groups: GroupStore
    shards: int
    threshold: int
    now: Callable[[], int]

    def is_due(self, followers: int) -> bool:
        """Tell whether a tick to so many is divided."""
        return followers > self.threshold

    async def deliver(self, telling: Telling, seq: int, *, followers: int, quota: Quota, until: int) -> Outcome | None:
        """
        Have the groups post ``telling`` and give what they report; returns at ``until`` (epoch ms) at the latest.

        None when not one could be started: then there is no Lambda to be reached, and whoever calls posts itself.

        A group that could not be started, that nobody takes, that gives up or that falls silent is started once more.
        Clients are not harmed when both attempts post, because they go by ``seq``. The shards of groups that have not
        reported in the end count as unread; nobody waits for one that has failed for good.
        """
        begun = self.now()
        told = await asyncio.to_thread(pack, telling)
        divided = divide(self.shards, followers, threshold=self.threshold)
        watch = _Watch(
            [
                Assignment(
                    stream=telling.stream,
                    seq=seq,
                    group=number,
                    attempt=1,
                    shards=shards,
                    until=until - REPORT_MS,
                    per_second=quota.per_second / len(divided),
                    burst=max(1, quota.burst / len(divided)),
                    told=told,
                )
                for number, shards in enumerate(divided)
            ],
            invoker=self.invoker,
            now=self.now,
        )
        await asyncio.gather(*map(watch.start, range(len(divided))))
        if not watch.has_started:
            return None
        while watch.waiting and self.now() < until:
            await asyncio.sleep(min(LOOK_EVERY_S, max(0, until - self.now()) / 1000))
            try:
                standings = await asyncio.to_thread(self.groups.standings, telling.stream)
            except ServiceUnavailable as trouble:
                logger.warning("how far the groups are cannot be read: %r", trouble)
                continue
            await asyncio.gather(*map(watch.start, watch.note(standings)))
        return watch.outcome(seconds=(self.now() - begun) / 1000)


class _Watch:
    """What is known of each group of one tick."""

    def __init__(self, assignments: Sequence[Assignment], *, invoker: Invoker, now: Callable[[], int]) -> None:
        self.waiting = dict(enumerate(assignments))
        self._invoker = invoker
        self._now = now
        self._started_at: dict[int, int] = {}
        self._not_started: set[int] = set()
        self._tallies: dict[int, Tally] = {}
        self._lost: dict[int, Assignment] = {}

    @property
    def has_started(self) -> bool:
        """Whether at least one group could be started."""
        return self._not_started != self.waiting.keys()

    async def start(self, number: int) -> None:
        """Start a group; one that cannot be started is tried again at the next look."""
        assignment = self.waiting[number]
        self._started_at[number] = self._now()
        try:
            await asyncio.to_thread(self._invoker.start, msgspec.json.encode(assignment))
        except ServiceUnavailable as trouble:
            self._not_started.add(number)
            logger.warning("group %d could not be started: %r", number, trouble)
        except Exception:
            self._not_started.add(number)
            logger.exception("group %d could not be started, by a bug or a wrong deployment", number)

    def note(self, standings: Mapping[int, Standing]) -> list[int]:
        """Take note of who has finished; returns the groups to start again."""
        again = []
        for number, assignment in list(self.waiting.items()):
            turn = Turn(assignment.stream, number, assignment.seq, assignment.attempt)
            standing = standings.get(number)
            mine = standing if standing and standing.turn.seq == turn.seq else None
            if mine is not None and mine.tally is not None:
                self._tallies[number] = mine.tally
                del self.waiting[number]
            elif not self._has_failed(number, mine):
                continue
            elif turn.attempt < ATTEMPTS:
                self.waiting[number] = msgspec.structs.replace(assignment, attempt=turn.attempt + 1)
                self._not_started.discard(number)
                logger.warning("group %d of tick %d of %s is started again", number, turn.seq, turn.stream)
                again.append(number)
            elif number in self._not_started or (mine is not None and mine.alive_at == 0):
                # Not one that was only silent: it may report yet.
                self._lost[number] = self.waiting.pop(number)
        return again

    def _has_failed(self, number: int, standing: Standing | None) -> bool:
        if standing is None:
            return number in self._not_started or self._now() - self._started_at[number] > START_WITHIN_MS
        return self._now() - standing.alive_at > SILENT_FOR_MS

    def outcome(self, *, seconds: float) -> Outcome:
        """Add everything up."""
        tallies = list(self._tallies.values())
        unheard = self.waiting | self._lost
        if unheard:
            logger.error("groups %s have failed or not reported in time", sorted(unheard))
        return Outcome(
            Delivery(
                followers=sum(one.followers for one in tallies),
                posted=sum(one.posted for one in tallies),
                bytes=sum(one.bytes for one in tallies),
                limited=sum(one.limited for one in tallies),
                failed=sum(one.failed for one in tallies),
                late=sum(one.late for one in tallies),
                unread=sum(one.unread for one in tallies) + sum(len(one.shards) for one in unheard.values()),
                seconds=seconds,
            ),
            groups=len(self._tallies) + len(unheard),
            gone=sum(one.gone for one in tallies),
            forgotten=sum(one.forgotten for one in tallies),
        )
