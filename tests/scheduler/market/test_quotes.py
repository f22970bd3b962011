from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.market import quotes
from tests.scheduler.fakes import NOON, as_written, quote


def test_a_number_reaches_the_wire_digit_for_digit():
    written = quotes.encode(quote(last="91776.00000000", change_pct="-0.10"), full=False)
    assert written == (b'{"last":91776.00000000,"bid":91775.99,"ask":91776.01,"change_pct":-0.10,"ts":%d}' % NOON)


def test_what_a_source_does_not_have_is_null():
    written = quotes.encode(quote(last=None, bid=None, ask=None, change_pct=None), full=False)
    assert written == b'{"last":null,"bid":null,"ask":null,"change_pct":null,"ts":%d}' % NOON


def test_a_full_quote_says_where_it_comes_from():
    read = msgspec.json.decode(quotes.encode(quote(source="simulated", stale=True, market="closed"), full=True))
    assert (read["source"], read["stale"], read["market"]) == ("simulated", True, "closed")


def test_only_what_may_be_a_proxy_says_whether_it_is_one():
    assert b"proxy" not in quotes.encode(quote(), full=True)
    for is_proxy in (True, False):
        assert msgspec.json.decode(quotes.encode(quote(proxy=is_proxy), full=True))["proxy"] is is_proxy
        assert b"proxy" not in quotes.encode(quote(proxy=is_proxy), full=False)


def test_a_full_quote_is_read_back_as_it_was_written():
    for written in (
        quote(),
        quote(last=None, bid="0.00000001", stale=True, market="closed", source="replay", proxy=True),
        quote(proxy=False),
    ):
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
    "text",
    ["", "NaN", "Infinity", "+1", ".5", "1.", "01", "1,000", " 1", "1\n", "0x1", "\u0661", "null", "1" * 41, "1e100"],
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


def test_a_new_percentage_of_the_same_price_is_no_change_but_the_first_or_the_last_is_one():
    assert quote(change_pct="4.983").says_the_same_as(quote(change_pct="4.984"))
    assert not quote(change_pct=None).says_the_same_as(quote(change_pct="4.984"))
    assert not quote(change_pct="4.983").says_the_same_as(quote(change_pct=None))


@pytest.mark.parametrize(
    "change",
    [
        {"last": "1"},
        {"bid": None},
        {"ask": "1"},
        {"source": "simulated"},
        {"stale": True},
        {"market": "closed"},
        {"proxy": True},
    ],
)
def test_everything_else_is_a_change(change):
    assert not quote().says_the_same_as(quote(**change))


def test_the_middle_is_exact():
    assert quotes.middle(["1.15033", "1.15042"]) == "1.150375"
    assert quotes.middle(["86330.4", "86331.50000", "1"]) == "86330.4"
    assert quotes.middle(["0.00000001", "0.00000002"]) == "0.000000015"
