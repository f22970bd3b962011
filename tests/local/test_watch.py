"""What ``tickwire watch`` makes of messages, and how it treats a connection that falls silent."""

from __future__ import annotations

import asyncio
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic_settings import CliApp
from rich.console import Console

from local.watch import command as watch
from local.watch.boards import Board
from local.watch.command import WatchSettings
from local.watch.tables import draw

NOW = 1_700_000_000.0
NOW_MS = int(NOW * 1000)
MESSAGES = Path(__file__).parents[1] / "messages"


def quote(last, *, ts=NOW_MS, **more):
    return {"last": Decimal(last), "bid": None, "ask": None, "change_pct": Decimal("1.5"), "ts": ts} | more


def rating(rating="0.42", label="BUY", **more):
    tally = {"buy": 9, "neutral": 1, "sell": 5}
    return {
        "rating": None if rating is None else Decimal(rating),
        "label": label,
        "counts": {"ma": tally, "osc": {"buy": 3, "neutral": 7, "sell": 1}},
        "timeframe": "1h",
        "closed_at": NOW_MS - 1_800_001,
        "source": "binance",
        "stale": False,
    } | more


def horizon(h="5m", call="0.539", label="NEUTRAL", expiry=NOW_MS + 42_000, n=1_180):
    share = None if call is None else Decimal(call)
    return {
        "h": h,
        "expiry": expiry,
        "call": share,
        "put": None if share is None else 1 - share,
        "index": None if share is None else round(100 * share),
        "label": label,
        "parts": {},
        "n": n,
    }


def sentiment(*horizons, ts=NOW_MS - 4_000, source="binance", stale=False):
    return {
        "method": "flow-sentiment/1",
        "horizons": list(horizons),
        "source": source,
        "ts": ts,
        "stale": stale,
    }


def subscribed(seq=10, *, stream="market", **data):
    instruments = [{"symbol": symbol, "name": symbol, "class": "crypto", "decimals": 2} for symbol in data]
    snapshot = {"seq": seq, "ts": 0, "instruments": instruments, "data": data}
    return {"type": "subscribed", "streams": {stream: {"seq": seq, "period_ms": 5000, "snapshot": snapshot}}}


def batch(seq, prev, **quotes):
    updates = [{"symbol": symbol, "data": values} for symbol, values in quotes.items()]
    return {"type": "market_batch", "seq": seq, "prev": prev, "ts": 0, "updates": updates}


def board_of(stream="market", **data):
    board = Board(stream)
    board.take(subscribed(stream=stream, **data), NOW)
    return board


def drawn(board, now=NOW):
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    console.print(draw(board, now, url="ws://here"))
    return console.file.getvalue()


def line_of(text, word):
    return next(line for line in text.splitlines() if word in line)


def test_a_snapshot_fills_the_table():
    text = drawn(board_of(BTC=quote("97123.45", source="simulated", stale=False, market="open")), NOW + 3)
    assert "BTC" in text
    assert "97,123.45" in text
    assert "+1.50 %" in text
    assert "3 s" in text
    assert "These prices are not the market's: they are simulated." in text


def test_a_batch_moves_prices_and_keeps_what_it_does_not_name():
    board = board_of(BTC=quote("100"), ETH=quote("5", source="binance"))
    assert board.take(batch(11, 10, BTC=quote("101")), NOW) is False
    assert board.rows["BTC"].direction == 1
    board.take(batch(12, 11, BTC=quote("99")), NOW)
    assert board.rows["BTC"].direction == -1
    assert board.rows["ETH"].values["source"] == "binance"
    assert "▼ 99.00" in drawn(board)


def test_a_missing_tick_asks_for_a_snapshot_and_an_old_one_is_dropped():
    board = board_of(BTC=quote("100"))
    assert board.take(batch(13, 12, BTC=quote("101")), NOW) is True
    assert board.take(batch(13, 12, BTC=quote("50")), NOW) is False
    assert board.take(batch(9, 8, BTC=quote("50")), NOW) is False
    board.take({**subscribed(9, BTC=quote("50"))}, NOW)
    assert board.rows["BTC"].values["last"] == Decimal(101)


def test_whoever_was_there_before_the_first_tick_asks_for_the_list_of_instruments():
    board = Board("market")
    board.take({"type": "subscribed", "streams": {"market": {"seq": None, "period_ms": 5000}}}, NOW)
    assert board.take(batch(11, None, BTC=quote("100.000000")), NOW) is True
    snapshot = subscribed(11, BTC=quote("100.000000"))["streams"]["market"]["snapshot"]
    board.take({"type": "snapshot", "stream": "market", **snapshot}, NOW)
    assert "  100.00 " in drawn(board)
    assert board.take(batch(12, 11, BTC=quote("101")), NOW) is False


def test_all_parts_of_a_tick_are_taken():
    board = board_of(BTC=quote("100"), ETH=quote("5"))
    assert board.take({**batch(11, 10, BTC=quote("101")), "part": 1, "parts": 2}, NOW) is False
    assert board.take({**batch(11, 10, ETH=quote("6")), "part": 2, "parts": 2}, NOW) is False
    assert board.rows["ETH"].values["last"] == Decimal(6)


def test_messages_of_other_streams_and_kinds_mean_nothing():
    board = board_of("binary")
    board.take({"type": "snapshot", "stream": "market", "seq": 99, "data": {"BTC": quote("1")}}, NOW)
    board.take(batch(99, 98, BTC=quote("1")), NOW)
    board.take(subscribed(99, BTC=quote("1")), NOW)
    board.take({"type": "pong", "id": "watch", "ts": NOW_MS}, NOW)
    assert (board.rows, board.seq) == ({}, 10)


def test_stale_and_closed_are_said():
    text = drawn(board_of(BTC=quote("1", stale=True), EURUSD=quote("1", market="closed"), XAU=quote("1")))
    assert "stale" in line_of(text, "BTC")
    assert "closed" in line_of(text, "EURUSD")
    assert "stale" in line_of(drawn(board_of("signals", BTC=rating(stale=True))), "BTC")
    assert "stale" in line_of(drawn(board_of("binary", BTC=sentiment(horizon(), stale=True))), "BTC")


def test_a_refusal_is_shown():
    board = Board("market")
    board.take({"type": "error", "code": "unknown_symbol", "message": "no such symbol: 'ABC'"}, NOW)
    assert "refused: no such symbol: 'ABC'" in drawn(board)


def test_ratings_are_drawn_with_their_counts_timeframe_and_close():
    text = drawn(board_of("signals", BTC=rating(label="STRONG_BUY"), ETH=rating("-0.2", "SELL", source="replay")))
    for words in ("strong buy", "+0.42", "9 / 1 / 5", "3 / 7 / 1", "1h", "14 Nov 21:43 UTC", "30 min", "binance"):
        assert words in line_of(text, "BTC")
    assert "sell" in line_of(text, "ETH")
    assert "-0.20" in line_of(text, "ETH")
    assert "They are not advice." in text
    assert "These figures are not the market's: they are replayed." in text


def test_every_timeframe_has_a_line_and_no_rating_has_its_reason():
    nothing = rating(None, None, reason="no_candles", counts=None, closed_at=None, source=None)
    board = board_of("signals", BTC=rating(other_timeframes=[rating("0.9", "STRONG_BUY", timeframe="1d")]), XAG=nothing)
    text = drawn(board)
    assert "BTC" not in line_of(text, "1d")
    assert "+0.90" in line_of(text, "1d")
    assert "no candles" in line_of(text, "XAG")


def test_sentiments_are_drawn_by_horizon_with_what_is_left_of_each():
    board = board_of(
        "binary",
        BTC=sentiment(horizon("1m", "0.812", "STRONG_BULLISH", expiry=NOW_MS - 1), horizon()),
        FIL=sentiment(horizon("1m", None, None, n=0), horizon("5m", "0.400", "BEARISH", n=7)),
    )
    text = drawn(board)
    assert "1m, 0 s left" in text
    assert "5m, 42 s left" in text
    for words in ("81.2 / 18.8", "strong bullish", "53.9 / 46.1", "neutral", "1,180", "4 s"):
        assert words in line_of(text, "BTC")
    assert "40.0 / 60.0" in line_of(text, "FIL")
    assert "no forecast" in text


def test_no_sentiment_has_its_reason_and_one_of_prices_or_of_a_proxy_says_so():
    nothing = [horizon("1m", None, None, n=0), horizon("5m", None, None, n=0)]
    mids = [horizon("1m", "0.512", n=12) | {"basis": "mids"}, horizon("5m", "0.533", n=60) | {"basis": "mids"}]
    gold = [horizon("1m", "0.512", n=12), horizon("5m", "0.533", n=60)]
    board = board_of(
        "binary",
        EURUSD=sentiment(*nothing, source=None) | {"reason": "closed", "market": "closed"},
        XAG=sentiment(*mids, source="gold-api") | {"market": "open"},
        XAU=sentiment(*gold, source="kraken") | {"market": "open", "proxy": True},
    )
    text = drawn(board)
    assert line_of(text, "EURUSD").count("closed") == 1
    assert "~12" in line_of(text, "XAG")
    assert "~60" in line_of(text, "XAG")
    assert "~" not in line_of(text, "XAU")
    assert "kraken (proxy)" in line_of(text, "XAU")
    opened = {"symbol": "EURUSD", "data": sentiment(*gold, source="kraken") | {"market": "open"}}
    board.take({"type": "binary_batch", "seq": 11, "prev": 10, "ts": 0, "updates": [opened]}, NOW)
    assert "closed" not in line_of(drawn(board), "EURUSD")
    assert "51.2 / 48.8" in line_of(drawn(board), "EURUSD")


@pytest.mark.parametrize(("stream", "name"), [("binary", "binary-batch"), ("signals", "signal-batch")])
def test_batches_of_the_wire_are_understood(stream, name):
    message = json.loads((MESSAGES / f"{name}.json").read_text(encoding="utf-8"))["message"]
    board = Board(stream)
    board.take(message, NOW)
    assert board.seq == message["seq"]
    assert all(update["symbol"] in drawn(board) for update in message["updates"])


@pytest.mark.parametrize("stream", ["market", "signals", "binary"])
def test_nothing_yet_and_an_instrument_without_data_can_be_drawn(stream):
    assert "connecting" in drawn(Board(stream))
    board = Board(stream)
    known = subscribed(stream=stream, BTC={})
    known["streams"][stream]["snapshot"]["data"] = {}
    board.take(known, NOW)
    assert "BTC" in drawn(board)


def test_each_stream_is_looked_for_where_the_emulator_has_it():
    def given(*arguments):
        return CliApp.run(WatchSettings, cli_args=list(arguments))

    assert given("signals").address == "ws://127.0.0.1:8000/ws/trading/signals/stream"
    assert given("binary").address == "ws://127.0.0.1:8000/ws/trading/binary/stream"
    assert given("market", "--url", "wss://x.example/live").address == "wss://x.example/live"


class Silent:
    """A connection on which nothing comes but what is put there, and an answer to each ping while there are any."""

    def __init__(self, *texts, pongs=0):
        self.texts = list(texts)
        self.pongs = pongs
        self.sent = []

    async def send(self, text):
        self.sent.append(json.loads(text))
        if self.sent[-1]["action"] == "ping" and self.pongs:
            self.pongs -= 1
            self.texts.append('{"type":"pong","id":"watch","ts":1}')

    async def recv(self):
        return self.texts.pop(0) if self.texts else await asyncio.Event().wait()


async def test_silence_is_broken_by_a_ping_and_only_then_by_giving_up(monkeypatch):
    monkeypatch.setattr(watch, "_SILENCE", 0.01)
    socket = Silent(pongs=2)
    with pytest.raises(TimeoutError) as end:
        await watch._follow(socket, Board("binary"), ["BTC"])
    assert [request["action"] for request in socket.sent] == ["subscribe", "ping", "ping", "ping"]
    assert socket.sent[0] == {
        "action": "subscribe",
        "id": "watch",
        "streams": ["binary"],
        "symbols": ["BTC"],
    }
    assert watch._why(end.value).startswith("silent for")


async def test_a_gap_asks_for_the_snapshot_of_the_stream(monkeypatch):
    monkeypatch.setattr(watch, "_SILENCE", 0.01)
    gap = {"type": "signal_batch", "seq": 9, "prev": 7, "ts": 0, "updates": []}
    first = {"type": "snapshot", "stream": "signals", "seq": 6, "ts": 0, "instruments": [], "data": {}}
    socket = Silent(json.dumps(first), json.dumps(gap))
    with pytest.raises(TimeoutError):
        await watch._follow(socket, Board("signals"), [])
    assert socket.sent[1] == {"action": "snapshot", "id": "gap", "stream": "signals"}
