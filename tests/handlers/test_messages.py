"""The files of tests/messages, which the client's own tests read too: every kind of message, right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handlers.hub import protocol
from handlers.hub.errors import ClientFault, UnknownSymbol
from handlers.hub.protocol import Ping, SnapshotRequest, Subscribe, Unsubscribe
from handlers.hub.snapshots import Snapshot
from tests.wire import validate_message, validate_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER = Path(__file__).parents[1] / "messages"


class Example(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    direction: str
    valid: bool
    error: str | None = None
    message: Any = None
    text: str | None = None

    def as_text(self) -> str:
        return msgspec.json.encode(self.message).decode() if self.text is None else self.text


EXAMPLES = {path.stem: msgspec.json.decode(path.read_bytes(), type=Example) for path in sorted(FOLDER.glob("*.json"))}


def those(direction: str, *, valid: bool) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "name",
        [name for name, one in EXAMPLES.items() if (one.direction, one.valid) == (direction, valid)],
    )


def test_every_example_is_named_like_its_file_and_says_which_way_it_goes():
    assert {name: one.name for name, one in EXAMPLES.items()} == {name: name for name in EXAMPLES}
    assert {one.direction for one in EXAMPLES.values()} == {"client", "server"}
    assert all((one.error is not None) == (one.direction == "client" and not one.valid) for one in EXAMPLES.values())


REQUESTS: Mapping[str, protocol.Request] = {
    "subscribe": Subscribe(
        id="1",
        streams=("market",),
        symbols=frozenset({"BTC", "ETH"}),
        since={"market": 359_000_006},
        format="batch",
    ),
    "subscribe-everything": Subscribe(streams=("market", "signals", "binary")),
    "subscribe-small-letters": Subscribe(id="1", streams=("market",), symbols=frozenset({"BTC"})),
    "subscribe-repeated-streams": Subscribe(id="1", streams=("market",)),
    "subscribe-no-symbols": Subscribe(id="1", streams=("market",), symbols=frozenset()),
    "subscribe-nulls": Subscribe(streams=("market",)),
    "subscribe-since-nothing": Subscribe(id="1", streams=("market",), since={"market": None}),
    "subscribe-single": Subscribe(id=7, streams=("market",), format="single"),
    "subscribe-unknown-member": Subscribe(id="1", streams=("market",)),
    "unsubscribe": Unsubscribe(id="2", streams=("market",)),
    "snapshot-request": SnapshotRequest(id="3", stream="market"),
    "ping": Ping(id="6"),
    "ping-without-id": Ping(),
    "ping-bare": Ping(),
}


@those("client", valid=True)
def test_a_right_request_is_read_and_fits_the_contract(name: str):
    text = EXAMPLES[name].as_text()
    assert protocol.parse_request(text) == REQUESTS[name]
    validate_request(text)


@those("client", valid=False)
def test_a_wrong_request_is_refused_with_its_code(name: str):
    with pytest.raises(ClientFault) as fault:
        protocol.parse_request(EXAMPLES[name].as_text())
    assert fault.value.code == EXAMPLES[name].error


CONTRACT_KNOWS_NOT = {"unknown-symbol"}
"""Which instruments there are, is no part of the contract."""


@those("client", valid=False)
def test_a_wrong_request_does_not_fit_the_contract(name: str):
    if name in CONTRACT_KNOWS_NOT:
        validate_request(EXAMPLES[name].as_text())
        return
    with pytest.raises((AssertionError, AttributeError, msgspec.DecodeError)):
        validate_request(EXAMPLES[name].as_text())


BTC = (
    b'{"last":67000.10,"bid":67000.00,"ask":67000.10,"change_pct":-1.250,"ts":1795000029870,'
    b'"source":"binance","stale":false,"market":"open"}'
)
BTC_CHANGED = b'{"last":67001.50,"bid":67001.40,"ask":67001.50,"change_pct":-1.2480,"ts":1795000034951}'
ETH = (
    b'{"last":3500.0,"bid":null,"ask":null,"change_pct":0.00,"ts":1795000029412,'
    b'"source":"binance","stale":true,"market":"open"}'
)
MARKET = Snapshot(
    stream="market", seq=359_000_006, ts=1_795_000_030_291, data={"ETH": ETH, "BTC": BTC, "SOL": b"{}"}, state=b""
)
TWO = frozenset({"BTC", "ETH"})


def subscribed(latest: Snapshot | None, **options: Any) -> list[bytes]:
    return protocol.subscribed(
        "1", {"market": latest}, server_time=1_795_000_031_512, max_age_ms=6_900_000, ping_after_ms=15_000, **options
    )


def market_batch(seq: int, prev: int | None, ts: int, **updates: bytes) -> list[bytes]:
    return protocol.batch("market", seq=seq, prev=prev, ts=ts, updates=updates)


COMPOSED: Mapping[str, Callable[[], list[bytes]]] = {
    "subscribed": lambda: subscribed(MARKET, only=TWO),
    "subscribed-resumed": lambda: subscribed(MARKET, since={"market": 359_000_006}),
    "subscribed-before-the-first-tick": lambda: subscribed(None),
    "unsubscribed": lambda: [protocol.unsubscribed("2", ["signals"])],
    "snapshot": lambda: protocol.snapshot(MARKET, request_id="3", only=TWO),
    "snapshot-owed": lambda: protocol.snapshot(MARKET, only=TWO),
    "market-batch": lambda: market_batch(359_000_007, 359_000_006, 1_795_000_035_288, BTC=BTC_CHANGED),
    "market-batch-nothing-of-yours": lambda: protocol.batch(
        "market",
        seq=359_000_008,
        prev=359_000_007,
        ts=1_795_000_040_290,
        updates={"BTC": BTC_CHANGED},
        only=frozenset({"ETH"}),
    ),
    "market-batch-the-first": lambda: market_batch(359_000_006, None, 1_795_000_030_291),
    "market-batch-gone-stale": lambda: market_batch(359_000_009, 359_000_008, 1_795_000_045_290, ETH=ETH),
    "market-batch-in-parts": lambda: market_batch(
        359_000_012, 359_000_011, 1_795_000_060_290, ETH=b'{"x":"' + b"x" * 29_900 + b'"}', BTC=BTC_CHANGED
    )[1:],
    "signal-batch": lambda: protocol.batch(
        "signals", seq=59_833_334, prev=59_833_333, ts=1_795_000_020_455, updates={}
    ),
    "binary-batch": lambda: protocol.batch("binary", seq=59_833_334, prev=59_833_333, ts=1_795_000_020_455, updates={}),
    "market-update": lambda: [protocol.single("market", "BTC", BTC)],
    "signal-update": lambda: [protocol.single("signals", "BTC", b"{}")],
    "binary-update": lambda: [protocol.single("binary", "BTC", b"{}")],
    "pong": lambda: [protocol.pong("6", 1_795_000_031_512)],
    "pong-to-the-bare-ping": lambda: [protocol.pong(None, 1_795_000_031_512)],
    "status": lambda: [protocol.status("provider.kraken", "degraded", 1_795_000_031_512)],
    "error": lambda: [protocol.error(UnknownSymbol("ABC"), "1")],
    "error-retryable": lambda: [protocol.unavailable(7, "the table of connections does not answer; try again")],
}


@those("server", valid=True)
def test_a_right_message_is_composed_to_the_digit_and_fits_the_contract(name: str):
    [message] = COMPOSED[name]()
    assert message.decode() == EXAMPLES[name].as_text()
    validate_message(message)


@those("server", valid=False)
def test_a_wrong_message_does_not_fit_the_contract(name: str):
    with pytest.raises(AssertionError):
        validate_message(EXAMPLES[name].as_text())


def test_every_kind_of_message_has_an_example():
    said = {msgspec.json.decode(one.as_text())["type"] for one in EXAMPLES.values() if one.direction == "server"}
    assert said >= {"subscribed", "unsubscribed", "snapshot", "pong", "status", "error"}
    assert said >= {*protocol.BATCH_TYPE.values(), *protocol.UPDATE_TYPE.values()}
    refused = {one.error for one in EXAMPLES.values() if one.error}
    assert refused == {fault.code for fault in ClientFault.__subclasses__()}
