"""
How many bytes an hour of the market is for one client in each format: 30 instruments, a tick every 5 seconds.

``python tests/benchmarks/bench_wire.py`` prints one JSON object a line. The hour is simulated: the exchange's prices
and every clock stand at a tick and then at the next, so nobody sleeps, and the same bytes come out each time. What is
counted is what a client that follows everything is sent, before compression: the answer to its subscribe, with the
snapshot, and 720 ticks from the stream's own composer and messages. Beside it stands what the original description
sent: polling 2 KB of headers and 10 KB of data every 5 seconds, or pushing the 10 KB.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import httpx

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # run as a script, its own folder stands there instead

from handlers.hub import protocol  # noqa: E402  # after the path is set
from handlers.hub.instruments import instruments  # noqa: E402  # after the path is set
from handlers.hub.snapshots import Snapshot  # noqa: E402  # after the path is set
from local.exchange.application import exchange  # noqa: E402  # after the path is set
from scheduler.composition import Known  # noqa: E402  # after the path is set
from scheduler.market.prices import Prices  # noqa: E402  # after the path is set
from scheduler.market.providers.binance import Binance  # noqa: E402  # after the path is set
from scheduler.market.providers.gold_api import GoldApi  # noqa: E402  # after the path is set
from scheduler.market.providers.kraken import Kraken  # noqa: E402  # after the path is set
from scheduler.messages import Messages  # noqa: E402  # after the path is set
from tests.scheduler.fakes import Clock, follower  # noqa: E402  # after the path is set

if TYPE_CHECKING:
    from collections.abc import Mapping

PERIOD_MS = protocol.PERIOD_MS["market"]
TICKS = 3_600_000 // PERIOD_MS
MONDAY = 1_789_999_980_000  # 2026-09-21: forex and metals are traded
POLLING = 8.64  # MB: 12,000 bytes a tick
PUSH = 7.20  # MB: 10,000 bytes a tick
TARGETS: Mapping[str, float] = {"batch": 2.1, "compact": 0.6}
"""MB that an hour may be."""


class Measurement(TypedDict):
    """One line of ``build/bench.json``; ``ratio`` says how many times better than ``against`` (above 1 is better)."""

    name: str
    value: float
    unit: str
    against: str
    ratio: float


async def sent(ticks: int = TICKS, *, start: int = MONDAY) -> dict[str, int]:
    """Run ticks from ``start``, a whole minute of epoch milliseconds; give the bytes of a client in each format."""
    clock = Clock(start - PERIOD_MS)
    transport = httpx.ASGITransport(app=exchange(now=clock))  # type: ignore[arg-type]  # an ASGI application
    makers = {"binance": Binance, "kraken": Kraken, "gold-api": GoldApi}
    providers = [maker(f"http://exchange/{name}", now=clock, transport=transport) for name, maker in makers.items()]
    prices = Prices(instruments().values(), providers, now=clock)
    clients = {how: follower(f"{how}=", at=clock.at, how=how) for how in protocol.FORMATS}
    counted = dict.fromkeys(clients, 0)
    known, prev = Known(), None
    for number in range(ticks + 1):
        seq = clock.at // PERIOD_MS
        composition = prices.compose(
            await prices.fetch(within=60), known, now=clock.at, full=seq % protocol.FULL_EVERY == 0
        )
        if number and composition.faults:
            raise RuntimeError(composition.faults[0])
        if composition.updates:
            state = Snapshot("market", seq, clock.at, composition.content, composition.state)
            tick = Messages(state, prev=prev, updates=composition.updates, now=clock.at)
            for how, client in clients.items():
                # The tick before the hour is what they find when they subscribe.
                messages = tick.to(client) if number else _subscribed(state)
                counted[how] += sum(map(len, messages))
            known, prev = Known(composition.content, composition.state), seq
        else:
            known = Known(known.content, composition.state)
        clock.at += PERIOD_MS
    await prices.close()
    return counted


def _subscribed(state: Snapshot) -> list[bytes]:
    return protocol.subscribed("1", {"market": state}, server_time=state.ts, max_age_ms=6_900_000, ping_after_ms=15_000)


def measure() -> list[Measurement]:
    """Run an hour in some ten seconds."""
    return [
        {
            "name": how,
            "value": round(count / 1e6, 2),
            "unit": "MB an hour",
            "against": f"the original push, {PUSH:.2f} MB" + (f"; at most {TARGETS[how]} MB" if how in TARGETS else ""),
            "ratio": round(PUSH / (count / 1e6), 2),
        }
        for how, count in asyncio.run(sent()).items()
    ]


def table(rows: list[Measurement]) -> str:
    """Write the README's table of what was measured."""
    lines = [
        f"| an hour of {len(instruments())} instruments, to one client | MB | of polling | of pushing all |",
        "| --- | --- | --- | --- |",
        f"| the original description, polling | {POLLING:.2f} | | |",
        f"| the original description, pushing all | {PUSH:.2f} | {PUSH / POLLING:.0%} | |",
    ]
    lines += [
        f"| `{row['name']}` | {row['value']:.2f} | {row['value'] / POLLING:.0%} | {row['value'] / PUSH:.0%} |"
        for row in rows
    ]
    return "\n".join(lines).replace("%", " %")


if __name__ == "__main__":
    for line in measure():
        print(json.dumps(line))  # noqa: T201  # a script prints
