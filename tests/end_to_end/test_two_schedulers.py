"""Many clients, and two schedulers at the same time: every client gets every tick once."""

import asyncio
import time

import pytest

from tests.end_to_end.clients import Client, assert_every_tick_once


async def watch_two_schedulers(emulator, session, run, *, clients, seconds):
    """Connect many clients while two schedulers run, and check what each of them got."""
    other = run("-m", "scheduler", environment=emulator.ready["environment"])
    connected = [await Client.connect(session, emulator.ready["websocket"]) for _ in range(clients)]
    await asyncio.gather(*(client.subscribe() for client in connected))
    began = len(connected[0].ticks)
    await asyncio.sleep(seconds)
    assert other.process.poll() is None, other.output
    # All have had time for the tick that may be under way.
    newest = max(client.ticks[-1]["seq"] for client in connected)
    for client in connected:
        await client.find(lambda message: message.get("seq", 0) >= newest, within=5)
    for client in connected:
        assert_every_tick_once(client)
        assert len(client.ticks) - began >= seconds // 5 - 2, "\n".join([*emulator.lines, "beside it:", *other.lines])
    shared = {tick["seq"] for tick in connected[0].ticks[1:-1]}
    assert all(shared <= {tick["seq"] for tick in client.ticks} for client in connected)
    await asyncio.gather(*(client.close() for client in connected))


async def test_200_clients_and_two_schedulers(emulator, session, run):
    await watch_two_schedulers(emulator, session, run, clients=200, seconds=30)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_200_clients_and_two_schedulers_for_five_minutes(emulator, session, run):
    began = time.monotonic()
    await watch_two_schedulers(emulator, session, run, clients=200, seconds=300)
    assert time.monotonic() - began >= 300
