"""A tick that is too much for one function is posted by several, and nobody notices."""

import asyncio
import json

from tests.end_to_end.clients import Client, assert_every_tick_once


def told(emulator, event):
    """Collect what the functions have printed of one kind."""
    lines = [line[line.index("{") :] for line in emulator.lines if f'"event":"{event}"' in line]
    return [json.loads(line) for line in lines]


async def test_past_the_threshold_functions_post_the_tick_and_every_client_gets_it_once(start, session):
    emulator = start("--parameter", "FanoutThreshold=2", "--parameter", "Shards=3", "--parameter", "OtherShards=4")
    clients = [await Client.following(session, emulator)]
    more = [await Client.connect(session, emulator.ready["websocket"]) for _ in range(11)]
    await asyncio.gather(*(client.subscribe() for client in more))
    clients += more
    # The first tick to all of them is counted, the second one's claim knows of it.
    await clients[0].batches(5, within=40)
    newest = clients[0].ticks[-1]["seq"]
    for client in clients:
        await client.find(lambda message: message.get("seq", 0) >= newest, within=5)
    divided = [tick for tick in told(emulator, "tick") if tick.get("groups")]
    assert divided, emulator.output
    for tick in divided:
        assert (tick["groups"], tick["outcome"], tick["unread"]) == (4, "sent", 0)
        assert tick["followers"] == 12
        assert tick["posted"] >= 12
    seen = {(group["seq"], group["group"]) for group in told(emulator, "group")}
    assert {(tick["seq"], number) for tick in divided for number in range(4)} <= seen
    for client in clients:
        assert_every_tick_once(client)
    await asyncio.gather(*(client.close() for client in clients))
