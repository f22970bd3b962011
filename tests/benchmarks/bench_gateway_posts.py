"""
Signed 1 KB posts to 1,000 connections, beside a bare ASGI application on uvicorn that only forwards.

Signatures and permissions are checked, every delivery is counted at its socket. Both servers are measured in turns,
each on the same processor, the sockets and the poster on the other.
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
    ASK_ID,
    Address,
    Poster,
    bare_application,
    broadcast,
    emulator,
    figures,
    open_sockets,
    row,
    run,
)

CONNECTIONS = 1_000
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
#: The first broadcasts of a server are its warm-up.
WARM, COUNTED = 2, 5
MESSAGE = b'{"type":"market_batch","updates":"' + b"x" * (1_024 - 36) + b'"}'


async def deliveries(address: Address) -> float:
    """Return deliveries a second, the median of several broadcasts to all connections."""
    sockets = await open_sockets(address.websocket, CONNECTIONS)
    ids = [(await socket.ask(ASK_ID)).decode() for socket in sockets]
    poster = Poster(address.management)
    seconds = [await broadcast(sockets, poster.requests(ids, MESSAGE), poster) for _ in range(WARM + COUNTED)]
    for socket in sockets:
        socket.transport.abort()
    return CONNECTIONS / statistics.median(seconds[WARM:])


def measure() -> list[dict[str, Any]]:
    """Measure both servers three times, in turns."""
    ours, bare = [], []
    for _ in range(RUNS):
        for rates, server in ((bare, bare_application), (ours, emulator)):
            with server() as (address, _):
                rates.append(run(deliveries(address)))
    rate, of_bare = statistics.median(ours), statistics.median(bare)
    against = f"bare ASGI on uvicorn: {of_bare:,.0f}"
    return [row("signed 1 KB posts to 1,000 connections", rate, "deliveries/s", against, rate / of_bare)]


def table(rows: list[dict[str, Any]]) -> str:
    """Write them for the README."""
    return figures(rows)


if __name__ == "__main__":
    print(json.dumps(measure()))  # noqa: T201 # what this program is for
