"""Frankfurter's documented answers, over a transport in memory."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from scheduler.errors import MalformedAnswer, Refused, Unavailable
from scheduler.market.providers.frankfurter import Frankfurter
from tests.scheduler.fakes import EURO, NOON, Clock

SHARED = os.environ.get("TICKWIRE_SHARED")
recorded = pytest.mark.skipif(SHARED is None, reason="TICKWIRE_SHARED does not name the folder of recorded answers")
MIDNIGHT = NOON - 2 * 3_600_000
YEN = replace(EURO, symbol="USDJPY", reference="USD/JPY")
CROSS = replace(EURO, symbol="EURJPY", reference="EUR/JPY")
ALL = [EURO, YEN, CROSS]


def rates(**quotes):
    return [{"date": "2025-03-06", "base": "USD", "quote": quote, "rate": rate} for quote, rate in quotes.items()]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def ask(clock):
    opened = []

    async def ask(answer, *, instruments=ALL, within=1):
        provider = Frankfurter("http://rates.test", now=clock, transport=httpx.MockTransport(answer))
        opened.append(provider)
        return await provider.fetch(instruments, within=within)

    yield ask
    for provider in opened:
        await provider.close()


async def test_all_currencies_are_one_call_and_pairs_are_crossed(ask):
    asked = []

    def answer(request):
        asked.append((request.url.path, dict(request.url.params)))
        return httpx.Response(200, json=rates(EUR=0.8, JPY=152))

    told = await ask(answer)
    assert asked == [("/v2/rates", {"base": "USD", "quotes": "EUR,JPY"})]
    assert {symbol: float(rate) for symbol, rate in told.rates.items()} == {
        "EURUSD": 1.25,
        "USDJPY": 152,
        "EURJPY": 190,
    }
    assert (told.dated_at, told.faults) == (MIDNIGHT, ())


@pytest.mark.parametrize(
    ("headers", "kept_ms"),
    [
        ({}, 86_400_000),
        ({"cache-control": "public, max-age=7200"}, 7_200_000),
        ({"cache-control": "max-age=1"}, 3_600_000),
        ({"cache-control": "max-age=999999999"}, 86_400_000),
    ],
)
async def test_an_answer_keeps_as_long_as_it_says_between_an_hour_and_a_day(ask, headers, kept_ms):
    told = await ask(lambda request: httpx.Response(200, json=rates(EUR=0.8, JPY=152), headers=headers))
    assert told.due_at == NOON + kept_ms


async def test_a_pair_without_both_of_its_currencies_has_no_rate(ask):
    assert set((await ask(lambda request: httpx.Response(200, json=rates(EUR=0.8)))).rates) == {"EURUSD"}


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (httpx.Response(422, json={"status": 422, "message": "invalid currency: XXX"}), MalformedAnswer),
        (httpx.Response(500), Unavailable),
        (httpx.Response(200, json=[]), MalformedAnswer),
        (httpx.Response(200, json=rates(EUR=0)), MalformedAnswer),
        (httpx.Response(200, json={"rates": {}}), MalformedAnswer),
        (httpx.Response(200, text="<html>"), MalformedAnswer),
    ],
)
async def test_a_question_without_an_answer_is_put_again_ten_minutes_later(ask, answer, fault):
    told = await ask(lambda request: answer)
    assert (told.rates, [type(one) for one in told.faults]) == ({}, [fault])
    assert told.due_at == NOON + 600_000


async def test_a_refusal_is_believed(ask):
    told = await ask(lambda request: httpx.Response(403))
    assert ([type(one) for one in told.faults], told.due_at) == ([Refused], NOON + 3_600_000)


async def test_nobody_waits_longer_than_was_said(ask):
    async def silent(request):
        await asyncio.sleep(60)

    told = await ask(silent, within=0.01)
    assert [str(fault) for fault in told.faults] == ["frankfurter: no whole answer within 0.0 s"]


@recorded
async def test_the_recorded_answers_are_read(ask):
    path = Path(SHARED) / "market" / "recordings" / "frankfurter_v2_captured_2026-09-05.json"
    for title, body in json.loads(path.read_text(encoding="utf-8")).items():
        status = int(title[-3:])
        listed = [EURO, replace(EURO, symbol="USDCAD", reference="USD/CAD")]
        told = await ask(
            lambda request, status=status, body=body: httpx.Response(status, json=body), instruments=listed
        )
        if status == 200:
            assert {symbol: float(rate) for symbol, rate in told.rates.items()} == pytest.approx(
                {"EURUSD": 1 / 0.86006, "USDCAD": 1.3807}, rel=1e-9
            )
            assert told.dated_at == 1_788_566_400_000
        else:
            assert [str(fault) for fault in told.faults] == [f"frankfurter: unexpected answer 422 {body['message']}"]
