"""
Binance's WebSocket streams as the simulated exchange serves them, combined (``/stream?streams=``) and raw (``/ws/``).

``<symbol>@ticker``, ``<symbol>@miniTicker``, ``<symbol>@bookTicker`` and ``!miniTicker@arr``, in the words of Binance's
web-socket-streams.md. Each says what the REST API says at that moment, once a second, because a market changes once a
second here; a book ticker half a second before the others, and only when it has changed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local.exchange.binance_bodies import book_ticker, mini_ticker, ticker
from local.exchange.limits import MESSAGES_A_SECOND
from local.exchange.provider import Hangup, phase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from local.exchange.market import Market

_ALL = "!miniTicker@arr"
_VIOLATION = 1008
_SECOND_MS = 1000
# The members of each event, and what the REST API calls them.
_TICKER = {
    "p": "priceChange",
    "P": "priceChangePercent",
    "w": "weightedAvgPrice",
    "x": "prevClosePrice",
    "c": "lastPrice",
    "Q": "lastQty",
    "b": "bidPrice",
    "B": "bidQty",
    "a": "askPrice",
    "A": "askQty",
    "o": "openPrice",
    "h": "highPrice",
    "l": "lowPrice",
    "v": "volume",
    "q": "quoteVolume",
    "O": "openTime",
    "C": "closeTime",
    "F": "firstId",
    "L": "lastId",
    "n": "count",
}
_MINI = {"c": "lastPrice", "o": "openPrice", "h": "highPrice", "l": "lowPrice", "v": "volume", "q": "quoteVolume"}
_BOOK = {"b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty"}


class BinanceSession:
    """
    The ``Session`` of one WebSocket.

    Args:
        streams: What it carries from the beginning; names that do not exist are passed over, as Binance does.
        markets: By symbol.
        combined: Whether each message names its stream.
    """

    def __init__(self, streams: Iterable[str], markets: Mapping[str, Market], *, combined: bool) -> None:
        self._markets = markets
        self._combined = combined
        self._streams: dict[str, int] = {}
        self._last: dict[str, str] = {}
        self._received: list[int] = []
        self._subscribed = list(dict.fromkeys(streams))

    def opened(self, *, now: int) -> Sequence[str]:
        """Begin to count; nothing is said before there is something to say."""
        for stream in self._subscribed:
            self._add(stream, now)
        return ()

    def received(self, text: str, *, now: int) -> Sequence[str]:
        """Answer ``SUBSCRIBE``, ``UNSUBSCRIBE`` and ``LIST_SUBSCRIPTIONS``."""
        self._received = [at for at in self._received if at > now - _SECOND_MS] + [now]
        if len(self._received) > MESSAGES_A_SECOND:
            raise Hangup(_VIOLATION, "Too many requests")
        try:
            request = json.loads(text)
            method, params, number = request["method"], request.get("params") or [], request["id"]
            known = method in {"SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS"}
        except (ValueError, KeyError, TypeError, AttributeError):
            return [_written({"code": 3, "msg": "Invalid JSON: expected a request with method and id"})]
        if not known or not isinstance(params, list) or not all(isinstance(stream, str) for stream in params):
            return [_written({"code": 2, "msg": f"Invalid request: unknown variant {method}", "id": number})]
        result = None
        if method == "SUBSCRIBE":
            for stream in params:
                self._add(stream, now)
        elif method == "UNSUBSCRIBE":
            for stream in params:
                self._streams.pop(stream, None)
        else:
            result = list(self._streams)
        return [_written({"result": result, "id": number})]

    def due(self, *, now: int, halted: Collection[str]) -> Sequence[str]:
        """Say what is due of every stream."""
        said = []
        for stream, at in self._streams.items():
            if at > now:
                continue
            self._streams[stream] = at + (now - at) // _SECOND_MS * _SECOND_MS + _SECOND_MS
            event = self._event(stream, now, halted)
            if event:
                said.append(f'{{"stream":"{stream}","data":{event}}}' if self._combined else event)
        return said

    def due_at(self) -> int:
        """Return the earliest of all streams."""
        return min(self._streams.values(), default=2**62)

    def farewell(self, *, now: int) -> str:
        """Announce the end of the connection."""
        return _written({"e": "serverShutdown", "E": now})

    def _add(self, stream: str, now: int) -> None:
        symbol, _, kind = stream.partition("@")
        listed = symbol.upper() in self._markets and symbol == symbol.lower() and kind in _KINDS
        if stream == _ALL or listed:
            begun = now // _SECOND_MS * _SECOND_MS + phase(symbol) - (_SECOND_MS // 2 if kind == "bookTicker" else 0)
            self._streams.setdefault(stream, begun if begun > now else begun + _SECOND_MS)

    def _event(self, stream: str, now: int, halted: Collection[str]) -> str:
        """Write an event, empty when there is nothing to say."""
        if stream == _ALL:
            rows = [_mini(market, now) for symbol, market in self._markets.items() if symbol not in halted]
            return f"[{','.join(rows)}]"
        symbol, _, kind = stream.partition("@")
        if symbol.upper() in halted:
            return ""
        event = _KINDS[kind](self._markets[symbol.upper()], now)
        if kind != "bookTicker":
            return event
        before, self._last[stream] = self._last.get(stream), event
        return "" if event == before else event


def _ticker(market: Market, now: int) -> str:
    row = json.loads(ticker(market, now))
    return _written({"e": "24hrTicker", "E": now, "s": row["symbol"]} | _taken(row, _TICKER))


def _mini(market: Market, now: int) -> str:
    row = json.loads(mini_ticker(market, now))
    return _written({"e": "24hrMiniTicker", "E": now, "s": row["symbol"]} | _taken(row, _MINI))


def _book(market: Market, now: int) -> str:
    row = json.loads(book_ticker(market, now))
    return _written({"u": market.settled(now) * 10, "s": row["symbol"]} | _taken(row, _BOOK))


_KINDS: dict[str, Callable[[Market, int], str]] = {"ticker": _ticker, "miniTicker": _mini, "bookTicker": _book}


def _taken(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {short: row[name] for short, name in names.items()}


def _written(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))
