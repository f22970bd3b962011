"""
One event on its way through a function: the words for it, and what Lambda says when it goes wrong.

Nothing here does input or output.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from local.functions.traces import own_lines_first

if TYPE_CHECKING:
    import asyncio

# Lambda's own limits: behaviour of the service in 2025, in bytes.
EVENT_LIMIT = 6_291_456
LATER_EVENT_LIMIT = 1_048_576
LOG_TAIL = 4096
_LONGEST_LINE = 262_144

# A process that ends by one of these did it to itself; any other signal came from outside.
_OWN_FAULTS = frozenset(
    {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP}
)
# Makes an error's payload for the request id that it is given.
Reason = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class LogLine:
    """
    One line that a function printed (``output``) or that Lambda would add to its log (``platform``).

    ``function`` is its name; ``request_id`` is empty while the function starts. Standard output and standard error
    are one stream, as in CloudWatch, so that their order is kept.
    """

    function: str
    request_id: str
    text: str
    stream: Literal["output", "platform"] = "output"


class Result(NamedTuple):
    """
    What came of one event.

    ``error`` is None or ``Unhandled`` (what X-Amz-Function-Error says), ``payload`` then the error's JSON. ``log`` is
    the last 4 KB that the function printed. ``duration`` is in seconds. ``lost`` says that the process was killed
    from outside: the host's failure and not the function's.
    """

    request_id: str
    payload: bytes
    error: str | None = None
    log: bytes = b""
    duration: float = 0.0
    lost: bool = False


@dataclass(slots=True, eq=False)
class Invocation:
    """An event that waits for a process or runs in one. ``arrived_at`` is on the event loop's clock."""

    request_id: str
    event: bytes
    arn: str
    trace_id: str
    answer: asyncio.Future[Result]
    arrived_at: float
    client_context: str = ""


class Output:
    """
    Turns what a function prints into lines, and keeps the end of it.

    awslambdaric writes a stack trace as one line whose parts are joined by CR and indented by no-break spaces;
    here they are lines again, with spaces, and those of the folders ``own`` come first.
    """

    def __init__(self, function: str, log: Callable[[LogLine], None], own: Sequence[str] = ()) -> None:
        self._function = function
        self._log = log
        self._own = own
        self._partial = b""
        self._tail = b""

    def feed(self, printed: bytes, request_id: str) -> None:
        """Report every line that ``printed`` ends; a line without an end waits for more."""
        self._tail = (self._tail + printed)[-LOG_TAIL:]
        *lines, self._partial = (self._partial + printed).split(b"\n")
        for line in lines:
            self._say(line, request_id)
        if len(self._partial) > _LONGEST_LINE:
            self.flush(request_id)

    def flush(self, request_id: str) -> None:
        """Report the line that has not ended, if there is one."""
        if self._partial:
            self._say(self._partial, request_id)
            self._partial = b""

    def take_tail(self) -> bytes:
        """Return the last 4 KB since this was last asked for."""
        tail, self._tail = self._tail, b""
        return tail

    def _say(self, line: bytes, request_id: str) -> None:
        texts = []
        for text in line.rstrip(b"\r").decode(errors="replace").split("\r"):
            indented = text.lstrip("\u00a0")
            texts.append(" " * (len(text) - len(indented)) + indented)
        for text in own_lines_first(texts, self._own) if len(texts) > 1 else texts:
            self._log(LogLine(self._function, request_id, text))


def new_request_id() -> str:
    """Return a fresh request id, a UUID of version 4."""
    digits = os.urandom(16).hex()
    # Written out because uuid.uuid4() takes three times as long, and every message has one.
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def new_trace_id(request_id: str) -> str:
    """Return a trace id as Lambda makes one for an event that came without: its own for each request, not sampled."""
    random = request_id.replace("-", "")
    return f"Root=1-{int(time.time()):08x}-{random[:24]};Parent={random[16:]};Sampled=0"


def failure(error_type: str, message: str) -> bytes:
    """Return the payload of an error that Lambda itself reports."""
    return msgspec.json.encode({"errorType": error_type, "errorMessage": message})


def timed_out(request_id: str, seconds: float) -> bytes:
    """Return the payload for a function that ran longer than its timeout."""
    return failure("Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds")


def exited(request_id: str, status: int) -> bytes:
    """Return the payload for a process that ended by itself. A negative ``status`` is a signal's number."""
    if status == 0:
        reason = "Runtime exited without providing a reason"
    elif status > 0:
        reason = f"Runtime exited with error: exit status {status}"
    else:
        reason = f"Runtime exited with error: signal: {(signal.strsignal(-status) or str(-status)).lower()}"
    return failure("Runtime.ExitError", f"RequestId: {request_id} Error: {reason}")


def not_startable(request_id: str, reason: str) -> bytes:
    """Return the payload for a process that could not even be started."""
    return failure("Runtime.InvalidEntrypoint", f"RequestId: {request_id} Error: {reason}")


def too_large(size: int, limit: int) -> bytes:
    """Return the payload for a result of ``size`` bytes, more than the ``limit`` that Lambda carries."""
    return failure(
        "Function.ResponseSizeTooLarge",
        f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({limit} bytes).",
    )


def was_lost(status: int) -> bool:
    """Whether a process with this exit ``status`` was killed from outside, as with a host that went away."""
    return status < 0 and -status not in _OWN_FAULTS


def timeout_line(request_id: str, seconds: float, now: float) -> str:
    """Return what Lambda logs when it ends a function; ``now`` in epoch seconds."""
    instant = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{instant} {request_id} Task timed out after {seconds:.2f} seconds"


def start_line(request_id: str) -> str:
    """Return the line that begins an event's log."""
    return f"START RequestId: {request_id} Version: $LATEST"


def end_lines(request_id: str, duration: float, memory: int, memory_used: int | None) -> tuple[str, str]:
    """
    Return the two lines that end an event's log.

    ``duration`` is in seconds, ``memory`` in MB; ``memory_used`` (MB) is left out where it is not known.
    """
    milliseconds = duration * 1000
    members = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {milliseconds:.2f} ms",
        f"Billed Duration: {math.ceil(milliseconds)} ms",
        f"Memory Size: {memory} MB",
    ]
    if memory_used is not None:
        members.append(f"Max Memory Used: {memory_used} MB")
    return f"END RequestId: {request_id}", "\t".join(members)
