"""gold-api.com as the simulated exchange answers it: ``/price/{symbol}[/{currency}]`` and ``/symbols``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import exp
from typing import TYPE_CHECKING

from local.exchange.listings import GOLD_API, UNDERLYINGS
from local.exchange.provider import Answer, Request, page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.exchange.price_path import PricePath
    from local.exchange.provider import Session

PERIOD_MS = 30_000
"""Prices change this often: "Please cache the response for 30 seconds" (gold-api.com/llms.txt)."""

# How many units a dollar is worth, by the pair that says it, and whether the pair has to be turned round.
_CURRENCIES = {
    "EUR": ("€", "EURUSD", True),
    "GBP": ("£", "GBPUSD", True),
    "AUD": ("A$", "AUDUSD", True),
    "JPY": ("¥", "USDJPY", False),
    "CHF": ("CHF", "USDCHF", False),
    "CAD": ("C$", "USDCAD", False),
}
_NOT_FOUND = b'{"error":"Symbol not found"}'
_OPEN_TO_ALL = {"access-control-allow-origin": "*"}


class GoldApi:
    """The provider ``gold-api``."""

    def __init__(self, paths: Mapping[str, PricePath]) -> None:
        self._paths = paths

    def answer(self, request: Request) -> Answer:
        """Answer one request; any parameter or unknown symbol is a 404, as there."""
        match request.path.strip("/").split("/"):
            case ["symbols"]:
                symbols = [{"name": name, "symbol": symbol} for symbol, name in GOLD_API.items()]
                return Answer(json.dumps(symbols, separators=(",", ":")).encode(), headers=_OPEN_TO_ALL)
            case ["price", symbol] if symbol in GOLD_API and not request.query:
                return self._price(symbol, "USD", request)
            case ["price", symbol, currency] if symbol in GOLD_API and currency in {"USD", *_CURRENCIES}:
                return self._price(symbol, currency, request)
        return Answer(_NOT_FOUND, 404, headers=_OPEN_TO_ALL)

    def refusal(self, status: int, request: Request, retry_after: int) -> Answer:
        """Answer with a status; its errors beyond the 404 are not documented, so they are web pages here."""
        del request
        answer = page(status, "Error")
        headers = {**_OPEN_TO_ALL, "retry-after": str(retry_after)} if status == 429 else _OPEN_TO_ALL  # noqa: PLR2004
        return Answer(answer.body, status, answer.content_type, headers)

    def error(self) -> bytes:
        """Return its error object."""
        return _NOT_FOUND

    def empty(self) -> bytes:
        """Return an object with nothing in it."""
        return b"{}"

    def session(self, path: str, query: Mapping[str, str]) -> Session | None:
        """Return nothing: gold-api has no WebSocket."""
        del path, query
        return None

    def _dollars(self, name: str, at: int) -> float:
        return UNDERLYINGS[name].base * exp(self._paths[name].at(at // 1000))

    def _price(self, symbol: str, currency: str, request: Request) -> Answer:
        at = request.moment(symbol) // PERIOD_MS * PERIOD_MS
        sign, rate = "$", 1.0
        if currency != "USD":
            sign, pair, turned = _CURRENCIES[currency]
            rate = 1 / self._dollars(pair, at) if turned else self._dollars(pair, at)
        body = {
            "currency": currency,
            "currencySymbol": sign,
            "exchangeRate": round(rate, 6) if currency != "USD" else 1,
            "name": GOLD_API[symbol],
            "price": round(self._dollars(symbol, at) * rate, 6),
            "symbol": symbol,
            "updatedAt": datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "updatedAtReadable": "a few seconds ago",
        }
        wait = -(-(PERIOD_MS - request.now % PERIOD_MS) // 1000)
        headers = {**_OPEN_TO_ALL, "cache-control": f"public, max-age={wait}"}
        return Answer(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(), headers=headers)
