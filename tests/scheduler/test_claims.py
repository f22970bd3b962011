"""One contract for every claim store: the fake that other tests use has passed the same as DynamoDB's."""

from __future__ import annotations

from itertools import count

import pytest

from handlers.hub.errors import ConditionFailed
from scheduler.claims import Claim, DynamoClaimStore, claim_store
from scheduler.settings import SchedulerSettings
from tests.scheduler.fakes import InMemoryClaimStore

_numbers = count(1)


@pytest.fixture(params=["memory", "dynamodb"])
def claims(request):
    if request.param == "memory":
        return InMemoryClaimStore()
    dynamo = request.getfixturevalue("dynamo")
    name = f"claims-{next(_numbers)}"
    dynamo.create_table(name)
    return DynamoClaimStore(dynamo.client(), name)


def test_the_first_claim_of_a_tick_wins(claims):
    assert claims.claim("market", 7, "mine") == Claim("market", 7, "mine", fence=1)


def test_a_tick_is_given_to_one_run_only(claims):
    claims.claim("market", 7, "mine")
    assert claims.claim("market", 7, "theirs") is None


def test_an_earlier_tick_cannot_be_claimed_any_more(claims):
    claims.claim("market", 7, "mine")
    assert claims.claim("market", 6, "mine") is None


def test_any_run_may_go_on_and_each_claim_has_a_higher_fence(claims):
    claims.claim("market", 7, "mine")
    assert claims.claim("market", 9, "theirs") == Claim("market", 9, "theirs", fence=2)


def test_a_claim_that_was_made_unheard_and_is_tried_again_has_won(claims):
    first = claims.claim("market", 7, "mine")
    assert claims.claim("market", 7, "mine") == first


def test_streams_are_claimed_apart(claims):
    claims.claim("market", 7, "mine")
    assert claims.claim("signals", 7, "theirs") is not None


def test_what_a_tick_leaves_is_found_by_the_next_claim(claims):
    claims.leave(claims.claim("market", 7, "mine"), b"\x00state")
    found = claims.claim("market", 9, "theirs")
    assert (found.state, found.state_seq) == (b"\x00state", 7)


def test_a_tick_that_was_overtaken_leaves_nothing(claims):
    early = claims.claim("market", 7, "mine")
    claims.leave(claims.claim("market", 8, "theirs"), b"later")
    assert claims.leave(early, b"earlier") is False
    assert claims.claim("market", 9, "mine").state == b"later"


def test_what_was_sent_is_known_to_every_later_claim(claims):
    first = claims.claim("market", 7, "mine")
    assert first.sent_seq is None
    assert claims.commit(first, 3)
    assert claims.commit(first, 3), "a write that succeeded unheard is tried again"
    claims.claim("market", 8, "theirs")
    found = claims.claim("market", 9, "mine")
    assert (found.sent_seq, found.followers) == (7, 3)


def test_a_tick_that_was_overtaken_is_never_sent(claims):
    early = claims.claim("market", 7, "mine")
    claims.claim("market", 8, "theirs")
    assert claims.commit(early, 3) is False
    assert claims.claim("market", 9, "mine").sent_seq is None


def test_an_answer_without_the_item_that_won_is_a_lost_claim():
    """Not every DynamoDB besides AWS's knows ReturnValuesOnConditionCheckFailure."""

    class Refusing:
        def update_item(self, **request):
            raise ConditionFailed("The conditional request failed")

    assert DynamoClaimStore(Refusing(), "tickwire").claim("market", 7, "mine") is None


def test_a_claim_whose_answer_is_lost_on_the_way_is_won_once(dynamo):
    dynamo.create_table("lossy")
    dynamo.asked.clear()
    dynamo.unheard = 1
    store = DynamoClaimStore(dynamo.client(), "lossy")
    assert store.claim("market", 7, "mine") == Claim("market", 7, "mine", fence=1)
    assert [operation for operation, _ in dynamo.asked] == ["UpdateItem"] * 2
    dynamo.unheard = 1
    assert store.claim("market", 7, "theirs") is None


def test_the_store_of_a_deployment_uses_its_table(dynamo, monkeypatch):
    monkeypatch.setattr("scheduler.claims.dynamodb", dynamo.client)
    dynamo.create_table("mine")
    store = claim_store(SchedulerSettings(table="mine"))
    assert store.claim("binary", 1, "mine") is not None
    assert dynamo.asked[-1][1]["TableName"] == "mine"
