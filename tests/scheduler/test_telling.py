from __future__ import annotations

import pytest

from handlers.hub.snapshots import Snapshot
from scheduler.composition import Status
from scheduler.telling import Telling, pack, unpack
from tests.fakes import InMemorySnapshotStore
from tests.scheduler.fakes import NOON, follower

VALUES = {
    "BTC": b'{"last":91776.00000000,"bid":null,"ask":null,"change_pct":4.983,"ts":1,"source":"binance","stale":false}',
    "ETH": b'{"last":2.50,"bid":2.4,"ask":2.6,"change_pct":null,"ts":2,"source":"binance","stale":true}',
}
CHANGED = {"BTC": b'{"last":91776.00000000,"bid":null,"ask":null,"change_pct":4.983,"ts":1}'}
NEWS = [Status("provider.binance", "down", 1)]
STANDING = [*NEWS, Status("provider.kraken", "degraded", 2)]
STATE = Snapshot("market", 12, NOON, VALUES, b"the scheduler's")

TELLINGS = {
    "a tick": Telling("market", STATE, 11, CHANGED, NOON + 1, NEWS, STANDING),
    "the first": Telling("market", STATE, None, VALUES, NOON + 1),
    "a quiet tick": Telling("market", STATE, 11, None, NOON + 1),
    "a notice before any value": Telling("market", None, None, None, NOON + 1, NEWS, STANDING),
}
FOLLOWERS = [
    follower("all="),
    follower("some=", symbols=frozenset({"ETH"})),
    follower("single=", how="single"),
    follower("compact=", how="compact"),
    follower("owed=", owed=True, at=NOON),
]


@pytest.mark.parametrize("telling", TELLINGS.values(), ids=TELLINGS)
def test_what_was_packed_says_the_same_to_everybody(telling):
    unpacked = unpack(pack(telling), InMemorySnapshotStore())
    before, after = telling.messages(), unpacked.messages()
    assert [after(one) for one in FOLLOWERS] == [before(one) for one in FOLLOWERS]


def test_the_schedulers_own_state_does_not_travel():
    assert unpack(pack(TELLINGS["a tick"]), InMemorySnapshotStore()).state.state == b""


@pytest.mark.parametrize("name", ["a tick", "a quiet tick"])
def test_what_is_too_long_goes_by_reference_to_the_snapshot(name):
    telling = TELLINGS[name]
    short = pack(telling, limit=10)
    assert len(short) < len(pack(telling))
    unpacked = unpack(short, InMemorySnapshotStore(STATE))
    assert unpacked.state.data == VALUES
    assert (unpacked.prev, unpacked.now, unpacked.news) == (11, NOON + 1, telling.news)
    assert unpacked.updates == (None if telling.updates is None else {"BTC": VALUES["BTC"]})


@pytest.mark.parametrize("stored", [[], [Snapshot("market", 13, NOON, VALUES, b"")]], ids=["none", "a later one"])
def test_a_reference_to_a_snapshot_that_is_not_there_any_more_is_nothing(stored):
    assert unpack(pack(TELLINGS["a tick"], limit=10), InMemorySnapshotStore(*stored)) is None


def test_hundreds_of_instruments_fit_into_one_event():
    many = {f"COIN{number}": VALUES["BTC"].replace(b"91776", str(number * 7919).encode()) for number in range(500)}
    text = pack(Telling("market", Snapshot("market", 12, NOON, many, b""), 11, many, NOON))
    assert unpack(text, InMemorySnapshotStore()).state.data == many
    assert len(text) < 60_000
