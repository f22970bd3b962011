"""The contract of SnapshotStore, for the fake and for DynamoDB as moto plays it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from handlers.hub.errors import CallRefused
from handlers.hub.settings import hub_settings
from handlers.hub.snapshots import DynamoSnapshotStore, Snapshot, SnapshotStore, snapshot_store
from tests.fakes import InMemorySnapshotStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from handlers.hub.dynamodb import DynamoDB
    from tests.dynamo_server import DynamoServer

SNAPSHOT = Snapshot(
    stream="market",
    seq=359_000_006,
    ts=1_795_000_030_291,
    data={"BTC": b'{"last":67000.10,"bid":1E-8}', "ETH": b'{"last":3500.000}'},
    state=b'{"sums":[1.50]}',
)


@pytest.fixture(params=["in memory", "DynamoDB"])
def store(request: pytest.FixtureRequest) -> SnapshotStore:
    if request.param == "in memory":
        return InMemorySnapshotStore()
    return DynamoSnapshotStore(request.getfixturevalue("db"), request.getfixturevalue("table"))


def test_there_is_no_snapshot_before_the_first_is_saved(store: SnapshotStore):
    assert store.latest("market") is None


def test_a_snapshot_comes_back_to_the_byte(store: SnapshotStore):
    assert store.save(SNAPSHOT) is True
    assert store.latest("market") == SNAPSHOT


def test_an_empty_snapshot_comes_back(store: SnapshotStore):
    empty = replace(SNAPSHOT, data={}, state=b"")
    assert store.save(empty) is True
    assert store.latest("market") == empty


def test_streams_do_not_share_snapshots(store: SnapshotStore):
    signals = replace(SNAPSHOT, stream="signals", seq=1)
    store.save(SNAPSHOT)
    assert store.save(signals) is True
    assert (store.latest("market"), store.latest("signals")) == (SNAPSHOT, signals)


def test_a_later_snapshot_takes_the_place_of_an_earlier_one(store: SnapshotStore):
    store.save(SNAPSHOT)
    assert store.save(replace(SNAPSHOT, seq=359_000_007)) is True
    assert store.latest("market") == replace(SNAPSHOT, seq=359_000_007)


@pytest.mark.parametrize(
    "late", [replace(SNAPSHOT, seq=359_000_005), replace(SNAPSHOT, ts=1), replace(SNAPSHOT, state=b"")]
)
def test_an_earlier_or_another_snapshot_of_the_same_tick_is_refused(store: SnapshotStore, late: Snapshot):
    store.save(SNAPSHOT)
    assert store.save(late) is False
    assert store.latest("market") == SNAPSHOT


def test_the_very_same_snapshot_again_is_saved_as_a_retry_of_a_write_would_be(store: SnapshotStore):
    store.save(SNAPSHOT)
    assert store.save(SNAPSHOT) is True


def test_sequence_numbers_are_compared_as_numbers(store: SnapshotStore):
    store.save(replace(SNAPSHOT, seq=9))
    assert store.save(replace(SNAPSHOT, seq=10)) is True


def test_a_snapshot_whose_answer_is_lost_on_the_way_is_saved(db: DynamoDB, dynamo: DynamoServer, table: str):
    dynamo.unheard = 1
    assert DynamoSnapshotStore(db, table).save(SNAPSHOT) is True
    assert dynamo.unheard == 0


def test_what_is_stored_is_compressed(moto: DynamoDBClient, db: DynamoDB, table: str):
    quote = b'{"last":67000.10,"bid":67000.00,"ask":67000.10,"change_pct":-1.250,"ts":1795000029870}'
    many = replace(SNAPSHOT, data={f"S{number}": quote for number in range(500)})
    DynamoSnapshotStore(db, table).save(many)
    item = moto.get_item(TableName=table, Key={"pk": {"S": "SNAPSHOT#market"}, "sk": {"S": "latest"}})["Item"]
    assert len(item["payload"]["B"]) < 10_000


def test_a_snapshot_too_large_for_one_item_is_no_silent_loss(db: DynamoDB, table: str):
    incompressible = replace(
        SNAPSHOT, state=bytes((number * number * 2654435761 >> 13) & 255 for number in range(450_000))
    )
    with pytest.raises(CallRefused, match="ValidationException"):
        DynamoSnapshotStore(db, table).save(incompressible)


@pytest.mark.usefixtures("deployed")
def test_a_deployment_has_its_snapshots_in_its_table(table: str, db: DynamoDB):
    snapshot_store(hub_settings()).save(SNAPSHOT)
    assert DynamoSnapshotStore(db, table).latest("market") == SNAPSHOT
