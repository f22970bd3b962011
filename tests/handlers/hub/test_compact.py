"""What a compact update says, read back by the rules of the contract."""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.hub import compact
from scheduler.market import quotes
from tests.scheduler.fakes import NOON, quote
from tests.wire import schema

_exact = msgspec.json.Decoder(list[Any], float_hook=Decimal)


def said(one, *, full=True, ts=NOON):
    """Write a quote down and read it as a client does: the members of a ``data``."""
    written = b"[7%b]" % compact.values(quotes.encode(one, full=full), ts=ts)
    schema("compactQuote").validate(msgspec.json.decode(written))
    number, last, bid, ask, change_pct, rest = (_exact.decode(written) + [None] * 5)[:6]
    assert number == 7
    bid, ask = (last if side == 0 else side for side in (bid, ask))
    return {"last": last, "bid": bid, "ask": ask, "change_pct": change_pct, "ts": ts} | (rest or {})


def meant(one, *, full=True):
    return msgspec.json.decode(quotes.encode(one, full=full), type=dict[str, Any]) | {
        member: None if digits is None else Decimal(digits)
        for member, digits in (
            ("last", one.last),
            ("bid", one.bid),
            ("ask", one.ask),
            ("change_pct", one.change_pct),
        )
    }


@pytest.mark.parametrize(
    ("one", "written"),
    [
        (
            quote(last="67001.50000000", bid="67001.40", ask="67001.5", change_pct="-1.2480"),
            b",67001.5,67001.4,0,-1.248",
        ),
        (quote(last="100", bid="100.00", ask="1000", change_pct="0.000"), b",100,0,1000,0"),
        (quote(last="1.5e10", bid="0.00000001", ask=None, change_pct=None), b",1.5e10,0.00000001"),
        (quote(last=None, bid=None, ask="2.0", change_pct=None), b",null,null,2"),
        (quote(last=None, bid=None, ask=None, change_pct=None), b""),
    ],
    ids=["as the last", "whole numbers", "an exponent", "an ask alone", "nothing"],
)
def test_an_update_is_as_short_as_it_can_be(one, written):
    assert compact.values(quotes.encode(one, full=False), ts=NOON) == written


def test_an_origin_that_changed_is_said_in_whole():
    one = quote(source="kraken", stale=True, market="closed", proxy=True)
    assert said(one) == meant(one)
    assert "proxy" not in said(quote())


def test_what_is_a_proxy_no_more_says_so():
    one = quote(source="gold-api", proxy=False)
    assert said(one) == meant(one)
    assert said(one)["proxy"] is False


@pytest.mark.parametrize(("away", "told"), [(0, False), (5_000, False), (-5_000, False), (5_001, True), (-5_001, True)])
def test_a_time_is_said_when_it_is_a_period_away_from_the_batch(away, told):
    written = compact.values(quotes.encode(quote(ts=NOON), full=False), ts=NOON + away)
    assert (b'{"ts":%d}' % NOON in written) is told


PRICES = st.none() | st.decimals("0.00000001", 10**12, places=8).map(str)


@given(PRICES, PRICES, PRICES, st.none() | st.decimals(-100, 10**6, places=3).map(str), st.integers(0, 2 * NOON))
def test_no_digit_is_lost_whatever_a_source_says(last, bid, ask, change_pct, ts):
    one = quote(last=last, bid=bid, ask=ask, change_pct=change_pct, ts=ts)
    for full in (True, False):
        read = said(one, full=full)
        assert abs(read.pop("ts") - ts) <= compact.NEAR_MS
        expected = meant(one, full=full)
        del expected["ts"]
        assert read == expected


def test_a_list_is_known_by_its_symbols_and_their_order():
    assert compact.list_of(["BTC", "ETH"]) == zlib.crc32(b"BTC,ETH") == 4_241_612_041
    assert len({compact.list_of(names) for names in ([], ["BTC"], ["ETH", "BTC"], ["BTC", "ETH"])}) == 4
