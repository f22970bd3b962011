"""What the simulated exchange answers in Binance's place, and whether all of it fits together."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from local.exchange.application import Exchange, exchange
from local.exchange.limits import WeightMeter
from local.exchange.listings import BINANCE
from local.exchange.provider import Answer
from tests.local.exchange_client import CLOCK, EXCHANGE, NOW, Client

DAY_MS = 86_400_000
MINUTE_MS = 60_000


@pytest.fixture
def client(request) -> Client:
    CLOCK.now = NOW
    return Client(EXCHANGE, request.node.name)


def symbols(*names: str) -> str:
    return json.dumps(names, separators=(",", ":"))


@pytest.mark.parametrize(
    "path",
    [
        "/binance/api/v3/ping",
        "/kraken/0/public/Time",
        "/gold-api/price/XAU",
        "/gold-api/price/NO",
        "/nothing",
        "/control",
    ],
)
async def test_every_answer_says_that_it_is_simulated(client, path):
    assert (await client.get(path)).headers["x-tickwire-source"] == "simulated"


async def test_two_exchanges_of_one_seed_answer_the_same_and_of_another_differently(client):
    same, other = Client(exchange(now=CLOCK), "a"), Client(exchange(seed="other", now=CLOCK), "a")
    mine = await client.binance("ticker/24hr", symbol="BTCUSDT")
    assert await same.binance("ticker/24hr", symbol="BTCUSDT") == mine
    assert await other.binance("ticker/24hr", symbol="BTCUSDT") != mine


async def test_an_exchange_answers_the_same_whatever_was_asked_before(client):
    fresh = Client(exchange(now=CLOCK), "a")
    CLOCK.now = NOW + 3_600_000
    await fresh.binance("ticker/24hr")
    CLOCK.now = NOW
    assert await fresh.binance("ticker/24hr") == await client.binance("ticker/24hr")


async def test_the_tickers_last_price_is_the_close_of_the_forming_candle_of_every_interval(client):
    ticker = await client.binance("ticker/24hr", symbol="ETHUSDT")
    price = await client.binance("ticker/price", symbol="ETHUSDT")
    assert price == {"symbol": "ETHUSDT", "price": ticker["lastPrice"]}
    for interval in ("1s", "1m", "3m", "15m", "1h", "6h", "1d", "3d", "1w", "1M"):
        rows = await client.binance("klines", symbol="ETHUSDT", interval=interval, limit="2")
        assert rows[-1][4] == ticker["lastPrice"], interval
        assert rows[0][4] == rows[1][1]
        assert rows[0][6] + 1 == rows[1][0] <= NOW <= rows[1][6]


async def test_the_24_hour_ticker_is_the_sum_of_its_candles(client):
    CLOCK.now = NOW // MINUTE_MS * MINUTE_MS
    ticker = await client.binance("ticker/24hr", symbol="SOLUSDT")
    rows = await client.binance(
        "klines", symbol="SOLUSDT", interval="5m", startTime=str(CLOCK.now - DAY_MS), endTime=str(CLOCK.now - 1)
    )
    earlier = CLOCK.now - DAY_MS
    assert ticker["openTime"] == earlier
    assert ticker["closeTime"] == CLOCK.now
    if earlier % (5 * MINUTE_MS) == 0:
        pytest.fail("choose a moment that is no multiple of five minutes")
    ones = await client.binance("klines", symbol="SOLUSDT", interval="1m", startTime=str(earlier), limit="1000")
    more = await client.binance("klines", symbol="SOLUSDT", interval="1m", startTime=str(ones[-1][6]), limit="1000")
    minutes = [row for row in ones + more if row[6] < CLOCK.now]
    assert len(minutes) == 1440
    assert len(rows) == 288
    assert ticker["openPrice"] == minutes[0][1]
    assert Decimal(ticker["highPrice"]) == max(Decimal(row[2]) for row in minutes)
    assert Decimal(ticker["lowPrice"]) == min(Decimal(row[3]) for row in minutes)
    assert Decimal(ticker["volume"]) == sum(Decimal(row[5]) for row in minutes)
    assert Decimal(ticker["quoteVolume"]) == sum(Decimal(row[7]) for row in minutes)
    assert ticker["count"] == sum(row[8] for row in minutes) == ticker["lastId"] - ticker["firstId"] + 1
    change = Decimal(ticker["lastPrice"]) - Decimal(ticker["openPrice"])
    assert Decimal(ticker["priceChange"]) == change
    assert float(ticker["priceChangePercent"]) == pytest.approx(
        100 * float(change) / float(ticker["openPrice"]), abs=6e-4
    )


async def test_an_hours_candle_is_the_aggregate_of_its_minutes(client):
    start = NOW // 3_600_000 * 3_600_000 - 3_600_000
    (hour,) = await client.binance("klines", symbol="XRPUSDT", interval="1h", startTime=str(start), limit="1")
    minutes = await client.binance("klines", symbol="XRPUSDT", interval="1m", startTime=str(start), limit="60")
    assert (hour[0], hour[1], hour[4]) == (start, minutes[0][1], minutes[-1][4])
    assert (hour[2], hour[3]) == (max(row[2] for row in minutes), min(row[3] for row in minutes))
    for place in (5, 7, 8, 9, 10):
        assert Decimal(hour[place]) == sum(Decimal(row[place]) for row in minutes)


async def test_a_minutes_trades_are_its_candle(client):
    start = NOW // MINUTE_MS * MINUTE_MS - MINUTE_MS
    (minute,) = await client.binance("klines", symbol="ADAUSDT", interval="1m", startTime=str(start), limit="1")
    trades = await client.binance(
        "aggTrades", symbol="ADAUSDT", startTime=str(start), endTime=str(start + 59_999), limit="1000"
    )
    while trades[-1]["T"] < start + 59_000 and len(trades) < minute[8]:
        trades += await client.binance("aggTrades", symbol="ADAUSDT", fromId=str(trades[-1]["a"] + 1), limit="1000")
    trades = [trade for trade in trades if trade["T"] < start + MINUTE_MS]
    assert len(trades) == minute[8]
    assert sum(Decimal(trade["q"]) for trade in trades) == Decimal(minute[5])
    assert sum(Decimal(trade["q"]) for trade in trades if not trade["m"]) == Decimal(minute[9])
    assert sum(Decimal(trade["q"]) * Decimal(trade["p"]) for trade in trades) == Decimal(minute[7])
    assert (trades[0]["p"], trades[-1]["p"]) == (minute[1], minute[4])


async def test_the_latest_trades_end_with_the_last_price(client):
    ticker = await client.binance("ticker/24hr", symbol="LTCUSDT")
    trades = await client.binance("trades", symbol="LTCUSDT", limit="40")
    assert len(trades) == 40
    assert (trades[-1]["id"], trades[-1]["price"], trades[-1]["qty"]) == (
        ticker["lastId"],
        ticker["lastPrice"],
        ticker["lastQty"],
    )
    assert all(Decimal(row["quoteQty"]) == Decimal(row["price"]) * Decimal(row["qty"]) for row in trades)
    assert [row["id"] for row in trades] == list(range(trades[0]["id"], trades[0]["id"] + 40))


async def test_the_book_begins_with_the_best_bid_and_ask(client):
    best = await client.binance("ticker/bookTicker", symbol="BTCUSDT")
    ticker = await client.binance("ticker/24hr", symbol="BTCUSDT")
    book = await client.binance("depth", symbol="BTCUSDT", limit="5")
    assert len(book["bids"]) == len(book["asks"]) == 5
    assert book["bids"][0] == [best["bidPrice"], best["bidQty"]] == [ticker["bidPrice"], ticker["bidQty"]]
    assert book["asks"][0] == [best["askPrice"], best["askQty"]] == [ticker["askPrice"], ticker["askQty"]]
    assert best["bidPrice"] <= ticker["lastPrice"] <= best["askPrice"]


async def test_weeks_begin_on_mondays_and_months_on_the_first(client):
    for interval in ("1w", "1M"):
        rows = await client.binance("klines", symbol="BTCUSDT", interval=interval, limit="30")
        moments = [datetime.fromtimestamp(row[0] / 1000, UTC) for row in rows]
        assert all(moment.hour == moment.minute == 0 for moment in moments)
        assert all((moment.weekday() == 0) if interval == "1w" else (moment.day == 1) for moment in moments)


async def test_candles_begin_with_the_listing_and_can_be_asked_for_from_then_on(client):
    rows = await client.binance("klines", symbol="BTCUSDT", interval="1M", limit="1000")
    assert rows[0][0] == 1_577_836_800_000
    first = await client.binance("klines", symbol="BTCUSDT", interval="1d", startTime="0", limit="3")
    assert [row[0] for row in first] == [1_577_836_800_000 + day * DAY_MS for day in range(3)]
    assert await client.binance("klines", symbol="BTCUSDT", interval="1d", endTime="1000") == []
    assert await client.binance("klines", symbol="BTCUSDT", interval="1d", startTime=str(NOW + DAY_MS)) == []


async def test_a_time_zone_moves_the_days(client):
    (row,) = await client.binance("klines", symbol="BTCUSDT", interval="1d", limit="1", timeZone="-5:30")
    assert row[0] % DAY_MS == 5 * 3_600_000 + 30 * MINUTE_MS


async def test_limits_are_capped_and_usual_ones_hold(client):
    assert len(await client.binance("klines", symbol="BTCUSDT", interval="1d")) == 500
    assert len(await client.binance("klines", symbol="BTCUSDT", interval="1d", limit="5000")) == 1000
    assert len((await client.binance("depth", symbol="BTCUSDT"))["bids"]) == 100


async def test_tickers_for_several_come_as_an_array_in_the_exchanges_order(client):
    rows = await client.binance("ticker/24hr", symbols=symbols("ETHUSDT", "BTCUSDT"))
    assert [row["symbol"] for row in rows] == ["BTCUSDT", "ETHUSDT"]
    assert [row["symbol"] for row in await client.binance("ticker/price")] == list(BINANCE)
    mini = await client.binance("ticker/24hr", symbol="ETHUSDT", type="MINI")
    assert mini == {name: value for name, value in rows[1].items() if name in mini}
    assert "bidPrice" not in mini


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("ticker/24hr", {"symbols": symbols("BTCUSDT", "NOPEUSDT")}, -1121),
        ("ticker/24hr", {"symbol": "NOPE"}, -1121),
        ("ticker/24hr", {"symbols": symbols("btcusdt")}, -1100),
        ("ticker/24hr", {"symbols": '["BTCUSDT", "ETHUSDT"]'}, -1100),
        ("ticker/24hr", {"symbols": "BTCUSDT,ETHUSDT"}, -1100),
        ("ticker/24hr", {"symbols": '{"a":1}'}, -1100),
        ("ticker/24hr", {"symbols": "[]"}, -1102),
        ("ticker/24hr", {"symbols": symbols("BTCUSDT", "BTCUSDT")}, -1151),
        ("ticker/24hr", {"symbol": "BTCUSDT", "symbols": symbols("BTCUSDT")}, -1128),
        ("ticker/24hr", {"symbol": "BTCUSDT", "type": "full"}, -1139),
        ("ticker/24hr", {"symbol": "BTCUSDT", "symbolStatus": "OPEN"}, -1122),
        ("ticker/24hr", {"symbol": "BTCUSDT", "windowSize": "1d"}, -1104),
        ("ping", {"symbol": "BTCUSDT"}, -1101),
        ("klines", {"interval": "1m"}, -1102),
        ("klines", {"symbol": "", "interval": "1m"}, -1102),
        ("klines", {"symbol": "BTCUSDT"}, -1102),
        ("klines", {"symbol": "BTCUSDT", "interval": "1H"}, -1120),
        ("klines", {"symbol": "BTC/USDT", "interval": "1h"}, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": "-1"}, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": "0"}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "startTime": "yesterday"}, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "startTime": ""}, -1105),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "timeZone": "15"}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "timeZone": "UTC"}, -1130),
    ],
)
async def test_what_binance_cannot_use_is_a_400_with_its_code(client, path, query, code):
    answer = await client.get(f"/binance/api/v3/{path}", **query)
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert answer.headers["content-type"] == "application/json;charset=UTF-8"


@pytest.mark.parametrize(
    ("path", "query", "weight"),
    [
        ("ping", {}, 1),
        ("exchangeInfo", {}, 20),
        ("ticker/24hr", {"symbol": "BTCUSDT"}, 2),
        ("ticker/24hr", {"symbols": symbols(*list(BINANCE)[:20])}, 2),
        ("ticker/24hr", {"symbols": symbols(*list(BINANCE)[:21])}, 40),
        ("ticker/24hr", {}, 80),
        ("ticker/price", {"symbol": "BTCUSDT"}, 2),
        ("ticker/price", {}, 4),
        ("ticker/bookTicker", {"symbol": "BTCUSDT"}, 2),
        ("ticker/bookTicker", {"symbols": symbols("BTCUSDT")}, 4),
        ("klines", {"symbol": "BTCUSDT", "interval": "1d", "limit": "1000"}, 2),
        ("depth", {"symbol": "BTCUSDT", "limit": "100"}, 5),
        ("depth", {"symbol": "BTCUSDT", "limit": "500"}, 25),
        ("depth", {"symbol": "BTCUSDT", "limit": "1000"}, 50),
        ("depth", {"symbol": "BTCUSDT", "limit": "1001"}, 250),
        ("trades", {"symbol": "BTCUSDT", "limit": "1"}, 25),
        ("aggTrades", {"symbol": "BTCUSDT", "limit": "1"}, 4),
    ],
)
async def test_each_call_weighs_what_binance_documents(client, path, query, weight):
    answer = await client.get(f"/binance/api/v3/{path}", **query)
    assert answer.status_code == 200
    assert answer.headers["x-mbx-used-weight-1m"] == str(weight)


async def test_weight_is_counted_for_each_address_and_minute(client, request):
    await client.binance("ping")
    assert (await client.get("/binance/api/v3/ping")).headers["x-mbx-used-weight-1m"] == "2"
    other = Client(EXCHANGE, f"{request.node.name} elsewhere")
    assert (await other.get("/binance/api/v3/ping")).headers["x-mbx-used-weight-1m"] == "1"
    CLOCK.now += MINUTE_MS
    assert (await client.get("/binance/api/v3/ping")).headers["x-mbx-used-weight-1m"] == "1"


async def test_over_the_limit_comes_429_and_a_client_that_goes_on_is_banned(client):
    for _ in range(75):
        assert (await client.get("/binance/api/v3/ticker/24hr")).status_code == 200
    refused = await client.get("/binance/api/v3/ping")
    assert refused.status_code == 429
    assert refused.json()["code"] == -1003
    assert int(refused.headers["retry-after"]) == 60 - NOW // 1000 % 60
    banned = refused
    for _ in range(20):
        banned = await client.get("/binance/api/v3/ping")
    assert banned.status_code == 418
    assert banned.headers["retry-after"] == "120"
    assert f"IP banned until {NOW + 120_000}" in banned.json()["msg"]
    CLOCK.now += 119_000
    assert (await client.get("/binance/api/v3/ping")).status_code == 418
    CLOCK.now += 2_000
    assert (await client.get("/binance/api/v3/ping")).status_code == 200


def test_bans_double_and_end_at_three_days():
    meter = WeightMeter()
    now, lengths = NOW, []
    for _ in range(13):
        verdict = meter.spend("a", 6001, now=now)
        while verdict.status != 418:
            verdict = meter.spend("a", 6001, now=now)
        lengths.append((verdict.until - now) // 1000)
        now = verdict.until + MINUTE_MS
    assert lengths[:3] == [120, 240, 480]
    assert lengths[-1] == 3 * 86_400


async def test_exchange_information_lists_every_symbol_with_its_tick_and_lot(client):
    information = await client.binance("exchangeInfo")
    assert information["serverTime"] == NOW
    assert information["rateLimits"][0]["limit"] == 6000
    assert [row["symbol"] for row in information["symbols"]] == list(BINANCE)
    bitcoin = information["symbols"][0]
    assert (bitcoin["baseAsset"], bitcoin["quoteAsset"], bitcoin["status"]) == ("BTC", "USDT", "TRADING")
    filters = {row["filterType"]: row for row in bitcoin["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"


async def test_a_ticker_waits_for_one_answer_about_candles_at_most():
    order = []

    class Slow:
        def answer(self, request):
            order.append(request.path)
            time.sleep(0.02)
            return Answer(b"{}")

    transport = httpx.ASGITransport(app=Exchange({"binance": Slow()}, source="simulated", now=lambda: 0))
    async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as client:
        candles = [asyncio.create_task(client.get("/binance/api/v3/klines")) for _ in range(6)]
        while not order:
            await asyncio.sleep(0.001)
        await client.get("/binance/api/v3/ticker/24hr")
        assert order.index("/api/v3/ticker/24hr") <= 2
        await asyncio.gather(*candles)
    assert len(order) == 7
