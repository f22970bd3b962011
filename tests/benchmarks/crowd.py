"""
Thousands of WebSocket clients in one process that costs next to nothing: what a broadcast is delivered to.

``Crowd`` starts this file as a program, on a core of the caller's choice, and talks with it in JSON lines. Clients are
plain sockets under one epoll: a message costs one ``recv`` and a look at its first bytes, so that what is measured is
the gateway and its poster. Instants are microseconds of the system's clock, the same in every process here.

Commands: ``open`` (so many clients, each subscribed to the market before the next few begin; ``mute`` ones never read
again), ``leave`` (so many clients end without a word), ``tally``, and the end of stdin. Every batch that all listening
clients have received is told at once, with the instant of each receipt in the order they came and the batch's text.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

HANDSHAKES = 8
"""How many clients are on their way in at once; the functions that serve them are processes on a shared core."""

NAP = 0.001
"""
Seconds between two looks at what has come. Each message would wake this process otherwise, at the cost of the core that
the broadcaster is on: real clients have machines of their own. It makes receipts later by so much at most.
"""

OPEN_WITHIN = 300.0
"""Seconds in which all must be in."""

_BATCH = b'{"type":"market_batch","seq":'
_SUBSCRIBED = b'{"type":"subscribed"'
_SUBSCRIBE = b'{"action":"subscribe","id":"1","streams":["market"]}'
_SMALL = 4_096
_TEXT = 0x81
_CLOSE = 0x88
_SHORT = 126
_LONG = 127


def raise_file_limit() -> None:
    """Allow as many sockets as the system lets this user have."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Crowd:
    """The crowd as its caller sees it: a program on ``core``. Use it as ``with``."""

    def __init__(self, url: str, *, core: int) -> None:
        self._url = url
        self._core = core

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._url, str(self._core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        # Read as it comes: a crowd that waits for room in its pipe would receive late.
        self._told: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def open(self, count: int, *, mute: bool = False) -> float:
        """Bring ``count`` more clients in and return how many seconds that took."""
        self._say({"open": count, "mute": mute})
        return float(self.hear("opened")["seconds"])

    def leave(self, count: int) -> None:
        """Let ``count`` listening clients end without a word, as one whose machine lost its power."""
        self._say({"leave": count})
        self.hear("left")

    def tally(self) -> dict[str, Any]:
        """
        Return what was received so far.

        ``listening`` clients are open; ``closed`` were closed by the gateway; ``doubled`` messages had come before;
        ``missed`` says for each batch that not all have how many of the listening lack it.
        """
        self._say({"tally": True})
        return self.hear("tally")

    def received(self) -> dict[str, Any]:
        """Wait for the next batch that all have received: ``seq``, ``at`` in microseconds, ``text``."""
        return self.hear("received")

    def hear(self, kind: str) -> dict[str, Any]:
        """Wait for the next line of a kind; what else is told meanwhile is dropped."""
        while (told := self._told.get()) is not None:
            if told["told"] == kind:
                return told
        raise RuntimeError("the crowd has ended")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.put(json.loads(line))
        self._told.put(None)

    def _say(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()


class _Member:
    """One client."""

    __slots__ = ("buffer", "last", "mute", "read", "socket")

    def __init__(self, one: socket.socket, read: Callable[[_Member, bytes], None], *, mute: bool) -> None:
        self.socket = one
        self.read = read
        self.mute = mute
        self.buffer = b""
        self.last = 0


class _Program:
    """The crowd's own side."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._address = (parts.hostname, parts.port)
        self._upgrade = (
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        self._poll = select.epoll()
        self._members: dict[int, _Member] = {}
        self._listening = 0
        self._coming = 0
        self._closed = 0
        self._doubled = 0
        self._receipts: dict[bytes, list[int]] = {}
        self._missed: Counter[str] = Counter()
        self._scratch = bytearray(1 << 20)
        self._view = memoryview(self._scratch)

    def run(self) -> None:
        """Follow commands until stdin ends."""
        commands = sys.stdin.fileno()
        self._poll.register(commands, select.EPOLLIN)
        while True:
            time.sleep(NAP)
            for descriptor, _ in self._poll.poll():
                if descriptor == commands:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    self._follow(json.loads(line))
                else:
                    self._receive(self._members[descriptor])

    def _follow(self, command: dict[str, Any]) -> None:
        if "open" in command:
            began = time.monotonic()
            self._open(command["open"], mute=command["mute"])
            self._tell("opened", seconds=round(time.monotonic() - began, 3))
        elif "leave" in command:
            for member in [one for one in self._members.values() if not one.mute][: command["leave"]]:
                # With nothing to linger for, the end is a reset: no close frame, no farewell of TCP.
                member.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._drop(member)
            self._tell("left")
        else:
            missed = {seq.decode(): self._listening - len(at) for seq, at in self._receipts.items()}
            self._tell(
                "tally",
                listening=self._listening,
                closed=self._closed,
                doubled=self._doubled,
                missed={seq: count for seq, count in missed.items() if count > 0},
            )

    def _open(self, count: int, *, mute: bool) -> None:
        wanted = len(self._members) + count
        ended = time.monotonic() + OPEN_WITHIN
        while len(self._members) < wanted or self._coming:
            while len(self._members) < wanted and self._coming < HANDSHAKES:
                self._begin(mute=mute)
            for descriptor, _ in self._poll.poll(1.0):
                if (member := self._members.get(descriptor)) is not None:
                    self._receive(member)
            if time.monotonic() > ended:
                raise TimeoutError(f"{len(self._members)} clients of {wanted} within {OPEN_WITHIN:g} s")

    def _begin(self, *, mute: bool) -> None:
        one = socket.create_connection(self._address)
        if mute:
            # What is not read is soon the gateway's.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.sendall(self._upgrade)
        one.setblocking(False)  # noqa: FBT003  # the socket's own interface
        self._members[one.fileno()] = _Member(one, self._enter, mute=mute)
        self._poll.register(one.fileno(), select.EPOLLIN)
        self._coming += 1

    def _enter(self, member: _Member, data: bytes) -> None:
        """Read the answer to the upgrade, then subscribe."""
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            member.buffer = data
            return
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(f"a client was refused: {head[:80]!r}")
        # Every client's frame is masked; a mask of zeros changes nothing.
        member.socket.sendall(bytes([_TEXT, 0x80 | len(_SUBSCRIBE)]) + bytes(4) + _SUBSCRIBE)
        member.read = self._listen
        if rest:
            self._listen(member, rest)

    def _listen(self, member: _Member, data: bytes) -> None:
        """Take one whole message after another."""
        while len(data) >= 2:
            length, start = data[1], 2
            if length == _SHORT:
                length, start = int.from_bytes(data[2:4]), 4
            elif length == _LONG:
                length, start = int.from_bytes(data[2:10]), 10
            if len(data) < start + length:
                break
            self._take(member, data[0], data, start, start + length)
            data = data[start + length :]
        member.buffer = data

    def _take(self, member: _Member, kind: int, data: bytes, start: int, end: int) -> None:
        if data.startswith(_BATCH, start):
            at = start + len(_BATCH)
            seq = data[at : data.index(b",", at)]
            number = int(seq)
            if number <= member.last:
                self._doubled += 1
                return
            member.last = number
            receipts = self._receipts.setdefault(seq, [])
            receipts.append(time.time_ns() // 1000)
            if len(receipts) == self._listening:
                self._tell("received", seq=number, at=receipts, text=data[start:end].decode())
                del self._receipts[seq]
        elif kind == _CLOSE:
            self._closed += 1
            self._drop(member)
        elif data.startswith(_SUBSCRIBED, start):
            self._coming -= 1
            if member.mute:
                self._poll.unregister(member.socket.fileno())
            else:
                self._listening += 1

    def _receive(self, member: _Member) -> None:
        try:
            size = member.socket.recv_into(self._scratch)
        except BlockingIOError:
            return
        except ConnectionError:
            size = 0
        if not size:
            self._closed += 1
            self._drop(member)
            return
        data = bytes(self._view[:size])
        if member.buffer:
            data, member.buffer = member.buffer + data, b""
        member.read(member, data)

    def _drop(self, member: _Member) -> None:
        if self._members.pop(member.socket.fileno(), None) is not None:
            self._listening -= not member.mute
            self._poll.unregister(member.socket.fileno())
            member.socket.close()

    def _tell(self, kind: str, **what: Any) -> None:
        print(json.dumps({"told": kind, **what}), flush=True)  # noqa: T201  # how the caller hears of it


if __name__ == "__main__":
    raise_file_limit()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(sys.argv[2])})
    _Program(sys.argv[1]).run()
