"""The providers that push, made once for the life of a process. A new one is one entry here."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from scheduler.market.providers.binance import Binance
from scheduler.market.providers.kraken import Kraken
from scheduler.market.push.binance import BinanceListening
from scheduler.market.push.keeper import Keeper
from scheduler.market.push.kraken import KrakenListening
from scheduler.market.push.pushed import Pushed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scheduler.market.providers import Provider
    from scheduler.settings import SchedulerSettings


def pushing(settings: SchedulerSettings, asked: Iterable[Provider]) -> list[Provider]:
    """Give the providers of ``asked`` in their order, and those that push as they are when they do."""
    return [_pushed(settings, provider) for provider in asked]


def _pushed(settings: SchedulerSettings, provider: Provider) -> Provider:
    if isinstance(provider, Binance):
        return _binance(provider, settings.binance_push_url)
    if isinstance(provider, Kraken):
        return _kraken(provider, settings.kraken_push_url)
    return provider


@cache
def _binance(rest: Binance, url: str) -> Pushed:
    return Pushed(rest, Keeper(rest.name, url, BinanceListening(), breaker=rest.breaker))


@cache
def _kraken(rest: Kraken, url: str) -> Pushed:
    return Pushed(rest, Keeper(rest.name, url, KrakenListening(rest), breaker=rest.breaker))
