"""What the simulated exchange answers in the place of Kraken and gold-api, and how the venues agree."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from local.exchange.limits import CallPacer
from tests.local.exchange_client import CLOCK, EXCHANGE, NOW, Client


@pytest.fixture
def client(request) -> Client:
    CLOCK.now = NOW
    return Client(EXCHANGE, request.node.name)


def test_krakens_pace_allows_a_burst_and_then_one_call_a_second():
    pacer = CallPacer(rate=1.0, burst=3)
    assert [pacer.allows("a", now=NOW) for _ in range(4)] == [True, True, True, False]
    assert pacer.allows("b", now=NOW)
    assert not pacer.allows("a", now=NOW + 900)
    assert pacer.allows("a", now=NOW + 1900)


async def test_the_venues_agree_on_what_a_thing_costs(client):
    binance = {row["symbol"]: float(row["price"]) for row in await client.binance("ticker/price")}
    kraken = await client.kraken("Ticker", pair="XBTUSD,ETHUSD,PAXGUSD")
    gold = (await client.get("/gold-api/price/XAU")).json()["price"]
    for own, symbol in (("XXBTZUSD", "BTCUSDT"), ("XETHZUSD", "ETHUSDT"), ("PAXGUSD", "PAXGUSDT")):
        middle = (float(kraken[own]["a"][0]) + float(kraken[own]["b"][0])) / 2
        assert middle == pytest.approx(binance[symbol], rel=1e-3)
    assert gold == pytest.approx(binance["PAXGUSDT"], rel=5e-3)


async def test_kraken_answers_under_its_own_names_whatever_it_is_asked_by(client):
    for asked in ("EURUSD,XBTUSD", "ZEURZUSD,XXBTZUSD", "EUR/USD,XBT/USD"):
        assert list(await client.kraken("Ticker", pair=asked)) == ["XXBTZUSD", "ZEURZUSD"]
    pairs = await client.kraken("AssetPairs")
    assert {name: pair["altname"] for name, pair in pairs.items()}["ZUSDZJPY"] == "USDJPY"
    assert len(await client.kraken("Ticker")) == len(pairs) == 9


async def test_krakens_ticker_agrees_with_its_candles(client):
    ticker = (await client.kraken("Ticker", pair="EURUSD"))["ZEURZUSD"]
    days = (await client.kraken("OHLC", pair="EURUSD", interval="1440"))["ZEURZUSD"]
    assert len(days) == 720
    assert days[-1][1:5] == [ticker["o"], ticker["h"][0], ticker["l"][0], ticker["c"][0]]
    assert days[-1][5:] == [ticker["p"][0], ticker["v"][0], ticker["t"][0]]
    assert ticker["b"][0] < ticker["a"][0]


async def test_krakens_candles_can_be_asked_for_since_a_moment(client):
    answer = await client.kraken("OHLC", pair="XBTUSD", interval="5")
    rows = answer["XXBTZUSD"]
    assert answer["last"] == rows[-2][0]
    newer = await client.kraken("OHLC", pair="XBTUSD", interval="5", since=str(answer["last"]))
    assert newer["XXBTZUSD"] == rows[-2:]
    assert all(float(row[3]) <= float(row[5]) <= float(row[2]) for row in rows if row[7])


async def test_krakens_trades_follow_each_other_from_last_to_since(client):
    answer = await client.kraken("Trades", pair="EURUSD")
    rows = answer["ZEURZUSD"]
    assert len(rows) == 1000
    assert {row[3] for row in rows} == {"b", "s"}
    middle = rows[500]
    since = f"{middle[2]:.6f}".replace(".", "") + "000"
    newer = await client.kraken("Trades", pair="EURUSD", since=since, count="10")
    assert newer["ZEURZUSD"] == rows[501:511]
    none = await client.kraken("Trades", pair="EURUSD", since=answer["last"])
    assert none == {"ZEURZUSD": [], "last": answer["last"]}


async def test_krakens_trades_end_with_the_tickers_last_and_make_its_candles(client):
    ticker = (await client.kraken("Ticker", pair="EURUSD"))["ZEURZUSD"]
    candles = (await client.kraken("OHLC", pair="EURUSD", interval="1"))["ZEURZUSD"]
    begun = NOW // 60_000 * 60
    answer = await client.kraken("Trades", pair="EURUSD", since=f"{begun - 301}999999999")
    trades = answer["ZEURZUSD"]
    assert trades[-1][:2] == ticker["c"]
    assert answer["last"] == f"{trades[-1][2]:.6f}".replace(".", "") + "000"
    for candle in candles[-6:]:
        mine = [row for row in trades if candle[0] <= row[2] < candle[0] + 60]
        assert (len(mine), sum(Decimal(row[1]) for row in mine)) == (candle[7], Decimal(candle[6]))
        if mine:
            assert (mine[0][0], mine[-1][0]) == (candle[1], candle[4])
            assert (max(row[0] for row in mine), min(row[0] for row in mine)) == (candle[2], candle[3])


@pytest.mark.parametrize(
    ("path", "query", "error"),
    [
        ("Ticker", {"pair": "EURUSD,NOPE"}, "EQuery:Unknown asset pair"),
        ("OHLC", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("OHLC", {"pair": "EURUSD", "interval": "360"}, "EGeneral:Invalid arguments"),
        ("OHLC", {}, "EGeneral:Invalid arguments"),
        ("Trades", {"pair": "EURUSD", "count": "1001"}, "EGeneral:Invalid arguments"),
        ("Trades", {"pair": "EURUSD", "since": "now"}, "EGeneral:Invalid arguments"),
        ("Nothing", {}, "EGeneral:Unknown method"),
    ],
)
async def test_what_kraken_cannot_use_is_an_error_under_status_200(client, path, query, error):
    answer = await client.get(f"/kraken/0/public/{path}", **query)
    assert (answer.status_code, answer.json()) == (200, {"error": [error]})


async def test_a_client_in_a_hurry_meets_krakens_rate_limit(client):
    answers = [(await client.get("/kraken/0/public/Time")).json() for _ in range(16)]
    assert answers[14]["result"]["unixtime"] == NOW // 1000
    assert answers[15] == {"error": ["EAPI:Rate limit exceeded"]}


async def test_gold_changes_every_30_seconds_and_says_when(client):
    answer = await client.get("/gold-api/price/XAU")
    wait = int(answer.headers["cache-control"].removeprefix("public, max-age="))
    assert 0 < wait <= 30
    CLOCK.now += wait * 1000 - 1001
    assert (await client.get("/gold-api/price/XAU")).json() == answer.json()
    CLOCK.now += 1001
    later = (await client.get("/gold-api/price/XAU")).json()
    assert later["price"] != answer.json()["price"]
    assert datetime.fromisoformat(later["updatedAt"]).timestamp() % 30 == 0


async def test_gold_comes_in_other_currencies_at_the_exchange_rate(client):
    dollars = (await client.get("/gold-api/price/XAG")).json()
    euros = (await client.get("/gold-api/price/XAG/EUR")).json()
    assert euros["price"] == pytest.approx(dollars["price"] * euros["exchangeRate"], rel=1e-5)
    assert (euros["currency"], euros["currencySymbol"], dollars["exchangeRate"]) == ("EUR", "€", 1)


@pytest.mark.parametrize("path", ["price/XXX", "price/XAU/XXX", "price/XAU?currency=EUR", "price", "history"])
async def test_what_gold_does_not_know_is_its_404(client, path):
    answer = await client.get(f"/gold-api/{path}")
    assert (answer.status_code, answer.json()) == (404, {"error": "Symbol not found"})
