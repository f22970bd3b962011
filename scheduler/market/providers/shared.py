"""
The providers that a deployment asks. A new one is one entry here.

Each is made once for the life of a process: what it remembers (a ban, the list of pairs, an answer that keeps) holds
for the next run of a warm function too. It is asked by one event loop at a time. All that ask one host share its
breaker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from scheduler.market.breaker import breaker_of
from scheduler.market.providers.binance import Binance
from scheduler.market.providers.binance_flow import BinanceFlow
from scheduler.market.providers.binance_klines import BinanceKlines
from scheduler.market.providers.frankfurter import Frankfurter
from scheduler.market.providers.gold_api import GoldApi
from scheduler.market.providers.host import Host
from scheduler.market.providers.kraken import Kraken
from scheduler.market.providers.kraken_candles import KrakenCandles
from scheduler.market.providers.kraken_flow import KrakenFlow
from scheduler.market.providers.swissquote import Swissquote

if TYPE_CHECKING:
    from scheduler.market.candles import CandleProvider
    from scheduler.market.flow import FlowProvider
    from scheduler.market.providers import Provider, ReferenceProvider
    from scheduler.settings import SchedulerSettings

Kind = TypeVar("Kind", bound=Host)

_hosts: dict[tuple[type[Host], str], Host] = {}


def quoting(settings: SchedulerSettings) -> list[Provider]:
    """Give the providers of quotes that are switched on, as they are when they are asked."""
    providers: list[Provider] = [
        _made(Binance, settings.binance_url),
        _made(Kraken, settings.kraken_url),
        _made(GoldApi, settings.gold_api_url),
    ]
    if settings.swissquote:
        providers.append(_made(Swissquote, settings.swissquote_url))
    return providers


def referring(settings: SchedulerSettings) -> ReferenceProvider:
    """Give the provider of daily reference prices."""
    return _made(Frankfurter, settings.frankfurter_url)


def charting(settings: SchedulerSettings) -> list[CandleProvider]:
    """Give the providers of candles."""
    return [_made(BinanceKlines, settings.binance_url), _made(KrakenCandles, settings.kraken_url)]


def flowing(settings: SchedulerSettings) -> list[FlowProvider]:
    """Give the providers of order flow."""
    return [_made(BinanceFlow, settings.binance_url), _made(KrakenFlow, settings.kraken_url)]


def hosts(settings: SchedulerSettings) -> list[Host]:
    """Give all of them as what they have in common: callers of an HTTP API."""
    everybody = (*quoting(settings), referring(settings), *charting(settings), *flowing(settings))
    return [one for one in everybody if isinstance(one, Host)]


def _made(kind: type[Kind], url: str) -> Kind:
    """Give the process's one caller of its kind of the API at ``url``."""
    if (kind, url) not in _hosts:
        _hosts[kind, url] = kind(url, breaker=breaker_of(kind.name, url))
    return cast("Kind", _hosts[kind, url])
