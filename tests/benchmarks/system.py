"""
The whole system for a benchmark: the emulator on one core, the broadcaster (this process) and the clients on another.

The emulator is ``tickwire up`` on the deployment's own template with the schedule switched off, so that nobody but the
benchmark posts. The broadcaster acts with the keys and the settings that the tick's function was given, read from that
function's process: signatures and the role's permissions are checked as for the function itself.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tests.benchmarks.crowd import Crowd, raise_file_limit
from tests.end_to_end.running import ROOT, TEMPLATE, Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scheduler.tick import Report

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
EMULATOR_CORE, OUR_CORE = CORES[0], CORES[-1]

PROCESSES = 2
"""How many a function has at most: they serve clients on their way in, and do nothing while is measured."""

NEW_FOR = 16.0
"""Seconds after which a follower is told no more than all others."""

FULL_EVERY = 12
"""Every so many ticks one is full: its batch has every instrument, and so is the longest that the stream has."""


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this process, and whatever it starts meanwhile, on one core."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    was = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, was)


@contextmanager
def serving(program: str, *arguments: str) -> Iterator[int]:
    """Run ``program --serve …``, a server of a benchmark's own, on the emulator's core, and give its port."""
    command = [sys.executable, program, "--serve", *arguments]
    with on_core(EMULATOR_CORE):
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with server, on_core(OUR_CORE):
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()


class System:
    """The emulator and its clients; use it as ``with``. This process is on the clients' core meanwhile."""

    def __init__(self, *flags: str) -> None:
        self._flags = flags
        #: The number of the last tick.
        self.seq = int(time.time()) // 5

    def __enter__(self) -> Self:
        raise_file_limit()
        self._folder = tempfile.TemporaryDirectory(prefix="tickwire-benchmark-")
        folder = Path(self._folder.name)
        with on_core(EMULATOR_CORE):
            flags = ("--limit", f"concurrency={PROCESSES}", *self._flags)
            self.emulator = Emulator(folder, *flags, template=without_schedule(folder))
        self.environment = environment_of("scheduler.tick.handler", self.emulator)
        os.environ.update(self.environment)
        self._pinned = on_core(OUR_CORE)
        self._pinned.__enter__()
        self.crowd = Crowd(self.emulator.ready["websocket"], core=OUR_CORE).__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.crowd.__exit__(*exception)
        self._pinned.__exit__(None, None, None)
        self.emulator.stop()
        self._folder.cleanup()

    def open(self, clients: int, *, mute: bool = False) -> None:
        """
        Bring clients in, and wait until they are nothing special any more.

        In its first seconds a client is told of providers that are in trouble and of closed markets, beside its batch.
        """
        self.crowd.open(clients, mute=mute)
        time.sleep(NEW_FOR)

    def next_batch(self, batch: bytes) -> bytes:
        """Make a batch like ``batch`` with the next tick's number, which no client has had."""
        self.seq += 1
        return re.sub(rb'"seq":\d+', b'"seq":%d' % self.seq, batch, count=1)

    def check_nobody_missed(self) -> dict[str, Any]:
        """
        Return the crowd's tally.

        Raises:
            RuntimeError: Somebody who listens has missed a batch, got one twice, or was closed.
        """
        tally = self.crowd.tally()
        if tally["missed"] or tally["doubled"] or tally["closed"]:
            raise RuntimeError(f"not every client got every batch once: {tally}")
        return tally


def without_schedule(folder: Path) -> Path:
    """Write the deployment's template with its schedule disabled, and say where."""
    text = TEMPLATE.read_text(encoding="utf-8")
    rate = "ScheduleExpression: rate(1 minute)\n"
    indent = text[: text.index(rate)].rpartition("\n")[2]
    text = text.replace(rate, f"{rate}{indent}State: DISABLED\n")
    for name in ("CodeUri: ..", "Page: .."):
        text = text.replace(f"{name}\n", f"{name}/\n").replace(f"{name}/", f"{name.removesuffix('..')}{ROOT}/")
    target = folder / "template.yaml"
    target.write_text(text, encoding="utf-8")
    return target


def environment_of(handler: str, emulator: Emulator) -> Mapping[str, str]:
    """Return the environment that the function with ``handler`` runs in: its settings and its keys."""
    for pid in emulator.processes():
        lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        if found.get("_HANDLER") == handler:
            return {name: value for name, value in found.items() if name.startswith(("AWS_", "TICKWIRE_"))}
    raise RuntimeError(f"no process runs {handler}")


class Sent(NamedTuple):
    """One tick: what it did, and when its fetch had ended (microseconds of the system's clock)."""

    report: Report
    fetched_at: int


class Broadcaster:
    """Runs real ticks of the market, as the tick's function does; use it as ``async with`` in a ``System``."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._is_first = True

    async def __aenter__(self) -> Self:
        # Late: whoever measures imports no more than it needs, and the environment is the function's by now.
        from handlers.hub.connections import connection_store  # noqa: PLC0415  # see above
        from handlers.hub.dynamodb import dynamodb  # noqa: PLC0415  # see above
        from handlers.hub.instruments import instruments  # noqa: PLC0415  # see above
        from handlers.hub.management import ManagementApi  # noqa: PLC0415  # see above
        from handlers.hub.snapshots import snapshot_store  # noqa: PLC0415  # see above
        from scheduler.claims import claim_store  # noqa: PLC0415  # see above
        from scheduler.market.prices import Prices  # noqa: PLC0415  # see above
        from scheduler.market.providers.shared import quoting  # noqa: PLC0415  # see above
        from scheduler.quota import quotas  # noqa: PLC0415  # see above
        from scheduler.settings import read_settings  # noqa: PLC0415  # see above
        from scheduler.streams import COMPOSERS  # noqa: PLC0415  # see above
        from scheduler.tick import THREADS, Ports  # noqa: PLC0415  # see above

        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "tick"))
        settings = read_settings()
        dynamodb.cache_clear()
        self.api = ManagementApi.from_environment(settings)
        self.connections = connection_store(settings)
        rates = quotas(tuple(COMPOSERS), per_second=settings.posts_per_second, burst=settings.post_burst)
        self._ports = Ports(claim_store(settings), snapshot_store(settings), self.connections, self.api, rates)
        self._prices = _Watched(Prices(instruments().values(), quoting(settings)))
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._prices.close()
        await self.api.aclose()

    def followers(self) -> list[str]:
        """Return the ids of everybody who follows the market."""
        now = int(time.time())
        shards = range(self.connections.shards)
        return [one.id for shard in shards for one in self.connections.followers("market", shard, now=now)]

    async def tick(self) -> Sent:
        """Run a full tick."""
        seq = max(self._system.seq, int(time.time()) // 5)
        return await self.tick_number(seq + FULL_EVERY - seq % FULL_EVERY)

    async def tick_number(self, seq: int) -> Sent:
        """
        Run tick ``seq`` now, whenever it would be due.

        Raises:
            RuntimeError: It sent nothing, or more than one message to each: then a provider was in trouble.
        """
        from scheduler.tick import tick  # noqa: PLC0415  # see __aenter__

        self._system.seq = seq
        report = await tick("market", seq, composer=self._prices, ports=self._ports)
        posted = report.delivery.posted + report.delivery.limited + len(report.delivery.gone)
        # The first tick also tells everybody how the providers are.
        if report.outcome != "sent" or (posted != report.delivery.followers and not self._is_first):
            raise RuntimeError(report.line())
        self._is_first = False
        return Sent(report, self._prices.fetched_at)


class _Watched:
    """A composer that remembers when its last fetch ended."""

    def __init__(self, composer: Any) -> None:
        self._composer = composer
        self.compose = composer.compose
        self.close = composer.close
        self.fetched_at = 0

    async def fetch(self, *, within: float) -> Any:
        fetched = await self._composer.fetch(within=within)
        self.fetched_at = time.time_ns() // 1000
        return fetched
