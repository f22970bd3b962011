import io
from decimal import Decimal

from rich.console import Console

from local.watch import MarketBoard

NOW = 1_700_000_000.0


def quote(last, *, ts=int(NOW * 1000), **more):
    return {"last": Decimal(last), "bid": None, "ask": None, "change_pct": Decimal("1.5"), "ts": ts} | more


def subscribed(seq=10, **quotes):
    instruments = [{"symbol": symbol, "name": symbol, "class": "crypto", "decimals": 2} for symbol in quotes]
    snapshot = {"seq": seq, "ts": 0, "instruments": instruments, "data": quotes}
    return {"type": "subscribed", "streams": {"market": {"seq": seq, "period_ms": 5000, "snapshot": snapshot}}}


def batch(seq, prev, **quotes):
    updates = [{"symbol": symbol, "data": values} for symbol, values in quotes.items()]
    return {"type": "market_batch", "seq": seq, "prev": prev, "ts": 0, "updates": updates}


def drawn(board, now=NOW):
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(board.render(now, url="ws://here"))
    return console.file.getvalue()


def test_a_snapshot_fills_the_table():
    board = MarketBoard()
    board.take(subscribed(BTC=quote("97123.45", source="simulated", stale=False, market="open")), NOW)
    text = drawn(board, NOW + 3)
    assert "BTC" in text
    assert "97,123.45" in text
    assert "+1.50 %" in text
    assert "3 s" in text
    assert "These prices are not the market's: they are simulated." in text


def test_a_batch_moves_prices_and_keeps_what_it_does_not_name():
    board = MarketBoard()
    board.take(subscribed(BTC=quote("100"), ETH=quote("5", source="binance")), NOW)
    assert board.take(batch(11, 10, BTC=quote("101")), NOW) is False
    assert board.rows["BTC"].direction == 1
    board.take(batch(12, 11, BTC=quote("99")), NOW)
    assert board.rows["BTC"].direction == -1
    assert board.rows["ETH"].values["source"] == "binance"
    assert "▼ 99.00" in drawn(board)


def test_a_missing_tick_asks_for_a_snapshot_and_an_old_one_is_dropped():
    board = MarketBoard()
    board.take(subscribed(BTC=quote("100")), NOW)
    assert board.take(batch(13, 12, BTC=quote("101")), NOW) is True
    assert board.take(batch(13, 12, BTC=quote("50")), NOW) is False
    assert board.take(batch(9, 8, BTC=quote("50")), NOW) is False
    assert board.rows["BTC"].values["last"] == Decimal(101)


def test_stale_and_closed_are_said():
    board = MarketBoard()
    board.take(subscribed(BTC=quote("1", stale=True), EURUSD=quote("1", market="closed"), XAU=quote("1")), NOW)
    text = drawn(board)
    assert "stale" in text
    assert "closed" in text


def test_a_refusal_is_shown():
    board = MarketBoard()
    board.take({"type": "error", "code": "unknown_symbol", "message": "no such symbol: 'ABC'"}, NOW)
    assert "refused: no such symbol: 'ABC'" in drawn(board)
