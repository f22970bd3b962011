"""One contract for every claim store: the fake that other tests use has passed the same as DynamoDB's."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from scheduler.claims import Claim, DynamoClaimStore, claim_store
from scheduler.settings import SchedulerSettings
from tests.fakes import create_table
from tests.scheduler.fakes import InMemoryClaimStore


@pytest.fixture(scope="module")
def dynamodb():
    with mock_aws():
        client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        create_table(client)
        yield client


@pytest.fixture(params=["memory", "dynamodb"])
def claims(request, dynamodb):
    if request.param == "memory":
        yield InMemoryClaimStore()
        return
    yield DynamoClaimStore(dynamodb, "tickwire")
    for stream in ("market", "signals"):
        dynamodb.delete_item(TableName="tickwire", Key={"pk": {"S": f"TICK#{stream}"}, "sk": {"S": "latest"}})


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
        class exceptions:  # noqa: N801 - botocore's name
            class ConditionalCheckFailedException(Exception):
                response = {"Error": {"Code": "ConditionalCheckFailedException"}}  # noqa: RUF012 - as botocore's

        def update_item(self, **request):
            raise self.exceptions.ConditionalCheckFailedException

    assert DynamoClaimStore(Refusing(), "tickwire").claim("market", 7, "mine") is None


def test_the_store_of_a_deployment_uses_its_table(dynamodb, monkeypatch):
    monkeypatch.setattr("scheduler.claims.dynamodb", lambda: dynamodb)
    store = claim_store(SchedulerSettings(table="tickwire"))
    assert store.claim("binary", 1, "mine") is not None
