"""
What clients in trouble cost those that are well: five in a hundred never read, five have vanished, five get 429.

The same number of connections is served with and without them. Those that never read are taken by the gateway until it
has no more room for them; of those that have vanished the table still has a row, and the gateway answers 410; those
that get 429 were filled up beforehand. Nobody who is well may miss a tick.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING

from handlers.hub.connections import Connection, Subscription, expiry
from handlers.hub.errors import LimitExceeded
from tests.benchmarks.measurement import Measurement, less
from tests.benchmarks.system import Broadcaster, System

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENTS = 1_000
EACH = CLIENTS // 20
TICKS = 12
PAUSE = 1.5
MOST = 1.2
FILLING = b" " * 131_072
OLD_MS = 60_000


async def run_ticks(system: System, broadcaster: Broadcaster, *, vanished: Sequence[Connection] = ()) -> float:
    """Return the milliseconds from the fetch's end to a client that is well: its median, at the median of the ticks."""
    medians = []
    for number in range(TICKS + 1):
        for one in vanished:
            await asyncio.to_thread(broadcaster.connections.remember, one)
        await asyncio.sleep(PAUSE)
        sent = await broadcaster.tick()
        received = await asyncio.to_thread(system.crowd.received)
        assert len(sent.report.delivery.gone) == len(vanished), sent.report
        assert sent.report.forgotten == len(vanished), sent.report
        if vanished:
            assert sent.report.delivery.limited == EACH, sent.report
        if number:  # the first opens the sockets
            medians.append(median(at - sent.fetched_at for at in received["at"]) / 1000)
    return median(medians)


async def fill(broadcaster: Broadcaster, connection_id: str) -> None:
    """Post until the gateway has no more room for that client."""
    while True:
        try:
            await broadcaster.api.post(connection_id, FILLING)
        except LimitExceeded:
            return


def vanished(number: int) -> Connection:
    """Make the row of a client that the gateway does not know any more."""
    connected_at = int(time.time() * 1000) - OLD_MS
    market = Subscription(symbols=None, subscribed_at=connected_at, snapshot_owed=False)
    return Connection(f"vanished{number:03}AMCK=", connected_at, expiry(connected_at), "batch", {"market": market})


async def run(system: System) -> tuple[float, float]:
    """Run both halves."""
    crowd = system.crowd
    async with Broadcaster(system) as broadcaster:
        well = await run_ticks(system, broadcaster)
        crowd.leave(3 * EACH)
        async with asyncio.timeout(30):
            while len(before := broadcaster.followers()) > CLIENTS - 3 * EACH:
                await asyncio.sleep(0.1)
        await asyncio.to_thread(system.open, 2 * EACH, mute=True)
        mute = sorted(set(broadcaster.followers()) - set(before))
        assert len(mute) == 2 * EACH
        await asyncio.gather(*(fill(broadcaster, one) for one in mute[:EACH]))
        beside = await run_ticks(system, broadcaster, vanished=[vanished(number) for number in range(EACH)])
    return well, beside


def measure() -> list[Measurement]:
    """Take about a minute."""
    with System() as system:
        system.open(CLIENTS)
        well, beside = asyncio.run(run(system))
        tally = system.check_nobody_missed()
        assert tally["listening"] == CLIENTS - 3 * EACH, tally
    name = f"trouble: median delivery to the well of {CLIENTS:,}"
    return [
        less(
            f"{name}, beside {3 * EACH} in trouble", beside, "ms", MOST * well, f"1.2 times that without, {well:.1f} ms"
        ),
    ]
