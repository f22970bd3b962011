"""
Kraken's pairs over its WebSocket, version 2: the channel ``ticker``, at every change of the best bid or ask.

Messages, the heartbeat (about once a second while nothing else is said) and names ("BTC/USD" where its REST API says
XBT) are those of https://docs.kraken.com/api (Spot WebSocket v2), read in 2026. As its REST API's, a quote's time is
that of its arrival, and what is no coin costs the middle of bid and ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.errors import MalformedAnswer, UnknownInstrument
from scheduler.market.quotes import Quote, price

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handlers.hub.instruments import Instrument
    from scheduler.errors import ProviderFault
    from scheduler.market.providers.kraken import Kraken

_RENAMED: Final = {"XBT": "BTC", "XDG": "DOGE"}


class _Message(msgspec.Struct):
    """Any message: one of a channel, or the answer to a request of ours."""

    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    method: str = ""
    success: bool = True
    error: str = ""
    symbol: str = ""


class _Status(msgspec.Struct):
    system: str


class _Row(msgspec.Struct):
    """What is used of a pair's ticker; the numbers as they stand in the text."""

    symbol: str
    bid: msgspec.Raw
    ask: msgspec.Raw
    last: msgspec.Raw


_message = msgspec.json.Decoder(_Message)
_statuses = msgspec.json.Decoder(list[_Status])
_rows = msgspec.json.Decoder(list[_Row])


class KrakenListening:
    """
    How to begin to listen to Kraken.

    Args:
        rest: Who knows its pairs' names, and what they cost a day ago.
    """

    def __init__(self, rest: Kraken) -> None:
        self._rest = rest

    async def listen(self, instruments: Sequence[Instrument]) -> KrakenListener:
        """
        Make a listener for those that Kraken lists.

        Raises:
            ProviderFault: The list cannot be had.
        """
        altnames = [instrument.sources[self._rest.name] for instrument in instruments]
        pairs = await self._rest.socket_names(altnames)
        return KrakenListener({altname: _renamed(pair) for altname, pair in pairs.items()}, self._rest)


class KrakenListener:
    """
    The ``Listener`` of one connection to Kraken.

    Args:
        names: The socket's names of what to listen for, by altname.
        rest: Who knows what pairs cost a day ago.
    """

    address = "v2"
    is_leaving = False

    def __init__(self, names: Mapping[str, str], rest: Kraken) -> None:
        self._names = names
        self._rest = rest
        self._rows: dict[str, tuple[_Row, int]] = {}
        self._faults: list[ProviderFault] = []
        self._is_online = True

    @property
    def greeting(self) -> Sequence[str]:
        """One subscription for all pairs."""
        wanted = {
            "method": "subscribe",
            "params": {
                "channel": "ticker",
                "symbol": list(self._names.values()),
                "event_trigger": "bbo",
                "snapshot": True,
            },
            "req_id": 1,
        }
        return [msgspec.json.encode(wanted).decode()]

    @property
    def is_heard(self) -> bool:
        """Whether a ticker has come."""
        return bool(self._rows)

    def hear(self, frame: bytes, *, now: int) -> None:
        """
        Take one message in; heartbeats and acknowledgements say only that somebody is there.

        Raises:
            MalformedAnswer: It is not one of Kraken's.
        """
        try:
            message = _message.decode(frame)
            if message.channel == "ticker":
                self._rows |= {row.symbol: (row, now) for row in _rows.decode(message.data)}
            elif message.channel == "status":
                self._is_online = all(one.system == "online" for one in _statuses.decode(message.data))
        except ValueError as error:  # msgspec's errors are, and that of bytes that are no UTF-8
            raise MalformedAnswer("kraken", f"its socket said what cannot be read: {error}") from error
        if message.method == "subscribe" and not message.success:
            refused = f"{message.symbol} on its socket: {message.error}"[:200]
            self._faults.append(UnknownInstrument("kraken", refused))

    def quote(self, instrument: Instrument, *, source: str) -> Quote | None:
        """
        Give the latest ticker, compared with the day before; without that comparison it is for REST to say.

        Raises:
            MalformedAnswer: Something in it is no price.
        """
        altname = instrument.sources["kraken"]
        row, at = self._rows.get(self._names.get(altname, ""), (None, 0))
        if row is None or not self._is_online:
            return None
        try:
            bid, ask, last = _price(row.bid), _price(row.ask), _price(row.last)
        except ValueError as error:
            raise MalformedAnswer("kraken", f"{altname} cannot be read on its socket: {error}") from error
        quote = self._rest.complete(instrument, bid=bid, ask=ask, last=last, source=source, at=at)
        return quote if quote.change_pct is not None else None

    def take_faults(self) -> list[ProviderFault]:
        """Give the pairs that were refused since the last time."""
        faults, self._faults = self._faults, []
        return faults


def _price(raw: msgspec.Raw) -> str | None:
    text = bytes(raw).decode()
    return None if text == "null" else price(text)


def _renamed(pair: str) -> str:
    """Write a pair as the socket does: "BTC/USD" for "XBT/USD"."""
    return "/".join(_RENAMED.get(part, part) for part in pair.split("/"))
