"""
The emulator beside MiniStack and serverless-offline in one run: ``make bench-peers``.

Each runs the same handler, on the same processor, with its function's processes; the clients have the other one.
Deliveries are of 1 KB posts to 1,000 connections, warm; a start is from the command to the first accepted connection,
which for MiniStack, whose APIs are made by calls, includes making the API. Prints a table and writes
``build/bench-peers.json``.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.driver import (
    ASK_ID,
    PATIENCE,
    ROOT,
    TEMPLATE,
    Address,
    Poster,
    Server,
    broadcast,
    free_port,
    open_socket,
    open_sockets,
    row,
    run,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

PEERS = ROOT / "build" / "peers"
HERE = Path(__file__).parent
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "1000"))
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
#: serverless-offline is as quick as it gets after some 5,000 posts (V8 compiles what is hot).
WARM, COUNTED = 6, 5
MESSAGE = b"x" * 1_024
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
#: What issue 3 wants: so many times the deliveries of each.
TIMES = {"MiniStack": 4.5, "serverless-offline": 1.1}


@contextmanager
def tickwire() -> Iterator[tuple[Callable[[], Address | None], Server]]:
    port = free_port()
    origin = f"127.0.0.1:{port}/prod"
    flags = ["--template", str(TEMPLATE), "--port", str(port), "--no-browser"]
    server = start([sys.executable, "-m", "local", "up", *flags])
    try:
        yield (lambda: Address(f"ws://{origin}", f"http://{origin}")), server
    finally:
        server.stop()


@contextmanager
def ministack() -> Iterator[tuple[Callable[[], Address | None], Server]]:
    port = free_port()
    python = str(PEERS / "ministack" / "bin" / "python")
    quiet = {"SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "WARNING"}
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "address"
        server = start([python, "-m", "ministack"], env={"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", **quiet})
        deployment = start([sys.executable, str(HERE / "deploy.py"), f"http://127.0.0.1:{port}", str(ready)])
        try:
            yield (lambda: Address(*ready.read_text().split()) if ready.exists() else None), server
        finally:
            deployment.stop()
            server.stop()


@contextmanager
def serverless_offline() -> Iterator[tuple[Callable[[], Address | None], Server]]:
    port = free_port()
    installed = PEERS / "serverless-offline"
    for file in (HERE / "serverless.yml", TEMPLATE.parent / "functions.py"):
        shutil.copy(file, installed)
    env = {
        **KEYS,
        "MANAGEMENT": f"http://127.0.0.1:{port}",
        "PEER_RUNTIME": f"python{sys.version_info[0]}.{sys.version_info[1]}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLS_TELEMETRY_DISABLED": "1",
        "SLS_NOTIFICATIONS_MODE": "off",
    }
    ports = ["--httpPort", str(free_port()), "--websocketPort", str(port), "--lambdaPort", str(free_port())]
    command = ["node", "node_modules/osls/bin/serverless.js", "offline", "start", "--host", "127.0.0.1", *ports]
    server = start(command, cwd=installed, env=env)
    try:
        yield (lambda: Address(f"ws://127.0.0.1:{port}/", f"http://127.0.0.1:{port}")), server
    finally:
        server.stop()


async def first_connection(address: Callable[[], Address | None], server: Server) -> Address:
    """Try to connect until it succeeds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        if server.process.poll() is not None:
            raise RuntimeError(f"{server.process.args} ended with {server.process.returncode}")
        if (known := address()) is not None:
            try:
                (await open_socket(known.websocket)).transport.abort()
            except OSError:
                if time.monotonic() > deadline:
                    raise
            else:
                return known
        await asyncio.sleep(0.005)


async def deliveries(address: Address) -> float:
    # Few handshakes at once: serverless-offline starts a process for each.
    sockets = await open_sockets(address.websocket, CONNECTIONS, at_once=4)
    ids = [(await socket.ask(ASK_ID)).decode() for socket in sockets]
    poster = Poster(address.management)
    seconds = [await broadcast(sockets, poster.requests(ids, MESSAGE), poster) for _ in range(WARM + COUNTED)]
    for socket in sockets:
        socket.transport.abort()
    return CONNECTIONS / statistics.median(seconds[WARM:])


def measure_one(
    peer: Callable[[], AbstractContextManager[tuple[Callable[[], Address | None], Server]]],
) -> tuple[float, float]:
    """Return the seconds of a start, and deliveries a second."""
    began = time.perf_counter()
    with peer() as (address, server):
        known = run(first_connection(address, server))
        started = time.perf_counter() - began
        return started, run(deliveries(known))


def main() -> int:
    """Measure all three in turns, print and write."""
    peers = {"tickwire": tickwire, "MiniStack": ministack, "serverless-offline": serverless_offline}
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in peers}
    for number in range(RUNS + 1):
        for name, peer in peers.items():
            if number == 0:
                with peer() as (address, server):  # what a first start leaves behind is not measured
                    run(first_connection(address, server))
            else:
                measured[name].append(measure_one(peer))
    median = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in measured.items()
    }
    start_of_ours, rate = median.pop("tickwire")
    rows = []
    for name, (start_of_peer, rate_of_peer) in median.items():
        against = f"{name}: {rate_of_peer:,.0f}; at least {TIMES[name]} x"
        rows.append(row("1 KB posts to 1,000 connections", rate, "deliveries/s", against, rate / rate_of_peer))
        rows.append(row("start", start_of_ours, "s", f"{name}: {start_of_peer:.2f} s", start_of_peer / start_of_ours))
    for one in rows:
        beside = f"{one['ratio']:.2f} x {one['against']}"
        print(f"{one['name']:<36} {one['value']:>12,.2f} {one['unit']:<14} {beside}")  # noqa: T201 # what it is for
    target = ROOT / "build" / "bench-peers.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([*rows, {"runs": measured}], indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
