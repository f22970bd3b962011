"""Who waits for one function's processes, and how many of them there are."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from local.functions.demand import Demand
from local.functions.invocations import Result, exited, not_startable

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.functions.invocations import Invocation, Reason
    from local.stack import Function

# All in seconds: how long an event waits before it starts a process, and before it does so although the processes that
# there are compute all the time; how long a spare process stays, and how long killed processes are waited for.
START_AFTER = 0.020
START_ANYWAY_AFTER = 1.0
IDLE_AFTER = 60.0
CLOSE_FOR = 1.5

_log = logging.getLogger("tickwire.functions")

# What is said of an event whose process never came to be.
_CLOSED: Reason = partial(exited, status=0)


class InitFailed(Exception):
    """A function could not be loaded. ``error_type`` and ``message`` are what Lambda reports of it."""

    def __init__(self, function: Function, payload: bytes) -> None:
        super().__init__(function, payload)
        self.function = function
        self.payload = payload
        try:
            report = msgspec.json.decode(payload, type=dict[str, Any])
        except msgspec.DecodeError:
            # A runtime of somebody's own may post anything.
            report = {"errorMessage": payload.decode(errors="replace")}
        self.error_type = str(report.get("errorType", "Runtime.Unknown"))
        self.message = str(report.get("errorMessage", "")).removeprefix("RequestId:  Error: ")

    def __str__(self) -> str:
        return f"{self.function.logical_id} ({self.function.handler}) cannot start: {self.error_type}: {self.message}"


class Owner(Protocol):
    """Who runs processes and wants to know what becomes of them."""

    def freed(self, process: Worker) -> None:
        """``process`` can take an event: its first, or the next."""

    def ended(self, process: Worker) -> None:
        """``process`` is no more; it takes no event and has none."""


class Worker(Protocol):
    """What runs a function's events, one at a time."""

    pid: int
    is_ready: bool
    init_error: Reason | None
    idle_since: float

    def start(self) -> None:
        """Begin; the owner hears of it when events can come. Raises OSError where no process can be started."""

    def run(self, invocation: Invocation) -> None:
        """Run an event; only after ``freed``, and once for each."""

    def kill(self) -> None:
        """End at once, whatever it is doing. The owner hears of it when it has happened."""


class FunctionPool:
    """One function's processes, and the events that wait for one of them."""

    def __init__(
        self,
        function: Function,
        new_worker: Callable[[Function, Owner], Worker],
        *,
        concurrency: int,
        idle_after: float,
        settled: Callable[[], None],
    ) -> None:
        self.function = function
        self.workers: set[Worker] = set()
        self._new_worker = new_worker
        self._concurrency = concurrency
        self._idle_after = idle_after
        self._tell_settled = settled
        self._waiting: deque[Invocation] = deque()
        self._idle: list[Worker] = []
        self._starting: Worker | None = None
        self._last_change_at = 0.0
        self._growth: asyncio.TimerHandle | None = None
        self._demand: Demand | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()
        self._failure: InitFailed | None = None
        self._closing = False
        self._empty = asyncio.Event()

    @property
    def is_exhausted(self) -> bool:
        """Whether there are as many events, in processes and waiting, as there may be processes."""
        starting = 0 if self._starting is None else 1
        busy = len(self.workers) - len(self._idle) - starting
        return busy + len(self._waiting) >= self._concurrency

    def submit(self, invocation: Invocation) -> None:
        """Run ``invocation`` now or when a process is free."""
        if self._idle:
            # The one that was busy last, so that those beyond need grow idle.
            self._idle.pop().run(invocation)
            return
        self._waiting.append(invocation)
        if self._closing or not self.workers:
            self.start_one()
        elif self._growth is None:
            self._consider_growth()

    def start_one(self) -> None:
        """Start one more process; when the pool is closed, refuse what waits instead."""
        if self._closing:
            self._fail_waiting(_CLOSED)
            return
        worker = self._new_worker(self.function, self)
        self.workers.add(worker)
        self._starting = worker
        try:
            worker.start()
        except OSError as fault:
            worker.init_error = partial(not_startable, reason=str(fault))
            self.ended(worker)

    def freed(self, worker: Worker) -> None:
        """Give ``worker`` the event that has waited longest."""
        if worker is self._starting:
            self._starting = None
            self._last_change_at = worker.idle_since
            self._settle()
        if self._waiting:
            worker.run(self._waiting.popleft())
            if self._waiting and self._growth is None:
                self._consider_growth()
            return
        self._idle.append(worker)
        if len(self.workers) > 1 and self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._idle_after, self._end_idle)

    def ended(self, worker: Worker) -> None:
        """Forget ``worker``; start another where an event ended the last one."""
        self.workers.discard(worker)
        was_idle = worker in self._idle
        if was_idle:
            self._idle.remove(worker)
        self._last_change_at = asyncio.get_running_loop().time()
        if worker is self._starting:
            self._starting = None
        if not self.workers:
            self._empty.set()
        if self._closing:
            return
        if not worker.is_ready:
            # Another try would fail alike: the next event makes it.
            reason = worker.init_error or _CLOSED
            self._settle(InitFailed(self.function, reason("")))
            if not self.workers:
                self._fail_waiting(reason)
        elif not self.workers and (self._waiting or not was_idle):
            self.start_one()
        if self._waiting and self._growth is None:
            self._consider_growth()

    async def wait_until_settled(self) -> None:
        """Wait until it is known whether the function can be loaded; raises InitFailed when not."""
        await self._settled.wait()
        if self._failure is not None:
            raise self._failure

    def kill(self) -> None:
        """Kill all processes; from now on there is none."""
        self._closing = True
        for timer in (self._growth, self._sweep):
            if timer is not None:
                timer.cancel()
        self._fail_waiting(_CLOSED)
        for worker in tuple(self.workers):
            worker.kill()

    async def close(self) -> None:
        """Kill all processes, and wait until they have ended, but not for ever."""
        self.kill()
        if self.workers:
            self._empty.clear()
            try:
                await asyncio.wait_for(self._empty.wait(), CLOSE_FOR)
            except TimeoutError:
                pids = ", ".join(str(worker.pid) for worker in self.workers)
                _log.warning("%s: killed, but not gone yet: process %s", self.function.logical_id, pids)

    def _settle(self, failure: InitFailed | None = None) -> None:
        self._failure = failure
        if not self._settled.is_set():
            self._settled.set()
            self._tell_settled()

    def _consider_growth(self) -> None:
        """
        Start one more process if the oldest event has waited long enough, otherwise look again when it will have.

        Where the processes compute and have all processors between them, one more would only slow the others down:
        then an event waits for its turn, but not for ever.
        """
        self._growth = None
        if not self._waiting or self._starting is not None or len(self.workers) >= self._concurrency:
            self._demand = None
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        # After a start or an end the queue gets the same time again: what piled up meanwhile may be gone by then.
        waits_since = max(self._waiting[0].arrived_at, self._last_change_at)
        if self._demand is None:
            self._demand = self._look(now)
        if now < waits_since + START_AFTER:
            self._growth = loop.call_at(waits_since + START_AFTER, self._consider_growth)
        elif now < waits_since + START_ANYWAY_AFTER and self._demand.leaves_nothing(now):
            if now - self._demand.since > START_ANYWAY_AFTER:
                self._demand = self._look(now)  # what was long ago says little
            self._growth = loop.call_at(now + START_AFTER, self._consider_growth)
        else:
            self._demand = None
            self.start_one()

    def _look(self, now: float) -> Demand:
        return Demand([worker.pid for worker in self.workers if worker.pid], now)

    def _end_idle(self) -> None:
        self._sweep = None
        loop = asyncio.get_running_loop()
        idle_before = loop.time() - self._idle_after
        # The longest idle stand first.
        for worker in self._idle[: len(self.workers) - 1]:
            if worker.idle_since <= idle_before:
                self._idle.remove(worker)
                worker.kill()
        if self._idle and len(self.workers) > 1:
            wait = self._idle[0].idle_since - idle_before
            self._sweep = loop.call_later(max(wait, self._idle_after / 10), self._end_idle)

    def _fail_waiting(self, reason: Reason) -> None:
        while self._waiting:
            invocation = self._waiting.popleft()
            if not invocation.answer.done():
                invocation.answer.set_result(Result(invocation.request_id, reason(invocation.request_id), "Unhandled"))
