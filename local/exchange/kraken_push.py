"""
Kraken's WebSocket, version 2, as the simulated exchange serves it: ``/v2`` with the channel ``ticker``.

Messages are those of https://docs.kraken.com/api (Spot WebSocket v2). A pair says what the REST API says at that
moment, once a second if its best bid or ask has changed; a second without anything to say gets a heartbeat.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.exchange.provider import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

_SECOND_MS = 1000


@dataclass(frozen=True, slots=True)
class Pushed:
    """A pair on the WebSocket: ``row`` writes its ticker as of a time, epoch milliseconds."""

    altname: str
    row: Callable[[int], str]


class KrakenSession:
    """The ``Session`` of one WebSocket; ``pairs`` are by its own names ("BTC/USD")."""

    def __init__(self, pairs: Mapping[str, Pushed]) -> None:
        self._pairs = pairs
        self._due: dict[str, int] = {}
        self._last: dict[str, str] = {}
        self._beats_at = 0

    def opened(self, *, now: int) -> Sequence[str]:
        """Say that the exchange is there."""
        self._beats_at = now + _SECOND_MS
        return [_status("online", now)]

    def received(self, text: str, *, now: int) -> Sequence[str]:
        """Answer ``ping``, ``subscribe`` and ``unsubscribe``; a snapshot follows the answer to a subscription."""
        try:
            request = json.loads(text)
            method, params = request["method"], request.get("params", {})
            number = {"req_id": request["req_id"]} if "req_id" in request else {}
            symbols = params.get("symbol", [])
            channel = params.get("channel")
        except (ValueError, KeyError, TypeError, AttributeError):
            return [_written({"error": "Malformed request", "success": False})]
        times = {"time_in": _iso(now), "time_out": _iso(now)}
        if method == "ping":
            return [_written({"method": "pong", **number, **times})]
        if method not in {"subscribe", "unsubscribe"} or channel != "ticker" or not isinstance(symbols, list):
            return [_written({"error": "Unsupported method or channel", "method": method, "success": False, **number})]
        said = []
        for symbol in symbols:
            if symbol not in self._pairs:
                refused = {"error": f"Currency pair not supported {symbol}", "method": method, "success": False}
                said.append(_written({**refused, "symbol": symbol, **number, **times}))
                continue
            wants = {"event_trigger": params.get("event_trigger", "trades"), "snapshot": params.get("snapshot", True)}
            result = {"channel": channel, "symbol": symbol, **(wants if method == "subscribe" else {})}
            said.append(_written({"method": method, "result": result, "success": True, **number, **times}))
            if method == "unsubscribe":
                self._due.pop(symbol, None)
                continue
            begun = now // _SECOND_MS * _SECOND_MS + phase(symbol)
            self._due[symbol] = begun if begun > now else begun + _SECOND_MS
            self._last[symbol] = row = self._pairs[symbol].row(now)
            if wants["snapshot"]:
                said.append(_channel("snapshot", row))
        return said

    def due(self, *, now: int, halted: Collection[str]) -> Sequence[str]:
        """Say which pairs have changed; a heartbeat when nothing was said for a second."""
        said = []
        for symbol, at in self._due.items():
            if at > now:
                continue
            self._due[symbol] = at + (now - at) // _SECOND_MS * _SECOND_MS + _SECOND_MS
            if self._pairs[symbol].altname in halted:
                continue
            row = self._pairs[symbol].row(now)
            if row != self._last[symbol]:
                self._last[symbol] = row
                said.append(_channel("update", row))
        if not said and self._due and now >= self._beats_at:
            said.append('{"channel":"heartbeat"}')
        if said:
            self._beats_at = now + _SECOND_MS
        return said

    def due_at(self) -> int:
        """Return when a pair or the heartbeat is due."""
        return min([*self._due.values(), self._beats_at])

    def farewell(self, *, now: int) -> str:
        """Announce maintenance, which is how Kraken's connections end."""
        return _status("maintenance", now)


def _status(system: str, now: int) -> str:
    about = {"api_version": "v2", "connection_id": now, "system": system, "version": "2.0.0"}
    return _written({"channel": "status", "data": [about], "type": "update"})


def _channel(kind: str, row: str) -> str:
    return f'{{"channel":"ticker","type":"{kind}","data":[{row}]}}'


def _iso(now: int) -> str:
    return datetime.fromtimestamp(now / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _written(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))
