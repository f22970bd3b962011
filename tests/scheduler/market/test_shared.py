from __future__ import annotations

from handlers.hub.instruments import instruments
from scheduler.market.prices import Prices
from scheduler.market.providers.shared import frankfurter, quoting
from scheduler.settings import SchedulerSettings


def settings(**changes):
    return SchedulerSettings(table="t", gateway="ws://127.0.0.1:9/live", **changes)


def test_swissquote_is_asked_only_where_it_is_switched_on(monkeypatch):
    assert [one.name for one in quoting(settings())] == ["binance", "kraken", "gold-api"]
    monkeypatch.setenv("TICKWIRE_SWISSQUOTE", "1")
    assert [one.name for one in quoting(settings())] == ["binance", "kraken", "gold-api", "swissquote"]


def test_every_instrument_has_a_provider_that_is_always_there():
    Prices(instruments().values(), quoting(settings()))


def test_every_source_of_an_instrument_is_a_provider():
    names = {one.name for one in quoting(settings(swissquote=True))}
    assert {name for one in instruments().values() for name in one.sources} == names


def test_the_next_run_of_a_warm_function_has_the_same_providers():
    before, after = quoting(settings()), quoting(settings())
    assert all(one is other for one, other in zip(before, after, strict=True))
    elsewhere = quoting(settings(binance_url="https://elsewhere.test"))
    assert [one is other for one, other in zip(before, elsewhere, strict=True)] == [False, True, True]
    assert frankfurter("https://one.test") is frankfurter("https://one.test")
