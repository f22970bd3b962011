"""
One process of one function, as the emulator sees it: one event at a time, and its end.

``FunctionProcess`` is what every process has: its start, what it prints, its deadline and its exit. ``PipeProcess``
speaks with it over a socketpair (``local.functions.runtime`` says how); ``local.functions.runtime_api`` does so
over HTTP.

All of it runs in callbacks of the event loop, without a thread and without a task for each event.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from local.functions.environment import process_command
from local.functions.invocations import (
    LogLine,
    Output,
    Result,
    end_lines,
    exited,
    start_line,
    timed_out,
    timeout_line,
    was_lost,
)
from local.functions.invocations import too_large as too_large_payload
from local.functions.runtime import ANSWER, ERROR, EVENT, INIT_ERROR, READY, RESULT, RESULT_LIMIT, TOO_LARGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local.functions.invocations import Invocation, Reason
    from local.functions.pool import Owner
    from local.stack import Function

# How long a function may take to load before the time that it has for an event begins; Lambda's figure (seconds).
INIT_FOR = 10.0
_CHUNK = 1 << 16


class FunctionProcess(ABC):
    """
    One process of one function, its leader and its children.

    Args:
        function: What runs in it.
        interpreter: The Python that runs it.
        environment: Its variables, all of them.
        owner: Told when the process is free and when it has ended.
        log: Gets each line that the function prints.
        report: Whether Lambda's START, END and REPORT lines are logged too.
    """

    def __init__(
        self,
        function: Function,
        *,
        interpreter: str,
        environment: Mapping[str, str],
        owner: Owner,
        log: Callable[[LogLine], None],
        report: bool = False,
    ) -> None:
        self.function = function
        self.is_ready = False
        self.init_error: Reason | None = None
        self.idle_since = 0.0
        self.pid = 0
        self._interpreter = interpreter
        self._environment = environment
        self._owner = owner
        self._log = log
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._output = Output(function.name, log, [str(folder) for folder in (function.code, *function.layers)])
        self._invocation: Invocation | None = None
        self._request_id = ""
        self._began = 0.0
        self._deadline = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._ending = False
        self._killed = False
        self._printed = self._life = self._exit_notice = -1
        # Cheaper than a read that finds nothing, which is what most events leave.
        self._has_printed = select.poll()
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process. Raises OSError when the interpreter or the code's folder is not there."""
        theirs: list[int] = []
        try:
            self._printed, printing = os.pipe()
            theirs.append(printing)
            os.set_blocking(self._printed, False)
            life, self._life = os.pipe()
            theirs.append(life)
            channel = self._open_channel()
            if channel.isdecimal():
                theirs.append(int(channel))
            self._child = subprocess.Popen(  # noqa: S603  # our own command; nothing in it comes from outside
                process_command(self.function, interpreter=self._interpreter, channel=channel, life=life),
                cwd=self.function.code,
                env=self._process_environment(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=printing,
                stderr=printing,
                pass_fds=theirs[1:],
                # Ctrl-C in the terminal is for the emulator, which then ends the group, grandchildren included.
                process_group=0,
            )
        except BaseException:
            self._close()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self.pid = self._child.pid
        self._has_printed.register(self._printed, select.POLLIN)
        self._loop.add_reader(self._printed, self._read_output)
        if hasattr(os, "pidfd_open"):
            self._exit_notice = os.pidfd_open(self.pid)
            self._loop.add_reader(self._exit_notice, self._notice_exit)
        self._watch_until(self._loop.time() + INIT_FOR + self.function.timeout)

    def run(self, invocation: Invocation) -> None:
        """Hand ``invocation`` to the process; its time begins now."""
        self._invocation = invocation
        self._request_id = invocation.request_id
        self._began = time.perf_counter()
        self._watch_until(self._loop.time() + self.function.timeout)
        if self._report:
            self._say(start_line(invocation.request_id))
        self._deliver(invocation, int((time.time() + self.function.timeout) * 1000))

    def kill(self) -> None:
        """Kill the process and its children."""
        self._killed = True
        self._signal_group()

    @abstractmethod
    def _open_channel(self) -> str:
        """Return the channel's word on the command line: a descriptor for the process to inherit, or ``api``."""

    @abstractmethod
    def _deliver(self, invocation: Invocation, deadline: int) -> None:
        """Send an event; ``deadline`` in epoch ms."""

    @abstractmethod
    def _read_channel(self) -> None:
        """Read what has arrived from the process."""

    @abstractmethod
    def _close_channel(self) -> None:
        """Let go of the emulator's side of the channel; a second time does nothing."""

    def _process_environment(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        return environment

    def _became_ready(self) -> None:
        self.is_ready = True
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._read_output()
        self._output.flush(self._request_id)
        self._output.take_tail()
        self._free()

    def _answered(self) -> None:
        """Go on after an answer."""
        self._free()

    def _free(self) -> None:
        if not self._ending and not self._killed:
            self.idle_since = self._loop.time()
            self._owner.freed(self)

    def _fail_init(self, payload: bytes) -> None:
        self.init_error = lambda _request_id: payload

    def _answer(self, payload: bytes, error: str | None = None, *, lost: bool = False) -> None:
        """Give the running event its result, and take the next one."""
        invocation = self._invocation
        if invocation is None:
            return
        # What the function printed was written before its answer, so it is there to be read.
        if self._has_printed.poll(0):
            self._read_output()
        self._output.flush(self._request_id)
        duration = time.perf_counter() - self._began
        if self._report:
            for line in end_lines(self._request_id, duration, self.function.memory, self._peak_memory()):
                self._say(line)
        result = Result(invocation.request_id, payload, error, self._output.take_tail(), duration, lost)
        self._invocation = None
        self._answered()
        if not invocation.answer.done():
            invocation.answer.set_result(result)

    def _watch_until(self, deadline: float) -> None:
        """Arrange that an event still running at ``deadline`` is ended: one timer, not one for each event."""
        self._deadline = deadline
        if self._alarm is None:
            self._alarm = self._loop.call_at(deadline, self._look_at_deadline)

    def _look_at_deadline(self) -> None:
        self._alarm = None
        if self._invocation is None and self.is_ready:
            return
        if self._loop.time() < self._deadline:
            self._watch_until(self._deadline)
            return
        timeout = self.function.timeout
        self._killed = True
        self._signal_group()
        if self._invocation is not None:
            self._read_output()
            self._output.flush(self._request_id)
            self._say(timeout_line(self._request_id, timeout, time.time()))
            self._answer(timed_out(self._request_id, timeout), "Unhandled")
        else:
            self.init_error = partial(timed_out, seconds=INIT_FOR + timeout)

    def _read_output(self) -> None:
        try:
            printed = os.read(self._printed, _CHUNK)
        except BlockingIOError:
            return
        if printed:
            self._output.feed(printed, self._request_id)
        else:
            self._loop.remove_reader(self._printed)
            if self._exit_notice < 0:
                self._notice_exit()

    def _notice_exit(self) -> None:
        """Clear up after a process that has ended."""
        child = self._child
        if child is None or self._ending:
            return
        if self._exit_notice < 0 and child.poll() is None:
            # Without a descriptor that tells of the exit, the end of the output does: a little before.
            self._loop.call_later(0.002, self._notice_exit)
            return
        # Its children first, as long as nobody has waited for it: its number is not given to others till then.
        self._signal_group()
        status = child.wait()
        self._ending = True
        self._read_channel()
        self._read_output()
        self._output.flush(self._request_id)
        if self._invocation is not None:
            lost = was_lost(status) and not self._killed
            self._answer(exited(self._request_id, status), "Unhandled", lost=lost)
        elif not self.is_ready and self.init_error is None:
            self.init_error = partial(exited, status=status)
        self._close()
        self._owner.ended(self)

    def _signal_group(self) -> None:
        if self._child is not None and not self._ending:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                # Nobody is left in it. (macOS says PermissionError of a group of zombies.)
                return

    def _close(self) -> None:
        self._close_channel()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        for descriptor in (self._printed, self._life, self._exit_notice):
            if descriptor >= 0:
                self._loop.remove_reader(descriptor)
                os.close(descriptor)
        self._printed = self._life = self._exit_notice = -1

    def _say(self, text: str) -> None:
        self._log(LogLine(self.function.name, self._request_id, text, "platform"))

    def _peak_memory(self) -> int | None:
        """Return the most memory that the process has had, in MB; None where there is no /proc."""
        try:
            with open(f"/proc/{self.pid}/status", encoding="ascii") as status:  # noqa: PTH123  # not a path of ours
                peak = next(line for line in status if line.startswith("VmHWM:"))
        except (OSError, StopIteration):
            return None
        return int(peak.split()[1]) // 1024


class PipeProcess(FunctionProcess):
    """A process that gets its events over a socketpair."""

    _channel: socket.socket | None = None
    _unsent = memoryview(b"")

    def _open_channel(self) -> str:
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)  # noqa: FBT003  # takes no keyword
        self._received = bytearray()
        self._loop.add_reader(self._channel.fileno(), self._read_channel)
        return str(theirs.detach())

    def _deliver(self, invocation: Invocation, deadline: int) -> None:
        channel = self._channel
        if channel is None:
            return
        head = "\n".join(
            (invocation.request_id, invocation.arn, str(deadline), invocation.trace_id, invocation.client_context)
        ).encode()
        frame = EVENT.pack(len(head), len(invocation.event)) + head + invocation.event
        try:
            sent = channel.send(frame)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it has ended; the exit is about to be noticed, and answers for this event
        if sent < len(frame):
            self._unsent = memoryview(frame)[sent:]
            self._loop.add_writer(channel.fileno(), self._send_more)

    def _send_more(self) -> None:
        channel = self._channel
        if channel is None:
            return
        try:
            self._unsent = self._unsent[channel.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = memoryview(b"")  # as above
        if not self._unsent:
            self._loop.remove_writer(channel.fileno())

    def _read_channel(self) -> None:
        channel = self._channel
        if channel is None:
            return
        while True:
            try:
                arrived = channel.recv(_CHUNK)
            except BlockingIOError:
                return
            except ConnectionError:
                arrived = b""
            if not arrived:
                self._close_channel()  # the exit follows
                return
            self._receive(arrived)
            if len(arrived) < _CHUNK and not self._ending:
                return

    def _receive(self, arrived: bytes) -> None:
        received = self._received
        if not received and len(arrived) >= ANSWER.size:
            length, kind = ANSWER.unpack_from(arrived)
            if len(arrived) == ANSWER.size + length:
                # What nearly always happens: one answer, all of it.
                self._take(kind, arrived[ANSWER.size :])
                return
        received += arrived
        while len(received) >= ANSWER.size:
            length, kind = ANSWER.unpack_from(received)
            end = ANSWER.size + length
            if len(received) < end:
                return
            content = bytes(received[ANSWER.size : end])
            del received[:end]
            self._take(kind, content)

    def _take(self, kind: int, content: bytes) -> None:
        if kind == RESULT:
            self._answer(content)
        elif kind == ERROR:
            self._answer(content, "Unhandled")
        elif kind == READY:
            self._became_ready()
        elif kind == TOO_LARGE:
            self._answer(too_large_payload(int(content), RESULT_LIMIT), "Unhandled")
        elif kind == INIT_ERROR:
            self._fail_init(content)

    def _close_channel(self) -> None:
        if self._channel is not None:
            self._loop.remove_reader(self._channel.fileno())
            self._loop.remove_writer(self._channel.fileno())
            self._channel.close()
            self._channel = None
