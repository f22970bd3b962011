"""Reading a Binance query string as Binance does, with its error codes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from local.exchange.market import Market
    from local.exchange.provider import Request

_SYMBOL = re.compile(r"[\w\-.]{1,50}")
_STATUSES = ("TRADING", "HALT", "BREAK")
_NUMBER = re.compile(r"[0-9]{1,20}")
_ZONE = re.compile(r"([+-]?)(\d{1,2})(?::(\d{2}))?")
_MICROSECONDS = 10**14  # larger times are microseconds, which Binance takes as well
_EARLIEST_ZONE, _LATEST_ZONE = -12 * 3600, 14 * 3600


class Fault(Exception):
    """A request that Binance refuses; as text it is the answer's body."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status

    def __str__(self) -> str:
        return json.dumps({"code": self.code, "msg": self.message}, separators=(",", ":"))


class Query:
    """One request's parameters, checked as they are asked for."""

    def __init__(self, request: Request, markets: Mapping[str, Market]) -> None:
        self._request = request
        self._parameters = request.query
        self._markets = markets
        self.now = request.now
        self.halted = request.halted

    def __contains__(self, name: str) -> bool:
        return name in self._parameters

    @property
    def asked_for(self) -> int:
        """How many symbols are named; 0 means all."""
        return len(self.markets()[0]) if "symbol" in self or "symbols" in self else 0

    def only(self, *names: str) -> None:
        """Refuse parameters that the call does not have."""
        sent, read = len(self._parameters), sum(name in names for name in self._parameters)
        if sent > read and not names:
            raise Fault(-1101, f"Too many parameters; expected '0' and received '{sent}'.")
        if sent > read:
            text = "Not all sent parameters were read; read"
            raise Fault(-1104, f"{text} '{read}' parameter(s) but was sent '{sent}'.")

    def required(self, name: str) -> str:
        """Return a parameter that must be there."""
        if not self._parameters.get(name):
            raise Fault(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return self._parameters[name]

    def market(self) -> Market:
        """Return the market of the mandatory ``symbol``."""
        return self._market(self.required("symbol"))

    def markets(self) -> tuple[list[Market], bool]:
        """Return the markets asked for, in the exchange's order, and whether it was one by ``symbol``."""
        if "symbol" in self and "symbols" in self:
            raise Fault(-1128, "Combination of optional parameters invalid.")
        status = self.one_of("symbolStatus", _STATUSES, Fault(-1122, "Invalid symbolStatus.")) or None
        if "symbol" in self:
            market = self.market()
            if not self._has(market, status):
                raise Fault(-1220, "The symbol's status does not match the requested symbolStatus.")
            return [market], True
        chosen = set(self._symbols()) if "symbols" in self else set(self._markets)
        markets = [market for symbol, market in self._markets.items() if symbol in chosen]
        return [market for market in markets if self._has(market, status)], False

    def each(self, write: Callable[[Market, int], str]) -> str:
        """Write one object for ``symbol``, or else an array of them."""
        markets, single = self.markets()
        written = [write(market, self.moment(market)) for market in markets]
        return written[0] if single else f"[{','.join(written)}]"

    def moment(self, market: Market) -> int:
        """Return up to when this market has traded, epoch milliseconds."""
        return self._request.moment(market.listing.symbol)

    def one_of(self, name: str, allowed: Iterable[str], fault: Fault) -> str:
        """Return a parameter that must be one of a few words, or an empty text without it."""
        value = self._parameters.get(name)
        if value is not None and value not in allowed:
            raise fault
        return value or ""

    def number(self, name: str) -> int | None:
        """Return a whole number or None; a time in microseconds comes back in milliseconds."""
        text = self._parameters.get(name)
        if text is None:
            return None
        if not text:
            raise Fault(-1105, f"Parameter '{name}' was empty.")
        if not _NUMBER.fullmatch(text):
            raise Fault(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
        value = int(text)
        return value // 1000 if name.endswith("Time") and value > _MICROSECONDS else value

    def limit(self, usual: int, most: int) -> int:
        """Return how many rows are wanted; more than ``most`` means ``most``."""
        value = self.number("limit")
        if value == 0:
            raise Fault(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(most, usual if value is None else value)

    def time_zone(self, name: str) -> int:
        """Return an offset from UTC in seconds."""
        match = _ZONE.fullmatch(self._parameters.get(name, "0"))
        fault = Fault(-1130, f"Data sent for parameter '{name}' is not valid.")
        if not match:
            raise fault
        offset = int(match[2]) * 3600 + int(match[3] or 0) * 60
        offset = -offset if match[1] == "-" else offset
        if not _EARLIEST_ZONE <= offset <= _LATEST_ZONE:
            raise fault
        return offset

    def _has(self, market: Market, status: str | None) -> bool:
        return status is None or status == ("HALT" if market.listing.symbol in self.halted else "TRADING")

    def _market(self, symbol: str) -> Market:
        if not _is_proper(symbol):
            text = "Illegal characters found in parameter 'symbol'; legal range is"
            raise Fault(-1100, rf"{text} '^[\w\-._&&[^a-z]]{{1,50}}$'.")
        if symbol not in self._markets:
            raise Fault(-1121, "Invalid symbol.")
        return self._markets[symbol]

    def _symbols(self) -> list[str]:
        text = self.required("symbols")
        try:
            symbols: list[str] | None = json.loads(text)
        except ValueError:
            symbols = None
        # No spaces and no line breaks, though JSON would have them.
        if (
            not isinstance(symbols, list)
            or re.search(r"\s", text)
            or not all(isinstance(symbol, str) and _is_proper(symbol) for symbol in symbols)
        ):
            legal = r'^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'
            raise Fault(-1100, f"Illegal characters found in parameter 'symbols'; legal range is '{legal}'.")
        if not symbols:
            raise Fault(-1102, "Mandatory parameter 'symbols' was not sent, was empty/null, or malformed.")
        if len(set(symbols)) != len(symbols):
            raise Fault(-1151, "Symbol is present multiple times in the list.")
        for symbol in symbols:
            self._market(symbol)
        return symbols


def _is_proper(symbol: str) -> bool:
    return bool(_SYMBOL.fullmatch(symbol)) and symbol == symbol.upper()
