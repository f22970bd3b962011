from __future__ import annotations

import pytest

from scheduler.market.token_bucket import TokenBucket
from tests.scheduler.fakes import NOON, Clock


@pytest.fixture
def clock():
    return Clock()


def test_what_is_in_it_can_be_taken_at_once_and_no_more(clock):
    bucket = TokenBucket(5, 1, now=clock)
    assert [bucket.take(1) for _ in range(5)] == [0] * 5
    assert bucket.take(1) == 1_001


def test_what_was_refused_is_still_there(clock):
    bucket = TokenBucket(5, 1, now=clock)
    assert bucket.take(7) == 2_001
    assert bucket.take(5) == 0


def test_it_fills_up_at_its_rate_and_never_over_the_brim(clock):
    bucket = TokenBucket(5, 2, now=clock)
    bucket.take(5)
    clock.at += 1_500
    assert bucket.take(3) == 0
    assert bucket.take(1) > 0
    clock.at += 3_600_000
    assert bucket.take(6) > 0
    assert bucket.take(5) == 0


def test_the_wait_it_names_is_long_enough(clock):
    bucket = TokenBucket(2, 0.3, now=clock)
    bucket.take(2)
    clock.at += bucket.take(1)
    assert bucket.take(1) == 0


def test_a_clock_that_is_set_back_gives_nothing_and_takes_nothing(clock):
    bucket = TokenBucket(2, 1, now=clock)
    bucket.take(1)
    clock.at = NOON - 60_000
    assert bucket.take(1) == 0
    assert bucket.take(1) > 0
