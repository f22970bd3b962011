"""One contract for every group store: the fake that other tests use has passed the same as DynamoDB's."""

from __future__ import annotations

from itertools import count

import pytest

from scheduler.groups import DynamoGroupStore, Standing, Tally, Turn, group_store
from scheduler.settings import SchedulerSettings
from tests.scheduler.fakes import NOON, InMemoryGroupStore

FIRST = Turn("market", 2, seq=7, attempt=1)
SECOND = Turn("market", 2, seq=7, attempt=2)
NEXT = Turn("market", 2, seq=8, attempt=1)
DONE = Tally(followers=9, posted=7, bytes=700, limited=1, gone=1, forgotten=1)

_numbers = count(1)


@pytest.fixture(params=["memory", "dynamodb"])
def groups(request):
    if request.param == "memory":
        return InMemoryGroupStore()
    dynamo = request.getfixturevalue("dynamo")
    name = f"groups-{next(_numbers)}"
    dynamo.create_table(name)
    return DynamoGroupStore(dynamo.client(), name)


def test_a_turn_is_taken_once(groups):
    assert groups.take(FIRST, now=NOON)
    assert not groups.take(FIRST, now=NOON + 1)
    assert groups.standings("market") == {2: Standing(FIRST, NOON)}


def test_a_turn_is_taken_by_a_write_that_is_tried_again_because_its_answer_was_lost(dynamo):
    dynamo.create_table("lossy")
    groups = DynamoGroupStore(dynamo.client(), "lossy")
    dynamo.unheard = 1
    assert groups.take(FIRST, now=NOON)
    dynamo.unheard = 1
    assert not groups.take(FIRST, now=NOON + 1), "another one's"
    assert groups.stay(FIRST, alive_at=NOON + 2)


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


def test_the_store_of_a_deployment_uses_its_table(dynamo, monkeypatch):
    monkeypatch.setattr("scheduler.groups.dynamodb", dynamo.client)
    dynamo.create_table("mine")
    assert group_store(SchedulerSettings(table="mine")).take(FIRST, now=NOON)
    item = dynamo.client().get_item(TableName="mine", Key={"pk": {"S": "FANOUT#market"}, "sk": {"S": "0002"}})
    assert int(item["expires_at"]["N"]) > NOON // 1000
