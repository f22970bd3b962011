"""How messages are divided so that none passes 30,000 bytes, and that nothing is lost or changed by it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handlers.hub import compact, protocol
from handlers.hub.instruments import Instrument
from handlers.hub.snapshots import Snapshot
from tests.wire import contract, validate_message

if TYPE_CHECKING:
    from collections.abc import Mapping

QUOTE = (
    b'{"last":67000.10,"bid":67000.00,"ask":67000.10,"change_pct":-1.250,"ts":1795000029870,'
    b'"source":"binance","stale":false,"market":"open"}'
)
SIGNAL = (
    b'{"rating":null,"rating_ma":null,"rating_osc":null,"label":null,"reason":"no_candles","counts":null,'
    b'"timeframe":"1h","closed_at":null,"atr":null,"source":null,"stale":false,'
    b'"method":"tv-rating/3","not_advice":true}'
)


def many(count: int) -> dict[str, Instrument]:
    return {
        f"S{number:03}": Instrument(
            symbol=f"S{number:03}", name=f"Share «{number}»", kind="crypto", decimals=2, sources={"binance": "X"}
        )
        for number in range(count)
    }


def state(count: int, stream: str = "market") -> Snapshot:
    content = dict.fromkeys(many(count), QUOTE if stream == "market" else SIGNAL)
    return Snapshot(stream=stream, seq=359_000_006, ts=1_795_000_030_291, data=content, state=b"")


def test_a_snapshot_that_fits_is_one_part():
    [message] = protocol.snapshot(state(100), request_id="3", instruments=many(100))
    said = validate_message(message)
    assert (said["part"], said["parts"], len(said["data"])) == (1, 1, 100)


@pytest.mark.parametrize("count", [150, 400])
def test_a_large_snapshot_is_divided_without_loss_and_each_part_lists_its_instruments(count: int):
    parts = protocol.snapshot(state(count), request_id="3", instruments=many(count))
    said = [validate_message(part) for part in parts]
    assert max(map(len, parts)) <= protocol.LIMIT_BYTES
    assert min(map(len, parts[:-1])) > protocol.LIMIT_BYTES - 400  # no part is left half empty
    assert [(one["part"], one["parts"]) for one in said] == [(number + 1, len(said)) for number in range(len(said))]
    assert [symbol for one in said for symbol in one["data"]] == list(many(count))
    assert [[listed["symbol"] for listed in one["instruments"]] for one in said] == [list(one["data"]) for one in said]
    assert {one["seq"] for one in said} == {359_000_006}
    assert b"".join(parts).count(b'"last":67000.10,') == count


def test_every_length_of_a_snapshot_stays_under_the_limit():
    for length in range(200, 240):
        quote = b'"' + b"x" * length + b'"'
        latest = Snapshot(stream="signals", seq=1, ts=1, data=dict.fromkeys(many(150), quote), state=b"")
        parts = protocol.snapshot(latest, request_id='"' * 128, instruments=many(150))
        assert max(map(len, parts)) <= protocol.LIMIT_BYTES


def test_a_snapshot_lists_what_was_asked_for_and_has_no_data_yet():
    latest = Snapshot(stream="market", seq=1, ts=1, data={"S001": QUOTE}, state=b"")
    [message] = protocol.snapshot(latest, only=frozenset({"S001", "S002"}), instruments=many(5))
    said = validate_message(message)
    assert [listed["symbol"] for listed in said["instruments"]] == ["S001", "S002"]
    assert list(said["data"]) == ["S001"]


def test_a_snapshot_of_no_symbols_is_one_empty_part():
    [message] = protocol.snapshot(state(5), only=frozenset(), instruments=many(5))
    said = validate_message(message)
    assert (said["parts"], said["instruments"], said["data"]) == (1, [], {})


def test_data_of_an_instrument_that_is_not_listed_any_more_still_goes_out():
    [message] = protocol.snapshot(state(2), instruments=many(1))
    said = validate_message(message)
    assert [listed["symbol"] for listed in said["instruments"]] == ["S000"]
    assert list(said["data"]) == ["S000", "S001"]


def subscribed(latest: Mapping[str, Snapshot | None], **options: Any) -> list[bytes]:
    return protocol.subscribed("1", latest, server_time=1, max_age_ms=6_900_000, ping_after_ms=15_000, **options)


def test_an_answer_that_would_be_too_long_goes_without_snapshots_and_they_follow():
    ack, *parts = subscribed({"market": state(400)}, instruments=many(400))
    assert validate_message(ack)["streams"] == {"market": {"seq": 359_000_006, "period_ms": 5_000}}
    said = [validate_message(part) for part in parts]
    assert {(one["type"], one["id"], one["stream"]) for one in said} == {("snapshot", "1", "market")}
    assert sum(len(one["data"]) for one in said) == 400


def test_streams_that_fit_alone_but_not_together_follow_the_answer_too():
    latest = {"market": state(90), "signals": state(90, "signals"), "binary": None}
    ack, *parts = subscribed(latest, instruments=many(90))
    assert [set(one) for one in validate_message(ack)["streams"].values()] == [{"seq", "period_ms"}] * 3
    assert [validate_message(part)["stream"] for part in parts] == ["market", "signals"]


def test_a_snapshot_the_client_has_already_is_left_out_and_an_older_one_is_not():
    latest = {"market": state(5), "signals": state(5, "signals")}
    [message] = subscribed(latest, since={"market": 359_000_006, "signals": 359_000_005}, instruments=many(5))
    streams = validate_message(message)["streams"]
    assert "snapshot" not in streams["market"]
    assert len(streams["signals"]["snapshot"]["data"]) == 5


def test_a_long_batch_is_divided_only_when_it_must_be():
    def batch(count: int) -> list[bytes]:
        return protocol.batch("market", seq=2, prev=1, ts=3, updates=dict.fromkeys(many(count), QUOTE))

    [whole] = batch(170)
    assert set(validate_message(whole)) == {"type", "seq", "prev", "ts", "updates"}
    parts = batch(400)
    said = [validate_message(part) for part in parts]
    assert max(map(len, parts)) <= protocol.LIMIT_BYTES
    assert [(one["part"], one["parts"]) for one in said] == [(1, 3), (2, 3), (3, 3)]
    assert {(one["seq"], one["prev"]) for one in said} == {(2, 1)}
    assert [update["symbol"] for one in said for update in one["updates"]] == list(many(400))


def test_a_compact_batch_counts_in_the_instruments_that_are_followed_as_their_snapshot_does():
    only = frozenset({"S001", "S003", "S004", "GONE"})
    values = dict.fromkeys([*many(5), "GONE"], b",1")
    [message] = protocol.compact_batch("market", seq=2, prev=1, ts=3, values=values, only=only, instruments=many(5))
    [snapshot] = protocol.snapshot(state(5), only=only, instruments=many(5))
    said, listed = validate_message(message), validate_message(snapshot)["instruments"]
    assert said["list"] == compact.list_of(instrument["symbol"] for instrument in listed)
    assert [listed[number]["symbol"] for number, _ in said["updates"]] == ["S001", "S003", "S004"]


def test_a_compact_batch_counts_over_all_parts_of_a_snapshot_and_is_divided_itself():
    values = dict.fromkeys(many(1_200), b",67000.1,67000,0,-1.25")
    parts = protocol.compact_batch("market", seq=2, prev=1, ts=3, values=values, instruments=many(1_200))
    said = [validate_message(part) for part in parts]
    assert max(map(len, parts)) <= protocol.LIMIT_BYTES
    assert [(one["part"], one["parts"]) for one in said] == [(1, 2), (2, 2)]
    snapshots = map(validate_message, protocol.snapshot(state(1_200), instruments=many(1_200)))
    listed = [instrument["symbol"] for one in snapshots for instrument in one["instruments"]]
    assert [listed[update[0]] for one in said for update in one["updates"]] == list(many(1_200))
    assert {one["list"] for one in said} == {compact.list_of(listed)}


def test_one_instrument_is_never_divided():
    huge = b'"' + b"x" * 40_000 + b'"'
    parts = protocol.batch("signals", seq=2, prev=1, ts=3, updates={"A": b"1", "B": huge, "C": b"1"})
    assert [[update["symbol"] for update in msgspec.json.decode(part)["updates"]] for part in parts] == [
        ["A"],
        ["B"],
        ["C"],
    ]


def test_a_batch_holds_only_what_is_followed_in_the_order_of_the_updates():
    [message] = protocol.batch(
        "market", seq=2, prev=1, ts=3, updates={"C": QUOTE, "A": QUOTE, "B": QUOTE}, only=frozenset({"A", "C", "D"})
    )
    assert [update["symbol"] for update in validate_message(message)["updates"]] == ["C", "A"]


def test_the_words_of_the_code_are_the_words_of_the_contract():
    schemas = contract()["components"]["schemas"]
    assert schemas["stream"]["enum"] == list(protocol.STREAMS)
    assert schemas["error"]["properties"]["code"]["enum"] == list(protocol.ERROR_CODES)
    assert schemas["subscribe"]["properties"]["format"]["enum"] == [*protocol.FORMATS, None]
    assert schemas["subscribe"]["properties"]["symbols"]["maxItems"] == protocol.MAX_SYMBOLS
    assert set(schemas["streamState"]["properties"]["period_ms"]["enum"]) == set(protocol.PERIOD_MS.values())
    assert schemas["subscribed"]["properties"]["v"]["const"] == protocol.VERSION
    limit = re.search(r"No message is longer than ([\d,]+) bytes", contract()["info"]["description"])
    assert limit is not None
    assert int(limit[1].replace(",", "")) == protocol.LIMIT_BYTES
