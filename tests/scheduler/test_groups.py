"""One contract for every group store: the fake that other tests use has passed the same as DynamoDB's."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from scheduler.groups import DynamoGroupStore, Standing, Tally, Turn, group_store
from scheduler.settings import SchedulerSettings
from tests.fakes import create_table
from tests.scheduler.fakes import NOON, InMemoryGroupStore

FIRST = Turn("market", 2, seq=7, attempt=1)
SECOND = Turn("market", 2, seq=7, attempt=2)
NEXT = Turn("market", 2, seq=8, attempt=1)
DONE = Tally(followers=9, posted=7, bytes=700, limited=1, gone=1, forgotten=1)


@pytest.fixture(scope="module")
def dynamodb():
    with mock_aws():
        client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        yield client


@pytest.fixture(params=["memory", "dynamodb"])
def groups(request, dynamodb):
    if request.param == "memory":
        yield InMemoryGroupStore()
        return
    create_table(dynamodb)
    yield DynamoGroupStore(dynamodb, "tickwire")
    dynamodb.delete_table(TableName="tickwire")


def test_a_turn_is_taken_once(groups):
    assert groups.take(FIRST, now=NOON)
    assert not groups.take(FIRST, now=NOON + 1)
    assert groups.standings("market") == {2: Standing(FIRST, NOON)}


def test_a_turn_is_taken_by_a_write_that_is_tried_again_because_its_answer_was_lost(dynamodb, monkeypatch):
    create_table(dynamodb)
    write = dynamodb.update_item

    def write_twice(**given):
        write(**given)
        return write(**given)

    groups = DynamoGroupStore(dynamodb, "tickwire")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(dynamodb, "update_item", write_twice)
            assert groups.take(FIRST, now=NOON)
            assert not groups.take(FIRST, now=NOON + 1), "another one's"
        assert groups.stay(FIRST, alive_at=NOON + 2)
    finally:
        dynamodb.delete_table(TableName="tickwire")


def test_a_later_attempt_takes_over_and_an_earlier_one_comes_too_late(groups):
    groups.take(FIRST, now=NOON)
    assert groups.take(SECOND, now=NOON + 1)
    assert not groups.take(FIRST, now=NOON + 2)
    assert not groups.stay(FIRST, alive_at=NOON + 3)
    assert not groups.finish(FIRST, DONE, now=NOON + 4)
    assert groups.stay(SECOND, alive_at=NOON + 5)
    assert groups.standings("market") == {2: Standing(SECOND, NOON + 5)}


def test_what_is_done_is_not_done_again_by_a_later_attempt(groups):
    groups.take(FIRST, now=NOON)
    groups.finish(FIRST, DONE, now=NOON + 1)
    assert not groups.take(SECOND, now=NOON + 2)
    assert groups.standings("market") == {2: Standing(FIRST, NOON + 1, DONE)}
    assert groups.take(NEXT, now=NOON + 3)


def test_a_later_tick_begins_anew(groups):
    groups.take(SECOND, now=NOON)
    groups.finish(SECOND, DONE, now=NOON + 1)
    assert groups.take(NEXT, now=NOON + 2)
    assert groups.standings("market") == {2: Standing(NEXT, NOON + 2)}
    assert not groups.take(SECOND, now=NOON + 3)


def test_a_tally_is_found(groups):
    groups.take(FIRST, now=NOON)
    assert groups.finish(FIRST, DONE, now=NOON + 9)
    assert groups.standings("market") == {2: Standing(FIRST, NOON + 9, DONE)}


def test_what_nobody_has_taken_cannot_be_changed(groups):
    assert not groups.stay(FIRST, alive_at=NOON)
    assert not groups.finish(FIRST, DONE, now=NOON)
    assert groups.standings("market") == {}


def test_groups_and_streams_are_apart(groups):
    others = [Turn("market", number, 7, 1) for number in (0, 11)] + [Turn("binary", 2, 7, 1)]
    assert all(groups.take(turn, now=NOON) for turn in [FIRST, *others])
    assert groups.standings("market").keys() == {0, 2, 11}
    assert groups.standings("binary").keys() == {2}


def test_the_store_of_a_deployment_uses_its_table(dynamodb, monkeypatch):
    monkeypatch.setattr("scheduler.groups.dynamodb", lambda: dynamodb)
    create_table(dynamodb, "mine")
    assert group_store(SchedulerSettings(table="mine")).take(FIRST, now=NOON)
    item = dynamodb.scan(TableName="mine")["Items"][0]
    assert int(item["expires_at"]["N"]) > NOON // 1000
