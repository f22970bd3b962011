"""The main job: quotes fetched over HTTP reach every client, once, through the gateway, as each has asked for them."""

import asyncio
import json
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import aiohttp
import boto3
import pytest

from tests.end_to_end.clients import Client, assert_every_tick_once
from tests.fakes import TABLE
from tests.wire import validate_message


@dataclass
class Watched:
    """Twenty seconds of clients who want different things of the market, with what each was first told."""

    plain: Client
    late: Client
    pair: Client
    single: Client
    compact: Client
    silent: Client
    public: Client
    late_start: dict
    pair_start: dict
    compact_start: dict
    unsubscribed: dict
    heard_before: int


async def watch(emulator):
    async with aiohttp.ClientSession() as session:

        async def connect():
            return await Client.connect(session, emulator.ready["websocket"])

        plain, late, pair, single, compact, silent = [await connect() for _ in range(6)]
        public = await Client.connect(session, emulator.ready["streams"]["market"])
        await plain.subscribe()
        await silent.subscribe()
        await single.subscribe(symbols=["BTC", "ETH"], format="single")
        compact_start = await compact.subscribe(format="compact")
        pair_start = await pair.subscribe(symbols=["BTC", "ETH"])
        await silent.batches(1, within=12)
        unsubscribed = await silent.ask({"action": "unsubscribe", "id": "2", "streams": ["market"]})
        heard_before = len(silent.ticks)
        late_start = await late.subscribe()
        await plain.batches(4, within=30)
        await pair.batches(2, within=15)
        await late.batches(1, within=12)
        await public.batches(1, within=30)
        clients = (plain, late, pair, single, compact, silent, public)
        await asyncio.gather(*(client.close() for client in clients))
    return Watched(*clients, late_start, pair_start, compact_start, unsubscribed, heard_before)


@pytest.fixture(scope="module")
def watched(emulator):
    return asyncio.run(watch(emulator))


def test_prices_move_every_five_seconds(watched):
    ticks = watched.plain.ticks
    steps = [after["seq"] - before["seq"] for before, after in pairwise(ticks)]
    # On a machine that starts four of these at once a tick may come to nothing.
    assert len(steps) >= 3
    assert steps.count(1) >= len(steps) - 1
    assert len(ticks[1]["updates"]) >= 15, "most instruments move"
    assert_every_tick_once(watched.plain)


def test_whatever_is_sent_is_of_the_contract(watched):
    for client in (watched.plain, watched.single, watched.compact, watched.public):
        for message in client.received:
            validate_message(json.dumps(message, default=float).encode())


def test_a_subscriber_starts_from_a_snapshot_and_misses_nothing(watched):
    stream = watched.late_start["streams"]["market"]
    assert stream["period_ms"] == 5000
    assert stream["seq"] >= watched.plain.ticks[0]["seq"]
    assert watched.late.ticks[0]["prev"] == stream["seq"]


def test_a_snapshot_has_every_instrument_and_says_where_its_quote_is_from(watched):
    snapshot = watched.late_start["streams"]["market"]["snapshot"]
    assert len(snapshot["instruments"]) == 30
    assert set(snapshot["data"]) == {instrument["symbol"] for instrument in snapshot["instruments"]}
    assert {quote["source"] for quote in snapshot["data"].values()} == {"simulated"}
    # Forex and metals close at the weekend.
    assert {quote["market"] for quote in snapshot["data"].values()} <= {"open", "closed"}
    assert snapshot["data"]["BTC"]["market"] == "open"
    assert not any(quote["stale"] for quote in snapshot["data"].values()), "nothing has failed"


def test_a_public_path_subscribes_by_itself_and_greets_with_a_snapshot(watched):
    greeting = next(message for message in watched.public.received if message["type"] == "snapshot")
    assert greeting["stream"] == "market"
    assert len(greeting["data"]) == 30
    assert watched.public.ticks


def test_a_follower_of_two_symbols_gets_those_two(watched):
    assert set(watched.pair_start["streams"]["market"]["snapshot"]["data"]) == {"BTC", "ETH"}
    assert len(watched.pair.ticks) >= 2
    for batch in watched.pair.ticks:
        assert {update["symbol"] for update in batch["updates"]} <= {"BTC", "ETH"}


def test_a_single_format_follower_gets_a_message_for_each_symbol(watched):
    updates = [message for message in watched.single.received if message["type"] == "market_update"]
    assert {update["symbol"] for update in updates} == {"BTC", "ETH"}
    for update in updates:
        assert {"last", "bid", "ask", "change_pct", "ts", "source", "stale", "market"} <= set(update["data"])


def test_a_compact_follower_learns_the_same_in_fewer_bytes(watched):
    listed = [one["symbol"] for one in watched.compact_start["streams"]["market"]["snapshot"]["instruments"]]
    ticks = [message for message in watched.compact.received if message["type"] == "market_compact"]
    batches = {batch["seq"]: batch for batch in watched.plain.ticks}
    assert len(batches.keys() & {tick["seq"] for tick in ticks}) >= 2
    for tick in ticks:
        assert tick["list"] == crc32(",".join(listed).encode())
        read = {}
        for number, *values in tick["updates"]:
            last, bid, ask, change_pct = (values + [None] * 4)[:4]
            read[listed[number]] = (last, last if bid == 0 else bid, last if ask == 0 else ask, change_pct)
        if (batch := batches.get(tick["seq"])) is not None:
            assert (tick["prev"], tick["ts"]) == (batch["prev"], batch["ts"])
            members = ("last", "bid", "ask", "change_pct")
            said = {one["symbol"]: tuple(one["data"][member] for member in members) for one in batch["updates"]}
            assert read == said


def test_unsubscribed_means_silence(watched):
    assert watched.unsubscribed["type"] == "unsubscribed"
    assert len(watched.silent.ticks) == watched.heard_before
    assert watched.plain.ticks[-1]["seq"] > watched.silent.ticks[-1]["seq"], "others heard more"


def test_our_own_template_allows_all_that_our_own_functions_do(emulator, watched):
    assert watched.plain.ticks
    assert "is not authorized to perform" not in emulator.output


async def test_a_scheduler_that_listens_hears_both_exchanges(emulator, run):
    keys = {f"aws_{name}": value for name, value in emulator.ready["credentials"].items()}
    dynamodb = boto3.client("dynamodb", endpoint_url=emulator.http, region_name=emulator.ready["region"], **keys)
    # With a table of its own it has every tick, and the first one is where it begins to listen.
    dynamodb.create_table(TableName="of-a-listener", **TABLE)
    environment = emulator.ready["environment"] | {"TICKWIRE_TABLE": "of-a-listener"}
    scheduler = run("-m", "scheduler", "--push", "--streams", "market", environment=environment)
    for exchange in ("binance", "kraken"):
        assert await asyncio.to_thread(scheduler.lines_with, f"listening to {exchange}", within=30), scheduler.output
    assert scheduler.stop() < 2
    assert scheduler.process.returncode == 0
