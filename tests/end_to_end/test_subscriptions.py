"""What a follower has asked for is what it gets."""

import asyncio

from tests.end_to_end.clients import Client


async def test_unsubscribed_means_silence(emulator, session):
    client = await Client.connect(session, emulator.ready["websocket"])
    await client.subscribe()
    await client.batches(1, within=12)
    answer = await client.ask({"action": "unsubscribe", "id": "2", "streams": ["market"]})
    assert answer["type"] == "unsubscribed"
    heard = len(client.ticks)
    await asyncio.sleep(6)
    assert len(client.ticks) == heard
    await client.close()


async def test_a_single_format_follower_gets_a_message_for_each_symbol(emulator, session):
    client = await Client.connect(session, emulator.ready["websocket"])
    await client.subscribe(symbols=["BTC", "ETH"], format="single")
    update = await client.find(lambda message: message["type"] == "market_update", within=15)
    assert update["symbol"] in {"BTC", "ETH"}
    assert {"last", "bid", "ask", "change_pct", "ts", "source", "stale", "market"} <= set(update["data"])
    await client.close()
