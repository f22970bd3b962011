"""Order flow that is asked for before its tick comes, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from scheduler.binary import Sentiments
from scheduler.market.flow import Flow
from scheduler.market.prefetched import AHEAD_MS, WITHIN_S, Prefetched
from scheduler.virtual_time import run_virtually
from tests.scheduler.fakes import BITCOIN, EURO, NOON

PERIOD_S = 30


def now():
    return NOON + round(1000 * asyncio.get_running_loop().time())


class Paced:
    """A provider that takes ``seconds`` for each answer, and says in it when it was asked."""

    name = "kraken"
    period_ms = 1000 * PERIOD_S
    is_paced = True

    def __init__(self, seconds=8.0):
        self.seconds = seconds
        self.asked = []
        self.is_closed = False

    async def fetch(self, instruments, *, within):
        asked_at = now()
        self.asked.append((asked_at - NOON, [one.symbol for one in instruments], within))
        await asyncio.sleep(self.seconds)
        return Flow(asked_at, book={one.symbol: 0 for one in instruments})

    async def close(self):
        self.is_closed = True


async def fetch_at(provider, second):
    """Fetch at that second; gives when what is told was asked (nothing told: None), and when it was there."""
    await asyncio.sleep(second - asyncio.get_running_loop().time())
    flow = await provider.fetch([EURO], within=22)
    return (flow.asked_at - NOON) / 1000 if flow.book else None, asyncio.get_running_loop().time()


def fetched(paced, *seconds):
    async def run():
        provider = Prefetched(paced, now=now)
        told = [await fetch_at(provider, second) for second in seconds]
        await provider.close()
        return told

    return run_virtually(run())


def test_the_first_fetch_waits_and_the_others_give_at_once_what_was_asked_shortly_before():
    paced = Paced()
    ahead = PERIOD_S - AHEAD_MS / 1000
    assert fetched(paced, 0, 30, 60) == [(0, 8), (ahead, 30), (30 + ahead, 60)]
    assert paced.asked == [(0, ["EURUSD"], 22), *((1000 * at, ["EURUSD"], WITHIN_S) for at in (ahead, 30 + ahead))]
    assert paced.is_closed


def test_what_is_not_complete_is_waited_for_by_nobody_and_given_by_the_next_fetch():
    # The second is asked as soon as the first has said something, which is late already.
    assert fetched(Paced(20.0), 0, 30, 45) == [(0, 20), (None, 30), (20, 45)]


def test_what_was_said_before_a_pause_is_of_no_use():
    # Another process had the ticks between, or the market was closed.
    assert fetched(Paced(), 0, 90) == [(0, 8), (90, 98)]


def test_what_is_still_being_asked_ends_with_the_provider():
    async def run():
        paced = Paced(seconds=1e6)
        provider = Prefetched(paced, now=now)
        paced.seconds = 0
        await fetch_at(provider, 0)
        paced.seconds = 1e6
        await asyncio.sleep(20)
        assert len(paced.asked) == 2
        await provider.close()
        assert paced.is_closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(run())


def test_a_bug_is_told_at_the_next_fetch_and_the_one_after_asks_anew():
    class Broken(Paced):
        async def fetch(self, instruments, *, within):
            if len(self.asked) == 1:
                self.asked.append(None)
                raise ZeroDivisionError
            return await super().fetch(instruments, within=within)

    async def run():
        provider = Prefetched(Broken(), now=now)
        await fetch_at(provider, 0)
        with pytest.raises(ZeroDivisionError):
            await fetch_at(provider, 30)
        assert await fetch_at(provider, 60) == (60, 68)
        await provider.close()

    run_virtually(run())


def test_crypto_is_not_kept_waiting_by_the_pace_of_others():
    class Quick(Paced):
        name = "binance"
        is_paced = False

    async def run():
        composer = Sentiments([BITCOIN, EURO], [Quick(0.25), Prefetched(Paced(), now=now)], now=now)
        took = []
        for tick in range(3):
            await asyncio.sleep(PERIOD_S * tick - asyncio.get_running_loop().time())
            fetched = await composer.fetch(within=22)
            took.append(asyncio.get_running_loop().time() - PERIOD_S * tick)
            assert set(fetched.flows["binance"].book) == {"BTC"}
            assert set(fetched.flows["kraken"].book) == {"EURUSD"}
        await composer.close()
        return took

    assert run_virtually(run()) == [8, 0.25, 0.25]
