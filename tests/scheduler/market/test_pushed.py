"""What is taken from the WebSocket, and what is asked for all the same."""

from __future__ import annotations

import asyncio

import pytest

from scheduler.errors import RateLimited, UnknownInstrument, Unreachable
from scheduler.market.breaker import Breaker
from scheduler.market.providers import Answer
from scheduler.market.push.keeper import Keeper
from scheduler.market.push.pushed import Pushed
from tests.scheduler.fakes import BITCOIN, ETHER, GOLD, NOON, Clock, ScriptedProvider, answering, quote


class ScriptedKeeper(Keeper):
    """Says what a test has put into ``said``, without a socket."""

    def __init__(self):
        super().__init__("binance", "ws://nowhere.test", None, breaker=Breaker("binance"))
        self.said = {}
        self.followed = []
        self.closed = False
        self.faults = []

    def follow(self, instruments):
        self.followed.append([one.symbol for one in instruments])

    def quote(self, instrument):
        return self.said.get(instrument.symbol)

    def take_faults(self):
        faults, self.faults = self.faults, []
        return faults

    async def close(self):
        self.closed = True


@pytest.fixture
def keeper():
    return ScriptedKeeper()


def pushed(keeper, *answers, clock=None):
    return Pushed(ScriptedProvider(*(answers or [Answer()])), keeper, now=clock or Clock())


async def test_it_is_the_provider_that_it_stands_before(keeper):
    provider = pushed(keeper, answering(quote("BTC")))
    assert (provider.name, provider.period_ms) == ("binance", 5_000)
    assert (await provider.fetch([BITCOIN], within=1)).quotes == {"BTC": quote("BTC")}
    assert keeper.followed == [["BTC"]]


async def test_what_was_just_pushed_is_not_asked_for(keeper):
    keeper.said["BTC"] = young = quote("BTC", "5", answered_at=NOON - 899)
    provider = pushed(keeper, answering(quote("ETH")))
    answer = await provider.fetch([BITCOIN, ETHER], within=1)
    assert answer.quotes == {"BTC": young, "ETH": quote("ETH")}
    assert provider._rest.asked == [["ETH"]]


async def test_when_all_is_fresh_nobody_is_asked(keeper):
    keeper.said["BTC"] = quote("BTC", answered_at=NOON)
    provider = pushed(keeper)
    await provider.fetch([BITCOIN], within=1)
    assert provider._rest.asked == []


async def test_what_is_older_is_asked_for_and_the_answer_counts(keeper):
    keeper.said["BTC"] = quote("BTC", "5", answered_at=NOON - 900)
    assert (await pushed(keeper, answering(quote("BTC", "6"))).fetch([BITCOIN], within=1)).quotes["BTC"].last == "6"


async def test_what_is_pushed_while_somebody_is_asked_is_taken(keeper):
    class Slow(ScriptedProvider):
        async def fetch(self, instruments, *, within):
            keeper.said["BTC"] = quote("BTC", "7", answered_at=NOON)
            return await super().fetch(instruments, within=within)

    keeper.said["BTC"] = quote("BTC", "5", answered_at=NOON - 900)
    provider = Pushed(Slow(answering(quote("BTC", "6"))), keeper, now=Clock())
    assert (await provider.fetch([BITCOIN], within=1)).quotes["BTC"].last == "7"


async def test_without_an_answer_what_was_pushed_within_a_period_still_holds(keeper):
    keeper.said["BTC"] = older = quote("BTC", "5", answered_at=NOON - 4_999)
    keeper.said["ETH"] = quote("ETH", "5", answered_at=NOON - 5_000)
    answer = await pushed(keeper, Unreachable("binance", "timed out")).fetch([BITCOIN, ETHER], within=1)
    assert answer.quotes == {"BTC": older}
    assert [str(fault) for fault in answer.faults] == ["binance: timed out"]


async def test_fallbacks_are_asked_for_and_not_listened_to(keeper):
    keeper.said["XAU"] = quote("XAU", answered_at=NOON)
    provider = Pushed(ScriptedProvider(answering(quote("XAU", "1")), name="kraken"), keeper, now=Clock())
    assert (await provider.fetch([GOLD], within=1)).quotes["XAU"].last == "1"
    assert keeper.followed == [[]]


async def test_a_provider_that_is_heard_is_not_shut_though_calls_are_refused(keeper):
    refusal = RateLimited("binance", "429", retry_at=NOON + 60_000)
    unknown = UnknownInstrument("binance", "NOPE", retry_at=NOON + 60_000)
    refused = Answer(faults=[refusal, unknown])
    silent = await pushed(keeper, refused).fetch([BITCOIN, ETHER], within=1)
    assert silent.faults == [refusal, unknown]
    keeper.said["BTC"] = quote("BTC", answered_at=NOON)
    heard = await pushed(keeper, refused).fetch([BITCOIN, ETHER], within=1)
    assert [(type(fault), fault.retry_at) for fault in heard.faults] == [
        (RateLimited, None),
        (UnknownInstrument, NOON + 60_000),
    ]


async def test_troubles_of_the_socket_are_told_beside_those_of_calls(keeper):
    keeper.faults = [Unreachable("binance", "its socket was closed")]
    provider = pushed(keeper, answering(quote("BTC")))
    assert [str(one) for one in (await provider.fetch([BITCOIN], within=1)).faults] == [
        "binance: its socket was closed"
    ]
    assert (await provider.fetch([BITCOIN], within=1)).faults == []


async def test_closing_closes_both(keeper):
    provider = pushed(keeper)
    await asyncio.wait_for(provider.close(), 1)
    assert (keeper.closed, provider._rest.closed) == (True, True)
