"""The providers that push, made once for the life of a process. A new one is one entry here."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from scheduler.market.breaker import breaker_of
from scheduler.market.providers.shared import binance, kraken
from scheduler.market.push.binance import BinanceListening
from scheduler.market.push.keeper import Keeper
from scheduler.market.push.kraken import KrakenListening
from scheduler.market.push.pushed import Pushed

if TYPE_CHECKING:
    from scheduler.market.providers import Provider
    from scheduler.settings import SchedulerSettings


def pushing(settings: SchedulerSettings) -> list[Provider]:
    """Give Binance and Kraken as they are when they push; what they share with the others of that name, they share."""
    return [
        _binance(settings.binance_url, settings.binance_push_url),
        _kraken(settings.kraken_url, settings.kraken_push_url),
    ]


@cache
def _binance(url: str, push_url: str) -> Pushed:
    rest = binance(url)
    return Pushed(rest, Keeper(rest.name, push_url, BinanceListening(), breaker=breaker_of(rest.name, url)))


@cache
def _kraken(url: str, push_url: str) -> Pushed:
    rest = kraken(url)
    return Pushed(rest, Keeper(rest.name, push_url, KrakenListening(rest), breaker=breaker_of(rest.name, url)))
