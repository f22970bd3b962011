"""
Runs a template's functions: who waits for a process, how many processes there are, and what was answered.

Errors::

    FunctionNotFound   nobody here has that name (LookupError)
    Exhausted          all of a function's processes are busy, and it is wanted that this be an error
    InitFailed         a function cannot be loaded; events get its reason as their answer
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections import deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from local.functions.environment import function_environment
from local.functions.event_queue import RETRY_AFTER, EventQueue
from local.functions.invocations import Invocation, LogLine, Result, new_request_id, new_trace_id
from local.functions.pool import IDLE_AFTER, FunctionPool, InitFailed
from local.functions.process import PipeProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from local.functions.pool import Owner, Worker
    from local.functions.process import FunctionProcess
    from local.stack import Function

__all__ = ["Exhausted", "FunctionNotFound", "Functions", "InitFailed", "LogLine", "Result", "Runtime"]

Runtime = Literal["pipe", "api", "inline"]


class FunctionNotFound(LookupError):
    """No function has this name."""

    def __init__(self, function: str) -> None:
        super().__init__(function)
        self.function = function

    def __str__(self) -> str:
        return f"no such function: {self.function!r}"


class Exhausted(Exception):
    """A function has as many events as it may have processes."""

    def __init__(self, function: str, concurrency: int) -> None:
        super().__init__(function, concurrency)
        self.function = function
        self.concurrency = concurrency

    def __str__(self) -> str:
        return f"{self.function} is busy in all of its {self.concurrency} processes"


class Functions:
    """
    All functions of a stack, each with its processes.

    A process runs one event at a time. An event that has waited 20 ms for one starts another, as long as there are
    fewer than ``concurrency`` and another would help (``FunctionPool``); beyond that events wait, in order. Processes
    that have been idle for ``idle_after`` seconds end, except one for each function.

    Args:
        functions: What the template names.
        region: The AWS region that functions are told.
        environment: Variables that every function gets (endpoints, credentials); its own come on top.
        runtime: ``pipe`` (the official client's loop over a socketpair), ``api`` (the unmodified client and the
            Runtime API over HTTP) or ``inline`` (in a thread of this process, for a debugger).
        python: The interpreter that runs the functions, a path or a name to find on the path; this one where None.
        concurrency: The most processes for one function.
        exhausted_is_an_error: Whether an event beyond these is refused instead of waiting for its turn. Asynchronous
            ones wait in any case, as they do in Lambda's queue.
        retry_after: How long asynchronous events wait after a function's error, in seconds.
        report: Whether Lambda's START, END and REPORT lines are logged too.
        log: Gets each line that a function prints.
    """

    def __init__(  # noqa: PLR0913 # each is a setting of its own
        self,
        functions: Iterable[Function],
        *,
        region: str,
        log: Callable[[LogLine], None],
        environment: Mapping[str, str] | None = None,
        runtime: Runtime = "pipe",
        python: str | None = None,
        concurrency: int = 10,
        exhausted_is_an_error: bool = False,
        idle_after: float = IDLE_AFTER,
        retry_after: Sequence[float] = RETRY_AFTER,
        report: bool = False,
    ) -> None:
        if runtime not in get_args(Runtime):
            raise ValueError(f"no such runtime: {runtime!r} (there are {', '.join(get_args(Runtime))})")
        self._region = region
        self._environment = dict(environment or {})
        self._runtime = runtime
        # Absolute, because processes start in their code's folder.
        self._python = str(Path(shutil.which(python) or python).absolute()) if python else sys.executable
        self._report = report
        self._log = log
        self._concurrency = 1 if runtime == "inline" else concurrency
        self._exhausted_is_an_error = exhausted_is_an_error
        self._queue = EventQueue(partial(self.invoke, waits=True), log=log, retry_after=retry_after)
        self._pools = {
            function.logical_id: FunctionPool(
                function,
                self._new_worker,
                concurrency=self._concurrency,
                idle_after=idle_after,
                settled=self._start_next,
            )
            for function in functions
        }
        self._by_name = {
            name: pool
            for pool in self._pools.values()
            for name in (pool.function.name, pool.function.arn, _partial_arn(pool.function.arn))
        }
        self._to_start: deque[FunctionPool] = deque()

    async def start(self, *, first: Iterable[str] = ()) -> None:
        """
        Start a process of each function, as many at a time as there are processors; returns at once.

        With ``first`` (logical ids) only those are started, one after the other, and the others by ``start_rest``.
        """
        self._to_start.extend(self._pools[name] for name in dict.fromkeys(first))
        if self._to_start:
            self._start_next()
        else:
            self.start_rest()

    def start_rest(self) -> None:
        """Start a process of each function that has none yet."""
        self._to_start.extend(pool for pool in self._pools.values() if not pool.workers and pool not in self._to_start)
        for _ in range(os.cpu_count() or 1):
            self._start_next()

    def kill(self) -> None:
        """Kill every process with its children, and start none any more. Events under way get an error."""
        self._to_start.clear()
        self._queue.forget()
        for pool in self._pools.values():
            pool.kill()

    async def close(self) -> None:
        """End every process with its children, and forget what waits; within 2 s. Events under way get an error."""
        self.kill()
        await self._queue.close()
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    async def ready(self, function: str | None = None) -> None:
        """
        Wait until ``function`` (every one where None) could take an event.

        Raises:
            InitFailed: It cannot be loaded; the first one's reason.
        """
        pools = self._pools.values() if function is None else (self._pool(function),)
        for pool in pools:
            await pool.wait_until_settled()

    def find(self, name: str) -> Function | None:
        """
        Return the function that callers of Lambda's API mean: by name, by ARN or by partial ARN.

        There is one version of each function here, so any qualifier behind the name leads to it.
        """
        pool = self._by_name.get(name) or self._by_name.get(name.rpartition(":")[0])
        return pool.function if pool is not None else None

    def arn_of(self, name: str) -> str:
        """Return the ARN that ``name`` would have here, whether or not there is such a function."""
        if name.startswith("arn:"):
            return name
        account = next((pool.function.arn.split(":")[4] for pool in self._pools.values()), "000000000000")
        return f"arn:aws:lambda:{self._region}:{account}:function:{name.rpartition('function:')[2]}"

    def processes(self, function: str) -> tuple[int, ...]:
        """Return the process ids that run ``function`` now (none with the inline runtime)."""
        return tuple(worker.pid for worker in self._pool(function).workers if worker.pid)

    async def invoke(
        self,
        function: str,
        event: bytes,
        *,
        request_id: str = "",
        arn: str = "",
        trace_id: str = "",
        client_context: str = "",
        waits: bool = False,
    ) -> Result:
        """
        Run a function for an event and return what came of it.

        A function's failure is a result and not an exception. When the caller is cancelled the function runs on.

        Args:
            function: Its logical id, name or ARN.
            event: JSON.
            request_id: A new one where empty.
            arn: What the function sees as ``invoked_function_arn``; its own where empty.
            trace_id: A new one where empty.
            client_context: JSON on one line.
            waits: Whether the event waits for a process even where ``exhausted_is_an_error``.

        Raises:
            FunctionNotFound: There is no such function.
            Exhausted: All of its processes are busy, and ``exhausted_is_an_error``.
        """
        return await self.submit(
            function,
            event,
            request_id=request_id,
            arn=arn,
            trace_id=trace_id,
            client_context=client_context,
            waits=waits,
        )

    def submit(
        self,
        function: str,
        event: bytes,
        *,
        request_id: str = "",
        arn: str = "",
        trace_id: str = "",
        client_context: str = "",
        waits: bool = False,
    ) -> asyncio.Future[Result]:
        """Begin what ``invoke`` does and return the future of its result."""
        pool = self._pools.get(function) or self._pool(function)
        if self._exhausted_is_an_error and not waits and pool.is_exhausted:
            raise Exhausted(pool.function.logical_id, self._concurrency)
        loop = asyncio.get_running_loop()
        request_id = request_id or new_request_id()
        invocation = Invocation(
            request_id,
            event,
            arn or pool.function.arn,
            trace_id or new_trace_id(request_id),
            loop.create_future(),
            loop.time(),
            client_context,
        )
        pool.submit(invocation)
        return invocation.answer

    def invoke_later(
        self,
        function: str,
        event: bytes,
        *,
        retries: int | None = None,
        max_age: float | None = None,
        request_id: str | None = None,
    ) -> str:
        """
        Take an event as Lambda's asynchronous invocation does, and return its request id at once.

        Args:
            function: Its logical id, name or ARN.
            event: JSON.
            retries: How often a function's error is tried again; where None, what the template says.
            max_age: The age in seconds beyond which the event is not tried again; where None, what the template says.
            request_id: A new one where None.

        Raises:
            FunctionNotFound: There is no such function.
        """
        plan = self._pool(function).function
        return self._queue.put(
            plan,
            event,
            retries=plan.async_retries if retries is None else retries,
            max_age=plan.async_max_age if max_age is None else max_age,
            request_id=request_id,
        )

    def _pool(self, function: str) -> FunctionPool:
        pool = self._pools.get(function)
        if pool is None:
            found = self.find(function)
            if found is None:
                raise FunctionNotFound(function)
            pool = self._pools[found.logical_id]
        return pool

    def _start_next(self) -> None:
        """Start the next function that has no process yet."""
        while self._to_start:
            pool = self._to_start.popleft()
            if not pool.workers:
                pool.start_one()
                return

    def _new_worker(self, function: Function, owner: Owner) -> Worker:
        environment = function_environment(function, region=self._region, extra=self._environment)
        # The two rarer ones are imported only where they are wanted.
        if self._runtime == "inline":
            from local.functions.inline import InlineFunction  # noqa: PLC0415

            return InlineFunction(function, environment=environment, owner=owner, log=self._log)
        process: type[FunctionProcess] = PipeProcess
        if self._runtime == "api":
            from local.functions.runtime_api import ApiProcess  # noqa: PLC0415

            process = ApiProcess
        return process(
            function,
            interpreter=self._python,
            environment=environment,
            owner=owner,
            log=self._log,
            report=self._report,
        )


def _partial_arn(arn: str) -> str:
    """Return ``account:function:name`` of ``arn:partition:lambda:region:account:function:name``."""
    return arn.split(":", 4)[-1]
