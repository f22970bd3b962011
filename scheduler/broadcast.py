"""One tick's messages to many connections, and what became of them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from handlers.hub.errors import ConnectionGone, GatewayFault, LimitExceeded, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from handlers.hub.connections import Connection, ConnectionStore
    from handlers.hub.management import Poster
    from scheduler.quota import Quota

IN_FLIGHT: Final = 64
"""How many posts are under way at once, unless said otherwise."""

ATTEMPTS: Final = 4
"""How often a message is posted that the gateway answers with 429, before the next tick's value takes its place."""

BACKOFF_S: Final = 0.05
"""The first retry waits up to so many seconds, each further one up to twice as long (full jitter)."""

YOUNG_MS: Final = 10_000
"""A connection that the gateway calls gone may still be inside ``$connect`` for so many milliseconds."""

SLOW_S: Final = 0.1
"""A post that is not answered after so many seconds lends its place to another one, until it is."""

_CHUNK: Final = 256
"""Connections taken from a shard's pages at once: one change of threads for so many."""

_AHEAD: Final = 1_024
"""Connections read but not yet posted to: about what is posted while one more page is read."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Delivery:
    """
    What became of one broadcast.

    ``followers`` counts who was found subscribed, whether there was something for them or not. ``posted`` and ``bytes``
    count the messages that the gateway has taken. The rest count connections: ``limited`` were answered 429 to the last
    and dropped, ``failed`` met any other fault, ``late`` were read but not served when time was up. ``unread`` counts
    the shards that could not be read to their end. The caller forgets ``gone``.
    """

    followers: int = 0
    posted: int = 0
    bytes: int = 0
    limited: int = 0
    failed: int = 0
    late: int = 0
    unread: int = 0
    seconds: float = 0.0
    gone: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Place:
    """A connection among all followers of a stream, who go by shard and id; by itself nowhere."""

    shard: int = -1
    connection_id: str = ""


async def broadcast(  # noqa: PLR0913  # whoever posts says what, to whom, through what and how fast
    stream: str,
    messages: Callable[[Connection], Sequence[bytes]],
    *,
    to: ConnectionStore,
    gateway: Poster,
    now: int,
    within: float,
    shards: Collection[int] | None = None,
    quota: Quota | None = None,
    left_off: Place | None = None,
    in_flight: int = IN_FLIGHT,
    jitter: Callable[[], float] = random.random,
) -> Delivery:
    """
    Post to every follower of ``stream`` what ``messages`` gives for it.

    The shards are read in parallel, and posted to while they are read. One connection's trouble is never another's:
    whatever goes wrong with one is in the result, and one that is being retried takes nobody's place. A connection's
    own messages go in order; there is no order between connections.

    Args:
        stream: Whose followers.
        messages: What to post to a connection, in order; may be nothing.
        to: Where the followers are found.
        gateway: What posts.
        now: Epoch milliseconds; connections that have expired are left out.
        within: Seconds after which whoever is not yet served is left to the next tick.
        shards: Whose connections; all by default.
        quota: How fast may be posted, retries included; as fast as it goes by default.
        left_off: Where the last broadcast had to stop, and this one goes on: with too small a quota everybody is missed
            in turn. Changed to where this one stops; where it gets lost, it begins anywhere.
        in_flight: How many first posts may be under way at once; a quarter as many again may be retries, and three
            quarters as many first posts that wait for a slow answer (so 64 need the 128 sockets of a pool).
        jitter: Random numbers from 0 to 1.

    Returns:
        The tally. Nothing is raised for what the gateway or the store does.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    chosen = range(to.shards) if shards is None else shards
    place = left_off or Place()
    run = _Broadcast(messages, gateway=gateway, quota=quota, left_off=place, in_flight=in_flight, jitter=jitter)
    try:
        async with asyncio.timeout(within):
            await run.deliver({shard: to.followers(stream, shard, now=now // 1000) for shard in chosen})
    except TimeoutError:
        run.delivery.late = run.read - run.settled + len(run.last)
    run.leave_off()
    run.delivery.seconds = clock() - started
    return run.delivery


async def forget(gone: Iterable[str], connections: ConnectionStore, *, now: int) -> int:
    """
    Forget whom the gateway does not know any more, and count them; whoever is missed is met again next time.

    ``now`` is epoch milliseconds: who was connected shortly before is kept.
    """
    answers = await asyncio.gather(
        *(
            asyncio.to_thread(connections.forget, connection_id, unless_connected_after=now - YOUNG_MS)
            for connection_id in gone
        ),
        return_exceptions=True,
    )
    troubles = [answer for answer in answers if isinstance(answer, BaseException)]
    if troubles:
        logger.error("%d gone connections could not be forgotten: %r", len(troubles), troubles[0])
    return sum(answer is True for answer in answers)


class _Letter(NamedTuple):
    """What waits to be posted to one connection."""

    number: int
    shard: int
    connection_id: str
    messages: Sequence[bytes]


class _Broadcast:
    """The tasks of one broadcast and what they count."""

    def __init__(
        self,
        messages: Callable[[Connection], Sequence[bytes]],
        *,
        gateway: Poster,
        quota: Quota | None,
        left_off: Place,
        in_flight: int,
        jitter: Callable[[], float],
    ) -> None:
        self.delivery = Delivery()
        self.read = 0
        self.settled = 0
        self.last: list[Connection] = []
        self._messages = messages
        self._gateway = gateway
        self._quota = quota
        self._left_off = left_off
        self._in_flight = in_flight
        self._workers = 0
        self._posting_since: dict[str, float] = {}
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._jitter = jitter
        self._waiting: deque[_Letter] = deque()
        self._put_back: list[_Letter] = []
        self._reading: dict[int, str] = {}  # the last connection read of each shard that has further ones
        self._has_room = asyncio.Event()
        self._retrying = asyncio.Semaphore(max(1, in_flight // 4))
        self._told: set[type[Exception]] = set()

    async def deliver(self, shards: Mapping[int, Iterator[Connection]]) -> None:
        """Serve every follower in ``shards``; returns when the last one is settled."""
        whole = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                self._relieve(group, whole)
                if self._left_off.shard in shards:
                    group.create_task(self._read_in_turn(shards, group))
                else:
                    for shard, followers in shards.items():
                        group.create_task(self._read(shard, followers, group))
        finally:
            self._relieving.cancel()

    async def _read_in_turn(self, shards: Mapping[int, Iterator[Connection]], group: asyncio.TaskGroup) -> None:
        """Read the shards one after the other, beginning in the middle of one; its first part is the last."""
        first = self._left_off.shard
        for shard in sorted(shards, key=lambda shard: (shard < first, shard)):
            await self._read(shard, shards[shard], group)
        last, self.last = self.last, []
        self._accept(first, last, group)

    async def _read(self, shard: int, followers: Iterator[Connection], group: asyncio.TaskGroup) -> None:
        first = self._left_off.connection_id if shard == self._left_off.shard else ""
        self._reading[shard] = first
        try:
            is_read = False
            while not is_read:
                chunk = await asyncio.to_thread(_take, followers)
                is_read = len(chunk) < _CHUNK
                self.delivery.followers += len(chunk)
                if chunk and chunk[0].id < first:
                    self.last += [one for one in chunk if one.id < first]
                    chunk = [one for one in chunk if one.id >= first]
                self._accept(shard, chunk, group)
                self._reading[shard] = chunk[-1].id if chunk else first
                while len(self._waiting) > _AHEAD:
                    self._has_room.clear()
                    await self._has_room.wait()
        except Exception as trouble:  # noqa: BLE001 - whatever one shard meets, the others are served
            self.delivery.unread += 1
            _log("shard %d could not be read: %r", shard, trouble, trouble=trouble)
        del self._reading[shard]

    def _accept(self, shard: int, connections: Sequence[Connection], group: asyncio.TaskGroup) -> None:
        """Put what there is for ``connections`` among the waiting."""
        for one in connections:
            messages = self._messages(one)
            if messages:
                self.read += 1
                self._waiting.append(_Letter(self.read, shard, one.id, messages))
        self._employ(group, min(len(self._waiting), self._in_flight - self._workers))

    def _employ(self, group: asyncio.TaskGroup, number: int) -> None:
        for _ in range(number):
            self._workers += 1
            group.create_task(self._work(group))

    async def _work(self, group: asyncio.TaskGroup) -> None:
        """Post what waits, until nothing does or there are enough others."""
        waiting, quota = self._waiting, self._quota
        while waiting:
            letter = waiting.popleft()
            if len(waiting) == _AHEAD:
                self._has_room.set()
            if quota is not None and not quota.take_now(self._now()):
                try:
                    await quota.take()
                except asyncio.CancelledError:
                    self._put_back.append(letter)
                    raise
            _, _, connection_id, messages = letter
            left = await self._post(connection_id, messages)
            if left:
                group.create_task(self._retry(connection_id, left))
            else:
                self.settled += 1
            if self._workers > self._in_flight and self._workers > self._in_flight + self._slow():
                break
        self._workers -= 1

    def _relieve(self, group: asyncio.TaskGroup, whole: asyncio.Task[object] | None) -> None:
        """Put somebody in the place of each who waits for a slow answer, so that it is nobody else's trouble."""
        if whole is not None and whole.cancelling():
            return  # time is up, and the group takes nobody any more
        self._employ(group, min(len(self._waiting), self._in_flight + self._slow() - self._workers))
        self._relieving = self._loop.call_later(SLOW_S, self._relieve, group, whole)

    def _slow(self) -> int:
        """Count who waits for a slow answer, as far as there are places for it."""
        latest = self._now() - SLOW_S
        slow = sum(since < latest for since in self._posting_since.values())
        return min(slow, self._in_flight * 3 // 4)

    async def _retry(self, connection_id: str, messages: Sequence[bytes]) -> None:
        for attempt in range(1, ATTEMPTS):
            await asyncio.sleep(self._jitter() * BACKOFF_S * 2 ** (attempt - 1))
            async with self._retrying:
                if self._quota is not None:
                    await self._quota.take()
                messages = await self._post(connection_id, messages)
            if not messages:
                break
        else:
            self.delivery.limited += 1
        self.settled += 1

    async def _post(self, connection_id: str, messages: Sequence[bytes]) -> Sequence[bytes]:
        """
        Post ``messages``; return those that the gateway answered with 429, and the ones after.

        The quota has been asked for the first of them.
        """
        delivery = self.delivery
        for number, message in enumerate(messages):
            if number and self._quota is not None:
                await self._quota.take()
            self._posting_since[connection_id] = self._now()
            try:
                await self._gateway.post(connection_id, message)
            except ConnectionGone:
                delivery.gone.append(connection_id)
                break
            except LimitExceeded:
                return messages[number:]
            except Exception as trouble:  # noqa: BLE001 - one connection's trouble is never another's
                delivery.failed += 1
                self._tell(trouble)
                break
            finally:
                self._posting_since.pop(connection_id, None)  # one that is found twice may be posted to twice at once
            delivery.posted += 1
            delivery.bytes += len(message)
        return ()

    def leave_off(self) -> None:
        """
        Note where the next broadcast is to begin: with the first that nobody began to post to.

        Not with one that was being posted to, whose answer is missing: it might stand in the way of the rest for ever.
        """
        place = self._left_off
        place.shard, place.connection_id = next(iter(self._reading.items()), (-1, ""))
        unserved = [*self._put_back, *islice(self._waiting, 1)]
        if unserved:
            _, place.shard, place.connection_id, _ = min(unserved)

    def _tell(self, trouble: Exception) -> None:
        """Log the first trouble of each kind: thousands may meet the same."""
        if type(trouble) in self._told:
            return
        self._told.add(type(trouble))
        kind = type(trouble).__name__
        _log("a post failed: %r; further %s of this broadcast are only counted", trouble, kind, trouble=trouble)


def _log(sentence: str, *details: object, trouble: Exception) -> None:
    """Log a trouble; with its stack only when it is a bug or a wrong deployment, as an outage has no use for one."""
    is_expected = isinstance(trouble, GatewayFault | ServiceUnavailable)
    logger.error(sentence, *details, exc_info=None if is_expected else trouble)


def _take(followers: Iterator[Connection]) -> list[Connection]:
    return list(islice(followers, _CHUNK))
