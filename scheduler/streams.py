"""What is broadcast: how the content of each stream is made. A new stream is one entry here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from handlers.hub.instruments import instruments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scheduler.settings import SchedulerSettings

Fetched = TypeVar("Fetched")


@dataclass(frozen=True, slots=True)
class Known:
    """
    What the ticks before have left: nothing at all before the first.

    ``content`` leads from a symbol to its full ``data`` as it was last sent, ``state`` is what ``Composition.state``
    was at the last tick, whether it sent anything or not.
    """

    content: Mapping[str, bytes] = field(default_factory=dict)
    state: bytes = b""


@dataclass(frozen=True, slots=True)
class Composition:
    """
    What holds now.

    ``updates`` is what a batch says: the ``data`` of every symbol that has changed, or of all when the tick is full.
    ``content`` is the full ``data`` of every symbol with a value, ``state`` whatever the next tick needs, and
    ``faults`` a sentence for each thing that went wrong on the way, for the log. ``notices`` are messages for every
    follower of the stream beside its batch, such as ``status``.
    """

    updates: Mapping[str, bytes]
    content: Mapping[str, bytes]
    state: bytes
    faults: Sequence[str] = ()
    notices: Sequence[bytes] = ()


class Composer(Protocol[Fetched]):
    """Makes the content of one stream. It keeps nothing between ticks that may not be lost."""

    async def fetch(self, *, within: float) -> Fetched:
        """Get from outside what a tick needs, in at most ``within`` seconds; what did not come is in the result."""
        ...

    def compose(self, fetched: Fetched, known: Known, *, now: int, full: bool) -> Composition:
        """Say what holds at ``now`` (epoch milliseconds); computes only."""
        ...

    async def close(self) -> None:
        """Close what is open; no fetch afterwards."""
        ...


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
