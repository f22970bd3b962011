"""The content of the signals stream: the technical rating of every instrument that has candles."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from handlers.hub.candles import Candles, Votes
from handlers.hub.errors import ServiceUnavailable
from scheduler import ratings
from scheduler.clock import epoch_ms
from scheduler.composition import Composition
from scheduler.errors import ProviderFault
from scheduler.series import Series

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence

    from handlers.hub.candles import CandleStore
    from handlers.hub.instruments import Instrument
    from scheduler.composition import Known
    from scheduler.market.candles import CandleProvider
    from scheduler.ratings import TimeframeRating
    from scheduler.series import Rated

AT_ONCE: Final = 5
"""Calls under way at once."""

SETTLED_MS: Final = 1_500
"""A candle is asked for no earlier than this after it closed: until then its last trades may still be counted."""

logger = logging.getLogger(__name__)

Key = tuple[str, str]
"""Symbol and timeframe."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The latest rating of every series that this process has, and what went wrong."""

    rated: Mapping[Key, Rated]
    faults: Sequence[str] = ()


class _State(msgspec.Struct):
    """How the indicators voted when it was last sent, by symbol and timeframe, a character for each."""

    votes: dict[str, dict[str, str]] = {}


@cache
def series_of(*urls: str) -> dict[Key, Series]:  # noqa: ARG001 - the addresses are the key
    """Give this process's series from providers at these addresses; a warm function's next run goes on with them."""
    return {}


class Signals:
    """
    The ``Composer`` of the signals stream.

    Each instrument's candles are asked of the first of its sources that is among ``providers``: all at first, then
    each new one when it has closed. The ratings sent last come from ``Known``, so ticks may be run by different
    processes in turn: whichever knows the later candle is right. A process writes each candle to the table once.

    Args:
        instruments: What to rate; one that no provider has candles of is told so.
        providers: Where candles come from.
        store: Where candles and votes go for whoever asks.
        timeframes: Of ``TIMEFRAME_MS``, without repetition; the first is the one that clients see first.
        series: What is known already, and kept up to date here.
        now: Epoch milliseconds.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        providers: Iterable[CandleProvider],
        store: CandleStore,
        *,
        timeframes: Sequence[str] = ("1h",),
        series: MutableMapping[Key, Series] | None = None,
        now: Callable[[], int] = epoch_ms,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._store = store
        self._timeframes = timeframes
        self._now = now
        self._sleep = sleep
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._sources = {
            symbol: source
            for symbol, instrument in self._instruments.items()
            if (source := next((name for name in instrument.sources if name in self._providers), None))
        }
        known = {} if series is None else series
        self._series = {
            (symbol, timeframe): known.setdefault((symbol, timeframe), Series(timeframe))
            for timeframe in timeframes
            for symbol in self._sources
        }

    async def fetch(self, *, within: float) -> Fetched:
        """Ask for the candles that have closed since the last time, rate them, and write them to the table."""
        faults: dict[str, None] = {}
        try:
            async with asyncio.timeout(within):
                await self._ask_for_the_due(faults)
                await self._keep(faults)
        except TimeoutError:
            faults[f"the signals were not complete within {within:.1f} s"] = None
        rated = {key: series.rated for key, series in self._series.items() if series.rated is not None}
        return Fetched(rated, list(faults))

    def compose(self, fetched: Fetched, known: Known, *, now: int, full: bool) -> Composition:
        """Say what the latest candles came to; a rating of old ones stays, and grows stale."""
        before = ratings.decode(known.content)
        voted = _votes_of(known)
        content: dict[str, bytes] = {}
        updates: dict[str, bytes] = {}
        votes: dict[str, dict[str, str]] = {}
        first = self._timeframes[0]
        for symbol in self._instruments:
            held, votes_now = {first: ratings.of_nothing(first)}, dict[str, str]()
            if symbol in self._sources:
                old = {one.timeframe: one for one in before.get(symbol, ())}
                held, votes_now = self._hold(symbol, fetched, old, voted.get(symbol, {}))
            if first not in held:
                continue
            judged = [one.judged(now) for one in held.values()]
            content[symbol] = ratings.encode(judged)
            if votes_now:
                votes[symbol] = votes_now
            if full or votes_now != voted.get(symbol, {}) or not _say_the_same(judged, before.get(symbol, ())):
                updates[symbol] = content[symbol]
        state = msgspec.json.encode(_State(votes)) if votes else known.state
        return Composition(updates, content, state, fetched.faults)

    async def close(self) -> None:
        """Close the providers."""
        await asyncio.gather(*(provider.close() for provider in self._providers.values()))

    async def _ask_for_the_due(self, faults: dict[str, None]) -> None:
        now = self._now()
        due = sorted((key for key, series in self._series.items() if series.due_at <= now), key=self._since_when)
        left = {name: provider.calls_a_tick for name, provider in self._providers.items()}
        due = [key for key in due if self._take(left, self._sources[key[0]])]
        # A tick comes on the minute, just when candles close.
        fresh = [now - self._series[key].due_at for key in due if self._series[key].due_at > now - SETTLED_MS]
        if fresh:
            await self._sleep((SETTLED_MS - min(fresh)) / 1000)
        gate = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._ask(key, gate, faults) for key in due))

    @staticmethod
    def _take(left: dict[str, int], source: str) -> bool:
        """Count one call, if there is one left; the series for which there is none wait for the next tick."""
        left[source] -= 1
        return left[source] >= 0

    def _since_when(self, key: Key) -> int:
        return self._series[key].due_at

    async def _ask(self, key: Key, gate: asyncio.Semaphore, faults: dict[str, None]) -> None:
        """Go on with one series; whoever has nothing to say is asked again after the others."""
        symbol, timeframe = key
        instrument, provider = self._instruments[symbol], self._providers[self._sources[symbol]]
        series = self._series[key]
        async with gate:
            try:
                answer = await provider.candles(instrument, timeframe, since=series.since, until=self._now())
                series.take(answer, now=self._now())
            except ProviderFault as fault:
                series.due_at = fault.retry_at or self._now()
                faults[str(fault)] = None
            except ValueError as error:
                faults[f"{provider.name}: {timeframe} candles of {symbol} cannot be used: {error}"] = None

    async def _keep(self, faults: dict[str, None]) -> None:
        """Write down every series that has a candle more than when it was last written; what fails, next time."""
        items: list[Candles | Votes] = []
        for (symbol, timeframe), series in self._series.items():
            rated = series.rated
            if rated is not None and rated.closed_at != series.kept_at:
                about = (symbol, timeframe, rated.closed_at, rated.source)
                items += [Candles(*about, series.payload), Votes(*about, ratings.encode_votes(rated.rating))]
        if not items:
            return
        try:
            left = await asyncio.to_thread(self._store.keep, items)
        except ServiceUnavailable as failure:
            faults[f"candles and votes could not be written: {failure!r}"] = None
            return
        missed = {(item.symbol, item.timeframe) for item in left}
        if missed:
            faults[f"candles or votes of {len(missed)} series could not be written"] = None
        for item in items:
            if (item.symbol, item.timeframe) not in missed:
                self._series[item.symbol, item.timeframe].kept_at = item.closed_at

    def _hold(
        self, symbol: str, fetched: Fetched, old: Mapping[str, TimeframeRating], voted: Mapping[str, str]
    ) -> tuple[dict[str, TimeframeRating], dict[str, str]]:
        """Choose, for each timeframe, the rating of the later candle, ours or the one sent last, and its votes."""
        held: dict[str, TimeframeRating] = {}
        votes: dict[str, str] = {}
        for timeframe in self._timeframes:
            rated, last = fetched.rated.get((symbol, timeframe)), old.get(timeframe)
            if rated is not None and (last is None or rated.closed_at >= (last.closed_at or 0)):
                is_proxy = self._sources[symbol] in self._instruments[symbol].proxies
                held[timeframe] = ratings.of_candles(rated, timeframe, is_proxy=is_proxy)
                votes[timeframe] = ratings.short(rated.rating.votes.values())
            elif last is not None and last.closed_at is not None:
                held[timeframe] = last
                if timeframe in voted:
                    votes[timeframe] = voted[timeframe]
        return held, votes


def _say_the_same(held: Sequence[TimeframeRating], before: Sequence[TimeframeRating]) -> bool:
    return len(held) == len(before) and all(
        one.says_the_same_as(other) for one, other in zip(held, before, strict=True)
    )


def _votes_of(known: Known) -> dict[str, dict[str, str]]:
    """Read the votes sent last back; when they cannot be read, everything counts as changed."""
    try:
        return msgspec.json.decode(known.state, type=_State).votes if known.state else {}
    except msgspec.DecodeError as error:
        logger.warning("the signals stream's state cannot be read: %s", error)
        return {}
