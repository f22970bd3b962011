"""Threads for what may wait for long: there is one for each call, and none of them holds up the end of the process."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")


async def in_thread(
    work: Callable[_Arguments, _Result], *arguments: _Arguments.args, **named: _Arguments.kwargs
) -> _Result:
    """
    Return what ``work`` returns in a thread of its own.

    The event loop's executor has few threads, so that a handful of long polls would keep everybody else waiting, and
    its end waits for all of them.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_Result] = loop.create_future()

    def settle(result: _Result | None, error: BaseException | None) -> None:
        if outcome.done():
            return  # whoever waited was cancelled
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type] # without an error there is a result

    def run() -> None:
        result, fault = None, None
        try:
            result = work(*arguments, **named)
        except BaseException as error:  # noqa: BLE001 # handed to whoever waits
            fault = error
        try:
            loop.call_soon_threadsafe(settle, result, fault)
        except RuntimeError:
            return  # the emulator has closed its loop; nobody waits any more

    threading.Thread(target=run, name="service", daemon=True).start()
    return await outcome
