"""
What ``tickwire simulate`` says of the market stream, for the README.

Nothing is measured here but the simulation itself: the delivery times are virtual. Each scenario is one row of the
table; in the last two the account's quota is raised to what so many clients need.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # run as a script, its own folder stands there instead

from scheduler.simulate import table as table_of  # noqa: E402  # after the path is set
from scheduler.simulation import Scenario, simulate  # noqa: E402  # after the path is set

PLAIN = Scenario(
    clients=100,
    streams=["market"],
    post_latency=0.008,
    quota=10_000,
    burst=5_000,
    limit=10_000,
    threshold=2_000,
    shards=4,
    post_cpu=150e-6,
)


def scenario(clients: int, *, quota: int = 10_000) -> Scenario:
    """Give the scenario of a row, as the command's defaults make it."""
    return replace(PLAIN, clients=clients, quota=quota, limit=quota, shards=max(4, min(1_024, -(-clients // 2_000))))


ROWS = [
    *map(scenario, (100, 1_000, 10_000, 40_000, 100_000, 1_000_000)),
    scenario(100_000, quota=30_000),
    scenario(1_000_000, quota=300_000),
]


def measure() -> list[dict[str, Any]]:
    """Simulate every row; the value is how much of a processor's second one second of ticks took."""
    rows = []
    for one in ROWS:
        began = time.process_time()
        result = simulate(one)
        spent = time.process_time() - began
        rows.append(
            {
                "name": f"simulating {one.clients:,} clients at {one.quota:,.0f} a second",
                "value": round(spent, 2),
                "unit": "s of CPU",
                "against": f"{result.seconds:g} s of ticks",
                "ratio": round(result.seconds / spent, 2),
            }
        )
    return rows


def table(_: list[dict[str, Any]]) -> str:
    """Write the README's table, which has virtual times and list prices."""
    return table_of([(one, simulate(one)) for one in ROWS])


if __name__ == "__main__":
    for line in measure():
        print(json.dumps(line))  # noqa: T201  # a script prints
