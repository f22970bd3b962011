"""gold-api's documented answers and errors, over a transport in memory."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from scheduler.errors import MalformedAnswer, RateLimited, Refused, Unavailable, UnknownInstrument
from scheduler.market.providers.gold_api import GoldApi
from scheduler.market.providers.host import QUARANTINE_MS
from tests.scheduler.fakes import GOLD, NOON, Clock, gold

SHARED = os.environ.get("TICKWIRE_SHARED")
recorded = pytest.mark.skipif(SHARED is None, reason="TICKWIRE_SHARED does not name the folder of recorded answers")
SILVER = replace(GOLD, symbol="XAG", sources={"gold-api": "XAG"}, proxies=frozenset())


class Exchange:
    def __init__(self):
        self.asked = []
        self.headers = {}
        self.instead = {}

    def __call__(self, request):
        symbol = request.url.path.removeprefix("/price/")
        self.asked.append(symbol)
        answer = self.instead.get(symbol, gold(symbol))
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer, headers=self.headers)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def exchange():
    return Exchange()


@pytest.fixture
async def provider(exchange, clock):
    provider = GoldApi("http://exchange.test", now=clock, transport=httpx.MockTransport(exchange))
    yield provider
    await provider.close()


async def test_a_metal_has_a_price_and_a_time_and_nothing_else(provider, clock):
    clock.at = NOON + 300
    quote = (await provider.fetch([GOLD], within=1)).quotes["XAU"]
    assert (quote.last, quote.bid, quote.ask, quote.change_pct) == ("4274.299805", None, None, None)
    assert (quote.source, quote.ts, quote.answered_at) == ("gold-api", NOON - 25_000, NOON + 300)


async def test_each_metal_is_a_call(provider, exchange):
    assert set((await provider.fetch([GOLD, SILVER], within=1)).quotes) == {"XAU", "XAG"}
    assert sorted(exchange.asked) == ["XAG", "XAU"]


@pytest.mark.parametrize(
    ("header", "kept_ms"),
    [
        (None, 30_000),
        ("public, max-age=12", 12_000),
        ("max-age=12, s-maxage=99", 12_000),
        ("Max-Age=0", 0),
        ("max-age=86400", 30_000),
        ("no-transform", 30_000),
    ],
)
async def test_an_answer_is_kept_as_long_as_it_says_and_never_longer_than_30_seconds(
    provider, exchange, clock, header, kept_ms
):
    exchange.headers = {} if header is None else {"Cache-Control": header}
    first = await provider.fetch([GOLD], within=1)
    clock.at = NOON + kept_ms - 1
    if kept_ms:
        assert (await provider.fetch([GOLD], within=1)).quotes == first.quotes
        assert len(exchange.asked) == 1
    clock.at = NOON + kept_ms
    again = await provider.fetch([GOLD], within=1)
    assert again.quotes["XAU"].answered_at == NOON + kept_ms
    assert len(exchange.asked) == 2


async def test_a_stand_in_is_named_as_the_source(provider, exchange):
    exchange.headers = {"X-Tickwire-Source": "simulated"}
    assert (await provider.fetch([GOLD], within=1)).quotes["XAU"].source == "simulated"


async def test_an_unknown_symbol_costs_the_others_nothing_and_is_asked_about_again_after_its_time(
    provider, exchange, clock
):
    exchange.instead["XAU"] = httpx.Response(404, json={"error": "Symbol not found"})
    answer = await provider.fetch([GOLD, SILVER], within=1)
    assert set(answer.quotes) == {"XAG"}
    assert [str(fault) for fault in answer.faults] == ["gold-api: XAU: 404 Symbol not found"]
    assert isinstance(answer.faults[0], UnknownInstrument)
    exchange.asked.clear()
    clock.at = NOON + QUARANTINE_MS - 1
    assert (await provider.fetch([GOLD, SILVER], within=1)).faults == []
    assert exchange.asked == ["XAG"]
    clock.at += 30_000
    del exchange.instead["XAU"]
    assert set((await provider.fetch([GOLD, SILVER], within=1)).quotes) == {"XAU", "XAG"}


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (httpx.Response(500, text="<html>"), Unavailable),
        (httpx.Response(429, headers={"Retry-After": "7"}, json={"error": "Slow down"}), RateLimited),
        (httpx.Response(403, text="<html>"), Refused),
        (httpx.Response(301, headers={"Location": "http://elsewhere.test/"}), MalformedAnswer),
        (httpx.Response(200, text="<html>maintenance</html>"), MalformedAnswer),
        (httpx.Response(200, text='{"name":"Gold","pri'), MalformedAnswer),
        (httpx.Response(200, json={}), MalformedAnswer),
        (httpx.Response(200, json={"error": "Symbol not found"}), MalformedAnswer),
        (httpx.Response(200, json=gold("XAU", price=0)), MalformedAnswer),
        (httpx.Response(200, json=gold("XAU", price=-1)), MalformedAnswer),
        (httpx.Response(200, json=gold("XAU") | {"price": None}), MalformedAnswer),
        (httpx.Response(200, json=gold("XAU") | {"price": "4274.3"}), MalformedAnswer),
        (httpx.Response(200, json=gold("XAU") | {"updatedAt": "a few seconds ago"}), MalformedAnswer),
        (httpx.Response(200, json=gold("XAU") | {"updatedAt": "2025-03-06T01:59:35"}), MalformedAnswer),
    ],
)
async def test_an_answer_that_is_none_is_a_fault(provider, exchange, answer, fault):
    exchange.instead["XAU"] = answer
    found = await provider.fetch([GOLD], within=1)
    assert (found.quotes, [type(one) for one in found.faults]) == ({}, [fault])


async def test_while_it_may_not_be_asked_what_is_kept_is_still_good(provider, exchange, clock):
    await provider.fetch([SILVER], within=1)
    exchange.instead["XAU"] = httpx.Response(403, text="<html>")
    clock.at = NOON + 10_000
    refused = await provider.fetch([GOLD, SILVER], within=1)
    assert (set(refused.quotes), [type(one) for one in refused.faults]) == ({"XAG"}, [Refused])
    again = await provider.fetch([GOLD, SILVER], within=1)
    assert (set(again.quotes), again.faults) == ({"XAG"}, refused.faults)
    assert exchange.asked == ["XAG", "XAU"]


async def test_what_is_late_is_a_fault_and_what_came_is_kept(clock):
    async def slow_gold(request):
        if request.url.path.endswith("XAU"):
            await asyncio.sleep(60)
        return httpx.Response(200, json=gold("XAG"))

    provider = GoldApi("http://exchange.test", now=clock, transport=httpx.MockTransport(slow_gold))
    answer = await provider.fetch([GOLD, SILVER], within=0.02)
    assert set(answer.quotes) == {"XAG"}
    assert [str(fault) for fault in answer.faults] == ["gold-api: no whole answer within 0.0 s"]
    await provider.close()


async def test_five_errors_on_the_way_in_a_row_stop_the_calls_for_a_while(clock):
    asked = []

    def refuse(request):
        asked.append(request)
        raise httpx.ConnectError("refused", request=request)

    provider = GoldApi("http://exchange.test", now=clock, transport=httpx.MockTransport(refuse))
    for _ in range(5):
        answer = await provider.fetch([GOLD], within=1)
        clock.at += 5_000
    retry_at = answer.faults[0].retry_at
    assert NOON + 20_000 + 30_000 <= retry_at <= NOON + 20_000 + 120_000
    await provider.fetch([GOLD], within=1)
    assert len(asked) == 5
    clock.at = retry_at
    assert (await provider.fetch([GOLD], within=1)).faults[0].retry_at > retry_at
    assert len(asked) == 6
    await provider.close()


async def test_after_a_close_a_fetch_opens_new_sockets(provider, clock):
    await provider.fetch([GOLD], within=1)
    await provider.close()
    clock.at = NOON + 30_000
    assert set((await provider.fetch([GOLD], within=1)).quotes) == {"XAU"}


@recorded
async def test_recorded_answers_are_read_digit_for_digit(provider, exchange, clock):
    path = Path(SHARED) / "market" / "recordings" / "gold_api_captured.json"
    answers = json.loads(path.read_text(encoding="utf-8"), parse_float=str)
    prices = [answer for title, answer in answers.items() if "GET /price/" in title]
    assert len(prices) == 5
    for answer in prices:
        text = json.dumps(answer | {"price": "PRICE"}).replace('"PRICE"', answer["price"])
        exchange.instead["XAU"] = httpx.Response(200, text=text)
        clock.at += 30_000
        quote = (await provider.fetch([GOLD], within=1)).quotes["XAU"]
        assert quote.last == answer["price"]
        assert quote.ts == datetime.fromisoformat(answer["updatedAt"]).timestamp() * 1000
