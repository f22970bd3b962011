"""The simulated exchange's answers beside recorded real ones: the same members in the same order, the same digits."""

from __future__ import annotations

import json
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.exchange.application import exchange

SHARED = os.environ.get("TICKWIRE_SHARED")
pytestmark = pytest.mark.skipif(not SHARED, reason="TICKWIRE_SHARED names no folder with recorded answers")
NOW = 1_790_000_003_123
EXCHANGE = exchange(now=lambda: NOW)


def recorded(name: str) -> Any:
    return json.loads((Path(SHARED or "") / "market" / "recordings" / name).read_text())


async def answer(path: str, **query: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=EXCHANGE)
    async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as client:
        return await client.get(path, params=query or None)


def shape(value: Any) -> Any:
    """Reduce a JSON value to what two answers of one kind share: names, order, types, digits after the point."""
    match value:
        case dict():
            return [(name, shape(member)) for name, member in value.items()]
        case list():
            return [shape(member) for member in value]
        case str() if re.fullmatch(r"-?\d+(\.\d+)?", value):
            return f"number with {len(value.partition('.')[2])} digits"
        case bool() | None:
            return type(value)
        case int() | float():
            return "number"
    return "text"


async def test_a_24_hour_ticker_has_binances_shape():
    for real in recorded("binance_ticker_24hr_captured_mixed_dates.json")[:3]:
        assert shape((await answer("/binance/api/v3/ticker/24hr", symbol="BTCUSDT")).json()) == shape(real)


async def test_tickers_of_many_have_binances_shape():
    real = recorded("binance_ticker_24hr_30symbols_DERIVED.json")
    mine = (await answer("/binance/api/v3/ticker/24hr", symbols='["BTCUSDT","ETHUSDT"]')).json()
    assert shape(mine) == shape(real[:2])


async def test_a_book_ticker_and_a_price_have_binances_shape():
    (real, *_), (price, *_) = (
        recorded("binance_bookTicker_captured_2018.json"),
        recorded("binance_ticker_price_captured.json"),
    )
    assert shape((await answer("/binance/api/v3/ticker/bookTicker", symbol="ETHUSDT")).json()) == shape(real)
    assert shape((await answer("/binance/api/v3/ticker/price", symbol="ETHUSDT")).json()) == shape(price)


@pytest.mark.parametrize("interval", ["5m", "4h"])
async def test_candles_have_binances_shape(interval):
    real = recorded(f"binance_klines_BTCUSDT_{interval}_500.json")
    mine = (await answer("/binance/api/v3/klines", symbol="BTCUSDT", interval=interval)).json()
    assert len(mine) == len(real)
    assert [shape(row) for row in mine] == [shape(row) for row in real]
    assert {row[6] - row[0] for row in mine} == {row[6] - row[0] for row in real}
    assert {right[0] - left[0] for left, right in pairwise(mine)} == {mine[1][0] - mine[0][0]}


async def test_binances_errors_are_the_documented_ones():
    real = recorded("binance_errors.json")["400 bad symbol (fails the whole symbols=[..] batch)"]
    mine = await answer("/binance/api/v3/ticker/24hr", symbols='["BTCUSDT","NOPE"]')
    assert (mine.status_code, mine.json()) == (400, real)


async def test_krakens_ticker_has_its_shape():
    """The recording is older than the third number of ``a`` and ``b``."""
    (real,) = recorded("kraken_ticker_XXBTZEUR.json")["result"].values()
    (mine,) = (await answer("/kraken/0/public/Ticker", pair="XBTUSD")).json()["result"].values()
    mine["a"], mine["b"] = mine["a"][:2], mine["b"][:2]
    assert shape(mine) == shape(real)


async def test_krakens_candles_have_its_shape():
    """The recording is of a time when prices had three digits."""
    real, mine = recorded("kraken_ohlc_XXBTZUSD_1m.json"), (await answer("/kraken/0/public/OHLC", pair="XBTUSD")).json()
    assert list(mine["result"]) == list(real["result"]) == ["XXBTZUSD", "last"]
    mine, real = mine["result"], real["result"]
    assert len(mine["XXBTZUSD"]) == len(real["XXBTZUSD"]) == 720
    digits = [re.sub(r"with \d", "with n", str(shape(rows["XXBTZUSD"][:-1]))) for rows in (mine, real)]
    assert digits[0] == digits[1]
    assert mine["last"] - mine["XXBTZUSD"][-1][0] == real["last"] - real["XXBTZUSD"][-1][0] == -60


async def test_krakens_trades_have_its_shape():
    """The recording is older than the trade's id, the last member."""
    (real, last) = recorded("kraken_trades_XXBTZUSD.json")["result"].values()
    mine, mine_last = (await answer("/kraken/0/public/Trades", pair="XBTUSD", count="1")).json()["result"].values()
    assert shape(mine[0][:6]) == shape(real[0])
    assert shape(mine_last) == shape(last)
    assert len(mine_last) == len(last)


async def test_krakens_pairs_have_its_names_and_digits():
    real = recorded("kraken_assetpairs_fx_subset.json")["result"]
    mine = (await answer("/kraken/0/public/AssetPairs")).json()["result"]
    both = real.keys() & mine.keys()
    assert {"ZEURZUSD", "ZGBPZUSD", "ZUSDZJPY", "USDCHF", "PAXGUSD"} <= both
    for name in both:
        assert {member: mine[name][member] for member in real[name]} == real[name]


async def test_gold_has_gold_apis_shape():
    recordings = recorded("gold_api_captured.json")
    mine = await answer("/gold-api/price/XAU")
    assert shape(mine.json()) == shape(recordings["2026-09-25 GET /price/XAU"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", mine.json()["updatedAt"])
    unknown = await answer("/gold-api/price/NOPE")
    assert unknown.json() == recordings["error: unknown symbol / ?currency= -> HTTP 404"]
    assert (await answer("/gold-api/symbols")).json() == recordings["docs llms.txt GET /symbols"]
