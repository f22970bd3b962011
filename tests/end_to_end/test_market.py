"""The main job: quotes fetched over HTTP reach every client, once, through the gateway."""

import asyncio
import json
import time

import pytest

from tests.end_to_end.clients import Client, assert_every_tick_once
from tests.wire import validate_message


async def test_prices_move_every_five_seconds(emulator, session):
    client = await Client.connect(session, emulator.ready["websocket"])
    answer = await client.subscribe()
    assert (answer["type"], answer["id"], answer["v"]) == ("subscribed", "1", 1)
    first, second, third = await client.batches(3, within=25)
    assert [second["seq"] - first["seq"], third["seq"] - second["seq"]] == [1, 1]
    assert len(second["updates"]) >= 10, "most instruments move"
    for message in client.received:
        validate_message(json.dumps(message, default=float).encode())
    await client.close()


async def test_a_subscriber_starts_from_a_snapshot_and_misses_nothing(emulator, session):
    client = await Client.connect(session, emulator.ready["websocket"])
    await client.subscribe()
    [tick] = await client.batches(1, within=12)
    late = await Client.connect(session, emulator.ready["websocket"])
    stream = (await late.subscribe())["streams"]["market"]
    assert stream["period_ms"] == 5000
    assert stream["seq"] >= tick["seq"]
    snapshot = stream["snapshot"]
    assert len(snapshot["instruments"]) == 30
    assert set(snapshot["data"]) == {instrument["symbol"] for instrument in snapshot["instruments"]}
    assert {quote["source"] for quote in snapshot["data"].values()} == {"simulated"}
    assert {(quote["stale"], quote["market"]) for quote in snapshot["data"].values()} <= {
        (False, "open"),
        (False, "closed"),  # forex and metals at the weekend
    }
    assert snapshot["data"]["BTC"]["market"] == "open"
    [following] = await late.batches(1, within=12)
    assert following["prev"] == stream["seq"]
    await asyncio.gather(client.close(), late.close())


async def test_a_public_path_subscribes_by_itself_and_greets_with_a_snapshot(emulator, session):
    client = await Client.connect(session, emulator.ready["streams"]["market"])
    greeting = await client.find(lambda message: message["type"] == "snapshot", within=12)
    assert greeting["stream"] == "market"
    assert len(greeting["data"]) == 30
    await client.find(lambda message: message["type"] == "market_batch", within=30)
    await client.close()


async def test_a_follower_of_two_symbols_gets_those_two(emulator, session):
    client = await Client.connect(session, emulator.ready["websocket"])
    answer = await client.subscribe(symbols=["BTC", "ETH"])
    assert set(answer["streams"]["market"]["snapshot"]["data"]) == {"BTC", "ETH"}
    for batch in await client.batches(2, within=15):
        assert {update["symbol"] for update in batch["updates"]} <= {"BTC", "ETH"}
    await client.close()


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


async def test_200_clients_and_two_schedulers(start, session, run):
    emulator = start()
    await watch_two_schedulers(emulator, session, run, clients=200, seconds=30)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_200_clients_and_two_schedulers_for_five_minutes(start, session, run):
    emulator = start()
    began = time.monotonic()
    await watch_two_schedulers(emulator, session, run, clients=200, seconds=300)
    assert time.monotonic() - began >= 300
