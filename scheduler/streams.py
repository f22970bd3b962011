"""What is broadcast: how the content of each stream is made. A new stream is one entry here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from handlers.hub.instruments import instruments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from handlers.hub.candles import CandleStore
    from scheduler.composition import Composer
    from scheduler.market.moves import MoveSource
    from scheduler.settings import SchedulerSettings


def market(settings: SchedulerSettings) -> Composer[Any]:
    """Make the composer of prices."""
    from scheduler.market.prices import Prices  # noqa: PLC0415 - paid for only by who runs this stream
    from scheduler.market.providers.shared import quoting, referring  # noqa: PLC0415 - likewise

    providers = quoting(settings)
    if settings.push:
        from scheduler.market.push.shared import pushing  # noqa: PLC0415 - its library is loaded only where it is used

        providers = pushing(settings, providers)
    return Prices(instruments().values(), providers, reference=referring(settings))


def signals(settings: SchedulerSettings, *, store: CandleStore | None = None) -> Composer[Any]:
    """Make the composer of ratings; candles and votes go to ``store``, the deployment's table without it."""
    from handlers.hub.candles import candle_store  # noqa: PLC0415 - paid for only by who runs this stream
    from scheduler.market.providers.shared import charting  # noqa: PLC0415 - likewise
    from scheduler.signals import Signals, series_of  # noqa: PLC0415 - likewise

    return Signals(
        instruments().values(),
        charting(settings),
        store or candle_store(settings),
        timeframes=tuple(dict.fromkeys(settings.signal_timeframes.split(","))),
        series=series_of(settings.binance_url, settings.kraken_url),
    )


def binary(settings: SchedulerSettings, *, moved: MoveSource | None = None) -> Composer[Any]:
    """Make the composer of sentiment; how prices move comes from ``moved``, the deployment's table without it."""
    from handlers.hub.snapshots import snapshot_store  # noqa: PLC0415 - paid for only by who runs this stream
    from scheduler.binary import Sentiments  # noqa: PLC0415 - likewise
    from scheduler.market.moves import SnapshotMoves  # noqa: PLC0415 - likewise
    from scheduler.market.prefetched import Prefetched  # noqa: PLC0415 - likewise
    from scheduler.market.providers.shared import flowing  # noqa: PLC0415 - likewise

    providers = [Prefetched(provider) if provider.is_paced else provider for provider in flowing(settings)]
    return Sentiments(instruments().values(), providers, moved=moved or SnapshotMoves(snapshot_store(settings)))


COMPOSERS: Final[Mapping[str, Callable[[SchedulerSettings], Composer[Any]]]] = {
    "market": market,
    "signals": signals,
    "binary": binary,
}
"""The streams that are broadcast, by their public names; their periods are ``protocol.PERIOD_MS``."""
