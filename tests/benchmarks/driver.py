"""
A cheap driver for gateways: many sockets and a poster in one event loop, and the process of the server beside it.

The server has one processor and the driver another, as far as there are two. Sockets and poster speak just enough of
RFC 6455 and HTTP/1.1 to cost little: what is measured is the server.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # run as a script, its own folder stands there instead

import uvloop  # noqa: E402 # after the path is set

from handlers.hub.signing import Credentials, Signer  # noqa: E402 # after the path is set

TEMPLATE = Path(__file__).parent / "gateway" / "template.yaml"
PROCESSORS = sorted(os.sched_getaffinity(0))
SERVER_CORE, DRIVER_CORE = PROCESSORS[0], PROCESSORS[-1]
ASK_ID = b'{"ask":"id"}'
#: No server here needs longer to start, no exchange longer to end (seconds).
PATIENCE = 30.0


class Address(NamedTuple):
    """Where a gateway is: the URL that clients open, and the one that ``/@connections/…`` follows."""

    websocket: str
    management: str


class Socket(asyncio.Protocol):
    """One client's socket. ``heard`` is called with each message; frames are unmasked and whole, control ones too."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path or "/"
        if parts.query:
            self._path += f"?{parts.query}"
        self._host = parts.netloc
        self._buffer = b""
        self._is_open = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False
        self.heard: Callable[[bytes], None] = lambda _message: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("closed during the handshake"))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        self._buffer = self._take_frames(buffer if self._is_open else self._take_answer(buffer))

    def _take_answer(self, buffer: bytes) -> bytes:
        """Read the answer to the handshake and return what follows; everything while it is not whole."""
        head, found, rest = buffer.partition(b"\r\n\r\n")
        if not found:
            return buffer
        if not head.startswith(b"HTTP/1.1 101"):
            if not self.opened.done():
                self.opened.set_exception(ConnectionError(head.decode("latin-1")))
            self.transport.close()
            return b""
        self._is_open = True
        self.opened.set_result(None)
        return rest

    def _take_frames(self, buffer: bytes) -> bytes:
        """Hand on every whole message and return what is left."""
        while self._is_open and len(buffer) >= 2:
            length, start = buffer[1], 2
            if length == 126:
                length, start = int.from_bytes(buffer[2:4], "big"), 4
            elif length == 127:
                length, start = int.from_bytes(buffer[2:10], "big"), 10
            if len(buffer) < start + length:
                break
            content = buffer[start : start + length]
            if buffer[0] == 0x81:
                self.heard(content)
            elif buffer[0] == 0x89:
                self.transport.write(bytes([0x8A, 0x80 | length]) + bytes(4) + content)
            buffer = buffer[start + length :]
        return buffer

    def send(self, message: bytes) -> None:
        """Send a text; its mask is zero, which leaves it as it is."""
        size = len(message)
        head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + struct.pack("!H", size)
        self.transport.write(head + bytes(4) + message)

    async def ask(self, message: bytes) -> bytes:
        """Send a text and return the next message."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.heard = answer.set_result
        self.send(message)
        return await asyncio.wait_for(answer, PATIENCE)


async def open_socket(url: str) -> Socket:
    parts = urlsplit(url)
    _, opened = await asyncio.get_running_loop().create_connection(lambda: Socket(url), parts.hostname, parts.port)
    await asyncio.wait_for(opened.opened, PATIENCE)
    return opened


async def open_sockets(url: str, count: int, *, at_once: int = 32) -> list[Socket]:
    """Open ``count`` sockets, ``at_once`` handshakes at a time."""
    opened: list[Socket] = []
    left = iter(range(count))

    async def work() -> None:
        opened.extend([await open_socket(url) for _ in left])

    await asyncio.gather(*(work() for _ in range(at_once)))
    return opened


class Exchanges(NamedTuple):
    """What clients that send a message as soon as the last one is answered got to: messages a second, and waits."""

    rate: float
    median: float
    percentile99: float


async def exchange(sockets: Sequence[Socket], message: bytes, *, seconds: float) -> Exchanges:
    """Send ``message`` from every socket again and again, each when the last one is answered; waits in seconds."""
    waits: list[float] = []
    clock = time.perf_counter
    end = clock() + seconds
    all_done = asyncio.get_running_loop().create_future()
    left = len(sockets)

    def begin(client: Socket) -> None:
        sent = clock()

        def heard(_answer: bytes) -> None:
            nonlocal sent, left
            now = clock()
            waits.append(now - sent)
            if now < end:
                sent = now
                client.send(message)
                return
            left -= 1
            if not left:
                all_done.set_result(None)

        client.heard = heard
        client.send(message)

    began = clock()
    for one in sockets:
        begin(one)
    await asyncio.wait_for(all_done, seconds + PATIENCE)
    passed = clock() - began
    waits.sort()
    return Exchanges(len(waits) / passed, statistics.median(waits), waits[int(len(waits) * 0.99)])


class _Posts(asyncio.Protocol):
    """One keep-alive connection of the poster: takes the next request as soon as the last one is answered."""

    def __init__(self, requests: deque[bytes], statuses: dict[bytes, int]) -> None:
        self._requests = requests
        self._statuses = statuses
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server hung up on the poster"))

    def begin(self) -> None:
        if self._requests:
            self.transport.write(self._requests.popleft())
        elif not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end >= 0:
            head = buffer[: end + 2].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 : head.find(b"\r", at)]) if at >= 0 else 0
            if len(buffer) >= end + 4 + length:
                status = buffer[9:12]
                self._statuses[status] = self._statuses.get(status, 0) + 1
                self._buffer = b""
                self.begin()
                return
        self._buffer = buffer


class Poster:
    """Posts to connections as a cheap client would: keep-alive connections, one request under way on each."""

    def __init__(self, management: str, *, connections: int = 64, region: str = "us-east-1") -> None:
        parts = urlsplit(management)
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._netloc = parts.netloc
        self._connections = connections
        keys = Credentials("test", "test")
        self._signer = Signer(lambda: keys, region=region, host=parts.netloc)

    def requests(self, ids: Sequence[str], message: bytes) -> deque[bytes]:
        """Return a signed request for each connection; they are good for five minutes."""
        made: deque[bytes] = deque()
        for connection_id in ids:
            path = f"{self._prefix}/@connections/{quote(connection_id, safe='')}"
            lines = self._signer.sign("POST", path, message)
            head = f"POST {path} HTTP/1.1\r\nHost: {self._netloc}\r\nContent-Type: application/json\r\n"
            made.append(f"{head}{lines}Content-Length: {len(message)}\r\n\r\n".encode() + message)
        return made

    async def post(self, requests: deque[bytes]) -> dict[bytes, int]:
        """Send them all and return how often each status was answered."""
        statuses: dict[bytes, int] = {}
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: _Posts(requests, statuses), self._host, self._port)
            for _ in range(self._connections)
        ]
        for _, posts in made:
            posts.begin()
        await asyncio.gather(*(posts.done for _, posts in made))
        for transport, _ in made:
            transport.close()
        return statuses


async def broadcast(sockets: Sequence[Socket], requests: deque[bytes], poster: Poster) -> float:
    """Post to every socket and return the seconds until the last one has its message."""
    left = len(sockets)
    all_there = asyncio.get_running_loop().create_future()

    def heard(_message: bytes) -> None:
        nonlocal left
        left -= 1
        if not left:
            all_there.set_result(time.perf_counter())

    for one in sockets:
        one.heard = heard
    began = time.perf_counter()
    statuses = await poster.post(requests)
    # MiniStack says 204.
    if statuses.keys() - {b"200", b"204"}:
        raise RuntimeError(f"posts were refused: {statuses}")
    return float(await asyncio.wait_for(all_there, PATIENCE)) - began


class Server:
    """A server that was started for a measurement, with all of its children."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def pids(self) -> list[int]:
        """Return every process of the server, itself first."""
        found = [self.process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        return found

    def resident(self, pids: Sequence[int] | None = None) -> float:
        """Return the resident memory of some processes, or of all, in MiB."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids or self.pids())
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def seconds(self) -> float:
        """Return the processor time that all its processes have taken."""
        ticks = 0
        for pid in self.pids():
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(after_name[11]) + int(after_name[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def settle(self) -> None:
        """Wait until what a start brings with it is over: less than a tenth of a processor in a second."""
        deadline = time.monotonic() + PATIENCE
        before = self.seconds()
        while time.monotonic() < deadline:
            time.sleep(1)
            now = self.seconds()
            if now - before < 0.1:
                return
            before = now
        raise TimeoutError(f"{self.process.args} does not come to rest")

    def stop(self) -> None:
        """End it, politely first."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def free_port() -> int:
    """Return a port that nobody has now, for servers that want to be told one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def start(command: Sequence[str], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> Server:
    """Start a server on its own processor, in a process group of its own."""
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    return Server(process)


@contextmanager
def emulator(template: Path = TEMPLATE, *flags: str) -> Iterator[tuple[Address, Server]]:
    """Run ``tickwire up`` and give its address when it is ready."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        options = ["--template", str(template), "--port", "0", "--no-browser", "--ready-file", str(ready), *flags]
        server = start([sys.executable, "-m", "local", "up", *options])
        try:
            _wait(ready.exists, server)
            told = json.loads(ready.read_text())
            yield Address(told["websocket"], told["management"]), server
        finally:
            server.stop()


@contextmanager
def bare_application() -> Iterator[tuple[Address, Server]]:
    """Run a bare ASGI application on uvicorn that forwards posts to sockets and does nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "port"
        server = start([sys.executable, str(Path(__file__).parent / "gateway" / "bare.py"), str(ready)])
        try:
            _wait(ready.exists, server)
            origin = f"127.0.0.1:{ready.read_text()}"
            yield Address(f"ws://{origin}/", f"http://{origin}"), server
        finally:
            server.stop()


def _wait(condition: Callable[[], bool], server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if server.process.poll() is not None:
            raise RuntimeError(f"{server.process.args} ended with {server.process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{server.process.args} is not ready")
        time.sleep(0.002)


def run(main: Any) -> Any:
    """Run a coroutine on the driver's processor."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def row(name: str, value: float, unit: str, against: str, ratio: float) -> dict[str, Any]:
    """Return a line of ``build/bench.json``; a ratio above 1 is better than ``against``."""
    return {"name": name, "value": round(value, 4), "unit": unit, "against": against, "ratio": round(ratio, 3)}


def figures(rows: Sequence[dict[str, Any]]) -> str:
    """Return lines of the README's table: what was measured, and beside what."""
    lines = ["| measured | | beside | |", "| --- | ---: | --- | ---: |"]
    for one in rows:
        digits = 0 if one["value"] >= 100 else 2  # three figures are as many as a noisy machine tells
        value = f"{one['value']:,.{digits}f} {one['unit']}".strip()
        lines.append(f"| {one['name']} | {value} | {one['against']} | {one['ratio']:.2f} x |")
    return "\n".join(lines)
