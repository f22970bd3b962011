from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import msgspec
import pytest

from scheduler.composition import Known
from scheduler.errors import Refused, Unavailable, UnknownInstrument, Unreachable
from scheduler.market import quotes
from scheduler.market.prices import Prices
from scheduler.market.providers import Answer, ReferenceAnswer
from tests.scheduler.fakes import BITCOIN, ETHER, EURO, GOLD, NOON, Clock, ScriptedProvider, answering, quote


def prices(*answers):
    return Prices([BITCOIN, ETHER], [ScriptedProvider(*answers)])


def known(composition):
    return Known(composition.content, composition.state)


async def compose(composer, before=None, *, now=NOON, full=False):
    return composer.compose(await composer.fetch(within=1), before or Known(), now=now, full=full)


async def test_the_first_answer_is_new_and_in_full():
    composition = await compose(prices(answering(quote("BTC"))))
    assert composition.updates == composition.content
    assert msgspec.json.decode(composition.updates["BTC"])["source"] == "binance"


async def test_nothing_is_made_up_before_the_first_good_answer():
    composition = await compose(prices(Unavailable("binance", "500")), full=True)
    assert (composition.updates, composition.content) == ({}, {})
    assert composition.faults == ["binance: 500"]


async def test_an_update_has_only_what_changed_without_its_origin():
    composer = prices(answering(quote("BTC"), quote("ETH")), answering(quote("BTC", "2"), quote("ETH", ts=NOON + 9)))
    before = await compose(composer)
    composition = await compose(composer, known(before), now=NOON + 5_000)
    assert list(composition.updates) == ["BTC"]
    assert set(msgspec.json.decode(composition.updates["BTC"])) == {"last", "bid", "ask", "change_pct", "ts"}
    assert set(composition.content) == {"BTC", "ETH"}


async def test_a_full_tick_says_every_price_though_nothing_changed_and_the_origin_only_if_it_has():
    composer = prices(answering(quote("BTC"), quote("ETH")), answering(quote("BTC"), quote("ETH", source="replay")))
    before = await compose(composer)
    composition = await compose(composer, known(before), full=True)
    assert list(composition.updates) == ["BTC", "ETH"]
    assert composition.updates["BTC"] == quotes.encode(quote("BTC"), full=False)
    assert composition.updates["ETH"] == composition.content["ETH"]


async def test_a_quote_that_turns_stale_is_sent_in_full():
    composer = prices(answering(quote("BTC")), Unavailable("binance", "500"))
    before = await compose(composer)
    at_rest = await compose(composer, known(before), now=NOON + 10_000)
    assert at_rest.updates == {}
    stale = await compose(composer, known(at_rest), now=NOON + 15_000)
    told = msgspec.json.decode(stale.updates["BTC"])
    assert (told["last"], told["ts"], told["stale"]) == (91776, NOON, True)


async def test_an_answer_without_news_still_keeps_the_value_from_growing_stale():
    again = quote("BTC", answered_at=NOON + 5_000)
    composer = prices(answering(quote("BTC")), answering(again), Unavailable("binance", "500"))
    before = await compose(composer)
    unchanged = await compose(composer, known(before), now=NOON + 5_000)
    assert (unchanged.updates, unchanged.state != before.state) == ({}, True)
    later = await compose(composer, Known(before.content, unchanged.state), now=NOON + 15_000)
    assert later.updates == {}


async def test_an_instrument_without_an_answer_does_not_hold_up_the_others():
    composer = prices(answering(quote("BTC"), quote("ETH")), answering(quote("BTC", "2", answered_at=NOON + 15_000)))
    before = await compose(composer)
    composition = await compose(composer, known(before), now=NOON + 15_000)
    told = {symbol: msgspec.json.decode(data) for symbol, data in composition.updates.items()}
    assert told["BTC"]["last"] == 2
    assert told["ETH"]["stale"] is True


async def test_what_another_version_wrote_counts_as_not_known():
    composer = prices(answering(quote("BTC")), Unavailable("binance", "500"))
    composition = await compose(composer, Known({"BTC": b'{"price":1}', "ETH": b"["}, b'{"held":[]}'))
    assert list(composition.updates) == ["BTC"]


async def test_a_value_without_its_time_counts_as_stale():
    before = await compose(prices(answering(quote("BTC"))))
    composition = await compose(prices(Unavailable("binance", "500")), Known(before.content, b""))
    assert msgspec.json.decode(composition.updates["BTC"])["stale"] is True


async def test_an_instrument_that_no_provider_knows_is_refused_at_the_start():
    gold = replace(BITCOIN, symbol="XAU", sources={"gold-api": "XAU"})
    with pytest.raises(ValueError, match="XAU has no source among the providers; there are binance"):
        Prices([gold], [ScriptedProvider(answering())])


async def test_a_provider_that_no_instrument_is_asked_of_is_not_called():
    composer = Prices([], [ScriptedProvider(Unavailable("binance", "500"))])
    fetched = await composer.fetch(within=1)
    assert fetched.faults == []
    composition = composer.compose(fetched, Known(), now=NOON + 3_600_000, full=True)
    assert (composition.updates, composition.news, composition.standing) == ({}, [], [])


async def test_closing_closes_the_providers():
    provider = ScriptedProvider(answering())
    await Prices([BITCOIN], [provider]).close()
    assert provider.closed


# Several providers.


class ScriptedReference:
    """A ``ReferenceProvider`` that says the same each time."""

    name = "frankfurter"

    def __init__(self, answer):
        self.answer = answer
        self.asked = []
        self.closed = False

    async def fetch(self, instruments, *, within):
        self.asked.append([one.symbol for one in instruments])
        return self.answer

    async def close(self):
        self.closed = True


class World:
    """Ticks five seconds apart, each of which knows what the one before has left."""

    def __init__(self, instruments, *providers, reference=None, start=NOON):
        self.clock = Clock(start)
        self.providers = {provider.name: provider for provider in providers}
        self.reference = reference
        self.instruments = instruments
        self.known = Known()
        self.told = []
        self.restart()

    def restart(self):
        """Go on in another process."""
        self.prices = Prices(self.instruments, self.providers.values(), reference=self.reference, now=self.clock)

    async def tick(self, times=1):
        for _ in range(times):
            for provider in self.providers.values():
                provider.answers = [answer_at(self.clock.at, answer) for answer in provider.answers]
            fetched = await self.prices.fetch(within=1)
            composition = self.prices.compose(fetched, self.known, now=self.clock.at, full=False)
            self.known = known(composition)
            self.told += [(one.component.removeprefix("provider."), one.state) for one in composition.news]
            assert set(composition.news) <= set(composition.standing)
            self.clock.at += 5_000
        return composition

    def value(self, symbol):
        data = msgspec.json.decode(self.known.content[symbol], type=dict[str, msgspec.Raw])
        return {member: bytes(raw).decode().strip('"') for member, raw in data.items()}


def answer_at(now, answer):
    quotes = {symbol: replace(quote, ts=now, answered_at=now) for symbol, quote in answer.quotes.items()}
    return Answer(quotes, answer.faults)


def saying(name, last, *symbols, period_ms=5_000, source=None):
    answers = answering(*(quote(symbol, last, source=source or name) for symbol in symbols))
    return ScriptedProvider(answers, name=name, period_ms=period_ms)


def shut(name):
    return Answer(faults=[Refused(name, "451", retry_at=NOON + 3_600_000)])


COIN = replace(BITCOIN, sources={"binance": "BTCUSDT", "kraken": "XBTUSD"})


async def test_fallbacks_are_asked_once_a_minute():
    world = World([COIN], saying("binance", "100", "BTC"), saying("kraken", "100", "BTC"), start=NOON + 25_000)
    await world.tick(24)
    assert len(world.providers["binance"].asked) == 24
    # At once, at the minute (35 s later) and at the one after.
    assert len(world.providers["kraken"].asked) == 3


async def test_fallbacks_are_asked_at_every_tick_on_which_the_primary_is_in_doubt():
    world = World([COIN], saying("binance", "100", "BTC"), saying("kraken", "102", "BTC"))
    await world.tick(6)
    assert len(world.providers["kraken"].asked) == 6


async def test_all_that_a_provider_is_asked_for_is_one_question():
    world = World([EURO, COIN], saying("binance", "100", "BTC"), saying("kraken", "1.15", "EURUSD"))
    await world.tick(2)
    assert world.providers["kraken"].asked == [["EURUSD", "BTC"], ["EURUSD"]]


async def test_a_new_process_serves_the_fallback_at_once_where_the_primary_is_down():
    world = World([COIN], saying("binance", "100", "BTC"), saying("kraken", "100.2", "BTC"))
    await world.tick()
    world.providers["binance"].answers = [shut("binance")]
    world.restart()
    await world.tick()
    assert (world.value("BTC")["last"], world.value("BTC")["source"]) == ("100.2", "kraken")


async def test_the_fallback_is_served_for_as_long_as_the_primary_is_down():
    world = World([COIN], saying("binance", "100", "BTC"), saying("kraken", "100.2", "BTC"))
    await world.tick()
    world.providers["binance"].answers = [shut("binance")]
    await world.tick(20)
    assert (world.value("BTC")["last"], world.value("BTC")["source"]) == ("100.2", "kraken")
    assert (world.value("BTC")["stale"], "proxy" in world.value("BTC")) == ("false", False)
    world.providers["binance"].answers = [answering(quote("BTC", "100.3"))]
    await world.tick()
    assert (world.value("BTC")["last"], world.value("BTC")["source"]) == ("100.3", "binance")
    assert world.told == [("binance", "down"), ("binance", "ok")]


async def test_a_rejected_primary_is_degraded_and_its_value_grows_stale():
    world = World([COIN], saying("binance", "100", "BTC"), saying("kraken", "100", "BTC"))
    await world.tick()
    world.providers["binance"].answers = [answering(quote("BTC", "101"))]
    world.restart()
    composition = await world.tick()
    assert composition.faults == ["binance: BTC at 101 is 1.00% off its fallbacks"]
    assert (world.value("BTC")["last"], world.value("BTC")["stale"]) == ("100", "false")
    await world.tick(2)
    assert (world.value("BTC")["last"], world.value("BTC")["stale"]) == ("100", "true")
    assert world.told == [("binance", "degraded")]


async def test_a_provider_is_down_when_it_has_not_answered_for_two_of_its_periods():
    world = World([GOLD], saying("gold-api", "4274", "XAU", period_ms=30_000))
    await world.tick()
    world.providers["gold-api"].answers = [Answer(faults=[Unavailable("gold-api", "500")])]
    await world.tick(12)
    assert world.told == []
    await world.tick()
    assert (world.told, world.value("XAU")["stale"]) == ([("gold-api", "down")], "true")


async def test_a_provider_that_never_answered_is_down_after_two_periods():
    world = World([BITCOIN], ScriptedProvider(Unavailable("binance", "500")))
    await world.tick(3)
    assert world.told == []
    await world.tick(30)
    assert world.told == [("binance", "down")]


async def test_a_fallback_that_is_asked_once_a_minute_is_not_down_between():
    world = World([COIN], saying("binance", "100", "BTC"), saying("kraken", "100", "BTC"))
    await world.tick(40)
    world.providers["kraken"].answers = [Answer(faults=[Unavailable("kraken", "500")])]
    await world.tick(45)
    assert world.told == [("kraken", "down")]


async def test_a_fallback_that_may_not_be_asked_stays_down_until_it_answers():
    world = World([COIN], saying("binance", "100", "BTC"), saying("kraken", "100", "BTC"))
    world.providers["kraken"].answers = [shut("kraken")]
    await world.tick(12)
    assert world.told == [("kraken", "down")]
    world.providers["kraken"].answers = [answering(quote("BTC", "100", source="kraken"))]
    await world.tick()
    assert world.told[1:] == [("kraken", "ok")]


async def test_a_symbol_that_a_provider_does_not_know_degrades_it_and_no_more():
    world = World([BITCOIN, ETHER], saying("binance", "100", "BTC"))
    unknown = UnknownInstrument("binance", "ETHUSDT: -1121", retry_at=NOON + 3_600_000)
    world.providers["binance"].answers = [replace(world.providers["binance"].answers[0], faults=[unknown])]
    await world.tick(3)
    assert world.told == []
    await world.tick(20)
    assert world.told == [("binance", "degraded")]


async def test_one_provider_that_is_down_leaves_the_others_alone():
    world = World([BITCOIN, EURO], saying("binance", "100", "BTC"), saying("kraken", "1.15", "EURUSD"))
    await world.tick()
    world.providers["kraken"].answers = [Answer(faults=[Unreachable("kraken", "timed out")])]
    await world.tick(5)
    assert world.told == [("kraken", "down")]
    assert (world.value("BTC")["stale"], world.value("EURUSD")["stale"]) == ("false", "true")


async def test_at_the_weekend_providers_are_closed_and_nothing_is_stale_or_said_twice():
    friday = int(datetime.fromisoformat("2026-11-20T21:59:50Z").timestamp() * 1000)
    world = World([BITCOIN, EURO], saying("binance", "100", "BTC"), saying("kraken", "1.15", "EURUSD"), start=friday)
    await world.tick(2)
    assert world.value("EURUSD")["market"] == "open"
    world.providers["kraken"].answers = [Answer(faults=[Unreachable("kraken", "timed out")])]
    composition = await world.tick()
    assert msgspec.json.decode(composition.updates["EURUSD"])["market"] == "closed"
    await world.tick(20)
    assert (world.value("EURUSD")["stale"], world.value("BTC")["market"]) == ("false", "open")
    assert world.told == [("kraken", "closed")]
    world.clock.at = friday + 2 * 86_400_000 + 10_000
    await world.tick()
    assert (world.value("EURUSD")["stale"], world.value("EURUSD")["market"]) == ("true", "open")
    assert world.told[1:] == [("kraken", "down")]


async def test_a_proxy_is_marked_on_the_wire():
    world = World([GOLD], saying("gold-api", "4274", "XAU"), saying("kraken", "4280", "XAU"))
    world.providers["gold-api"].answers = [shut("gold-api")]
    await world.tick()
    assert (world.value("XAU")["source"], world.value("XAU")["proxy"]) == ("kraken", "true")


async def test_whoever_lays_updates_over_what_was_known_learns_that_a_quote_is_a_proxy_no_more():
    world = World([GOLD], saying("gold-api", "4274", "XAU"), saying("kraken", "4280", "XAU"))
    good, world.providers["gold-api"].answers = world.providers["gold-api"].answers, [shut("gold-api")]
    known = msgspec.json.decode((await world.tick()).updates["XAU"])
    assert known["proxy"] is True
    world.providers["gold-api"].answers = good
    known |= msgspec.json.decode((await world.tick()).updates["XAU"])
    assert (known["source"], known["proxy"]) == ("gold-api", False)


async def test_the_same_trouble_of_several_calls_is_told_once():
    fault = Unreachable("gold-api", "timed out")
    composition = await World([GOLD], ScriptedProvider(Answer(faults=[fault, fault]), name="gold-api")).tick()
    assert composition.faults == ["gold-api: timed out"]


async def test_providers_are_asked_at_the_same_time():
    together = asyncio.Barrier(2)

    class Waiting(ScriptedProvider):
        async def fetch(self, instruments, *, within):
            async with asyncio.timeout(1):
                await together.wait()
            return await super().fetch(instruments, within=within)

    providers = [Waiting(answering(), name="binance"), Waiting(answering(), name="kraken")]
    await Prices([BITCOIN, EURO], providers).fetch(within=1)


# The reference.


def reference(rate="1.15", *, age_ms=0):
    return ScriptedReference(ReferenceAnswer({"EURUSD": rate}, NOON - age_ms, NOON + 3_600_000))


async def test_the_reference_is_asked_for_when_there_is_something_to_compare_and_then_when_it_is_due():
    world = World([EURO, BITCOIN], saying("kraken", "1.15", "EURUSD", "BTC"), saying("binance", "1", "BTC"))
    world.reference = reference()
    world.restart()
    await world.tick(10)
    world.restart()
    await world.tick(10)
    assert world.reference.asked == [["EURUSD"]]
    world.clock.at = NOON + 3_600_000
    await world.tick(2)
    assert len(world.reference.asked) == 2
    assert world.told == []


async def test_nobody_asks_the_real_world_about_simulated_prices():
    world = World([EURO], saying("kraken", "1.15", "EURUSD", source="simulated"), reference=reference())
    await world.tick(5)
    assert world.reference.asked == []


async def test_a_provider_far_off_the_reference_is_degraded_and_still_served():
    world = World([EURO], saying("kraken", "1.19", "EURUSD"), reference=reference("1.15"))
    await world.tick(4)
    assert world.told == [("kraken", "degraded")]
    assert (world.value("EURUSD")["last"], world.value("EURUSD")["stale"]) == ("1.19", "false")


async def test_a_reference_of_more_than_a_week_ago_says_nothing():
    world = World([EURO], saying("kraken", "1.19", "EURUSD"), reference=reference("1.15", age_ms=8 * 86_400_000))
    await world.tick(4)
    assert world.told == []


async def test_a_reference_that_does_not_answer_is_down_and_what_it_said_before_counts():
    world = World([EURO], saying("kraken", "1.15", "EURUSD"), reference=reference("1.15"))
    await world.tick(3)
    fault = Unavailable("frankfurter", "500")
    world.reference.answer = ReferenceAnswer({}, 0, NOON + 7_200_000, [fault])
    world.clock.at = NOON + 3_600_000
    assert (await world.tick(2)).faults == ["frankfurter: 500"]
    assert world.told == [("frankfurter", "down")]
    world.providers["kraken"].answers = [answering(quote("EURUSD", "1.19", source="kraken"))]
    await world.tick()
    assert world.told[1:] == [("kraken", "degraded")]


async def test_closing_closes_the_reference_too():
    world = World([EURO], saying("kraken", "1.15", "EURUSD"), reference=reference())
    await world.prices.close()
    assert world.reference.closed
