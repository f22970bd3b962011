"""
How fast a tick of the market reaches a thousand clients: from the end of the fetch to the last one.

The emulator is on one core; the broadcaster and the clients share the other. The same thousand connections then get the
same batch from a driver that does no more than write requests signed beforehand, from aiohttp, and from boto3 in
threads, in turns. ``python -m tests.benchmarks delivery`` takes a minute and a half.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import NamedTuple

from tests.benchmarks.measurement import Measurement, less, more
from tests.benchmarks.posting import THREADS, AiohttpPoster, Boto3Poster, CheapDriver
from tests.benchmarks.system import Broadcaster, System

CLIENTS = 1_000
TICKS = 20
BOTO3_TICKS = 4

PAUSE = 1.5
"""Seconds before each tick: Kraken, and its likeness here, would not like more than a request a second."""

BUDGET_MS = 100.0
AIM_MS = 50.0
LEAST_SHARE = 0.7
LEAST_OF_AIOHTTP = 1.3
LEAST_OF_BOTO3 = 10.0


class Times(NamedTuple):
    """Milliseconds to the last client."""

    whole: list[float]
    """From the end of a tick's fetch."""
    posting: list[float]
    """From when a tick begins to read the shards."""
    cheap: list[float]
    aiohttp: list[float]
    boto3: list[float]


def last(system: System) -> int:
    """Wait until everybody has the batch, and return when the last one had it."""
    return max(system.crowd.received()["at"])


async def tick(system: System, broadcaster: Broadcaster, times: Times) -> str:
    """Run a full tick and return its batch."""
    await asyncio.sleep(PAUSE)
    sent = await broadcaster.tick()
    received = await asyncio.to_thread(system.crowd.received)
    times.whole.append((max(received["at"]) - sent.fetched_at) / 1000)
    before = sum(sent.report.phases[name] for name in ("compose", "save", "commit"))
    times.posting.append(times.whole[-1] - before)
    return str(received["text"])


async def compare(system: System) -> tuple[Times, int]:
    """
    Take turns, so that whatever else the machine does meets all alike.

    Returns:
        The times, and how many bytes a batch has.
    """
    times = Times([], [], [], [], [])
    endpoint = system.emulator.ready["management"]
    async with Broadcaster(system) as broadcaster, AiohttpPoster(endpoint) as aiohttp:
        with CheapDriver(endpoint) as driver, Boto3Poster(endpoint) as boto3:
            ids = broadcaster.followers()
            assert len(ids) == CLIENTS
            for number in range(TICKS + 1):
                batch = (await tick(system, broadcaster, times)).encode()

                requests = driver.sign(ids, system.next_batch(batch))
                began = time.time_ns() // 1000
                driver.post(requests)
                times.cheap.append((last(system) - began) / 1000)

                message, began = system.next_batch(batch), time.time_ns() // 1000
                await aiohttp.post(ids, message)
                times.aiohttp.append((last(system) - began) / 1000)

                if number % (TICKS // BOTO3_TICKS) == 0:
                    message, began = system.next_batch(batch), time.time_ns() // 1000
                    await asyncio.to_thread(boto3.post, ids, message)
                    times.boto3.append((last(system) - began) / 1000)
    # The first of each opened its sockets.
    return Times(*(one[1:] for one in times)), len(batch)


def measure() -> list[Measurement]:
    """Measure all of it in one run."""
    with System() as system:
        system.open(CLIENTS)
        times, size = asyncio.run(compare(system))
        system.check_nobody_missed()
    name = f"delivery: {CLIENTS:,} clients"
    rate, cheap, aiohttp, boto3 = (CLIENTS / median(one) * 1000 for one in times[1:])
    unit = f"posts/s, {size:,} B"
    return [
        less(f"{name}, end of fetch to the last", median(times.whole), "ms", BUDGET_MS),
        less(f"{name}, end of fetch to the last, the aim", median(times.whole), "ms", AIM_MS),
        less(f"{name}, end of fetch to the last, best of {TICKS}", min(times.whole), "ms", AIM_MS),
        more(f"{name}, broadcast", rate, unit, cheap, f"a driver that only writes, {cheap:,.0f}"),
        more(f"{name}, share of that driver's rate", rate / cheap, "", LEAST_SHARE, f"at least {LEAST_SHARE}"),
        more(f"{name}, broadcast", rate, unit, aiohttp, f"aiohttp, {aiohttp:,.0f}"),
        more(f"{name}, times aiohttp's rate", rate / aiohttp, "", LEAST_OF_AIOHTTP, f"at least {LEAST_OF_AIOHTTP}"),
        more(f"{name}, broadcast", rate, unit, boto3, f"boto3, {THREADS} threads, {boto3:,.0f}"),
        more(f"{name}, times boto3's rate", rate / boto3, "", LEAST_OF_BOTO3, f"at least {LEAST_OF_BOTO3:g}"),
    ]


def table(rows: list[Measurement]) -> str:
    """Write the README's table."""
    lines = ["| 1,000 clients, one tick of 30 instruments | | beside |", "| --- | --- | --- |"]
    for row in rows:
        name = row["name"].partition(", ")[2]
        if row["unit"]:
            lines.append(f"| {name} | {row['value']:,.0f} {row['unit']} | {row['against']} |")
    return "\n".join(lines)
