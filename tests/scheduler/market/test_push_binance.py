"""What Binance's WebSocket says, frame by frame."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from handlers.hub.instruments import Instrument
from scheduler.errors import MalformedAnswer, Unreachable
from scheduler.market.push.binance import BinanceListener, BinanceListening
from tests.scheduler.fakes import BITCOIN, ETHER, NOON, pushed_frame, pushed_ticker

SHARED = os.environ.get("TICKWIRE_SHARED")
recorded = pytest.mark.skipif(not SHARED, reason="TICKWIRE_SHARED names no folder with recorded answers")


def book(symbol="BTCUSDT", bid="91776.00000000", ask="91776.02000000") -> bytes:
    return pushed_frame(f"{symbol.lower()}@bookTicker", u=1, s=symbol, b=bid, B="1.0", a=ask, A="2.0")


def listener() -> BinanceListener:
    return BinanceListener(["BTCUSDT", "ETHUSDT"])


def test_the_address_names_both_streams_of_every_symbol_and_nothing_is_sent():
    assert listener().address == ("stream?streams=btcusdt@ticker/ethusdt@ticker/btcusdt@bookTicker/ethusdt@bookTicker")
    assert listener().greeting == ()


async def test_no_connection_has_more_than_1024_streams():
    many = [
        Instrument(symbol=f"C{n}", name="", kind="crypto", decimals=2, sources={"binance": f"C{n}USDT"})
        for n in range(600)
    ]
    assert (await BinanceListening().listen(many)).address.count("@") == 1_024


def test_a_ticker_is_a_whole_quote_in_its_own_digits_at_its_own_time():
    one = listener()
    assert (one.is_heard, one.quote(BITCOIN, source="binance")) == (False, None)
    one.hear(pushed_ticker(), now=NOON + 80)
    quote = one.quote(BITCOIN, source="simulated")
    assert one.is_heard
    assert (quote.symbol, quote.last, quote.bid, quote.ask) == (
        "BTC",
        "91776.10000000",
        "91775.99000000",
        "91776.01000000",
    )
    assert (quote.change_pct, quote.ts, quote.answered_at, quote.source) == ("4.983", NOON, NOON + 80, "simulated")
    assert one.quote(ETHER, source="binance") is None


def test_a_later_book_has_the_newer_bid_and_ask_and_the_tickers_clock_goes_on():
    one = listener()
    one.hear(pushed_ticker(), now=NOON - 3_000)  # our clock is three seconds behind Binance's
    one.hear(book(), now=NOON - 2_600)
    quote = one.quote(BITCOIN, source="binance")
    assert (quote.last, quote.bid, quote.ask) == ("91776.10000000", "91776.00000000", "91776.02000000")
    assert (quote.ts, quote.answered_at) == (NOON + 400, NOON - 2_600)


def test_a_book_from_before_the_ticker_counts_no_more():
    one = listener()
    one.hear(book(bid="1.0", ask="2.0"), now=NOON)
    assert one.quote(BITCOIN, source="binance") is None
    one.hear(pushed_ticker(at=NOON), now=NOON + 10)
    assert one.quote(BITCOIN, source="binance").bid == "91775.99000000"


def test_an_empty_side_is_none_and_what_is_no_price_is_a_fault():
    one = listener()
    one.hear(pushed_ticker(b="0.00000000"), now=NOON)
    assert one.quote(BITCOIN, source="binance").bid is None
    one.hear(book(bid="NaN"), now=NOON + 1)
    with pytest.raises(MalformedAnswer, match="BTCUSDT cannot be read on its socket"):
        one.quote(BITCOIN, source="binance")
    one.hear(book(), now=NOON + 2)
    assert one.quote(BITCOIN, source="binance").bid == "91776.00000000"


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"stream":"btcusdt@ticker","da', b"[]", b"<html>", b'"text"', b'{"e":"\xff"}']
)
def test_what_is_no_message_is_a_fault_of_the_connection(text):
    with pytest.raises(MalformedAnswer):
        listener().hear(text, now=NOON)


def test_a_ticker_without_its_members_is_a_fault_of_the_connection():
    with pytest.raises(MalformedAnswer):
        listener().hear(pushed_frame("btcusdt@ticker", e="24hrTicker"), now=NOON)


@pytest.mark.parametrize(
    "text",
    [b'{"e":"serverShutdown","E":1770123456789}', pushed_frame("!serverShutdown", e="serverShutdown", E=1770123456789)],
)
def test_an_announced_shutdown_asks_to_leave(text):
    one = listener()
    one.hear(pushed_ticker(), now=NOON)
    assert not one.is_leaving
    one.hear(text, now=NOON)
    assert one.is_leaving
    assert one.quote(BITCOIN, source="binance") is not None


def test_other_streams_and_answers_are_passed_over():
    one = listener()
    one.hear(pushed_frame("btcusdt@aggTrade", e="aggTrade", p="1.0"), now=NOON)
    one.hear(b'{"result":null,"id":1}', now=NOON)
    assert not one.is_heard


def test_messages_that_take_longer_and_longer_are_late_until_they_do_not():
    one = listener()
    for second, delay in enumerate([4_050, 4_000, 4_900]):  # the clocks are four seconds apart
        one.hear(pushed_ticker(at=NOON + 1_000 * second), now=NOON + 1_000 * second + delay)
    assert one.quote(BITCOIN, source="binance") is not None
    one.hear(pushed_ticker(at=NOON + 3_000), now=NOON + 3_000 + 5_001)
    assert one.quote(BITCOIN, source="binance") is None
    one.hear(pushed_ticker(at=NOON + 4_000), now=NOON + 4_000 + 4_100)
    assert one.quote(BITCOIN, source="binance") is not None


def test_a_connection_that_stays_late_is_given_up():
    one = listener()
    one.hear(pushed_ticker(at=NOON), now=NOON)
    for second in range(1, 7):
        one.hear(pushed_ticker(at=NOON + 1_000 * second), now=NOON + 1_000 * second + 2_000)
    with pytest.raises(Unreachable, match=r"2\.0 s late"):
        one.hear(pushed_ticker(at=NOON + 7_000), now=NOON + 9_000)


def captured(name):
    return json.loads((Path(SHARED or "") / "market" / "recordings" / name).read_text())["frames"]


def instrument(name):
    return Instrument(symbol=name, name=name, kind="crypto", decimals=8, sources={"binance": name})


@recorded
@pytest.mark.parametrize("name", ["binance_ws_combined_capture.json", "binance_fapi_ws_bookticker_capture.json"])
def test_every_captured_frame_is_read_and_the_last_book_of_each_symbol_holds(name):
    frames = captured(name)
    books = {
        one["msg"]["data"]["s"]: (one["msg"]["data"], int(one["recv"] * 1000))
        for one in frames
        if one["msg"]["stream"].endswith("@bookTicker")
    }
    began = int(frames[0]["recv"] * 1000)
    listening = BinanceListener(books)
    for symbol in books:
        listening.hear(pushed_ticker(symbol, at=began, last="0.50000000"), now=began)
    for one in frames:
        listening.hear(json.dumps(one["msg"], separators=(",", ":")).encode(), now=int(one["recv"] * 1000))
    assert len(books) >= 3
    for symbol, (told, at) in books.items():
        quote = listening.quote(instrument(symbol), source="binance")
        assert (quote.bid, quote.ask, quote.ts, quote.answered_at) == (told["b"], told["a"], at, at)


@recorded
def test_captured_depth_is_no_quote():
    listening = BinanceListener(["NKNUSDT"])
    for one in captured("binance_ws_depth_capture.json"):
        listening.hear(json.dumps(one["msg"]).encode(), now=NOON)
    assert not listening.is_heard
