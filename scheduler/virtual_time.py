"""An event loop whose clock jumps to the next thing that is due: asyncio's own code runs, and nobody waits."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")


def run_virtually(main: Coroutine[Any, Any, Result], *, thread_s: float = 0.0) -> Result:
    """
    Run ``main`` as ``asyncio.run`` does, from the virtual second 0 on.

    It may use tasks, timers and ``loop.time()``. What comes from outside, such as sockets, does not stop the clock;
    ``asyncio.to_thread`` calls on the spot, and has its answer after ``thread_s`` virtual seconds.
    """
    with asyncio.Runner(loop_factory=lambda: _VirtualLoop(thread_s)) as runner:
        return runner.run(main)


class _VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on a clock that its selector moves."""

    def __init__(self, thread_s: float) -> None:
        self._now = 0.0
        self._thread_s = thread_s
        super().__init__(_Jump(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # noqa: ANN401, ARG002 - as typeshed has it; there are no threads here
        done = self.create_future()

        def call() -> None:
            if done.cancelled():
                return
            try:
                done.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 - a thread would hand on whatever it meets, too
                done.set_exception(error)

        if self._thread_s:
            self.call_later(self._thread_s, call)
        else:
            call()
        return done


class _Jump(selectors.DefaultSelector):
    """Instead of waiting until a timer is due, makes it due."""

    def __init__(self, loop: _VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("nothing is due, ever: what is awaited here does not come by itself")
        if not ready and timeout is not None and timeout > 0:
            self._loop.jump(timeout)
        return ready
