from __future__ import annotations

from handlers.hub.instruments import instruments
from scheduler.market.prices import Prices
from scheduler.market.providers.shared import charting, flowing, hosts, quoting, referring
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
    assert all(one is other for one, other in zip(hosts(settings()), hosts(settings()), strict=True))


def test_every_host_is_one_of_those_that_are_asked():
    here = settings(swissquote=True)
    everybody = {*quoting(here), referring(here), *charting(here), *flowing(here)}
    assert set(hosts(here)) == everybody
    assert len(hosts(here)) == 9


def test_all_that_ask_one_host_share_its_breaker():
    breakers = {}
    for host in hosts(settings(swissquote=True)):
        breakers.setdefault(host.name, set()).add(host.breaker)
    assert {name: len(shared) for name, shared in breakers.items()} == dict.fromkeys(breakers, 1)
