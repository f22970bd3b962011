"""The content of the binary stream: order-flow sentiment of the crypto instruments, and of their market as a whole."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.analysis import sentiment
from scheduler.analysis.sentiment import HORIZONS, METHOD, BookMinute, Measurement, Sentiment
from scheduler.composition import Composition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from handlers.hub.instruments import Instrument
    from scheduler.composition import Known
    from scheduler.market.flow import Flow, FlowProvider

MARKET: Final = "MARKET"
"""The symbol of the row for all instruments together: their mean by turnover. Nobody subscribes to it by name."""

STALE_PERIODS: Final = 2
"""A value is stale when it is older than so many periods of its provider."""

logger = logging.getLogger(__name__)


class _Content(msgspec.Struct, frozen=True):
    """The wire's ``data``; ``ts`` is when what it says was asked for, because candles and book tell no such time."""

    method: str
    horizons: list[Sentiment]
    source: str
    ts: int
    stale: bool

    def says_the_same_as(self, other: _Content) -> bool:
        """Whether nothing worth sending is different; a new ``ts`` alone is not."""
        return msgspec.structs.replace(self, ts=other.ts) == other


class _State(msgspec.Struct):
    """The running sums of the book, by symbol."""

    book: dict[str, list[BookMinute]] = {}


_encoder = msgspec.json.Encoder(decimal_format="number")
_content = msgspec.json.Decoder(_Content)


class Sentiments:
    """
    The ``Composer`` of the binary stream.

    It covers the crypto instruments that have the provider among their sources. The last values and the book's
    running sums come from ``Known``; so ticks may be run by different processes in turn. What was traded is asked for
    anew at every tick, back to the beginning of the longest horizon.

    Raises:
        ValueError: An instrument is called like the market.
    """

    def __init__(self, instruments: Iterable[Instrument], provider: FlowProvider) -> None:
        self._provider = provider
        self._asked = [one for one in instruments if one.kind == "crypto" and provider.name in one.sources]
        self._symbols = [instrument.symbol for instrument in self._asked]
        if MARKET in self._symbols:
            raise ValueError(f"{MARKET} is the market's own symbol, and cannot be an instrument's")

    async def fetch(self, *, within: float) -> Flow:
        """Ask the provider for the flow of every instrument."""
        return await self._provider.fetch(self._asked, within=within)

    def compose(self, fetched: Flow, known: Known, *, now: int, full: bool) -> Composition:
        """Measure what was fetched and keep what was not; say what says something new."""
        before = _last_values(known)
        book = _running_sums(known)
        if fetched.book:
            book = {symbol: book[symbol] for symbol in self._symbols if symbol in book}
            for symbol, share in fetched.book.items():
                book[symbol] = sentiment.add_tick(book.get(symbol, ()), share, now=now)
        measured = self._measure(fetched, book, now=now)
        held: dict[str, _Content] = {}
        for symbol in (*self._symbols, MARKET):
            if symbol in measured:
                held[symbol] = measured[symbol]
            elif symbol in before:
                stale = now - before[symbol].ts > STALE_PERIODS * self._provider.period_ms
                held[symbol] = msgspec.structs.replace(before[symbol], stale=stale)
        content = {symbol: _encoder.encode(value) for symbol, value in held.items()}
        updates = {
            symbol: content[symbol]
            for symbol, value in held.items()
            if full or symbol not in before or not value.says_the_same_as(before[symbol])
        }
        # A tick without a new sum leaves the state as it is, to the byte: it need not be written.
        state = _encoder.encode(_State(book)) if fetched.book else known.state
        return Composition(updates, content, state, [str(fault) for fault in fetched.faults])

    async def close(self) -> None:
        """Close the provider."""
        await self._provider.close()

    def _measure(self, fetched: Flow, book: Mapping[str, Sequence[BookMinute]], *, now: int) -> dict[str, _Content]:
        """Judge every instrument whose trades were fetched, and the market of these."""
        traded = {symbol: fetched.traded[symbol] for symbol in self._symbols if symbol in fetched.traded}
        if not traded:
            return {}
        measured: dict[str, list[Measurement]] = {
            symbol: [sentiment.measure(horizon, minutes, book.get(symbol, ()), now=now) for horizon in HORIZONS]
            for symbol, minutes in traded.items()
        }
        measured[MARKET] = [sentiment.mean(instruments) for instruments in zip(*measured.values(), strict=True)]
        sources = {symbol: fetched.sources[symbol] for symbol in traded}
        sources[MARKET] = ", ".join(sorted(set(sources.values())))
        return {
            symbol: _Content(
                method=METHOD,
                horizons=[
                    sentiment.judge(horizon, one, now=now) for horizon, one in zip(HORIZONS, horizons, strict=True)
                ],
                source=sources[symbol],
                ts=fetched.asked_at,
                stale=False,
            )
            for symbol, horizons in measured.items()
        }


def _last_values(known: Known) -> dict[str, _Content]:
    """Read the last values back; what another version has written otherwise counts as not known."""
    found = {}
    for symbol, written in known.content.items():
        try:
            found[symbol] = _content.decode(written)
        except msgspec.DecodeError as error:
            logger.warning("the last sentiment of %s cannot be read: %s", symbol, error)
    return found


def _running_sums(known: Known) -> dict[str, list[BookMinute]]:
    """Read the book's running sums back; they begin anew when they cannot be read."""
    try:
        return msgspec.json.decode(known.state, type=_State).book if known.state else {}
    except msgspec.DecodeError as error:
        logger.warning("the binary stream's state cannot be read: %s", error)
        return {}
