"""
A function in a thread of the emulator's own process, so that a debugger sees it.

For debugging and nothing else: no deadline is enforced, what the function prints goes straight to the terminal,
and all functions share one ``sys.path``, one ``os.environ`` (set anew for each event) and one set of
modules. The code's folders and variables stay there after the end.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from awslambdaric import bootstrap
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
from awslambdaric.lambda_runtime_exception import FaultException

from local.functions.invocations import LogLine, Result, exited, failure, too_large
from local.functions.runtime import RESULT_LIMIT, search_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local.functions.invocations import Invocation, Reason
    from local.functions.pool import Owner
    from local.stack import Function

# Functions are loaded one after the other: they share sys.path and sys.modules.
_LOADING = threading.Lock()


class InlineFunction:
    """Runs a function's events one at a time, in its own thread."""

    pid = 0

    def __init__(
        self,
        function: Function,
        *,
        environment: Mapping[str, str],
        owner: Owner,
        log: Callable[[LogLine], None],
    ) -> None:
        self.is_ready = False
        self.init_error: Reason | None = None
        self.idle_since = 0.0
        self._function = function
        self._environment = environment
        self._owner = owner
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._events: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._killed = False

    def start(self) -> None:
        """Load the function in its thread."""
        threading.Thread(target=self._work, name=f"function {self._function.name}", daemon=True).start()

    def run(self, invocation: Invocation) -> None:
        """Run an event in the thread."""
        self._events.put(invocation)

    def kill(self) -> None:
        """Take no more events. A handler that runs cannot be stopped; its thread ends with the process."""
        if not self._killed:
            self._killed = True
            self._events.put(None)
            self._loop.call_soon(self._owner.ended, self)

    def _work(self) -> None:
        try:
            handler = self._load()
        except FaultException as fault:
            self._refuse(bootstrap.make_error(fault.msg, fault.exception_type, fault.trace))
            return
        except Exception:  # noqa: BLE001  # whatever the function's modules raise is its answer
            self._refuse(bootstrap.build_fault_result(sys.exc_info(), None))
            return
        self._tell(self._become_free)
        while (invocation := self._events.get()) is not None:
            began = time.monotonic()
            client = _InlineClient()
            try:
                os.environ.update(self._environment)
                bootstrap.handle_event_request(
                    client,
                    handler,
                    invocation.request_id,
                    invocation.event,
                    "application/json",
                    invocation.client_context or None,
                    None,
                    invocation.arn,
                    int((time.time() + self._function.timeout) * 1000),
                    None,
                    _LogSink(self._print, invocation.request_id),
                )
            except SystemExit as exit_:
                status = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
                client.post_invocation_error(invocation.request_id, exited(invocation.request_id, status).decode())
            result = Result(invocation.request_id, client.payload, client.error, duration=time.monotonic() - began)
            self._tell(self._answer, invocation, result)

    def _load(self) -> Any:  # noqa: ANN401  # a handler may be any callable
        function = self._function
        with _LOADING:
            folders = search_folders(str(function.code), [str(layer) for layer in function.layers], function.runtime)
            # Another function may have modules of the same name elsewhere: it keeps those that it has.
            begin = tuple(os.path.join(folder, "") for folder in folders)  # noqa: PTH118  # compared as text
            top = function.handler.replace("/", ".").partition(".")[0]
            others = [
                name
                for name, module in sys.modules.items()
                if name.partition(".")[0] == top and not (getattr(module, "__file__", None) or "").startswith(begin)
            ]
            for name in others:
                del sys.modules[name]
            sys.path[:] = [*folders, *(entry for entry in sys.path if entry not in folders)]
            os.environ.update(self._environment)
            return bootstrap._get_handler(function.handler)  # noqa: SLF001  # Lambda's own words for what goes wrong

    def _refuse(self, error: dict[str, Any]) -> None:
        payload = failure(error["errorType"], error["errorMessage"])
        self.init_error = lambda _request_id: payload
        self._tell(self._owner.ended, self)

    def _become_free(self) -> None:
        self.is_ready = True
        self.idle_since = self._loop.time()
        self._owner.freed(self)

    def _answer(self, invocation: Invocation, result: Result) -> None:
        if not invocation.answer.done():
            invocation.answer.set_result(result)
        if not self._killed:
            self._become_free()

    def _print(self, request_id: str, line: str) -> None:
        self._tell(self._log, LogLine(self._function.name, request_id, line))

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            # The emulator has closed its loop; nobody waits for this any more.
            return


class _InlineClient(LambdaRuntimeClient):  # type: ignore[misc]  # awslambdaric has no types
    """Where the official loop leaves a result."""

    def __init__(self) -> None:
        super().__init__("")
        self.payload = b""
        self.error: str | None = None

    def post_invocation_result(self, _id: str, result: str | bytes, *_type: object) -> None:
        self.payload = result if isinstance(result, bytes) else result.encode()
        if len(self.payload) > RESULT_LIMIT:
            self.payload = too_large(len(self.payload), RESULT_LIMIT)
            self.error = "Unhandled"

    def post_invocation_error(self, _id: str, error: str, *_fault: object) -> None:
        self.payload = error.encode()
        self.error = "Unhandled"


class _LogSink:
    """Takes a stack trace from the official loop, line by line."""

    def __init__(self, log: Callable[[str, str], None], request_id: str) -> None:
        self._log = partial(log, request_id)

    def log_error(self, lines: list[str]) -> None:
        for line in lines:
            self._log(line.replace("\u00a0", " "))
