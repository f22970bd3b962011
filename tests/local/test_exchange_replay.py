"""Recordings of real answers, played back as if they were answered now."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from local.exchange.application import exchange
from local.exchange.replay import BadRecording, Row, append, read

THEN = 1_700_000_000_000
NOW = 1_790_000_003_123
TICKER = "/api/v3/ticker/24hr"


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


def ticker(at: int, price: str, names: str = '["BTCUSDT","ETHUSDT"]') -> Row:
    body = (
        f'[{{"symbol":"BTCUSDT","lastPrice":"{price}","openTime":{at - 86_400_000},"closeTime":{at - 7},"count":42}}]'
    )
    headers = {"x-mbx-used-weight-1m": "12", "content-length": "1", "content-type": "application/json;charset=UTF-8"}
    return Row(at=at, path=TICKER, query={"symbols": names}, status=200, body=body, headers=headers)


class Player:
    def __init__(self, folder, provider: str, rows: list[Row], speed: float = 1.0) -> None:
        append(folder, provider, rows)
        self.clock = Clock()
        self.exchange = exchange(now=self.clock, recordings=folder, speed=speed)

    async def get(self, path: str, **query: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.exchange)
        async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as client:
            return await client.get(path, params=query or None)

    async def ticker(self, names: str = '["BTCUSDT","ETHUSDT"]') -> Any:
        return (await self.get(f"/binance{TICKER}", symbols=names)).json()[0]


async def test_an_answer_comes_as_recorded_with_its_times_moved_to_now(tmp_path):
    player = Player(tmp_path, "binance", [ticker(THEN, "1.10"), ticker(THEN + 5000, "1.20")])
    answer = await player.get(f"/binance{TICKER}", symbols='["BTCUSDT","ETHUSDT"]')
    assert answer.text == ticker(NOW, "1.10").body
    assert answer.headers["x-tickwire-source"] == "replay"
    assert answer.headers["x-mbx-used-weight-1m"] == "12"
    assert answer.headers["content-length"] == str(len(answer.content))


async def test_gaps_are_kept_and_the_recording_begins_again(tmp_path):
    rows = [ticker(THEN, "1"), ticker(THEN + 5000, "2"), ticker(THEN + 35_000, "3")]
    player = Player(tmp_path, "binance", rows)
    seen = {}
    for later in (0, 4999, 5000, 34_999, 35_000, 52_499, 52_500, 57_500):
        player.clock.now = NOW + later
        answer = await player.ticker()
        seen[later] = (answer["lastPrice"], answer["closeTime"] + 7 - NOW)
    # A mean gap, 17.5 s, passes between the last row and the first one again.
    assert seen == {
        0: ("1", 0),
        4999: ("1", 0),
        5000: ("2", 5000),
        34_999: ("2", 5000),
        35_000: ("3", 35_000),
        52_499: ("3", 35_000),
        52_500: ("1", 52_500),
        57_500: ("2", 57_500),
    }


async def test_a_recording_can_be_played_faster(tmp_path):
    player = Player(tmp_path, "binance", [ticker(THEN, "1"), ticker(THEN + 10_000, "2")], speed=10)
    player.clock.now = NOW + 1000
    answer = await player.ticker()
    assert (answer["lastPrice"], answer["closeTime"] + 7) == ("2", NOW + 1000)


async def test_a_request_is_recognised_by_what_it_asks_for(tmp_path):
    player = Player(tmp_path, "binance", [ticker(THEN, "1"), ticker(THEN, "9", names='["BTCUSDT"]')])
    assert (await player.ticker('["ETHUSDT","BTCUSDT"]'))["lastPrice"] == "1"
    assert (await player.ticker('["BTCUSDT"]'))["lastPrice"] == "9"
    answer = await player.get(f"/binance{TICKER}", symbol="XRPUSDT")
    assert answer.status_code == 404
    assert "XRPUSDT" in answer.json()["error"]


async def test_what_is_recorded_later_is_answered_before_as_it_was_at_the_end(tmp_path):
    late = Row(at=THEN + 3000, path="/api/v3/time", query={}, status=200, body=f'{{"serverTime":{THEN + 3000}}}')
    player = Player(tmp_path, "binance", [ticker(THEN, "1"), late, ticker(THEN + 6000, "2")])
    moment = (await player.get("/binance/api/v3/time")).json()["serverTime"]
    assert moment == NOW + 3000 - 9000


async def test_candles_move_by_whole_intervals(tmp_path):
    opening = THEN // 60_000 * 60_000
    rows = [[opening - 60_000, "1.0", opening - 1, 7], [opening, "2.0", opening + 59_999, 7]]
    row = Row(
        at=THEN,
        path="/api/v3/klines",
        query={"symbol": "BTCUSDT", "interval": "1m", "startTime": "5"},
        status=200,
        body=json.dumps(rows),
    )
    player = Player(tmp_path, "binance", [row])
    moved = (await player.get("/binance/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime="9")).json()
    assert moved[1][0] == NOW // 60_000 * 60_000
    assert moved[0][2] + 1 == moved[1][0] == moved[1][2] - 59_999
    assert moved[1][1] == "2.0"


def candles(at: int, count: int, opened: int, **query: str) -> Row:
    """A row with ``count`` candles of a minute, the last of which opened at ``opened``."""
    rows = [[opened - 60_000 * back, f"{back}.0", opened - 60_000 * back + 59_999] for back in reversed(range(count))]
    asked = {"symbol": "BTCUSDT", "interval": "1m", "limit": "1000", **query}
    return Row(at=at, path="/api/v3/klines", query=asked, status=200, body=json.dumps(rows))


async def test_who_asks_for_candles_from_a_time_on_gets_those_and_who_asks_for_all_gets_all(tmp_path):
    opening = THEN // 60_000 * 60_000
    all_of_them = candles(THEN, 100, opening)
    the_last_two = candles(THEN + 30_000, 2, opening, startTime=str(opening - 60_000))
    player = Player(tmp_path, "binance", [all_of_them, the_last_two])
    player.clock.now = NOW + 30_000
    asked = {"symbol": "BTCUSDT", "interval": "1m", "limit": "1000"}
    latest = player.clock.now // 60_000 * 60_000

    async def opened(**more: str) -> list[int]:
        return [row[0] for row in (await player.get("/binance/api/v3/klines", **asked, **more)).json()]

    everything = await opened()
    assert (len(everything), everything[-1] <= latest) == (100, True)
    assert await opened(startTime=str(everything[-2])) == everything[-2:]
    assert await opened(startTime=str(everything[-5])) == everything[-5:]
    assert await opened(startTime=str(everything[0] - 60_000)) == everything
    assert await opened(startTime=str(latest + 60_000)) == []


async def test_krakens_candles_are_cut_where_they_are_asked_from(tmp_path):
    opening = THEN // 1000 // 300 * 300
    rows = [[opening - 300 * back, f"1.{back}"] for back in (3, 2, 1, 0)]
    body = json.dumps({"error": [], "result": {"ZEURZUSD": rows, "last": opening - 300}}, separators=(",", ":"))
    row = Row(at=THEN, path="/0/public/OHLC", query={"pair": "EURUSD", "interval": "5"}, status=200, body=body)
    player = Player(tmp_path, "kraken", [row])
    now = NOW // 1000 // 300 * 300
    asked = {"pair": "EURUSD", "interval": "5"}
    result = (await player.get("/kraken/0/public/OHLC", **asked, since=str(now - 300))).json()["result"]
    assert result == {"ZEURZUSD": [[now - 300, "1.1"], [now, "1.0"]], "last": now - 300}
    whole = (await player.get("/kraken/0/public/OHLC", **asked)).json()["result"]
    assert len(whole["ZEURZUSD"]) == 4


async def test_a_recorded_refusal_of_candles_is_played_as_it_was(tmp_path):
    query = {"symbol": "BTCUSDT", "interval": "1m", "startTime": "5"}
    body = '{"code":-1121,"msg":"Invalid symbol."}'
    row = Row(at=THEN, path="/api/v3/klines", query=query, status=400, body=body)
    answer = await Player(tmp_path, "binance", [row]).get("/binance/api/v3/klines", **query)
    assert (answer.status_code, answer.text) == (400, body)
    strange = Row(
        at=THEN, path="/0/public/OHLC", query={"pair": "EURUSD"}, status=200, body='{"error":["EService:Busy"]}'
    )
    answer = await Player(tmp_path, "kraken", [strange]).get("/kraken/0/public/OHLC", pair="EURUSD", since="7")
    assert answer.json() == {"error": ["EService:Busy"]}


async def test_what_was_recorded_from_a_stand_in_is_a_replay(tmp_path):
    row = Row(at=THEN, path="/api/v3/ping", query={}, status=200, body="{}", headers={"x-tickwire-source": "simulated"})
    answer = await Player(tmp_path, "binance", [row]).get("/binance/api/v3/ping")
    assert answer.headers.get_list("x-tickwire-source") == ["replay"]


async def test_krakens_times_move_in_seconds_and_nanoseconds(tmp_path):
    second = THEN // 1000
    opening = second - second % 300
    trade = f'["1.16","1700000000",{second}.1234,"b","l","",109118758]'
    trades = f'{{"error":[],"result":{{"ZEURZUSD":[{trade}],"last":"{second}123400000"}}}}'
    candle = f'[{opening},"1.1","1.2","1.0","1.1","1.1","1700000001.5",7]'
    candles = f'{{"error":[],"result":{{"ZEURZUSD":[{candle}],"last":{opening - 300}}}}}'
    clock = f'{{"error":[],"result":{{"unixtime":{second},"rfc1123":"Tue, 14 Nov 23 22:13:20 +0000"}}}}'
    rows = [
        Row(at=THEN, path="/0/public/Trades", query={"pair": "EURUSD"}, status=200, body=trades),
        Row(at=THEN, path="/0/public/OHLC", query={"pair": "EURUSD", "interval": "5"}, status=200, body=candles),
        Row(at=THEN, path="/0/public/Time", query={}, status=200, body=clock),
    ]
    player = Player(tmp_path, "kraken", rows)
    now = NOW // 1000
    result = (await player.get("/kraken/0/public/Trades", pair="EURUSD")).json()["result"]
    assert result["ZEURZUSD"][0] == ["1.16", "1700000000", pytest.approx(now + 0.1234), "b", "l", "", 109118758]
    assert result["last"] == f"{now}123400000"
    result = (await player.get("/kraken/0/public/OHLC", pair="EURUSD", interval="5", since="1")).json()["result"]
    assert result["ZEURZUSD"][0][0] == now - now % 300
    assert result["ZEURZUSD"][0][1:] == ["1.1", "1.2", "1.0", "1.1", "1.1", "1700000001.5", 7]
    assert result["last"] == now - now % 300 - 300
    result = (await player.get("/kraken/0/public/Time")).json()["result"]
    assert result == {"unixtime": now, "rfc1123": "Mon, 21 Sep 26 14:13:23 +0000"}


def traded(at: int, since: int, *trades: tuple[int, str]) -> Row:
    """What Kraken said ``at`` a time of trades, each so many seconds before ``THEN``, asked for from ``since`` on."""
    second = THEN // 1000
    rows = ",".join(f'["1.16","{volume}",{second - before}.5000,"b","l","",7]' for before, volume in trades)
    last = second - (trades[-1][0] if trades else since) if trades else second - since
    body = f'{{"error":[],"result":{{"ZEURZUSD":[{rows}],"last":"{last}500000000"}}}}'
    query = {"pair": "EURUSD", "since": f"{second - since}500000000"}
    return Row(at=at, path="/0/public/Trades", query=query, status=200, body=body)


async def test_who_asks_for_krakens_trades_from_a_time_on_gets_all_of_them_once(tmp_path):
    rows = [
        traded(THEN, 900, (600, "1"), (30, "2")),
        traded(THEN + 30_000, 30, (-5, "3"), (-20, "4")),
        traded(THEN + 60_000, -20),
        traded(THEN + 90_000, -20, (-80, "5")),
    ]
    player = Player(tmp_path, "kraken", rows)
    now = NOW // 1000

    async def volumes(later: int, since: int) -> tuple[str, int]:
        player.clock.now = NOW + later
        asked = {"pair": "EURUSD", "since": f"{now + since}500000000"}
        result = (await player.get("/kraken/0/public/Trades", **asked)).json()["result"]
        return "".join(row[1] for row in result["ZEURZUSD"]), int(result["last"]) // 10**9 - now

    # From answer to answer, as it was recorded.
    assert await volumes(0, -900) == ("12", -30)
    assert await volumes(30_000, -30) == ("34", 20)
    assert await volumes(60_000, 20) == ("", 20)
    assert await volumes(90_000, 20) == ("5", 80)
    # Whoever begins in the middle, and whoever has missed some.
    assert await volumes(60_000, -900) == ("1234", 20)
    assert await volumes(90_000, -30) == ("345", 80)
    assert await volumes(90_000, -10) == ("345", 80)
    assert await volumes(90_000, 500) == ("", 500)
    # The next round begins after a mean gap, 30 s; what came before is not told again.
    assert await volumes(120_000, 80) == ("2", 90)


async def test_a_recorded_refusal_of_trades_is_played_as_it_was_and_passed_over_afterwards(tmp_path):
    busy = '{"error":["EService:Busy"]}'
    refused = Row(
        at=THEN + 1000, path="/0/public/Trades", query={"pair": "EURUSD", "since": "1"}, status=200, body=busy
    )
    player = Player(tmp_path, "kraken", [traded(THEN, 900, (30, "2")), refused, traded(THEN + 2000, 30)])
    asked = {"pair": "EURUSD", "since": f"{NOW // 1000 - 900}500000000"}
    player.clock.now = NOW + 1000
    assert (await player.get("/kraken/0/public/Trades", **asked)).text == busy
    player.clock.now = NOW + 2000
    assert len((await player.get("/kraken/0/public/Trades", **asked)).json()["result"]["ZEURZUSD"]) == 1


async def test_golds_time_moves_and_its_digits_stay(tmp_path):
    body = '{"name":"Gold","price":4274.299805,"symbol":"XAU","updatedAt":"2023-11-14T22:13:10Z"}'
    player = Player(tmp_path, "gold-api", [Row(at=THEN, path="/price/XAU", query={}, status=200, body=body)])
    text = (await player.get("/gold-api/price/XAU")).text
    assert text == body.replace("2023-11-14T22:13:10Z", "2026-09-21T14:13:13Z")


async def test_a_replay_can_be_told_to_fail_and_has_only_what_was_recorded(tmp_path):
    player = Player(tmp_path, "binance", [ticker(THEN, "1")])
    transport = httpx.ASGITransport(app=player.exchange)
    async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as client:
        await client.put("/control/binance", json={"status": 451})
    answer = await player.get(f"/binance{TICKER}")
    assert (answer.status_code, answer.json()["code"]) == (451, 0)
    assert (await player.get("/kraken/0/public/Time")).status_code == 404


def test_what_is_appended_is_read_back_in_the_order_of_time(tmp_path):
    rows = [ticker(THEN + 5000, "2"), ticker(THEN, "1")]
    append(tmp_path / "new", "binance", rows[:1])
    append(tmp_path / "new", "binance", rows[1:])
    assert read(tmp_path / "new") == {"binance": [rows[1], rows[0]]}


def test_a_recording_that_cannot_be_read_names_file_and_line(tmp_path):
    with pytest.raises(BadRecording, match="no recording in"):
        read(tmp_path)
    append(tmp_path, "kraken", [ticker(THEN, "1")])
    with (tmp_path / "kraken.jsonl").open("a") as file:
        file.write('{"at":1}\n')
    with pytest.raises(BadRecording, match=r"kraken\.jsonl, line 2: .*path"):
        read(tmp_path)


async def test_a_simulated_exchange_recorded_plays_back_what_it_answered(tmp_path):
    """Recording is asking and appending; nothing of the answer is lost on the way."""
    simulated = httpx.ASGITransport(app=exchange(now=lambda: THEN))
    async with httpx.AsyncClient(transport=simulated, base_url="http://exchange/binance") as client:
        answer = await client.get("/api/v3/ticker/bookTicker", params={"symbol": "BTCUSDT"})
    query = {"symbol": "BTCUSDT"}
    row = Row(at=THEN, path="/api/v3/ticker/bookTicker", query=query, status=200, body=answer.text)
    player = Player(tmp_path, "binance", [row])
    assert (await player.get("/binance/api/v3/ticker/bookTicker", symbol="BTCUSDT")).text == answer.text
