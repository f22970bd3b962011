"""What breaks is mended by itself: ticks go on at the grid, quotes say how old they are, no connection is lost."""

import asyncio
import os
import signal
from itertools import pairwise

import pytest

from tests.end_to_end.clients import Client, assert_every_tick_once


async def subscribed(session, emulator):
    client = await Client.connect(session, emulator.ready["websocket"])
    await client.subscribe()
    await client.batches(1, within=15)
    return client


async def fail(session, emulator, **how):
    async with session.put(f"{emulator.http}/exchange/control/binance", json=how) as answer:
        assert answer.status < 300, await answer.text()


async def test_killed_function_processes_are_replaced_and_ticks_go_on(start, session):
    emulator = start()
    client = await subscribed(session, emulator)
    killed = list(emulator.processes())
    assert len(killed) >= 4, "one process for each function"
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    before = client.ticks[-1]["seq"]
    tick = await client.find(lambda message: message.get("seq", 0) > before, within=20)
    assert tick["seq"] - before <= 3, "resumed at the next grid points"
    assert (await client.ask("ping"))["type"] == "pong"
    assert not client.socket.closed
    await client.close()


async def test_a_killed_scheduler_is_not_missed(start, session, run):
    emulator = start()
    other = run("-m", "scheduler", environment=emulator.ready["environment"])
    client = await subscribed(session, emulator)
    await client.batches(2, within=15)
    other.stop(signal.SIGKILL)
    await client.batches(4, within=20)
    seqs = [tick["seq"] for tick in client.ticks]
    assert max(after - before for before, after in pairwise(seqs)) <= 2
    assert_every_tick_once(client)
    await client.close()


async def quotes_turn_stale_and_recover(session, emulator, seconds):
    client = await subscribed(session, emulator)
    await fail(session, emulator, status=500, for_s=seconds)

    def says(*, stale):
        def wanted(message):
            return any(update["data"].get("stale") is stale for update in message.get("updates", ()))

        return wanted

    after = len(client.received)
    tick = await client.find(says(stale=True), within=30, after=after)
    quote = next(update["data"] for update in tick["updates"] if update["data"].get("stale"))
    assert tick["ts"] - quote["ts"] > 10_000, "its age can be told"
    assert quote["last"] is not None, "the last value stays"
    await client.find(says(stale=False), within=seconds + 30, after=after)
    assert_every_tick_once(client)
    assert not client.socket.closed
    await client.close()


async def test_a_failing_provider_makes_quotes_stale_until_it_recovers(start, session):
    # Stale means older than two periods, so the fourth tick without an answer is sure to say so.
    await quotes_turn_stale_and_recover(session, start(), 21)


@pytest.mark.soak
async def test_a_provider_that_fails_for_30_seconds(start, session):
    await quotes_turn_stale_and_recover(session, start(), 30)


async def test_a_client_that_vanishes_is_forgotten_and_nobody_else_notices(start, session):
    emulator = start()
    client = await subscribed(session, emulator)
    lost = [await subscribed(session, emulator) for _ in range(5)]
    for one in lost:
        transport = one.socket.get_extra_info("socket")
        assert transport is not None
        one.socket._response.connection.transport.abort()
    await client.batches(4, within=25)
    assert_every_tick_once(client)
    await asyncio.gather(client.close())
