"""How middle prices are counted from tick to tick, and read again by whoever comes later."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.hub.snapshots import Snapshot
from scheduler.composition import Known
from scheduler.market.moves import GAP_MS, Moved, Moves, SnapshotMoves, between, count, read
from scheduler.market.prices import Prices
from tests.fakes import InMemorySnapshotStore
from tests.scheduler.fakes import BITCOIN, EURO, NOON, ScriptedProvider, answering, quote

BEFORE = Moves(3, 5)


def euro(last="1.15", **changes):
    return quote("EURUSD", last, source="kraken", **changes)


@pytest.mark.parametrize(
    ("last", "counted"),
    [("1.16", Moves(5, 6)), ("1.14", Moves(3, 6)), ("1.15", Moves(4, 6)), ("1.1500", Moves(4, 6))],
    ids=["up", "down", "level", "written otherwise"],
)
def test_a_rise_counts_two_halves_no_move_one_and_a_fall_none(last, counted):
    assert count(BEFORE, euro(), euro(last)) == counted


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, euro()),
        (euro(), euro(None)),
        (euro(None), euro()),
        (euro(), replace(euro("1.2"), source="swissquote")),
        (euro(proxy=False), euro("1.2", proxy=True)),
        (euro(stale=True), euro("1.2", stale=True)),
        (euro(), euro(stale=True)),
        (euro(market="closed"), euro("1.2", market="closed")),
        (euro(market="closed"), euro("1.2")),
    ],
)
def test_what_cannot_be_compared_is_not_counted(old, new):
    assert count(BEFORE, old, new) == BEFORE


async def test_the_market_stream_counts_forex_and_metals_and_no_crypto():
    coin, rates = ScriptedProvider(answering(quote("BTC"))), ("1.15", "1.16", "1.16", "1.14")
    answers = [answering(euro(rate, answered_at=NOON + 5_000 * tick)) for tick, rate in enumerate(rates)]
    kraken = ScriptedProvider(*answers)
    kraken.name = "kraken"
    prices, known = Prices([BITCOIN, EURO], [coin, kraken]), Known()
    for tick in range(len(rates)):
        fetched = await prices.fetch(within=1)
        composition = prices.compose(fetched, known, now=NOON + 5_000 * tick, full=False)
        known = Known(composition.content, composition.state)
    moved = read(composition.content, composition.state, at=NOON)
    assert moved == Moved(NOON, {"EURUSD": Moves(3, 3)}, {"EURUSD": "kraken"})


async def test_they_are_read_from_the_snapshot():
    store = InMemorySnapshotStore()
    source = SnapshotMoves(store)
    assert await source.latest() == Moved()
    content = {"XAG": b'{"last":31.5,"source":"gold-api"}', "BTC": b"{}"}
    store.save(Snapshot("market", 7, NOON, content, b'{"moves":{"XAG":[7,9]}}'))
    assert await source.latest() == Moved(NOON, {"XAG": Moves(7, 9)}, {"XAG": "gold-api"})


@pytest.mark.parametrize(
    ("content", "state"),
    [({}, b"{"), ({}, b'{"moves":[]}'), ({}, b'{"moves":{"XAG":7}}'), ({"XAG": b"{}"}, b'{"moves":{"XAG":[7,9]}}')],
)
def test_what_another_version_has_written_counts_as_nothing(content, state, caplog):
    assert read(content, state, at=NOON) == Moved()
    assert "cannot be read" in caplog.text


def test_a_state_without_counts_has_none():
    assert read({"XAG": b"{}"}, b"", at=NOON) == Moved(NOON)
    assert read({"XAG": b"{}"}, b'{"held":{}}', at=NOON) == Moved(NOON)


def test_what_happened_between_is_the_difference():
    before = Moved(NOON, {"XAG": Moves(7, 9), "XPT": Moves(4, 4), "XPD": Moves(9, 9), "EURUSD": Moves()})
    after = Moved(NOON + 30_000, {"XAG": Moves(15, 15), "XPT": Moves(4, 4), "XPD": Moves(1, 1), "XAU": Moves(3, 3)})
    after = replace(after, moves={**after.moves, "EURUSD": Moves(9, 1)})
    # Nothing was counted of platinum, palladium began anew, gold is new, and of the euro it cannot be.
    assert between(before, after) == {"XAG": Moves(8, 6)}


@pytest.mark.parametrize("apart", [0, -30_000, GAP_MS + 1])
def test_between_counts_of_the_same_time_or_far_apart_nothing_is_said(apart):
    assert between(Moved(NOON, {"XAG": Moves(1, 1)}), Moved(NOON + apart, {"XAG": Moves(3, 3)})) == {}
    assert between(Moved(), Moved(NOON, {"XAG": Moves(3, 3)})) == {}


NUMBERS = st.integers(0, 50)
COUNTS = st.dictionaries(st.sampled_from(["XAG", "XPT"]), st.builds(Moves, NUMBERS, NUMBERS))


@given(COUNTS, COUNTS)
def test_whatever_was_written_no_more_than_every_tick_is_a_rise(before, after):
    for more in between(Moved(NOON, before), Moved(NOON + 30_000, after)).values():
        assert more.ticks > 0
        assert 0 <= more.halves <= 2 * more.ticks
