"""The content of the binary stream: order-flow sentiment of every instrument, and of the crypto market as a whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from handlers.hub.protocol import PERIOD_MS
from scheduler import binary_rows as rows
from scheduler.analysis import sentiment
from scheduler.analysis.sentiment import HORIZONS, MIDS, MILLION, Measurement
from scheduler.clock import epoch_ms
from scheduler.composition import Composition
from scheduler.market import moves, sessions
from scheduler.market.flow import Flow
from scheduler.market.moves import Moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from handlers.hub.instruments import Instrument
    from scheduler.binary_rows import Content, State
    from scheduler.composition import Known
    from scheduler.market.flow import FlowProvider
    from scheduler.market.moves import MoveSource

MARKET: Final = "MARKET"
"""The symbol of the row for all crypto together: their mean by turnover. Nobody subscribes to it by name."""

STALE_PERIODS: Final = 2
"""A value is stale when it is older than so many periods of its provider."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the providers have said, by their names, and how prices have moved."""

    flows: Mapping[str, Flow] = field(default_factory=dict)
    moved: Moved = field(default_factory=Moved)


class Sentiments:
    """
    The ``Composer`` of the binary stream.

    Each instrument's trades and book are asked of the first of its sources that is among ``providers``, while its
    market is open. One that has no such source is judged by how the market stream's middle price moved, and so is any
    horizon in which nothing was traded; crypto is neither counted there nor judged so. The last values and the running
    sums come from ``Known``; so ticks may be run by different processes in turn.

    Args:
        instruments: What is traded.
        providers: Whom to ask.
        moved: Where the counts of middle prices are, if anywhere.
        now: Epoch milliseconds.

    Raises:
        ValueError: An instrument is called like the market.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        providers: Iterable[FlowProvider],
        *,
        moved: MoveSource | None = None,
        now: Callable[[], int] = epoch_ms,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._moved = moved
        self._now = now
        self._instruments = {one.symbol: one for one in instruments}
        if MARKET in self._instruments:
            raise ValueError(f"{MARKET} is the market's own symbol, and cannot be an instrument's")
        self._sources = {
            symbol: source
            for symbol, instrument in self._instruments.items()
            if (source := next((name for name in instrument.sources if name in self._providers), None))
        }

    async def fetch(self, *, within: float) -> Fetched:
        """Ask every provider for the flow of what is traded now, and read how prices have moved."""
        now = self._now()
        asked: dict[str, list[Instrument]] = {}
        for symbol, source in self._sources.items():
            if sessions.is_open(self._instruments[symbol].kind, now):
                asked.setdefault(source, []).append(self._instruments[symbol])
        async with asyncio.TaskGroup() as group:
            moving = group.create_task(self._moved.latest()) if self._moved else None
            flowing = {
                name: group.create_task(self._providers[name].fetch(instruments, within=within))
                for name, instruments in asked.items()
            }
        flows = {name: task.result() for name, task in flowing.items()}
        return Fetched(flows, moving.result() if moving else Moved())

    def compose(self, fetched: Fetched, known: Known, *, now: int, full: bool) -> Composition:
        """Measure what was fetched and keep what was not; say what says something new."""
        before, past = rows.read_content(known), rows.read_state(known)
        state = self._add_up(past, fetched, now=now)
        measured = self._measure(fetched, state, now=now)
        held: dict[str, Content] = {}
        for symbol, instrument in self._instruments.items():
            content = self._hold(instrument, fetched, measured.get(symbol), before.get(symbol), now=now)
            if content is not None:
                held[symbol] = content
        market = self._judge_market(fetched, measured, before.get(MARKET), now=now)
        if market is not None:
            held[MARKET] = market
        content_of = {symbol: rows.encode(value) for symbol, value in held.items()}
        updates = {
            symbol: content_of[symbol]
            for symbol, value in held.items()
            if full or symbol not in before or not value.says_the_same_as(before[symbol])
        }
        # A tick without a new sum leaves the state as it is, to the byte: it need not be written.
        written = known.state if state == past else rows.encode(state)
        faults = [str(fault) for flow in fetched.flows.values() for fault in flow.faults]
        return Composition(updates, content_of, written, faults)

    async def close(self) -> None:
        """Close the providers."""
        await asyncio.gather(*(provider.close() for provider in self._providers.values()))

    def _is_open(self, symbol: str, now: int) -> bool:
        return sessions.is_open(self._instruments[symbol].kind, now)

    def _add_up(self, past: State, fetched: Fetched, *, now: int) -> State:
        """Add this tick to the running sums; what is not traded any more, or not now, is forgotten."""
        book = {symbol: minutes for symbol, minutes in past.book.items() if self._is_told(symbol, now)}
        for flow in fetched.flows.values():
            for symbol, share in flow.book.items():
                if self._is_told(symbol, now):
                    book[symbol] = sentiment.add_ticks(book.get(symbol, ()), share, now=now)
        mids = {symbol: minutes for symbol, minutes in past.mids.items() if self._is_told(symbol, now)}
        counts = past.counts
        if fetched.moved.at > counts.at:
            gained = moves.between(Moved(counts.at, counts.moves), fetched.moved)
            for symbol, more in gained.items():
                if self._is_told(symbol, now):
                    shares = more.halves * MILLION // moves.UP
                    mids[symbol] = sentiment.add_ticks(mids.get(symbol, ()), shares, ticks=more.ticks, now=now)
            counts = rows.Counts(fetched.moved.at, dict(fetched.moved.moves))
        return rows.State(book, mids, counts)

    def _is_told(self, symbol: str, now: int) -> bool:
        return symbol in self._instruments and self._is_open(symbol, now)

    def _measure(self, fetched: Fetched, state: State, *, now: int) -> dict[str, list[Measurement]]:
        """Measure every open instrument of which there is something new: its trades, or else how its price moved."""
        measured = {}
        for symbol in self._instruments:
            traded = self._flow_of(symbol, fetched).traded.get(symbol)
            if not self._is_open(symbol, now) or (traded is None and symbol in self._sources):
                continue
            book, mids = state.book.get(symbol, ()), state.mids.get(symbol, ())
            measured[symbol] = [sentiment.measure(one, traded or (), book, mids, now=now) for one in HORIZONS]
        return measured

    def _flow_of(self, symbol: str, fetched: Fetched) -> Flow:
        return fetched.flows.get(self._sources.get(symbol, ""), Flow(0))

    def _hold(
        self,
        instrument: Instrument,
        fetched: Fetched,
        measured: list[Measurement] | None,
        before: Content | None,
        *,
        now: int,
    ) -> Content | None:
        """Say what holds of one instrument: what is new, or else what held, or why there is nothing."""
        symbol = instrument.symbol
        rests = instrument.kind in sessions.WEEKLY
        if not self._is_open(symbol, now):
            return rows.of_nothing(rows.CLOSED, now=now, market="closed")
        source = self._sources.get(symbol)
        if measured is not None:
            flow, moved = self._flow_of(symbol, fetched), fetched.moved
            ts = flow.asked_at if source else moved.at or now
            content = rows.of_measurements(
                measured,
                source=_source(symbol, measured, flow, moved),
                ts=ts,
                now=now,
                market="open" if rests else None,
                proxy=source in instrument.proxies,
            )
            return content if source else _aged(content, PERIOD_MS["binary"], now)
        if before is None:
            return None
        if before.reason in {rows.CLOSED, rows.NO_ANSWER}:
            return rows.of_nothing(rows.NO_ANSWER, now=now, market="open")
        return _aged(before, self._providers[source].period_ms if source else PERIOD_MS["binary"], now)

    def _judge_market(
        self, fetched: Fetched, measured: Mapping[str, list[Measurement]], before: Content | None, *, now: int
    ) -> Content | None:
        """Judge all crypto of whose trades there is something new; what it is traded for is about one currency."""
        symbols = [
            symbol for symbol in measured if self._instruments[symbol].kind == "crypto" and symbol in self._sources
        ]
        if not symbols:
            periods = [provider.period_ms for provider in self._providers.values()]
            return before and _aged(before, max(periods, default=PERIOD_MS["binary"]), now)
        flows = [self._flow_of(symbol, fetched) for symbol in symbols]
        sources = {flow.sources[symbol] for symbol, flow in zip(symbols, flows, strict=True)}
        return rows.of_measurements(
            [sentiment.mean(horizons) for horizons in zip(*(measured[symbol] for symbol in symbols), strict=True)],
            source=", ".join(sorted(sources)),
            ts=min(flow.asked_at for flow in flows),
            now=now,
        )


def _source(symbol: str, measured: Iterable[Measurement], flow: Flow, moved: Moved) -> str | None:
    """Name who said what was measured: of the trades, of the prices, or both; None when there is neither."""
    bases = {one.basis for one in measured if one.call is not None}
    told = {flow.sources.get(symbol)} if bases - {MIDS} or not bases else set()
    if MIDS in bases:
        told.add(moved.sources.get(symbol))
    return ", ".join(sorted(name for name in told if name)) or None


def _aged(content: Content, period_ms: int, now: int) -> Content:
    """Say whether a value has grown stale by now; that there is none does not."""
    stale = content.source is not None and now - content.ts > STALE_PERIODS * period_ms
    return msgspec.structs.replace(content, stale=stale)
