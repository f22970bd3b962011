"""Swissquote's answers as they were seen, over a transport in memory."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from scheduler.errors import MalformedAnswer, UnknownInstrument
from scheduler.market.providers.swissquote import Swissquote
from tests.scheduler.fakes import EURO, GOLD, NOON, Clock

SHARED = os.environ.get("TICKWIRE_SHARED")
recorded = pytest.mark.skipif(SHARED is None, reason="TICKWIRE_SHARED does not name the folder of recorded answers")


def platform(*prices, ts=NOON - 250):
    offered = [{"spreadProfile": "premium", "bidSpread": 0.6, "bid": bid, "ask": ask} for bid, ask in prices]
    return {"topo": {"platform": "AT", "server": "AT"}, "spreadProfilePrices": offered, "ts": ts}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def asked_of(clock):
    """Give what a pair's answer is read as, and the addresses that were asked."""
    opened = []

    async def ask(instrument, answer, *, times=1):
        asked = []

        def exchange(request):
            asked.append(request.url.path)
            return httpx.Response(200, **({"json": answer} if isinstance(answer, list) else {"content": answer}))

        provider = Swissquote("http://exchange.test", now=clock, transport=httpx.MockTransport(exchange))
        opened.append(provider)
        for _ in range(times):
            found = await provider.fetch([instrument], within=1)
            clock.at += 5_000
        return found, asked

    yield ask
    for provider in opened:
        await provider.close()


async def test_bid_and_ask_are_the_medians_of_what_all_platforms_offer(asked_of):
    answer = [platform((1.15033, 1.15042), (1.15030, 1.15040), ts=NOON - 900), platform((1.15010, 1.15060), ts=NOON)]
    found, asked = await asked_of(EURO, answer)
    euro = found.quotes["EURUSD"]
    assert (euro.bid, euro.ask, euro.last) == ("1.1503", "1.15042", "1.15036")
    assert (euro.source, euro.ts, euro.change_pct) == ("swissquote", NOON, None)
    assert asked == ["/public-quotes/bboquotes/instrument/EUR/USD"]


async def test_a_median_of_two_is_exact(asked_of):
    found, _ = await asked_of(EURO, [platform((1.15033, 1.15042), (1.15034, 1.15043))])
    assert (found.quotes["EURUSD"].bid, found.quotes["EURUSD"].ask) == ("1.150335", "1.150425")


async def test_no_pair_is_asked_about_more_often_than_every_ten_seconds(asked_of):
    found, asked = await asked_of(EURO, [platform((1.15033, 1.15042))], times=5)
    assert set(found.quotes) == {"EURUSD"}
    assert len(asked) == 3


async def test_an_empty_answer_is_an_unknown_pair(asked_of):
    found, _ = await asked_of(EURO, [])
    assert [(type(fault), str(fault)) for fault in found.faults] == [(UnknownInstrument, "swissquote: EUR/USD: 200")]


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b'[{"spreadProfilePrices":[{"bid":1.1',
        b'{"spreadProfilePrices":[]}',
        b'[{"spreadProfilePrices":[]}]',
        b'[{"spreadProfilePrices":[{"bid":0,"ask":1.15}]}]',
        b'[{"spreadProfilePrices":[{"bid":"1.15","ask":1.15}]}]',
        b'[{"spreadProfilePrices":[{"bid":-1.15,"ask":1.15}]}]',
    ],
)
async def test_an_answer_that_is_none_is_a_fault(asked_of, answer):
    found, _ = await asked_of(EURO, answer)
    assert (found.quotes, [type(fault) for fault in found.faults]) == ({}, [MalformedAnswer])


@recorded
@pytest.mark.parametrize(
    ("name", "bid", "ask", "ts"),
    [
        ("EURUSD_captured_2026-07", "1.15033", "1.15042", NOON),
        ("XAUUSD_captured_2026-03-11", "5177.181", "5177.819", 1_773_242_658_815),
        ("XAUUSD_captured_2026-08-18_partial", "4389.063", "4389.697", 1_787_059_781_075),
        ("XAUUSD_captured_2026-09-25", "4271.581", "4272.219", 1_790_315_336_492),
    ],
)
async def test_recorded_answers_are_read(asked_of, name, bid, ask, ts):
    instrument = EURO if name.startswith("EUR") else GOLD
    content = (Path(SHARED) / "market" / "recordings" / f"swissquote_{name}.json").read_bytes()
    found, _ = await asked_of(instrument, content)
    quote = found.quotes[instrument.symbol]
    assert (quote.bid, quote.ask, quote.ts) == (bid, ask, ts)
