"""The files of tests/messages, which the client's own tests read too: every kind of message, right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handlers.hub import compact, protocol
from handlers.hub.candles import Candles, Votes
from handlers.hub.errors import ClientFault, UnknownSymbol
from handlers.hub.protocol import CandlesRequest, Ping, SnapshotRequest, Subscribe, Unsubscribe, VotesRequest
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
    "subscribe-compact": Subscribe(id="1", streams=("market",), symbols=frozenset({"BTC", "ETH"}), format="compact"),
    "subscribe-unknown-member": Subscribe(id="1", streams=("market",)),
    "unsubscribe": Unsubscribe(id="2", streams=("market",)),
    "snapshot-request": SnapshotRequest(id="3", stream="market"),
    "candles-request": CandlesRequest(id="4", symbol="BTC", timeframe="1h"),
    "votes-request": VotesRequest(id="5", symbol="BTC", timeframe="15m"),
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
GOLD_CHANGED = b'{"last":4274.299805,"bid":null,"ask":null,"change_pct":null,"ts":1795000029000}'
GOLD_ITSELF = (
    b'{"last":4100.5,"bid":null,"ask":null,"change_pct":null,"ts":1795000049412,'
    b'"source":"gold-api","stale":false,"market":"open","proxy":false}'
)
MARKET = Snapshot(
    stream="market", seq=359_000_006, ts=1_795_000_030_291, data={"ETH": ETH, "BTC": BTC, "SOL": b"{}"}, state=b""
)
SENTIMENT = (
    b'{"method":"flow-sentiment/1","horizons":['
    b'{"h":"1m","expiry":1795000080000,"call":0.617,"put":0.383,"index":62,"label":"BULLISH",'
    b'"parts":{"flow":0.691,"book":0.478},"n":311},'
    b'{"h":"5m","expiry":1795000200000,"call":0.539,"put":0.461,"index":54,"label":"NEUTRAL",'
    b'"parts":{"flow":0.563,"book":0.512},"n":1180},'
    b'{"h":"15m","expiry":1795000500000,"call":null,"put":null,"index":null,"label":null,"parts":{},"n":0}],'
    b'"source":"binance","ts":1795000050107,"stale":false}'
)
CLOSED = (
    b'{"method":"flow-sentiment/1","horizons":['
    b'{"h":"1m","expiry":1795000080000,"call":null,"put":null,"index":null,"label":null,"parts":{},"n":0},'
    b'{"h":"5m","expiry":1795000200000,"call":null,"put":null,"index":null,"label":null,"parts":{},"n":0},'
    b'{"h":"15m","expiry":1795000500000,"call":null,"put":null,"index":null,"label":null,"parts":{},"n":0}],'
    b'"source":null,"ts":1795000050412,"stale":false,"reason":"closed","market":"closed"}'
)
SENTIMENT_OF_PRICES = (
    b'{"method":"flow-sentiment/1","horizons":[{"h":"1m","expiry":1795000080000,"call":0.512,"put":0.488,"index":51,'
    b'"label":"NEUTRAL","parts":{"flow":0.542},"n":12,"basis":"mids"}],"source":"gold-api","ts":1795000050020,'
    b'"stale":false,"market":"open"}'
)
SIGNAL = (
    b'{"rating":0.60303,"rating_ma":0.93333,"rating_osc":0.27273,"label":"STRONG_BUY",'
    b'"counts":{"ma":{"buy":14,"neutral":1,"sell":0},"osc":{"buy":4,"neutral":6,"sell":1}},'
    b'"timeframe":"1h","closed_at":1794999599999,"atr":771.60441,"source":"binance","stale":false,'
    b'"method":"tv-rating/3","other_timeframes":[{"rating":null,"rating_ma":null,"rating_osc":null,"label":null,'
    b'"reason":"too_few_candles","counts":{"ma":{"buy":0,"neutral":0,"sell":0},"osc":{"buy":0,"neutral":0,"sell":0}},'
    b'"timeframe":"1d","closed_at":1794959999999,"atr":null,"source":"binance","stale":true}],"not_advice":true}'
)
NO_SIGNAL = (
    b'{"rating":null,"rating_ma":null,"rating_osc":null,"label":null,"reason":"no_candles","counts":null,'
    b'"timeframe":"1h","closed_at":null,"atr":null,"source":null,"stale":false,'
    b'"method":"tv-rating/3","not_advice":true}'
)
ABOUT_BTC = ("BTC", "1h", 1_794_999_599_999, "binance")
CANDLES = Candles(
    *ABOUT_BTC, b"[[1794992400000,96010.00,96185.0,95807.00,96018.50,5704.650],[1794996000000,1,2,0.10,1E-1,null]]"
)
VOTED = {
    **dict.fromkeys(("SMA10", "SMA20", "SMA30", "SMA50", "SMA100", "SMA200"), 1),
    **dict.fromkeys(("EMA10", "EMA20", "EMA30", "EMA50", "EMA100", "EMA200", "HMA9", "VWMA20"), 1),
    **dict.fromkeys(("Ichimoku", "RSI"), 0),
    "Stoch": -1,
    "CCI": 0,
    **dict.fromkeys(("ADX", "AO", "Mom", "MACD"), 1),
    **dict.fromkeys(("StochRSI", "WilliamsR", "BBPower"), 0),
    "UO": None,
}
VOTES = Votes(
    *ABOUT_BTC,
    b'{"method":"tv-rating/3","rating":0.61667,"rating_ma":0.93333,"rating_osc":0.3,"label":"STRONG_BUY","votes":%b,'
    b'"not_advice":true}' % msgspec.json.encode(VOTED),
)
TWO = frozenset({"BTC", "ETH"})


def subscribed(latest: Snapshot | None, **options: Any) -> list[bytes]:
    return protocol.subscribed(
        "1", {"market": latest}, server_time=1_795_000_031_512, max_age_ms=6_900_000, ping_after_ms=15_000, **options
    )


def market_batch(seq: int, prev: int | None, ts: int, **updates: bytes) -> list[bytes]:
    return protocol.batch("market", seq=seq, prev=prev, ts=ts, updates=updates)


def compact_batch(seq: int, prev: int | None, ts: int, only: set[str], **updates: bytes) -> list[bytes]:
    values = {symbol: compact.values(data, ts=ts) for symbol, data in updates.items()}
    return protocol.compact_batch("market", seq=seq, prev=prev, ts=ts, values=values, only=frozenset(only))


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
    "market-batch-proxy-no-more": lambda: market_batch(359_000_010, 359_000_009, 1_795_000_050_290, XAU=GOLD_ITSELF),
    "market-batch-in-parts": lambda: market_batch(
        359_000_012, 359_000_011, 1_795_000_060_290, ETH=b'{"x":"' + b"x" * 29_900 + b'"}', BTC=BTC_CHANGED
    )[1:],
    "market-compact": lambda: compact_batch(
        359_000_007, 359_000_006, 1_795_000_035_288, {"ETH", "BTC"}, BTC=BTC_CHANGED
    ),
    "market-compact-nothing-of-yours": lambda: compact_batch(
        359_000_008, 359_000_007, 1_795_000_040_290, {"ETH"}, BTC=BTC_CHANGED
    ),
    "market-compact-gone-stale": lambda: compact_batch(
        359_000_009, 359_000_008, 1_795_000_045_290, {"ETH", "BTC"}, ETH=ETH
    ),
    "market-compact-proxy-no-more": lambda: compact_batch(
        359_000_010, 359_000_009, 1_795_000_050_290, {"ETH", "XAU"}, XAU=GOLD_ITSELF
    ),
    "market-compact-one-price-alone": lambda: compact_batch(
        359_000_006, None, 1_795_000_030_291, {"XAU"}, XAU=GOLD_CHANGED
    ),
    "signal-batch": lambda: protocol.batch(
        "signals", seq=59_833_334, prev=59_833_333, ts=1_795_000_020_455, updates={}
    ),
    "binary-batch": lambda: protocol.batch(
        "binary", seq=59_833_335, prev=59_833_334, ts=1_795_000_050_412, updates={"BTC": SENTIMENT}
    ),
    "market-update": lambda: [protocol.single("market", "BTC", BTC)],
    "signal-update": lambda: [protocol.single("signals", "BTC", SIGNAL)],
    "signal-update-without-candles": lambda: [protocol.single("signals", "XAG", NO_SIGNAL)],
    "candles": lambda: [protocol.candles("4", CANDLES)],
    "votes": lambda: [protocol.votes("5", VOTES)],
    "binary-update": lambda: [protocol.single("binary", "BTC", SENTIMENT)],
    "binary-update-closed": lambda: [protocol.single("binary", "EURUSD", CLOSED)],
    "binary-update-of-prices": lambda: [protocol.single("binary", "XAG", SENTIMENT_OF_PRICES)],
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
    assert said >= {*protocol.BATCH_TYPE.values(), *protocol.COMPACT_TYPE.values(), *protocol.UPDATE_TYPE.values()}
    refused = {one.error for one in EXAMPLES.values() if one.error}
    assert refused == {fault.code for fault in ClientFault.__subclasses__()}
