from __future__ import annotations

import msgspec
import pytest

from handlers.hub.instruments import instruments
from handlers.hub.snapshots import Snapshot
from scheduler.composition import Status
from scheduler.market.quotes import encode
from scheduler.messages import Messages, Notices
from tests.scheduler.fakes import NOON, follower, quote
from tests.wire import validate_message

BOTH = {symbol: encode(quote(symbol), full=True) for symbol in ("BTC", "ETH")}
KRAKEN_DOWN = Status("provider.kraken", "down", NOON)
STATE = Snapshot("market", seq=9, ts=NOON, data=BOTH, state=b"")
SHORT = {"BTC": encode(quote("BTC"), full=False)}


def told(messages, **who):
    return [validate_message(message) for message in messages.to(follower(**who))]


@pytest.fixture
def tick():
    return Messages(STATE, prev=8, updates=SHORT, now=NOON)


@pytest.fixture
def quiet():
    return Messages(STATE, prev=None, updates=None, now=NOON)


def test_a_follower_of_everything_gets_one_batch(tick):
    (batch,) = told(tick)
    assert (batch["type"], batch["seq"], batch["prev"], batch["ts"]) == ("market_batch", 9, 8, NOON)
    assert [update["symbol"] for update in batch["updates"]] == ["BTC"]


def test_a_follower_of_what_did_not_change_gets_an_empty_batch(tick):
    (batch,) = told(tick, symbols=frozenset({"ETH"}))
    assert (batch["seq"], batch["prev"], batch["updates"]) == (9, 8, [])


def test_single_messages_have_the_full_state_of_what_changed(tick):
    assert told(tick, how="single") == [
        {"type": "market_update", "symbol": "BTC", "data": msgspec.json.decode(BOTH["BTC"])}
    ]
    assert told(tick, how="single", symbols=frozenset({"ETH"})) == []


@pytest.mark.parametrize("how", ["batch", "single", "compact"])
def test_whoever_is_owed_a_snapshot_gets_it_instead(tick, how):
    (snapshot,) = told(tick, owed=True, at=NOON - 14_999, how=how, symbols=frozenset({"ETH"}))
    assert (snapshot["type"], snapshot["stream"], snapshot["seq"]) == ("snapshot", "market", 9)
    assert set(snapshot["data"]) == {"ETH"}


def test_a_snapshot_is_owed_for_the_first_period_and_ten_seconds(tick):
    assert told(tick, owed=True, at=NOON - 15_000)[0]["type"] == "market_batch"


def test_a_compact_follower_gets_numbers_of_the_market(tick):
    (batch,) = told(tick, how="compact")
    assert (batch["type"], batch["seq"], batch["prev"], batch["ts"]) == ("market_compact", 9, 8, NOON)
    assert batch["updates"] == [[list(instruments()).index("BTC"), 91776, 91775.99, 91776.01, 4.983]]
    (batch,) = told(tick, how="compact", symbols=frozenset({"ETH"}))
    assert (batch["seq"], batch["prev"], batch["updates"]) == (9, 8, [])


def test_a_compact_follower_gets_the_other_streams_as_everybody_does():
    state = Snapshot("signals", seq=9, ts=NOON, data={"BTC": b"{}"}, state=b"")
    tick = Messages(state, prev=8, updates={"BTC": b"{}"}, now=NOON)
    assert tick.to(follower(stream="signals", how="compact")) is tick.to(follower(stream="signals"))


def test_whoever_was_answered_with_a_snapshot_is_owed_none(tick):
    assert told(tick, at=NOON - 1)[0]["type"] == "market_batch"


def test_a_quiet_tick_has_something_for_those_only_who_are_owed_a_snapshot(quiet):
    assert told(quiet) == []
    assert told(quiet, how="single") == told(quiet, how="compact") == []
    assert told(quiet, owed=True, at=NOON)[0]["seq"] == 9


def test_the_same_words_are_written_once_for_all(tick):
    one, other = follower("one=", symbols=frozenset({"ETH"})), follower("other=", symbols=frozenset({"ETH"}))
    assert tick.to(one) is tick.to(other)


def test_a_notice_goes_to_everybody_before_what_else_there_is():
    notices = Notices("market", [KRAKEN_DOWN], [KRAKEN_DOWN], now=NOON)
    tick = Messages(STATE, prev=8, updates=SHORT, now=NOON, notices=notices)
    assert [message["type"] for message in told(tick)] == ["status", "market_batch"]
    assert [message["type"] for message in told(tick, how="single", symbols=frozenset({"ETH"}))] == ["status"]
    assert [message["type"] for message in told(tick, owed=True, at=NOON)] == ["status", "snapshot"]
    quiet = Messages(STATE, prev=None, updates=None, now=NOON, notices=notices)
    assert told(quiet) == [{"type": "status", "component": "provider.kraken", "state": "down", "since": NOON}]
    assert told(quiet) == told(notices)


@pytest.mark.parametrize("how", ["batch", "single", "compact"])
def test_whoever_is_new_is_told_once_a_tick_of_what_is_not_ok(how):
    standing = [KRAKEN_DOWN, Status("provider.binance", "ok", NOON - 1), Status("provider.gold-api", "closed", NOON)]
    notices = Notices("market", [KRAKEN_DOWN], standing, now=NOON)
    for tick in (
        notices,
        Messages(STATE, prev=8, updates=SHORT, now=NOON, notices=notices),
        Messages(STATE, prev=None, updates=None, now=NOON, notices=notices),
    ):
        said = told(tick, how=how, at=NOON - 14_999)
        assert [(one["component"], one["state"]) for one in said if one["type"] == "status"] == [
            ("provider.kraken", "down"),
            ("provider.gold-api", "closed"),
        ]
        said = told(tick, how=how, at=NOON - 15_000)
        assert [one["component"] for one in said if one["type"] == "status"] == ["provider.kraken"]
