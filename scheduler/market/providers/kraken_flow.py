"""
Order flow of Kraken's pairs: ``Trades`` of each, and of all of them the sizes at the best prices, from ``Ticker``.

``Trades`` gives up to 1,000 trades later than ``since`` (nanoseconds), oldest first, and in ``last`` what to ask for
next time. So what a tick asks for is what was traded since the tick before; the sums of the minutes before are kept. A
process that has none yet asks for the whole of the longest horizon. Read at https://docs.kraken.com/api (Get Recent
Trades, Get Ticker Information) in 2026; errors, names and pace are ``kraken_host``'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from scheduler.analysis.sentiment import LONGEST_MS, MINUTE_MS, TradedMinute, book_share
from scheduler.clock import epoch_ms
from scheduler.errors import MalformedAnswer, ProviderFault, TooSoon, Unavailable, Unreachable
from scheduler.market.flow import Flow, quantity
from scheduler.market.providers.kraken_host import KrakenHost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import httpx

    from handlers.hub.instruments import Instrument
    from scheduler.market.breaker import Breaker

PATIENCE_MS: Final = 8_000
"""How long a fetch waits for its turn, in milliseconds; whoever is not asked by then is the first at the next tick."""

WHOLE_PAGE: Final = 1_000
"""An answer of so many trades may have left some out."""

MOST_PAGES: Final = 4
"""So many calls for one pair in a tick; what is left is for the next tick, and until then there is no new value."""

AHEAD_MS: Final = 3_600_000
"""A trade that is further ahead of our clock than this, in milliseconds, is none."""

_NANOSECONDS: Final = 1_000_000
_MOST_DIGITS: Final = 19


class _Trade(msgspec.Struct, frozen=True, array_like=True):
    """One trade; ``at`` in epoch seconds, ``side`` the taker's. The last member is younger than the others."""

    price: str
    volume: str
    at: float
    side: Literal["b", "s"]
    kind: str
    misc: str
    id: int = 0


class _Ticker(msgspec.Struct):
    """What is used of a pair's entry: ask and bid, the lots of each last."""

    a: list[str]
    b: list[str]


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_trades = msgspec.json.Decoder(list[_Trade])
_ticker = msgspec.json.Decoder(_Ticker)
_text = msgspec.json.Decoder(str)


@dataclass(frozen=True, slots=True)
class _Window:
    """
    What is known of a pair: the sums of its minutes, and ``since`` when (epoch nanoseconds) there may be more.

    ``latest`` are the trades of the last moment, which are known again if they come again.
    """

    since: int
    latest: frozenset[_Trade] = frozenset()
    minutes: Mapping[int, TradedMinute] = field(default_factory=dict)


@dataclass(slots=True)
class _Collected:
    """What the calls of one fetch have brought; ``symbols`` leads from a pair's altname to ours, ``until`` ends it."""

    symbols: Mapping[str, str]
    until: int
    traded: dict[str, list[TradedMinute]] = field(default_factory=dict)
    book: dict[str, int] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    faults: dict[str, ProviderFault] = field(default_factory=dict)

    def take(self, fault: ProviderFault) -> None:
        """Keep a fault; seven calls that fail alike are one."""
        self.faults.setdefault(str(fault), fault)


class KrakenFlow(KrakenHost):
    """
    The ``FlowProvider`` on Kraken's REST API.

    Calls are made one after another, each when the pace allows it. What is remembered of a pair is lost with the
    process, and of no use any more when it was not asked about for as long as the longest horizon.

    Args:
        url: Where the API is.
        now: Epoch milliseconds.
        transport: In place of the network, for tests.
        breaker: The one of all that ask Kraken.
        sleep: Waits for so many seconds.
    """

    period_ms = 30_000
    is_paced = True

    def __init__(
        self,
        url: str,
        *,
        now: Callable[[], int] = epoch_ms,
        transport: httpx.AsyncBaseTransport | None = None,
        breaker: Breaker | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        super().__init__(url, now=now, transport=transport, breaker=breaker)
        self._sleep = sleep
        self._windows: dict[str, _Window] = {}
        self._asked_at: dict[str, int] = {}

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> Flow:
        """Ask for the book of all pairs in one call, and then for the trades of each, the longest unasked first."""
        asked_at = self._now()
        symbols = {one.sources[self.name]: one.symbol for one in instruments}
        collected = _Collected(symbols, until=asked_at + PATIENCE_MS)
        if symbols:
            try:
                async with asyncio.timeout(within):
                    await self._ask_for_all(collected)
            except TimeoutError:
                collected.take(self._late(within))
            except ProviderFault as fault:
                collected.take(fault)
        return Flow(asked_at, collected.traded, collected.book, collected.sources, list(collected.faults.values()))

    async def _ask_for_all(self, collected: _Collected) -> None:
        """
        Make the calls of a tick.

        Raises:
            ProviderFault: There is no use in any other call.
        """
        if (refusal := self._standing_refusal()) is not None:
            raise refusal
        asked = [*self._trusted(collected.symbols), *self._on_trial(collected.symbols)]
        names = await self._names(asked)
        for altname in sorted({*asked} - {*names.values()}):
            collected.take(self._put_in_quarantine(altname, "it is not listed there"))
        self._trust(names.values())
        if names:
            await self._ask_for_book(names, collected)
        for altname in sorted(names.values(), key=lambda one: self._asked_at.get(one, 0)):
            await self._ask_for_trades(altname, collected)

    async def _ask_for_book(self, names: Mapping[str, str], collected: _Collected) -> None:
        try:
            result, _ = await self._ask_in_turn("Ticker", {"pair": ",".join(names.values())}, collected)
            for name, row in _members.decode(result).items():
                if name in names:
                    ticker = _ticker.decode(row)
                    share = book_share(quantity(ticker.b[-1]), quantity(ticker.a[-1]))
                    if share is not None:
                        collected.book[collected.symbols[names[name]]] = share
        except (MalformedAnswer, Unavailable, Unreachable) as fault:
            # A socket that was closed meanwhile is such a slip; if there is no way at all, the next call shows it.
            collected.take(fault)
        except (ValueError, IndexError) as error:  # msgspec's errors are ValueErrors
            collected.take(MalformedAnswer(self.name, f"the book cannot be read: {error}"))

    async def _ask_for_trades(self, altname: str, collected: _Collected) -> None:
        """Go on with one pair; there is a value when nothing is left to ask for."""
        oldest = self._now() // MINUTE_MS * MINUTE_MS - LONGEST_MS
        window = self._windows.get(altname)
        if window is None or window.since < oldest * _NANOSECONDS:
            window = _Window(oldest * _NANOSECONDS - 1)
        try:
            for _ in range(MOST_PAGES):
                question = {"pair": altname, "since": str(window.since)}
                result, response = await self._ask_in_turn("Trades", question, collected)
                self._asked_at[altname] = self._now()
                rows, since = self._read(result, altname)
                window = _grown(window, rows, since, oldest=oldest)
                self._windows[altname] = window
                if len(rows) < WHOLE_PAGE:
                    symbol = collected.symbols[altname]
                    collected.traded[symbol] = list(window.minutes.values())
                    collected.sources[symbol] = self._source(response)
                    break
        except TooSoon:
            raise
        except ProviderFault as fault:
            # Who has had its turn is the last at the next tick, whatever came of it.
            self._asked_at[altname] = self._now()
            if not isinstance(fault, MalformedAnswer | Unavailable):
                raise
            collected.take(fault)

    async def _ask_in_turn(
        self, method: str, parameters: Mapping[str, str], collected: _Collected
    ) -> tuple[msgspec.Raw, httpx.Response]:
        """
        Make one call as soon as the pace allows it.

        Raises:
            TooSoon: That will be later than anybody wants to wait.
            ProviderFault: There is no good answer.
        """
        while True:
            try:
                return await self._ask(method, parameters)
            except TooSoon as fault:
                if fault.retry_at is None or fault.retry_at > collected.until:
                    raise
                await self._sleep((fault.retry_at - self._now()) / 1000)

    def _read(self, result: msgspec.Raw, altname: str) -> tuple[list[_Trade], int]:
        """
        Read one answer: trades, and since when to ask the next time.

        Raises:
            MalformedAnswer: It is not what Kraken documents.
        """
        latest = self._now() + AHEAD_MS
        try:
            members = _members.decode(result)
            since = _text.decode(members.pop("last"))
            (rows,) = map(_trades.decode, members.values())
            for row in rows:
                _check(row, latest=latest)
            return rows, _whole(since)
        except (ValueError, KeyError) as error:  # msgspec's errors are ValueErrors, and so are none or two series
            raise MalformedAnswer(self.name, f"trades of {altname} cannot be read: {error}") from error


def _check(row: _Trade, *, latest: float) -> None:
    if not (0 <= 1000 * row.at <= latest and quantity(row.price) and quantity(row.volume) >= 0):
        raise ValueError(f"not a trade: {row}")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise ValueError(f"no time to go on from: {text[:40]!r}")
    return int(text)


def _grown(window: _Window, rows: Sequence[_Trade], since: int, *, oldest: int) -> _Window:
    """Add trades to the sums of their minutes, and drop the minutes before ``oldest``, epoch milliseconds."""
    minutes = {at: minute for at, minute in window.minutes.items() if at >= oldest}
    for row in rows:
        at = int(1000 * row.at) // MINUTE_MS * MINUTE_MS
        if at < oldest or row in window.latest:
            continue
        volume = Decimal(row.volume)
        minute = minutes.get(at, TradedMinute(at, Decimal(), Decimal(), Decimal(), 0))
        minutes[at] = TradedMinute(
            at,
            minute.volume + volume,
            minute.bought + (volume if row.side == "b" else 0),
            minute.turnover + volume * Decimal(row.price),
            minute.trades + 1,
        )
    latest = frozenset(row for row in rows if row.at == rows[-1].at) or window.latest
    return _Window(max(window.since, since), latest, minutes)
