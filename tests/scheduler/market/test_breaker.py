from __future__ import annotations

import pytest

from scheduler.errors import RateLimited, Refused, Unreachable
from scheduler.market.breaker import ERRORS, PACES, Breaker, breaker_of
from tests.scheduler.fakes import NOON, Clock

TIMED_OUT = Unreachable("gold-api", "timed out")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker("gold-api", now=clock, jitter=lambda: 0.5)


def refused(until):
    return Refused("gold-api", "451", retry_at=until)


def test_nothing_stands_against_the_first_call(breaker):
    assert breaker.fault is None
    breaker.spend(1)


def test_a_refusal_holds_until_the_time_it_names(breaker, clock, caplog):
    fault = breaker.open(refused(NOON + 3_600_000))
    assert "no call to gold-api for 3600 s: gold-api: 451" in caplog.text
    clock.at = NOON + 3_599_999
    assert breaker.fault is fault
    with pytest.raises(Refused):
        breaker.spend(1)
    clock.at += 1
    assert breaker.fault is None
    breaker.spend(1)


def test_the_longest_refusal_counts(breaker, clock):
    breaker.open(refused(NOON + 60_000))
    breaker.open(refused(NOON + 1_000))
    clock.at = NOON + 59_999
    assert breaker.fault is not None


def test_five_errors_in_a_row_stop_the_calls_for_a_while(breaker, clock):
    for _ in range(ERRORS - 1):
        assert failed(breaker) is TIMED_OUT
    assert breaker.fault is None
    last = failed(breaker)
    assert (last.reason, last.retry_at) == ("timed out", NOON + 75_000)
    assert breaker.fault is last
    clock.at = NOON + 75_000
    assert breaker.fault is None


def failed(breaker):
    """Count the error of a call that was begun only now."""
    return breaker.count_error(TIMED_OUT, begun_at=breaker._now())


def test_calls_that_fail_at_the_same_time_are_one_error_of_the_row(breaker, clock):
    for _ in range(ERRORS - 1):
        begun = [clock.at, clock.at + 10, clock.at + 2_990]
        clock.at += 3_000
        assert [breaker.count_error(TIMED_OUT, begun_at=at) for at in begun] == [TIMED_OUT] * 3
    assert breaker.fault is None
    clock.at += 3_000
    assert breaker.count_error(TIMED_OUT, begun_at=clock.at - 3_000) is breaker.fault


@pytest.mark.parametrize(("jitter", "pause_ms"), [(0.0, 30_000), (1.0, 120_000)])
def test_the_while_is_30_to_120_seconds(clock, jitter, pause_ms):
    breaker = Breaker("gold-api", now=clock, jitter=lambda: jitter)
    for _ in range(ERRORS):
        failed(breaker)
    assert breaker.fault.retry_at == NOON + pause_ms


def test_an_answer_ends_the_row(breaker):
    for _ in range(ERRORS - 1):
        failed(breaker)
    breaker.count_answer()
    for _ in range(ERRORS - 1):
        failed(breaker)
    assert breaker.fault is None


def test_after_the_while_a_single_error_is_enough_and_an_answer_makes_all_good(breaker, clock):
    for _ in range(ERRORS):
        failed(breaker)
    clock.at = NOON + 75_000
    breaker.spend(1)
    assert failed(breaker).retry_at == NOON + 150_000
    clock.at = NOON + 150_000
    breaker.spend(1)
    breaker.count_answer()
    assert failed(breaker) is TIMED_OUT


def test_errors_of_calls_that_were_under_way_do_not_lengthen_the_while(breaker):
    for _ in range(ERRORS):
        failed(breaker)
    until = breaker.fault.retry_at
    assert failed(breaker) is TIMED_OUT
    assert breaker.fault.retry_at == until


def test_the_documented_pace_is_not_exceeded(clock):
    breaker = Breaker("kraken", now=clock)
    for _ in range(5):
        breaker.spend(1)
    with pytest.raises(RateLimited, match="kraken: the next call would be too soon") as refusal:
        breaker.spend(1)
    assert refusal.value.retry_at == NOON + 1_001
    assert breaker.fault is None
    breaker.spend(0)
    clock.at = NOON + 1_001
    breaker.spend(1)


def test_no_minute_spends_more_than_binance_allows_less_the_reserve():
    pace = PACES["binance"]
    assert pace.at_once + 60 * pace.per_second <= 6_000 - 300


def test_all_who_ask_the_same_address_share_one():
    assert breaker_of("binance", "https://one.test") is breaker_of("binance", "https://one.test")
    assert breaker_of("binance", "https://one.test") is not breaker_of("binance", "https://other.test")
