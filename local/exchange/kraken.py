"""Kraken's public REST API as the simulated exchange answers it: under Kraken's own names, errors under status 200."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from local.exchange.kraken_push import KrakenSession, Pushed
from local.exchange.limits import CallPacer
from local.exchange.listings import LISTED_AT
from local.exchange.price_path import DAY
from local.exchange.provider import Answer, Request, decimal, page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.exchange.market import Candle, Market
    from local.exchange.provider import Session
    from local.exchange.trades import Trade

INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
"""In minutes."""

MOST_CANDLES = 720
MOST_TRADES = 1000

_NANOSECONDS_SINCE = 10**12  # a larger ``since`` is in nanoseconds, a smaller one in seconds


@dataclass(frozen=True, slots=True)
class _Pair:
    """How Kraken writes a pair. ``shown`` is a price's digits in Ticker and Trades, which for old pairs are five."""

    name: str
    wsname: str
    base: str
    quote: str
    shown: int


_PAIRS = {
    "XBTUSD": _Pair("XXBTZUSD", "XBT/USD", "XXBT", "ZUSD", 5),
    "ETHUSD": _Pair("XETHZUSD", "ETH/USD", "XETH", "ZUSD", 5),
    "PAXGUSD": _Pair("PAXGUSD", "PAXG/USD", "PAXG", "ZUSD", 2),
    "EURUSD": _Pair("ZEURZUSD", "EUR/USD", "ZEUR", "ZUSD", 5),
    "GBPUSD": _Pair("ZGBPZUSD", "GBP/USD", "ZGBP", "ZUSD", 5),
    "AUDUSD": _Pair("AUDUSD", "AUD/USD", "ZAUD", "ZUSD", 5),
    "USDJPY": _Pair("ZUSDZJPY", "USD/JPY", "ZUSD", "ZJPY", 3),
    "USDCHF": _Pair("USDCHF", "USD/CHF", "ZUSD", "CHF", 5),
    "USDCAD": _Pair("ZUSDZCAD", "USD/CAD", "ZUSD", "ZCAD", 5),
}


class _Fault(Exception):
    """A request that Kraken refuses; the text is its error."""


class Kraken:
    """The provider ``kraken``. ``markets`` are keyed by altname."""

    def __init__(self, markets: Mapping[str, Market]) -> None:
        self._markets = markets
        self._pacer = CallPacer()
        self._altnames = {
            alias: altname for altname, pair in _PAIRS.items() for alias in (altname, pair.name, pair.wsname)
        }
        self._pushed = {
            _socket_name(_PAIRS[altname]): Pushed(altname, partial(self._row_of, altname)) for altname in markets
        }
        self._calls = {
            "Time": self._time,
            "AssetPairs": self._asset_pairs,
            "Ticker": self._ticker,
            "OHLC": self._ohlc,
            "Trades": self._trades,
        }

    def answer(self, request: Request) -> Answer:
        """Answer one request; what is refused has status 200 and says why in ``error``."""
        method = request.path.removeprefix("/0/public/")
        if not self._pacer.allows(request.client, now=request.now):
            return _refuse("EAPI:Rate limit exceeded")
        if method not in self._calls:
            return _refuse("EGeneral:Unknown method")
        try:
            result = self._calls[method](request)
        except _Fault as fault:
            return _refuse(str(fault))
        return Answer(b'{"error":[],"result":' + result.encode() + b"}")

    def refusal(self, status: int, request: Request, retry_after: int) -> Answer:
        """Answer with a status: 429 as an error object, all else as the web page of what stands before the host."""
        del request
        if status == 429:  # noqa: PLR2004 - the status
            return Answer(self._rate_limited(), status, headers={"retry-after": str(retry_after)})
        return page(status, "Error")

    def error(self) -> bytes:
        """Return an error object as it stands under status 200."""
        return b'{"error":["EService:Unavailable"]}'

    def empty(self) -> bytes:
        """Return the outer object without a result."""
        return b'{"error":[]}'

    def session(self, path: str, query: Mapping[str, str]) -> Session | None:
        """Serve version 2 of the WebSocket at ``/v2``."""
        del query
        return KrakenSession(self._pushed) if path == "/v2" else None

    @staticmethod
    def _rate_limited() -> bytes:
        return b'{"error":["EAPI:Rate limit exceeded"]}'

    def _chosen(self, request: Request) -> list[str]:
        """Return the altnames asked for, or all, in the order of Kraken's own names."""
        asked = request.query.get("pair")
        if asked is None:
            return sorted(self._markets, key=lambda altname: _PAIRS[altname].name)
        altnames = {self._altnames.get(name.strip()) for name in asked.split(",")}
        if None in altnames:
            raise _Fault("EQuery:Unknown asset pair")
        return sorted((altname for altname in altnames if altname), key=lambda altname: _PAIRS[altname].name)

    def _one(self, request: Request) -> str:
        if not request.query.get("pair"):
            raise _Fault("EGeneral:Invalid arguments")
        chosen = self._chosen(request)
        if len(chosen) != 1:
            raise _Fault("EQuery:Unknown asset pair")
        return chosen[0]

    def _time(self, request: Request) -> str:
        seconds = request.now // 1000
        text = datetime.fromtimestamp(seconds, UTC).strftime("%a, %d %b %y %H:%M:%S +0000")
        return json.dumps({"unixtime": seconds, "rfc1123": text}, separators=(",", ":"))

    def _asset_pairs(self, request: Request) -> str:
        pairs = {_PAIRS[altname].name: self._asset_pair(altname, request) for altname in self._chosen(request)}
        return json.dumps(pairs, separators=(",", ":"))

    def _asset_pair(self, altname: str, request: Request) -> dict[str, object]:
        pair, listing = _PAIRS[altname], self._markets[altname].listing
        return {
            "altname": altname,
            "wsname": pair.wsname,
            "aclass_base": "currency",
            "base": pair.base,
            "aclass_quote": "currency",
            "quote": pair.quote,
            "lot": "unit",
            "cost_decimals": 5,
            "pair_decimals": listing.decimals,
            "lot_decimals": listing.lot_decimals,
            "lot_multiplier": 1,
            "leverage_buy": [],
            "leverage_sell": [],
            "fees": [],
            "fees_maker": [],
            "fee_volume_currency": "ZUSD",
            "margin_call": 80,
            "margin_stop": 40,
            "ordermin": "0.00005" if altname == "XBTUSD" else "0.5",
            "costmin": "0.5",
            "tick_size": decimal(1, listing.decimals, listing.decimals),
            "status": "cancel_only" if altname in request.halted else "online",
            "execution_venue": "international",
        }

    def _ticker(self, request: Request) -> str:
        rows = (
            f'"{_PAIRS[altname].name}":{self._ticker_of(altname, request.moment(altname))}'
            for altname in self._chosen(request)
        )
        return "{" + ",".join(rows) + "}"

    def _ticker_of(self, altname: str, now: int) -> str:
        market, pair = self._markets[altname], _PAIRS[altname]
        listing = market.listing
        end = market.settled(now)
        midnight = end // DAY * DAY
        today, rolling = market.candle(midnight, end), market.candle(end - DAY, end)
        book = market.book(now // 1000)
        last = market.trades(end - listing.leaf)[-1]

        def price(ticks: int) -> str:
            return f'"{decimal(ticks, listing.decimals, pair.shown)}"'

        def level(ticks: int, lots: int) -> str:
            thousandths = lots * 1000 // 10**listing.lot_decimals
            return f'[{price(ticks)},"{thousandths // 1000}","{decimal(thousandths, 3, 3)}"]'

        def volume(lots: int) -> str:
            return f'"{decimal(lots, listing.lot_decimals, 8)}"'

        def vwap(candle: Candle) -> str:
            return f'"{_average(candle, listing.decimals, pair.shown)}"'

        return (
            f'{{"a":{level(*book.asks[0])},"b":{level(*book.bids[0])},'
            f'"c":[{price(last.price)},{volume(last.lots)}],"v":[{volume(today.lots)},{volume(rolling.lots)}],'
            f'"p":[{vwap(today)},{vwap(rolling)}],"t":[{today.trades},{rolling.trades}],'
            f'"l":[{price(today.low)},{price(rolling.low)}],"h":[{price(today.high)},{price(rolling.high)}],'
            f'"o":{price(today.open)}}}'
        )

    def _row_of(self, altname: str, now: int) -> str:
        """Write a pair's ticker for the WebSocket: the same figures, as numbers, and the change of a day."""
        market = self._markets[altname]
        row = json.loads(self._ticker_of(altname, now))
        decimals, end = market.listing.decimals, market.settled(now)
        before = market.candle(end - DAY, end).open
        change = market.trades(end - market.listing.leaf)[-1].price - before
        return (
            f'{{"symbol":"{_socket_name(_PAIRS[altname])}","bid":{row["b"][0]},"bid_qty":{row["b"][2]},'
            f'"ask":{row["a"][0]},"ask_qty":{row["a"][2]},"last":{row["c"][0]},"volume":{row["v"][1]},'
            f'"vwap":{row["p"][1]},"low":{row["l"][1]},"high":{row["h"][1]},'
            f'"change":{decimal(change, decimals, decimals)},"change_pct":{change * 100 / before:.2f}}}'
        )

    def _ohlc(self, request: Request) -> str:
        altname = self._one(request)
        market = self._markets[altname]
        listing = market.listing
        interval = request.query.get("interval", "1")
        if not interval.isdecimal() or int(interval) not in INTERVALS:
            raise _Fault("EGeneral:Invalid arguments")
        length = int(interval) * 60
        now = request.moment(altname)
        forming = now // 1000 // length * length
        first = max(forming - (MOST_CANDLES - 1) * length, -(-LISTED_AT // length) * length)
        since = _whole(request.query.get("since", "0"))
        first = max(first, -(-since // length) * length)
        settled = market.settled(now)
        rows = []
        for start in range(first, forming + 1, length):
            candle = market.candle(start, min(start + length, max(start, settled)))
            prices = (candle.open, candle.high, candle.low, candle.close)
            shown = '","'.join(decimal(ticks, listing.decimals, listing.decimals) for ticks in prices)
            average = _average(candle, listing.decimals, listing.decimals)
            volume = decimal(candle.lots, listing.lot_decimals, 8)
            rows.append(f'[{start},"{shown}","{average}","{volume}",{candle.trades}]')
        # The last candle that will not change: what to ask ``since`` next time.
        return f'{{"{_PAIRS[altname].name}":[{",".join(rows)}],"last":{forming - length}}}'

    def _trades(self, request: Request) -> str:
        altname = self._one(request)
        market, pair = self._markets[altname], _PAIRS[altname]
        count = _whole(request.query.get("count", str(MOST_TRADES)))
        if not 1 <= count <= MOST_TRADES:
            raise _Fault("EGeneral:Invalid arguments")
        end = market.settled(request.moment(altname))
        since = request.query.get("since")
        if since is None:
            trades = _latest(market, end, count)
        else:
            trades = _after(market, since_in_ns(_whole(since)) // 1000, end, count)
        rows = ",".join(self._trade(trade, market, pair) for trade in trades)
        last = f"{trades[-1].at}000" if trades else (since or "0")
        return f'{{"{pair.name}":[{rows}],"last":"{last}"}}'

    @staticmethod
    def _trade(trade: Trade, market: Market, pair: _Pair) -> str:
        price = decimal(trade.price, market.listing.decimals, pair.shown)
        volume = decimal(trade.lots, market.listing.lot_decimals, 8)
        moment = f"{trade.at // 1_000_000}.{trade.at % 1_000_000:06}"
        kind = "l" if trade.id % 3 else "m"
        return f'["{price}","{volume}",{moment},"{"b" if trade.bought else "s"}","{kind}","",{trade.id}]'


def since_in_ns(since: int) -> int:
    """Read the parameter ``since`` of Trades: a small number is in seconds, a large one in nanoseconds."""
    return since if since > _NANOSECONDS_SINCE else since * 10**9


def _socket_name(pair: _Pair) -> str:
    return pair.wsname.replace("XBT", "BTC").replace("XDG", "DOGE")


def _refuse(error: str) -> Answer:
    return Answer(json.dumps({"error": [error]}, separators=(",", ":")).encode())


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise _Fault("EGeneral:Invalid arguments")
    return int(text)


def _average(candle: Candle, decimals: int, shown: int) -> str:
    """Write the volume-weighted average price, rounded to the digits shown."""
    if not candle.lots:
        return decimal(0, 0, shown)
    scale: int = 10 ** (shown - decimals)
    return decimal((2 * candle.quote * scale + candle.lots) // (2 * candle.lots), shown, shown)


def _latest(market: Market, end: int, count: int) -> list[Trade]:
    leaf = market.listing.leaf
    trades: list[Trade] = []
    while len(trades) < count:
        end -= leaf
        trades = [*market.trades(end), *trades]
    return trades[-count:]


def _after(market: Market, after: int, end: int, count: int) -> list[Trade]:
    """Return the oldest trades later than ``after``, epoch microseconds; not from before everything was listed."""
    trades: list[Trade] = []
    for start in _leaves(market, max(after // 1_000_000, LISTED_AT), end):
        trades += (trade for trade in market.trades(start) if trade.at > after)
        if len(trades) >= count:
            break
    return trades[:count]


def _leaves(market: Market, start: int, end: int) -> Iterator[int]:
    leaf = market.listing.leaf
    return iter(range(start // leaf * leaf, end, leaf))
