from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from scheduler.errors import Unavailable
from scheduler.market.prices import Prices
from scheduler.streams import Known
from tests.scheduler.fakes import BITCOIN, ETHER, NOON, ScriptedProvider, answering, quote


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


async def test_a_full_tick_says_everything_in_full_though_nothing_changed():
    composer = prices(answering(quote("BTC"), quote("ETH")))
    before = await compose(composer)
    composition = await compose(composer, known(before), full=True)
    assert composition.updates == composition.content == before.content


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
    composition = await compose(composer, Known({"BTC": b'{"price":1}', "ETH": b"["}, b'{"answered_at":[]}'))
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
    assert (await composer.fetch(within=1)).faults == []


async def test_closing_closes_the_providers():
    provider = ScriptedProvider(answering())
    await Prices([BITCOIN], [provider]).close()
    assert provider.closed
