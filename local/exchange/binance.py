"""Binance's public spot API as the simulated exchange answers it; the rules are from its rest-api.md, errors.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.exchange.binance_bodies import (
    INTERVALS,
    MOST_KLINES,
    book_ticker,
    depth,
    exchange_information,
    klines,
    mini_ticker,
    price_ticker,
    ticker,
    trade_rows,
)
from local.exchange.binance_push import BinanceSession
from local.exchange.binance_query import Fault, Query
from local.exchange.limits import WEIGHT_LIMIT, WeightMeter
from local.exchange.provider import Answer, Request, page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local.exchange.market import Market
    from local.exchange.provider import Session

_JSON = "application/json;charset=UTF-8"
_MOST_TRADES = 1000
_MOST_LEVELS = 5000
# Binance's table for the order book: up to so many levels, so much weight.
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (_MOST_LEVELS, 250))
# And for the 24-hour ticker: up to so many symbols.
_TICKER_WEIGHTS = ((20, 2), (100, 40))
_ALL_TICKERS = 80
_RESTRICTED = (
    "Service unavailable from a restricted location according to 'b. Eligibility' in https://www.binance.com/en/terms. "
    "Please contact customer service if you believe you received this message in error."
)


class Binance:
    """The provider ``binance``. ``markets`` are keyed by symbol, in the order in which all of them are listed."""

    def __init__(self, markets: Mapping[str, Market]) -> None:
        self._markets = markets
        self._meter = WeightMeter()
        self._calls: dict[str, Callable[[Query], tuple[int, Callable[[], str]]]] = {
            "ping": self._ping,
            "time": self._time,
            "exchangeInfo": self._exchange_info,
            "ticker/24hr": self._ticker,
            "ticker/price": self._ticker_price,
            "ticker/bookTicker": self._book_ticker,
            "klines": self._klines,
            "depth": self._depth,
            "trades": self._trades,
            "aggTrades": self._agg_trades,
        }

    def answer(self, request: Request) -> Answer:
        """Answer one request and charge its weight; what cannot be understood weighs 1."""
        call = self._calls.get(request.path.removeprefix("/api/v3/"))
        if call is None or not request.path.startswith("/api/v3/"):
            return page(404, "Not Found")
        weight, status = 1, 200
        try:
            weight, compose = call(Query(request, self._markets))
        except Fault as fault:
            body, status = str(fault), fault.status
        verdict = self._meter.spend(request.client, weight, now=request.now)
        headers = {"x-mbx-used-weight": str(verdict.used), "x-mbx-used-weight-1m": str(verdict.used)}
        if verdict.status != 200:  # noqa: PLR2004 - the status
            refusal = self.refusal(verdict.status, request, -(-(verdict.until - request.now) // 1000))
            return Answer(refusal.body, refusal.status, refusal.content_type, {**headers, **refusal.headers})
        if status == 200:  # noqa: PLR2004 - the status
            try:
                body = compose()
            except Fault as fault:
                body, status = str(fault), fault.status
        return Answer(body.encode(), status, _JSON, headers)

    def refusal(self, status: int, request: Request, retry_after: int) -> Answer:
        """Answer with a status: 429, 418 and 451 as JSON, the firewall's 403 and errors of the host as web pages."""
        if status == 429:  # noqa: PLR2004 - the status
            text = f"Too much request weight used; current limit is {WEIGHT_LIMIT} request weight per 1 MINUTE. "
            text += "Please use WebSocket Streams for live updates to avoid polling the API."
            return Answer(str(Fault(-1003, text)).encode(), status, _JSON, {"retry-after": str(retry_after)})
        if status == 418:  # noqa: PLR2004 - the status
            until = request.now + retry_after * 1000
            text = f"Way too much request weight used; IP banned until {until}. "
            text += "Please use WebSocket Streams for live updates to avoid bans."
            return Answer(str(Fault(-1003, text)).encode(), status, _JSON, {"retry-after": str(retry_after)})
        if status == 451:  # noqa: PLR2004 - the status
            return Answer(str(Fault(0, _RESTRICTED)).encode(), status, _JSON)
        if status == 400:  # noqa: PLR2004 - the status
            return Answer(str(Fault(-1121, "Invalid symbol.")).encode(), status, _JSON)
        return page(status, "Error")

    def error(self) -> bytes:
        """Return its error object for trouble of its own."""
        return str(Fault(-1001, "Internal error; unable to process your request. Please try again.")).encode()

    def empty(self) -> bytes:
        """Return an object with nothing in it."""
        return b"{}"

    def session(self, path: str, query: Mapping[str, str]) -> Session | None:
        """Serve the combined streams at ``/stream`` and raw ones at ``/ws``."""
        if path == "/stream":
            return BinanceSession(query.get("streams", "").split("/"), self._markets, combined=True)
        if path == "/ws" or path.startswith("/ws/"):
            return BinanceSession(path.split("/")[2:], self._markets, combined=False)
        return None

    def _ping(self, query: Query) -> tuple[int, Callable[[], str]]:
        query.only()
        return 1, lambda: "{}"

    def _time(self, query: Query) -> tuple[int, Callable[[], str]]:
        query.only()
        return 1, lambda: f'{{"serverTime":{query.now}}}'

    def _exchange_info(self, query: Query) -> tuple[int, Callable[[], str]]:
        query.only("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")
        markets, _ = query.markets()
        return 20, lambda: exchange_information(markets, query.now, query.halted)

    def _ticker(self, query: Query) -> tuple[int, Callable[[], str]]:
        query.only("symbol", "symbols", "type", "symbolStatus")
        kind = query.one_of("type", ("FULL", "MINI"), Fault(-1139, "Invalid ticker type."))
        write = mini_ticker if kind == "MINI" else ticker
        weight = next((weight for most, weight in _TICKER_WEIGHTS if 0 < query.asked_for <= most), _ALL_TICKERS)
        return weight, lambda: query.each(write)

    def _ticker_price(self, query: Query) -> tuple[int, Callable[[], str]]:
        query.only("symbol", "symbols", "symbolStatus")
        return 2 if "symbol" in query else 4, lambda: query.each(price_ticker)

    def _book_ticker(self, query: Query) -> tuple[int, Callable[[], str]]:
        query.only("symbol", "symbols", "symbolStatus")
        return 2 if "symbol" in query else 4, lambda: query.each(book_ticker)

    def _klines(self, query: Query) -> tuple[int, Callable[[], str]]:
        query.only("symbol", "interval", "startTime", "endTime", "timeZone", "limit")
        market = query.market()
        query.required("interval")
        interval = query.one_of("interval", INTERVALS, Fault(-1120, "Invalid interval."))
        offset = query.time_zone("timeZone")
        limit = query.limit(500, MOST_KLINES)
        start, end = query.number("startTime"), query.number("endTime")
        now = query.moment(market)
        return 2, lambda: klines(market, interval, limit, now=now, start=start, end=end, offset=offset)

    def _depth(self, query: Query) -> tuple[int, Callable[[], str]]:
        query.only("symbol", "limit", "symbolStatus")
        market = query.market()
        limit = query.limit(100, _MOST_LEVELS)
        weight = next(weight for most, weight in _DEPTH_WEIGHTS if limit <= most)
        return weight, lambda: depth(market, query.moment(market), limit)

    def _trades(self, query: Query) -> tuple[int, Callable[[], str]]:
        query.only("symbol", "limit")
        market = query.market()
        limit = query.limit(500, _MOST_TRADES)
        return 25, lambda: trade_rows(market, query.moment(market), limit)

    def _agg_trades(self, query: Query) -> tuple[int, Callable[[], str]]:
        query.only("symbol", "fromId", "startTime", "endTime", "limit")
        market = query.market()
        limit = query.limit(500, _MOST_TRADES)
        first, start, end = query.number("fromId"), query.number("startTime"), query.number("endTime")
        now = query.moment(market)
        return 4, lambda: trade_rows(market, now, limit, first_id=first, start=start, end=end, aggregated=True)
