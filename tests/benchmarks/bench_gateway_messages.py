"""
Messages through a Python function in a process of its own, by one client and by 32.

A two-way route returns what it gets; the route ``post`` answers by boto3's ``post_to_connection``. Emulator and
functions share one processor, the clients have the other.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

if str(root := Path(__file__).parents[2]) not in sys.path:
    sys.path.insert(0, str(root))

from tests.benchmarks.driver import (  # after the path is set
    Address,
    Exchanges,
    Server,
    emulator,
    exchange,
    figures,
    open_sockets,
    row,
    run,
)

RUNS = int(os.environ.get("BENCH_RUNS", "3"))
SECONDS = 2.0
CLIENTS = 32
ECHO = b'{"say":"' + b"x" * 54 + b'"}'
POST = b'{"action":"post","say":"' + b"x" * 38 + b'"}'
#: What issue 3 wants at least: messages a second, and seconds.
TWO_WAY_1, MEDIAN_1 = 4_500, 0.000_22
TWO_WAY_32, PERCENTILE_32 = 9_000, 0.010
POST_BACK, PROCESSES = 900, 2


async def exchanges(address: Address, message: bytes) -> tuple[Exchanges, Exchanges]:
    """Return what one client, and then 32, got to."""
    sockets = await open_sockets(address.websocket, CLIENTS)
    await exchange(sockets[:1], message, seconds=0.3)
    alone = await exchange(sockets[:1], message, seconds=SECONDS)
    together = await exchange(sockets, message, seconds=SECONDS)
    for socket in sockets:
        socket.transport.abort()
    return alone, together


def _functions(server: Server) -> int:
    """Return how many processes run the function."""
    return sum(b"runtime.py" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in server.pids())


def measure() -> list[dict[str, Any]]:
    """Return the medians of three runs, each with a fresh emulator."""
    two_way, post, processes = [], [], []
    for _ in range(RUNS):
        with emulator() as (address, server):
            two_way.append(run(exchanges(address, ECHO)))
            post.append(run(exchanges(address, POST)))
            processes.append(_functions(server))
    one, many = _medians(run_[0] for run_ in two_way), _medians(run_[1] for run_ in two_way)
    post_one, post_many = _medians(run_[0] for run_ in post), _medians(run_[1] for run_ in post)
    rows = [
        _at_least("two-way route, 1 client", one.rate, TWO_WAY_1),
        _at_most("two-way route, 1 client, median", one.median, MEDIAN_1),
        _at_least("two-way route, 32 clients", many.rate, TWO_WAY_32),
        _at_most("two-way route, 32 clients, 99th percentile", many.percentile99, PERCENTILE_32),
        _at_least("boto3 post_to_connection, 1 client", post_one.rate, POST_BACK),
        _at_least("boto3 post_to_connection, 32 clients", post_many.rate, POST_BACK),
    ]
    most = max(processes)
    rows.append(row("boto3 post_to_connection, processes", most, "", f"at most {PROCESSES}", PROCESSES / most))
    return rows


def _medians(measured: Any) -> Exchanges:
    return Exchanges(*(statistics.median(column) for column in zip(*measured, strict=True)))


def _at_least(name: str, rate: float, wanted: int) -> dict[str, Any]:
    return row(name, rate, "messages/s", f"at least {wanted:,}", rate / wanted)


def _at_most(name: str, seconds: float, wanted: float) -> dict[str, Any]:
    return row(name, seconds * 1000, "ms", f"at most {wanted * 1000:g} ms", wanted / seconds)


def table(rows: list[dict[str, Any]]) -> str:
    """Write them for the README."""
    return figures(rows)


if __name__ == "__main__":
    for measurement in measure():
        print(json.dumps(measurement))  # noqa: T201 # what this program is for
