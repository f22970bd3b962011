"""
Ticks to any number of clients, as they would be delivered: the broadcast's own code against a model of the rest.

What runs is ``scheduler.broadcast``, ``scheduler.fanout.divide`` and ``scheduler.quota``, in virtual time. Modelled are
the gateway (how long a post takes, and its throttle of the account), the table's answers, the processor of each
function, and how long functions take to start.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Final

from handlers.hub.connections import Connection, Subscription
from handlers.hub.errors import LimitExceeded
from handlers.hub.protocol import PERIOD_MS
from scheduler.broadcast import Delivery, broadcast
from scheduler.fanout import divide
from scheduler.quota import Quota, quotas
from scheduler.tick import BROADCAST_SHARE, SPARE
from scheduler.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

PREPARED_S: Final = 0.5
"""How long after the beginning of a tick its snapshot is written: fetching takes most of it."""

END_PART: Final = (1 - SPARE) * BROADCAST_SHARE
"""Which part of what is left of a period then may be used for posting."""

READ_S: Final = 0.005
"""How long 256 rows take: a page of DynamoDB has some 5,000, and comes in about 0.1 s."""

START_S: Final = (0.05, 0.1)
"""An asynchronous invocation reaches a warm function after so long, from and to; the order is that of measurements
that others have published."""

INVOKED_AT_ONCE: Final = 32
INVOKE_S: Final = 0.01
"""So many invocations are asked for at once, by the tick's threads, and one takes so long."""

SPREAD: Final = 0.5
"""How widely the gateway's answers are spread (the sigma of a log-normal distribution): the slowest hundredth takes
three times as long as the median."""

TICK_VCPU: Final = 512 / 1769
FANOUT_VCPU: Final = 1.0
"""How much of a processor the template's two functions have: 1,769 MB are one vCPU (Lambda Developer Guide)."""

GROUPS_RUN: Final = 40
"""Of more groups than these only so many are run, evenly chosen, and stand for all: each is like the others."""

PERCENTILES: Final = (50, 90, 99, 100)


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    What is simulated.

    ``post_latency`` is the gateway's median answer time and ``post_cpu`` what one post costs of a whole processor,
    both in seconds; ``quota`` and ``burst`` are the account's. ``limit`` is what the scheduler believes the quota is.
    """

    clients: int
    streams: Sequence[str]
    post_latency: float
    quota: float
    burst: float
    limit: float
    threshold: int
    shards: int
    post_cpu: float
    seed: int = 1


@dataclass(slots=True)
class Result:
    """
    What came of ``seconds`` of ticks.

    ``delivered_in`` has, in order, the seconds from the snapshot's being written to a post's being answered, a sample
    of all; ``busy`` the seconds that functions ran for; ``functions`` how many ran at once, at most, beside the tick's.
    """

    seconds: float
    ticks: int = 0
    functions: int = 0
    posts: int = 0
    limited: int = 0
    dropped: int = 0
    late: int = 0
    busy: float = 0.0
    delivered_in: list[float] = field(default_factory=list)

    def percentile(self, part: float) -> float | None:
        """Give the delivery time that so many of a hundred do not pass; None when nothing was delivered."""
        times = self.delivered_in
        return times[max(0, ceil(len(times) * part / 100) - 1)] if times else None


class _Account:
    """The gateway's throttle: a token bucket that refuses."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = self._tokens = burst
        self._at = 0.0

    def allows(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class _Gateway:
    """A ``Poster`` of one process: its processor is busy with one post after the other, the gateway with many."""

    def __init__(self, scenario: Scenario, account: _Account, dice: random.Random, *, vcpu: float) -> None:
        self._account = account
        self._latency = scenario.post_latency
        self._cpu = scenario.post_cpu / vcpu
        self._dice = dice
        self._free_at = 0.0

    async def post(self, connection_id: str, message: bytes) -> None:  # noqa: ARG002 - a model has no use for it
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._free_at = max(self._free_at, now) + self._cpu
        is_allowed = self._account.allows(now)
        await asyncio.sleep(self._free_at - now + self._latency * self._dice.lognormvariate(0, SPREAD))
        if not is_allowed:
            raise LimitExceeded(connection_id)


class _Followers:
    """As much of a ``ConnectionStore`` as a broadcast reads; each shard has its even part of the clients."""

    def __init__(self, clients: int, shards: int) -> None:
        self.shards = shards
        self._clients = clients

    def followers(self, stream: str, shard: int, *, now: int) -> Iterator[Connection]:
        subscriptions = {stream: Subscription(None, 0, snapshot_owed=False)}
        for number in range(shard, self._clients, self.shards):
            yield Connection(str(number), 0, now + 1, "batch", subscriptions)


def simulate(scenario: Scenario) -> Result:
    """Simulate ticks of every stream: 30 seconds of all, or 10 seconds when only the market is sent."""
    seconds = max(10.0, *(PERIOD_MS[stream] / 1000 for stream in scenario.streams))
    divided = divide(scenario.shards, scenario.clients, threshold=scenario.threshold)
    if scenario.clients <= scenario.threshold:
        divided = [list(range(scenario.shards))]
    step = max(1, len(divided) / GROUPS_RUN)
    chosen = [divided[int(number * step)] for number in range(min(len(divided), GROUPS_RUN))]
    return run_virtually(_Simulation(scenario, len(divided), chosen, seconds=seconds).run(), thread_s=READ_S)


class _Simulation:
    """One run of a scenario, with ``chosen`` of its groups."""

    def __init__(self, scenario: Scenario, groups: int, chosen: Sequence[Sequence[int]], *, seconds: float) -> None:
        self._scenario = scenario
        self._groups = groups
        self._chosen = chosen
        self._weight = groups / len(chosen)
        self._dice = random.Random(scenario.seed)  # noqa: S311 - a model's dice
        self._account = _Account(scenario.quota / self._weight, scenario.burst / self._weight)
        self._is_divided = scenario.clients > scenario.threshold
        self._result = Result(seconds, functions=groups * len(scenario.streams) if self._is_divided else 0)
        self._quotas = self._divide_quotas()
        self._processors: dict[object, _Gateway] = {}

    def _divide_quotas(self) -> dict[tuple[str, int], Quota]:
        part = 1 / self._groups
        whole = quotas(self._scenario.streams, per_second=self._scenario.limit, burst=self._scenario.burst)
        return {
            (stream, number): Quota(quota.per_second * part, max(1, quota.burst * part))
            for stream, quota in whole.items()
            for number in range(len(self._chosen))
        }

    async def run(self) -> Result:
        """Start every tick at its time, and add up."""
        result = self._result
        async with asyncio.TaskGroup() as group:
            for stream in self._scenario.streams:
                period = PERIOD_MS[stream] / 1000
                for tick in range(int(result.seconds / period)):
                    group.create_task(self._tick(stream, tick * period + PREPARED_S, until=(tick + 1) * period))
        result.delivered_in.sort()
        for name in ("posts", "limited", "dropped", "late"):
            setattr(result, name, round(getattr(result, name) * self._weight))
        result.busy *= self._weight
        return result

    async def _tick(self, stream: str, at: float, *, until: float) -> None:
        self._result.ticks += 1
        within = (until - at) * END_PART
        await asyncio.sleep(at)
        async with asyncio.TaskGroup() as group:
            for number, shards in enumerate(self._chosen):
                group.create_task(self._serve(stream, number, shards, within=within))

    async def _serve(self, stream: str, number: int, shards: Collection[int], *, within: float) -> None:
        scenario, result, loop = self._scenario, self._result, asyncio.get_running_loop()
        began = loop.time()
        vcpu = TICK_VCPU
        # The streams of a process share its processor; each function has one of its own.
        process: object = "the tick's"
        if self._is_divided:
            vcpu, process = FANOUT_VCPU, (stream, number)
            turn = int(number * self._weight) // INVOKED_AT_ONCE
            await asyncio.sleep(turn * INVOKE_S + self._dice.uniform(*START_S))
        make = partial(_Gateway, scenario, self._account, self._dice, vcpu=vcpu)
        gateway = self._processors.setdefault(process, make())
        view = _View(gateway)
        started = loop.time()
        delivery: Delivery = await broadcast(
            stream,
            lambda _: (b"",),
            to=_Followers(scenario.clients, scenario.shards),  # type: ignore[arg-type]  # only read from
            gateway=view,
            now=0,
            within=max(0, within - (started - began)),
            shards=shards,
            quota=self._quotas[stream, number],
            jitter=self._dice.random,
        )
        result.busy += loop.time() - started
        result.posts += delivery.posted
        result.limited += view.limited
        result.dropped += delivery.limited
        # Who was not even read before time was up has missed the tick too.
        expected = sum(len(range(shard, scenario.clients, scenario.shards)) for shard in shards)
        result.late += expected - delivery.posted - delivery.limited
        result.delivered_in += [at - began for at in view.answered_at]


class _View:
    """One broadcast's posts through a process's gateway."""

    def __init__(self, gateway: _Gateway) -> None:
        self.answered_at: list[float] = []
        self.limited = 0
        self._gateway = gateway

    async def post(self, connection_id: str, message: bytes) -> None:
        try:
            await self._gateway.post(connection_id, message)
        except LimitExceeded:
            self.limited += 1
            raise
        self.answered_at.append(asyncio.get_running_loop().time())
