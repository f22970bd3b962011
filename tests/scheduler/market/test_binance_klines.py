"""Binance's candles over a transport in memory; the limits and refusals are test_binance.py's."""

from __future__ import annotations

import httpx
import pytest

from scheduler.errors import MalformedAnswer, RateLimited, Unavailable, UnknownInstrument
from scheduler.market.candles import Candle
from scheduler.market.providers.binance_klines import BinanceKlines
from scheduler.market.providers.host import QUARANTINE_MS
from tests.scheduler.analysis.series import recorded, recording
from tests.scheduler.fakes import BITCOIN, NOON, Clock

HOUR = 3_600_000


def kline(opened_at, close="91776.00000000"):
    """Write a row of ``klines`` of an hour as documented."""
    prices = ["91776.00000000", "91780.00000000", "91770.00000000", close]
    return [opened_at, *prices, "2.50000000", opened_at + HOUR - 1, "229440.0", 400, "1.5", "137664.0", "0"]


class Exchange:
    """Stands in for Binance: remembers what it was asked, and answers one thing."""

    def __init__(self):
        self.asked = []
        self.answer = httpx.Response(200, json=[kline(NOON - 2 * HOUR), kline(NOON - HOUR)])

    def __call__(self, request):
        self.asked.append((request.url.path, dict(request.url.params)))
        return self.answer


@pytest.fixture
def exchange():
    return Exchange()


@pytest.fixture
def clock():
    return Clock(NOON + 2_000)


@pytest.fixture
async def provider(exchange, clock):
    provider = BinanceKlines("http://exchange.test", now=clock, transport=httpx.MockTransport(exchange))
    yield provider
    await provider.close()


async def test_candles_have_the_sources_digits_and_times(provider):
    answer = await provider.candles(BITCOIN, "1h")
    assert answer.source == "binance"
    assert answer.candles == [
        Candle(
            opened_at, "91776.00000000", "91780.00000000", "91770.00000000", "91776.00000000", "2.50000000", closed_at
        )
        for opened_at, closed_at in [(NOON - 2 * HOUR, NOON - HOUR - 1), (NOON - HOUR, NOON - 1)]
    ]


async def test_the_first_call_asks_for_a_thousand_closed_candles(provider, exchange):
    await provider.candles(BITCOIN, "1h")
    asked = {"symbol": "BTCUSDT", "interval": "1h", "endTime": str(NOON - 1), "limit": "1000"}
    assert exchange.asked == [("/api/v3/klines", asked)]


async def test_a_later_call_asks_from_a_candle_on(provider, exchange):
    await provider.candles(BITCOIN, "15m", since=NOON - HOUR, until=NOON - 1)
    asked = exchange.asked[0][1]
    assert (asked["startTime"], asked["endTime"]) == (str(NOON - HOUR), str(NOON - 900_001))


async def test_a_candle_under_way_is_left_out(provider, exchange):
    exchange.answer = httpx.Response(200, json=[kline(NOON - HOUR), kline(NOON)])
    assert [candle.opened_at for candle in (await provider.candles(BITCOIN, "1h")).candles] == [NOON - HOUR]


async def test_a_stand_in_for_the_exchange_is_named_as_the_source(provider, exchange):
    exchange.answer = httpx.Response(200, json=[], headers={"X-Tickwire-Source": "simulated"})
    assert await provider.candles(BITCOIN, "1h") == ([], "simulated")


async def test_a_symbol_that_is_not_known_is_not_asked_for_again_for_an_hour(provider, exchange, clock):
    exchange.answer = httpx.Response(400, json={"code": -1121, "msg": "Invalid symbol."})
    with pytest.raises(UnknownInstrument):
        await provider.candles(BITCOIN, "1h")
    exchange.answer = httpx.Response(200, json=[kline(NOON - HOUR)])
    with pytest.raises(UnknownInstrument):
        await provider.candles(BITCOIN, "1h")
    assert len(exchange.asked) == 1
    clock.at += QUARANTINE_MS
    assert (await provider.candles(BITCOIN, "1h")).candles
    assert (await provider.candles(BITCOIN, "1h")).candles


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (httpx.Response(200, text="<html>maintenance</html>"), MalformedAnswer),
        (httpx.Response(200, text='[[1741224000000,"91'), MalformedAnswer),
        (httpx.Response(200, json=[[NOON - HOUR, 1.5]]), MalformedAnswer),
        (httpx.Response(400, json={"code": -1120, "msg": "Invalid interval."}), MalformedAnswer),
        (httpx.Response(503, text="<html>"), Unavailable),
        (httpx.Response(429, headers={"Retry-After": "7"}), RateLimited),
    ],
    ids=lambda value: f"{value.status_code}" if isinstance(value, httpx.Response) else value.__name__,
)
async def test_an_answer_that_is_none_is_a_fault(provider, exchange, answer, fault):
    exchange.answer = answer
    with pytest.raises(fault):
        await provider.candles(BITCOIN, "1h")


@recorded
async def test_recorded_candles_are_read_digit_for_digit(provider, exchange, clock):
    rows = recording("binance_klines_BTCUSDT_4h_500.json")
    clock.at = rows[-1][6] + 1
    exchange.answer = httpx.Response(200, json=rows)
    answer = await provider.candles(BITCOIN, "4h")
    assert [[getattr(one, name) for name in one.__struct_fields__] for one in answer.candles] == [
        row[:7] for row in rows
    ]
