"""What is broadcast: how the content of each stream is made. A new stream is one entry here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from handlers.hub.instruments import instruments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scheduler.composition import Composer
    from scheduler.settings import SchedulerSettings


def _market(settings: SchedulerSettings) -> Composer[Any]:
    from scheduler.market.prices import Prices  # noqa: PLC0415 - paid for only by who runs this stream
    from scheduler.market.providers.shared import frankfurter, quoting  # noqa: PLC0415 - likewise

    return Prices(instruments().values(), quoting(settings), reference=frankfurter(settings.frankfurter_url))


def _signals(settings: SchedulerSettings) -> Composer[Any]:
    from handlers.hub.candles import candle_store  # noqa: PLC0415 - paid for only by who runs this stream
    from scheduler.market.breaker import breaker_of  # noqa: PLC0415 - likewise
    from scheduler.market.providers.binance_klines import BinanceKlines  # noqa: PLC0415 - likewise
    from scheduler.market.providers.kraken_candles import KrakenCandles  # noqa: PLC0415 - likewise
    from scheduler.signals import Signals, series_of  # noqa: PLC0415 - likewise

    return Signals(
        instruments().values(),
        [
            BinanceKlines(settings.binance_url, breaker=breaker_of("binance", settings.binance_url)),
            KrakenCandles(settings.kraken_url, breaker=breaker_of("kraken", settings.kraken_url)),
        ],
        candle_store(settings),
        timeframes=tuple(dict.fromkeys(settings.signal_timeframes.split(","))),
        series=series_of(settings.binance_url, settings.kraken_url),
    )


def _binary(settings: SchedulerSettings) -> Composer[Any]:
    from scheduler.binary import Sentiments  # noqa: PLC0415 - paid for only by who runs this stream
    from scheduler.market.breaker import breaker_of  # noqa: PLC0415 - likewise
    from scheduler.market.providers.binance_flow import BinanceFlow  # noqa: PLC0415 - likewise

    url = settings.binance_url
    return Sentiments(instruments().values(), BinanceFlow(url, breaker=breaker_of("binance", url)))


COMPOSERS: Final[Mapping[str, Callable[[SchedulerSettings], Composer[Any]]]] = {
    "market": _market,
    "signals": _signals,
    "binary": _binary,
}
"""The streams that are broadcast, by their public names; their periods are ``protocol.PERIOD_MS``."""
