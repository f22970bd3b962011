"""
Binance's spot symbols over its WebSocket: ``<symbol>@ticker`` every second, ``<symbol>@bookTicker`` in real time.

The ticker has all that a quote has, and its time; the book ticker has a newer bid and ask, and no time. Its time is the
ticker's plus what has passed since by our clock, so that a quote never mixes two clocks. Names and limits are those of
https://github.com/binance/binance-spot-api-docs (web-socket-streams.md), read in July 2026. The streams stand in the
address: no message is ever sent, so the limit of five a second is never met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.errors import MalformedAnswer, Unreachable
from scheduler.market.quotes import Quote, number, price

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handlers.hub.instruments import Instrument
    from scheduler.errors import ProviderFault

STREAMS: Final = 1_024
"""So many streams a connection at most; symbols beyond that are asked for."""

LATE_MS: Final = 1_000
"""A ticker that took so much longer than the promptest one of its connection shows that what arrives is old."""

GIVEN_UP_MS: Final = 5_000
"""How long a connection may be late before another one is tried, in milliseconds."""


class _Envelope(msgspec.Struct):
    """A message of a combined stream, or an event about the connection itself, which may stand alone."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    e: str = ""


class _Event(msgspec.Struct):
    e: str = ""


class _Ticker(msgspec.Struct):
    """What is used of ``24hrTicker``: event time (epoch ms), last, bid, ask, change in percent."""

    E: int
    c: str
    b: str
    a: str
    P: str


class _Book(msgspec.Struct):
    """What is used of a book ticker: bid and ask."""

    b: str
    a: str


_envelope = msgspec.json.Decoder(_Envelope)
_event = msgspec.json.Decoder(_Event)
_ticker = msgspec.json.Decoder(_Ticker)
_book = msgspec.json.Decoder(_Book)


class BinanceListening:
    """How to begin to listen to Binance."""

    name = "binance"

    async def listen(self, instruments: Sequence[Instrument]) -> BinanceListener:
        """Make a listener for as many of them as a connection may have."""
        return BinanceListener(instrument.sources[self.name] for instrument in instruments[: STREAMS // 2])


class BinanceListener:
    """
    The ``Listener`` of one connection to Binance.

    Args:
        names: Binance's names of what to listen for.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._tickers = {f"{name.lower()}@ticker": name for name in names}
        self._books = {stream.replace("@ticker", "@bookTicker"): name for stream, name in self._tickers.items()}
        # By Binance's names, with the time of arrival. A book is read only when somebody asks: hundreds may come a
        # second, of which one counts.
        self._ticked: dict[str, tuple[_Ticker, int]] = {}
        self._booked: dict[str, tuple[msgspec.Raw, int]] = {}
        self._least_delay: int | None = None
        self._late_since: int | None = None
        self.greeting: Sequence[str] = ()
        self.is_leaving = False

    @property
    def address(self) -> str:
        """The combined stream of both kinds."""
        return "stream?streams=" + "/".join([*self._tickers, *self._books])

    @property
    def is_heard(self) -> bool:
        """Whether a whole quote has come."""
        return bool(self._ticked)

    def hear(self, frame: bytes, *, now: int) -> None:
        """
        Take one message in; streams that nobody asked for are passed over.

        Raises:
            MalformedAnswer: It is no JSON object, or a ticker without one's members.
            Unreachable: Everything has been late for some time.
        """
        try:
            envelope = _envelope.decode(frame)
            if (name := self._books.get(envelope.stream)) is not None:
                self._booked[name] = envelope.data, now
            elif (name := self._tickers.get(envelope.stream)) is not None:
                ticker = _ticker.decode(envelope.data)
                self._follow_delay(now - ticker.E, now)
                self._ticked[name] = ticker, now
            elif "serverShutdown" in {envelope.e, _event.decode(envelope.data).e}:
                self.is_leaving = True
        except ValueError as error:  # msgspec's errors are, and that of bytes that are no UTF-8
            raise MalformedAnswer("binance", f"its socket said what cannot be read: {error}") from error

    def quote(self, instrument: Instrument, *, source: str) -> Quote | None:
        """
        Join the latest ticker and what the book says since.

        Raises:
            MalformedAnswer: Something in it is no price.
        """
        name = instrument.sources["binance"]
        if name not in self._ticked or self._late_since is not None:
            return None
        ticker, at = self._ticked[name]
        bid, ask, ts = ticker.b, ticker.a, ticker.E
        booked, booked_at = self._booked.get(name, (None, at))
        try:
            if booked is not None and booked_at >= at:
                book = _book.decode(booked)
                bid, ask = book.b, book.a
                ts, at = ts + booked_at - at, booked_at
            return Quote(
                instrument.symbol,
                last=price(ticker.c),
                bid=price(bid),
                ask=price(ask),
                change_pct=number(ticker.P),
                ts=ts,
                source=source,
                answered_at=at,
            )
        except ValueError as error:  # msgspec's errors are ValueErrors
            raise MalformedAnswer("binance", f"{name} cannot be read on its socket: {error}") from error

    def take_faults(self) -> list[ProviderFault]:
        """Give nothing: what Binance does not know it passes over in silence."""
        return []

    def _follow_delay(self, delay: int, now: int) -> None:
        """Notice when messages take longer and longer; how far the two clocks are apart does not matter."""
        if self._least_delay is None or delay < self._least_delay:
            self._least_delay = delay
        if delay - self._least_delay <= LATE_MS:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now
        elif now - self._late_since > GIVEN_UP_MS:
            raise Unreachable("binance", f"its socket is {(delay - self._least_delay) / 1000:.1f} s late")
