"""What breaks is mended by itself: ticks go on at the grid, quotes say how old they are, no connection is lost."""

import os
import signal
from itertools import pairwise

from tests.end_to_end.clients import Client, assert_every_tick_once


async def test_killed_function_processes_are_replaced_and_ticks_go_on(emulator, session):
    client = await Client.following(session, emulator)
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


async def test_a_killed_scheduler_is_not_missed(emulator, session, run):
    other = run("-m", "scheduler", environment=emulator.ready["environment"])
    client = await Client.following(session, emulator)
    await client.batches(2, within=15)
    other.stop(signal.SIGKILL)
    await client.batches(4, within=20)
    seqs = [tick["seq"] for tick in client.ticks]
    assert max(after - before for before, after in pairwise(seqs)) <= 2
    assert_every_tick_once(client)
    await client.close()
