from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.market import quotes
from tests.scheduler.fakes import NOON, as_written, quote

STALE_AFTER = {"BTC": 10_000}


def merge(known, answered, now):
    held = quotes.merge(
        {"BTC": known} if known else {},
        {"BTC": answered} if answered else {},
        symbols=["BTC"],
        now=now,
        stale_after=STALE_AFTER,
    )
    return held.get("BTC")


def test_a_number_reaches_the_wire_digit_for_digit():
    written = quotes.encode(quote(last="91776.00000000", change_pct="-0.10"), full=False)
    assert written == (b'{"last":91776.00000000,"bid":91775.99,"ask":91776.01,"change_pct":-0.10,"ts":%d}' % NOON)


def test_what_a_source_does_not_have_is_null():
    written = quotes.encode(quote(last=None, bid=None, ask=None, change_pct=None), full=False)
    assert written == b'{"last":null,"bid":null,"ask":null,"change_pct":null,"ts":%d}' % NOON


def test_a_full_quote_says_where_it_comes_from():
    read = msgspec.json.decode(quotes.encode(quote(source="simulated", stale=True, market="closed"), full=True))
    assert (read["source"], read["stale"], read["market"]) == ("simulated", True, "closed")


def test_a_full_quote_is_read_back_as_it_was_written():
    for written in (quote(), quote(last=None, bid="0.00000001", stale=True, market="closed", source="replay")):
        assert quotes.decode("BTC", quotes.encode(written, full=True), answered_at=NOON) == written


def test_a_short_quote_is_not_taken_for_a_full_one():
    with pytest.raises(msgspec.DecodeError):
        quotes.decode("BTC", quotes.encode(quote(), full=False), answered_at=NOON)


@given(st.decimals(min_value="0.00000001", max_value=10**12, places=8).map(str))
def test_any_price_survives_the_way_to_the_wire_and_back(text):
    assert quotes.price(text) == text
    written = quotes.encode(quote(last=text), full=True)
    assert as_written(written, "last") == text
    assert quotes.decode("BTC", written, answered_at=NOON).last == text


@pytest.mark.parametrize(
    "text", ["", "NaN", "Infinity", "+1", ".5", "1.", "01", "1,000", " 1", "1\n", "0x1", "\u0661", "null", "1" * 41]
)
def test_what_is_no_json_number_is_refused(text):
    with pytest.raises(ValueError, match="not a number"):
        quotes.number(text)


def test_a_negative_price_is_refused():
    with pytest.raises(ValueError, match="negative price"):
        quotes.price("-1.00")


@pytest.mark.parametrize("text", ["0", "0.00000000", "-0.0", "0e0"])
def test_a_price_of_zero_is_no_price(text):
    assert quotes.price(text) is None


def test_a_new_time_alone_is_no_change():
    assert quote().says_the_same_as(quote(ts=NOON + 1, answered_at=NOON + 5_000))


@pytest.mark.parametrize(
    "change",
    [
        {"last": "1"},
        {"bid": None},
        {"ask": "1"},
        {"change_pct": "1"},
        {"source": "simulated"},
        {"stale": True},
        {"market": "closed"},
    ],
)
def test_everything_else_is_a_change(change):
    assert not quote().says_the_same_as(quote(**change))


def test_an_answer_takes_the_place_of_what_was_known():
    answered = quote(last="2", ts=NOON + 5_000, answered_at=NOON + 5_000)
    assert merge(quote(), answered, NOON + 5_000) == answered


def test_without_an_answer_the_last_good_value_stays():
    assert merge(quote(), None, NOON + 10_000) == quote()


def test_a_value_older_than_two_periods_is_stale_and_otherwise_the_same():
    assert merge(quote(), None, NOON + 10_001) == replace(quote(), stale=True)


def test_a_good_answer_ends_staleness():
    answered = quote(ts=NOON + 20_000, answered_at=NOON + 20_000)
    assert merge(quote(stale=True), answered, NOON + 20_000) == answered


def test_nothing_is_held_of_what_was_never_answered():
    assert merge(None, None, NOON) is None


def test_an_answer_older_than_the_known_one_is_passed_over():
    backwards = quote(last="1", ts=NOON - 1, answered_at=NOON + 5_000)
    assert merge(quote(), backwards, NOON + 5_000) == quote()


def test_a_source_whose_clock_was_set_back_is_heard_again_once_the_known_value_is_stale():
    backwards = quote(last="1", ts=NOON - 3_600_000, answered_at=NOON + 11_000)
    assert merge(quote(), backwards, NOON + 11_000) == backwards


def test_an_instrument_that_is_traded_no_more_is_dropped():
    held = quotes.merge({"OLD": quote("OLD")}, {}, symbols=["BTC"], now=NOON, stale_after=STALE_AFTER)
    assert held == {}
