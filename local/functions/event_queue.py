"""Lambda's asynchronous invocation: events that are tried again until they succeed or grow too old."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from local.functions.invocations import LogLine, new_request_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from local.functions.invocations import Result
    from local.stack import Function

# Lambda's waits after a function's first and second error, and between tries after errors of the host (seconds).
RETRY_AFTER = (60.0, 120.0)
LOST_RETRY_AFTER = 1.0
LONGEST_LOST_RETRY_AFTER = 300.0


class Invoke(Protocol):
    """How the queue runs a function once: ``Functions.invoke``."""

    async def __call__(self, function: str, event: bytes, /, *, request_id: str) -> Result:
        """Run ``function`` (its logical id) for ``event``."""


class EventQueue:
    """
    Events under way to functions, in no order.

    A function's error is tried again after ``retry_after`` (seconds, one for each retry, the last one for all that
    follow); a process that was killed from outside is the host's error, and its event is tried again after 1 s, 2 s,
    4 s up to 5 min, without counting as a retry. Neither happens when the event would then be older than its
    ``max_age``. All tries have the same request id. An event that is given up is named in the log and gone:
    dead-letter queues and destinations are not emulated.

    Args:
        sleep: Waits the given number of seconds.
        now: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        invoke: Invoke,
        *,
        log: Callable[[LogLine], None],
        retry_after: Sequence[float] = RETRY_AFTER,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._invoke = invoke
        self._log = log
        self._retry_after = retry_after
        self._sleep = sleep
        self._now = now
        self._under_way: set[asyncio.Task[None]] = set()

    def put(
        self, function: Function, event: bytes, *, retries: int, max_age: float, request_id: str | None = None
    ) -> str:
        """Take ``event`` and return its request id at once. ``max_age`` in seconds."""
        request_id = request_id or new_request_id()
        task = asyncio.create_task(self._run(function, event, request_id, retries, max_age))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return request_id

    def forget(self) -> None:
        """Try no event any more that has not succeeded yet."""
        for task in self._under_way:
            task.cancel()

    async def close(self) -> None:
        """Forget every event that has not succeeded yet, and return when nothing is under way."""
        self.forget()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _run(self, function: Function, event: bytes, request_id: str, retries: int, max_age: float) -> None:
        accepted_at = self._now()
        failed = lost = 0
        while True:
            result = await self._invoke(function.logical_id, event, request_id=request_id)
            if result.error is None:
                return
            if result.lost:
                wait = min(LOST_RETRY_AFTER * 2**lost, LONGEST_LOST_RETRY_AFTER)
                lost += 1
                reason = "its process was killed"
            elif failed < retries:
                wait = self._retry_after[min(failed, len(self._retry_after) - 1)]
                failed += 1
                reason = f"the function failed, {retries - failed + 1} of {retries} retries left"
            else:
                self._say(function, request_id, f"event given up: the function failed {_times(failed + 1)}")
                return
            if self._now() - accepted_at + wait > max_age:
                self._say(function, request_id, f"event given up: {reason}, and it may not be older than {max_age:g} s")
                return
            self._say(function, request_id, f"event tried again in {wait:g} s: {reason}")
            await self._sleep(wait)

    def _say(self, function: Function, request_id: str, text: str) -> None:
        self._log(LogLine(function.name, request_id, text, "platform"))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
