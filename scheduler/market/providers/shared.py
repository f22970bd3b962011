"""
The providers that a deployment asks for quotes. A new one is one entry here.

Each is made once for the life of a process: what it remembers (a ban, the list of pairs, an answer that keeps) holds
for the next run of a warm function too. It is asked by one event loop at a time.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from scheduler.market.breaker import breaker_of
from scheduler.market.providers.binance import Binance
from scheduler.market.providers.frankfurter import Frankfurter
from scheduler.market.providers.gold_api import GoldApi
from scheduler.market.providers.kraken import Kraken
from scheduler.market.providers.swissquote import Swissquote

if TYPE_CHECKING:
    from scheduler.market.providers import Provider, ReferenceProvider
    from scheduler.settings import SchedulerSettings


def quoting(settings: SchedulerSettings) -> list[Provider]:
    """Give the providers of quotes that are switched on."""
    providers: list[Provider] = [
        binance(settings.binance_url),
        kraken(settings.kraken_url),
        gold_api(settings.gold_api_url),
    ]
    if settings.push:
        from scheduler.market.push.shared import pushing  # noqa: PLC0415 - its library is loaded only where it is used

        providers[:2] = pushing(settings)
    if settings.swissquote:
        providers.append(swissquote(settings.swissquote_url))
    return providers


@cache
def binance(url: str) -> Binance:
    """Give the process's Binance at ``url``."""
    return Binance(url, breaker=breaker_of(Binance.name, url))


@cache
def kraken(url: str) -> Kraken:
    """Give the process's Kraken at ``url``."""
    return Kraken(url, breaker=breaker_of(Kraken.name, url))


@cache
def gold_api(url: str) -> GoldApi:
    """Give the process's gold-api at ``url``."""
    return GoldApi(url, breaker=breaker_of(GoldApi.name, url))


@cache
def swissquote(url: str) -> Swissquote:
    """Give the process's Swissquote at ``url``."""
    return Swissquote(url, breaker=breaker_of(Swissquote.name, url))


@cache
def frankfurter(url: str) -> ReferenceProvider:
    """Give the process's Frankfurter at ``url``."""
    return Frankfurter(url, breaker=breaker_of(Frankfurter.name, url))
