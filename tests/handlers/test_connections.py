"""The contract of ConnectionStore, for the fake and for DynamoDB as moto plays it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from handlers.hub.connections import (
    Connection,
    ConnectionStore,
    DynamoConnectionStore,
    Subscription,
    connection_store,
    expiry,
    shard_of,
)
from handlers.hub.errors import CallRefused
from handlers.hub.settings import hub_settings
from tests.fakes import InMemoryConnectionStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from handlers.hub.dynamodb import DynamoDB
    from tests.dynamo_server import DynamoServer

OPENED = 1_795_000_000_123
EXPIRES = 1_795_007_800
NOW = 1_795_000_005
EVERYTHING = Subscription(symbols=None, subscribed_at=OPENED + 5, snapshot_owed=False)
BITCOIN = Subscription(symbols=frozenset({"BTC"}), subscribed_at=OPENED + 9, snapshot_owed=True)


def connection(name: str = "HCH-GdrTIAMCKUQ=", **subscriptions: Subscription) -> Connection:
    return Connection(id=name, connected_at=OPENED, expires_at=EXPIRES, format="batch", subscriptions=subscriptions)


@pytest.fixture(params=["in memory", "DynamoDB"])
def store(request: pytest.FixtureRequest) -> ConnectionStore:
    if request.param == "in memory":
        return InMemoryConnectionStore(shards=4)
    return DynamoConnectionStore(request.getfixturevalue("db"), request.getfixturevalue("table"), shards=4, page=2)


def followers(store: ConnectionStore, stream: str, *, now: int = NOW) -> list[Connection]:
    return [found for shard in range(store.shards) for found in store.followers(stream, shard, now=now)]


def test_nobody_is_found_in_an_empty_store(store: ConnectionStore):
    assert store.find("HCH-GdrTIAMCKUQ=") is None
    assert followers(store, "market") == []


def test_a_remembered_connection_is_found_whole(store: ConnectionStore):
    known = connection(market=BITCOIN, binary=EVERYTHING)
    store.remember(known)
    assert store.find(known.id) == known


@pytest.mark.parametrize(
    "symbols", [None, frozenset(), frozenset({"BTC"}), frozenset({"BTC", "ETH", "XAU"})], ids=["all", "none", "1", "3"]
)
def test_symbols_come_back_as_they_went(store: ConnectionStore, symbols: frozenset[str] | None):
    known = connection(signals=replace(EVERYTHING, symbols=symbols))
    store.remember(known)
    assert store.find(known.id) == known
    assert followers(store, "signals") == [known]


def test_remembering_again_replaces_everything(store: ConnectionStore):
    store.remember(connection(market=BITCOIN))
    store.remember(replace(connection(signals=EVERYTHING), format="single"))
    assert store.find("HCH-GdrTIAMCKUQ=") == replace(connection(signals=EVERYTHING), format="single")


def subscribe(
    store: ConnectionStore, name: str = "HCH-GdrTIAMCKUQ=", *, how: str | None = None, **wanted: Subscription
) -> None:
    store.subscribe(name, wanted, format=how, connected_at=OPENED, expires_at=EXPIRES)


def test_a_subscribe_replaces_its_streams_and_leaves_the_others(store: ConnectionStore):
    store.remember(connection(market=BITCOIN, signals=BITCOIN))
    subscribe(store, market=EVERYTHING, binary=EVERYTHING)
    assert store.find("HCH-GdrTIAMCKUQ=") == connection(market=EVERYTHING, signals=BITCOIN, binary=EVERYTHING)


def test_a_subscribe_of_a_connection_nobody_remembers_is_remembered(store: ConnectionStore):
    subscribe(store, market=BITCOIN)
    assert store.find("HCH-GdrTIAMCKUQ=") == connection(market=BITCOIN)
    assert followers(store, "market") == [connection(market=BITCOIN)]


def test_a_format_lasts_until_another_is_chosen(store: ConnectionStore):
    subscribe(store, market=EVERYTHING)
    formats = []
    for how in (None, "single", None, "batch"):
        subscribe(store, how=how, market=EVERYTHING)
        found = store.find("HCH-GdrTIAMCKUQ=")
        assert found is not None
        formats.append(found.format)
    assert formats == ["batch", "single", "single", "batch"]


def test_an_unsubscribe_says_what_is_left(store: ConnectionStore):
    store.remember(connection(market=BITCOIN, signals=EVERYTHING, binary=EVERYTHING))
    assert store.unsubscribe("HCH-GdrTIAMCKUQ=", ["market", "binary"]) == connection(signals=EVERYTHING)
    assert store.find("HCH-GdrTIAMCKUQ=") == connection(signals=EVERYTHING)
    assert followers(store, "market") == []


def test_an_unsubscribe_of_what_is_not_followed_changes_nothing(store: ConnectionStore):
    store.remember(connection(market=BITCOIN))
    assert store.unsubscribe("HCH-GdrTIAMCKUQ=", ["signals"]) == connection(market=BITCOIN)


def test_an_unsubscribe_of_a_connection_nobody_remembers_leaves_no_trace(store: ConnectionStore):
    assert store.unsubscribe("HCH-GdrTIAMCKUQ=", ["market"]) is None
    assert store.find("HCH-GdrTIAMCKUQ=") is None


def test_a_forgotten_connection_is_gone_and_a_second_time_is_no_error(store: ConnectionStore):
    store.remember(connection(market=BITCOIN))
    store.remember(connection("HCIC_eb5IAMCcBw=", market=BITCOIN))
    assert store.forget("HCH-GdrTIAMCKUQ=") is True
    assert store.forget("HCH-GdrTIAMCKUQ=") is False
    assert followers(store, "market") == [connection("HCIC_eb5IAMCcBw=", market=BITCOIN)]


def test_a_young_connection_is_kept_when_asked_for(store: ConnectionStore):
    store.remember(connection())
    assert store.forget("HCH-GdrTIAMCKUQ=", unless_connected_after=OPENED - 1) is False
    assert store.find("HCH-GdrTIAMCKUQ=") is not None
    assert store.forget("HCH-GdrTIAMCKUQ=", unless_connected_after=OPENED) is True
    assert store.find("HCH-GdrTIAMCKUQ=") is None
    assert store.forget("HCH-GdrTIAMCKUQ=", unless_connected_after=OPENED) is False


def test_every_follower_is_in_exactly_one_shard_and_all_shards_are_used(store: ConnectionStore):
    names = [f"HCH-G{number:02}TIAMCKUQ=" for number in range(24)]
    for name in names:
        store.remember(connection(name, market=EVERYTHING))
    shards = [[found.id for found in store.followers("market", shard, now=NOW)] for shard in range(4)]
    assert sorted(name for shard in shards for name in shard) == names
    assert all(len(shard) > 2 for shard in shards)  # more than one page of two
    assert all(shard == sorted(shard) for shard in shards)
    assert [[shard_of(name, 4) for name in shard] for shard in shards] == [
        [number] * len(shard) for number, shard in enumerate(shards)
    ]


def test_followers_are_those_of_the_stream_and_come_with_it_alone(store: ConnectionStore):
    store.remember(connection("HCH-G00TIAMCKUQ=", market=BITCOIN, signals=EVERYTHING))
    store.remember(connection("HCH-G01TIAMCKUQ=", signals=BITCOIN))
    store.remember(connection("HCH-G02TIAMCKUQ="))
    assert followers(store, "market") == [connection("HCH-G00TIAMCKUQ=", market=BITCOIN)]
    assert followers(store, "binary") == []


def test_an_expired_connection_follows_nothing_though_it_is_still_there(store: ConnectionStore):
    store.remember(connection(market=EVERYTHING))
    assert followers(store, "market", now=EXPIRES - 1) != []
    assert followers(store, "market", now=EXPIRES) == []
    assert store.find("HCH-GdrTIAMCKUQ=") is not None


def test_a_shard_beyond_the_last_has_no_followers(store: ConnectionStore):
    store.remember(connection(market=EVERYTHING))
    assert list(store.followers("market", 4, now=NOW)) == []


@pytest.mark.usefixtures("deployed")
def test_a_deployment_has_its_connections_in_its_table(db: DynamoDB, table: str):
    store = connection_store(hub_settings())
    store.remember(connection(market=EVERYTHING))
    assert followers(store, "market") == [connection(market=EVERYTHING)]
    assert DynamoConnectionStore(db, table, shards=4).find("HCH-GdrTIAMCKUQ=") == connection(market=EVERYTHING)


def test_a_connection_is_dropped_ten_minutes_after_the_two_hours_it_may_live():
    assert expiry(OPENED) == OPENED // 1000 + 7200 + 600


def test_the_shard_of_an_id_is_the_same_everywhere():
    assert [shard_of("HCH-GdrTIAMCKUQ=", shards) for shards in (1, 4, 16)] == [0, 1, 1]


def test_a_row_that_cannot_be_read_is_nobody_elses_trouble(
    moto: DynamoDBClient, db: DynamoDB, table: str, caplog: pytest.LogCaptureFixture
):
    store = DynamoConnectionStore(db, table, shards=1)
    for name in ("one", "two", "three"):
        store.remember(connection(name, market=EVERYTHING))
    odd = {"pk": {"S": "SHARD#0"}, "sk": {"S": "two"}, "market": {"S": "all"}, "expires_at": {"N": str(EXPIRES)}}
    moto.put_item(TableName=table, Item=odd)
    assert {found.id for found in store.followers("market", 0, now=NOW)} == {"one", "three"}
    assert "1 connections of a page cannot be read" in caplog.text


def test_a_table_that_is_not_there_is_named_by_every_read(db: DynamoDB):
    store = DynamoConnectionStore(db, "elsewhere", shards=4)
    with pytest.raises(CallRefused, match="ResourceNotFoundException"):
        followers(store, "market")


def test_each_call_is_one_request_and_every_read_sees_all_writes(db: DynamoDB, dynamo: DynamoServer, table: str):
    dynamo.asked.clear()
    store = DynamoConnectionStore(db, table, shards=4)
    store.remember(connection(market=BITCOIN))
    subscribe(store, market=EVERYTHING, signals=EVERYTHING, binary=EVERYTHING)
    store.find("HCH-GdrTIAMCKUQ=")
    followers(store, "market")
    store.unsubscribe("HCH-GdrTIAMCKUQ=", ["market", "signals"])
    store.forget("HCH-GdrTIAMCKUQ=", unless_connected_after=OPENED - 1)
    store.forget("HCH-GdrTIAMCKUQ=")
    calls = [(operation, request.get("ConsistentRead")) for operation, request in dynamo.asked]
    assert calls == [
        ("PutItem", None),
        ("UpdateItem", None),
        ("GetItem", True),
        *[("Query", True)] * 4,
        ("UpdateItem", None),
        ("DeleteItem", None),
        ("DeleteItem", None),
    ]


@pytest.fixture(params=[(4, 16), (16, 4), (3, 4)], ids=["more", "fewer", "unrelated"])
def change(request: pytest.FixtureRequest, db: DynamoDB, table: str):
    """The stores of the old functions, of the new ones, and of both when the change is over."""
    old, new = request.param
    return (
        DynamoConnectionStore(db, table, shards=old, others=new),
        DynamoConnectionStore(db, table, shards=new, others=old),
        DynamoConnectionStore(db, table, shards=new),
    )


NAMES = [f"{number}=" for number in range(12)]


def test_connections_of_either_number_of_shards_are_found_once_by_old_and_new_functions(change):
    old, new, _ = change
    for number, name in enumerate(NAMES):
        (old if number % 2 else new).remember(connection(name, market=EVERYTHING))
    for store in (old, new):
        assert sorted(one.id for one in followers(store, "market")) == sorted(NAMES)
        assert all(store.find(name) == connection(name, market=EVERYTHING) for name in NAMES)


def test_a_change_by_a_new_function_is_whole_and_found_once(change):
    old, new, after = change
    for name in NAMES:
        old.remember(connection(name, market=BITCOIN, binary=EVERYTHING))
        subscribe(new, name, market=EVERYTHING)
        assert new.find(name) == connection(name, market=EVERYTHING, binary=EVERYTHING)
        left = new.unsubscribe(name, ["binary"])
        assert left == connection(name, market=EVERYTHING)
    for store in (new, after):
        assert sorted(followers(store, "market"), key=lambda one: one.id) == [
            connection(name, market=EVERYTHING) for name in sorted(NAMES)
        ]
        assert followers(store, "binary") == []


def test_who_unsubscribes_first_by_a_new_function_is_told_what_is_left(change):
    old, new, _ = change
    for name in NAMES:
        old.remember(connection(name, market=BITCOIN, binary=EVERYTHING))
        assert new.unsubscribe(name, ["market"]) == connection(name, binary=EVERYTHING)


@pytest.mark.parametrize("limit", [None, OPENED])
def test_the_gone_are_forgotten_wherever_they_were_written(change, limit):
    old, new, _ = change
    for name in NAMES:
        old.remember(connection(name, market=EVERYTHING))
        assert new.forget(name, unless_connected_after=OPENED - 1) is False
        assert new.forget(name, unless_connected_after=limit) is True
        assert new.forget(name, unless_connected_after=limit) is False
    assert followers(old, "market") == followers(new, "market") == []


def test_a_row_that_somebody_else_has_brought_is_not_brought_again(change):
    old, new, after = change
    moved = next(name for name in NAMES if new._key(name) != old._key(name))
    old.remember(connection(moved, market=BITCOIN))
    after.remember(connection(moved, market=EVERYTHING))
    subscribe(new, moved, signals=EVERYTHING)
    assert after.find(moved) == connection(moved, market=EVERYTHING, signals=EVERYTHING)
    assert len(followers(new, "market")) == 1
