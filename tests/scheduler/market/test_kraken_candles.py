"""Kraken's candles over a transport in memory; the errors and names are test_kraken.py's."""

from __future__ import annotations

from urllib.parse import parse_qsl

import httpx
import pytest

from scheduler.errors import MalformedAnswer, UnknownInstrument
from scheduler.market.candles import Candle, read, write
from scheduler.market.providers.kraken_candles import KrakenCandles
from tests.scheduler.analysis.series import recorded, recording
from tests.scheduler.fakes import EURO, NOON, Clock

HOUR = 3_600_000
ROW = ["1.08310", "1.08400", "1.08290", "1.08350", "1.08333", "1520.25000000", 42]


class Exchange:
    """Stands in for Kraken: lists one pair, and answers one thing for its candles."""

    def __init__(self):
        self.asked = []
        self.listed = "EURUSD"
        self.series = {
            "ZEURZUSD": [[(NOON + hour * HOUR) // 1000, *ROW] for hour in (-2, -1, 0)],
            "last": (NOON - HOUR) // 1000,
        }

    def __call__(self, request):
        method = request.url.path.removeprefix("/0/public/")
        if method == "AssetPairs":
            return httpx.Response(200, json={"error": [], "result": {"ZEURZUSD": {"altname": self.listed}}})
        self.asked.append((method, dict(parse_qsl(request.url.query.decode()))))
        return httpx.Response(200, json={"error": [], "result": self.series})


@pytest.fixture
def exchange():
    return Exchange()


@pytest.fixture
async def provider(exchange):
    provider = KrakenCandles("http://exchange.test", now=Clock(NOON + 2_000), transport=httpx.MockTransport(exchange))
    yield provider
    await provider.close()


async def test_closed_candles_have_the_sources_digits_and_times(provider, exchange):
    answer = await provider.candles(EURO, "1h")
    assert answer.source == "kraken"
    assert answer.candles[-1] == Candle(NOON - HOUR, *ROW[:4], ROW[5], NOON - 1)
    assert [candle.opened_at for candle in answer.candles] == [NOON - 2 * HOUR, NOON - HOUR]
    assert exchange.asked == [("OHLC", {"pair": "EURUSD", "interval": "60"})]


async def test_a_later_call_asks_from_a_candle_on(provider, exchange):
    answer = await provider.candles(EURO, "1h", since=NOON - HOUR, until=NOON)
    assert exchange.asked[0][1]["since"] == str((NOON - HOUR) // 1000 - 1)
    assert [candle.opened_at for candle in answer.candles] == [NOON - HOUR]


async def test_a_pair_that_is_not_listed_is_not_asked_for(provider, exchange):
    exchange.listed = "EURGBP"
    with pytest.raises(UnknownInstrument, match="EURUSD is not listed there"):
        await provider.candles(EURO, "1h")
    assert exchange.asked == []


@pytest.mark.parametrize(
    "series", [[], {}, {"last": 1}, {"A": [], "B": []}, {"ZEURZUSD": [[1, 2]]}, {"ZEURZUSD": [["x", *ROW]]}]
)
async def test_an_answer_of_something_else_is_a_fault(provider, exchange, series):
    exchange.series = series
    with pytest.raises(MalformedAnswer):
        await provider.candles(EURO, "1h")


@recorded
async def test_recorded_candles_can_be_used(provider, exchange):
    exchange.series = recording("kraken_ohlc_XXBTZUSD_1m.json")["result"]
    answer = await provider.candles(EURO, "1m")
    assert len(read([write(candle) for candle in answer.candles])) == 720
