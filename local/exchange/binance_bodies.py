"""
The bodies of Binance's answers, digit for digit: eight places in every price and quantity, members in its order.

A market is known up to the last full second; candles and tickers end there.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local.exchange.limits import WEIGHT_LIMIT
from local.exchange.listings import LISTED_AT
from local.exchange.price_path import DAY
from local.exchange.provider import decimal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local.exchange.market import Market
    from local.exchange.trades import Trade

MOST_KLINES = 1000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
INTERVALS = (
    *("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w"),
    "1M",
)
_MONDAY = 4 * DAY  # the epoch began on a Thursday, weeks begin on Mondays
_DECEMBER = 12


def _price(market: Market, ticks: int) -> str:
    return decimal(ticks, market.listing.decimals, 8)


def _quantity(market: Market, lots: int) -> str:
    return decimal(lots, market.listing.lot_decimals, 8)


def _turnover(market: Market, quote: int) -> str:
    return decimal(quote, market.listing.decimals + market.listing.lot_decimals, 8)


def ticker(market: Market, now: int) -> str:
    """Write a FULL 24-hour ticker as of ``now``, epoch milliseconds."""
    listing = market.listing
    end = market.settled(now)
    candle = market.candle(end - DAY, end)
    book = market.book(end)
    (bid, bid_lots), (ask, ask_lots) = book.bids[0], book.asks[0]
    last = market.trades(end - listing.leaf)[-1]
    change = candle.close - candle.open
    average = candle.quote * 10**8 // (candle.lots * 10**listing.decimals)
    opened = _price(market, candle.open)
    return (
        f'{{"symbol":"{listing.symbol}","priceChange":"{_price(market, change)}",'
        f'"priceChangePercent":"{change * 100 / candle.open:.3f}","weightedAvgPrice":"{decimal(average, 8, 8)}",'
        f'"prevClosePrice":"{opened}","lastPrice":"{_price(market, candle.close)}",'
        f'"lastQty":"{_quantity(market, last.lots)}","bidPrice":"{_price(market, bid)}",'
        f'"bidQty":"{_quantity(market, bid_lots)}","askPrice":"{_price(market, ask)}",'
        f'"askQty":"{_quantity(market, ask_lots)}","openPrice":"{opened}","highPrice":"{_price(market, candle.high)}",'
        f'"lowPrice":"{_price(market, candle.low)}","volume":"{_quantity(market, candle.lots)}",'
        f'"quoteVolume":"{_turnover(market, candle.quote)}","openTime":{(end - DAY) * 1000},"closeTime":{end * 1000},'
        f'"firstId":{candle.first_id},"lastId":{candle.first_id + candle.trades - 1},"count":{candle.trades}}}'
    )


def mini_ticker(market: Market, now: int) -> str:
    """Write a MINI 24-hour ticker."""
    end = market.settled(now)
    candle = market.candle(end - DAY, end)
    return (
        f'{{"symbol":"{market.listing.symbol}","openPrice":"{_price(market, candle.open)}",'
        f'"highPrice":"{_price(market, candle.high)}","lowPrice":"{_price(market, candle.low)}",'
        f'"lastPrice":"{_price(market, candle.close)}","volume":"{_quantity(market, candle.lots)}",'
        f'"quoteVolume":"{_turnover(market, candle.quote)}","openTime":{(end - DAY) * 1000},"closeTime":{end * 1000},'
        f'"firstId":{candle.first_id},"lastId":{candle.first_id + candle.trades - 1},"count":{candle.trades}}}'
    )


def price_ticker(market: Market, now: int) -> str:
    """Write the last price."""
    return f'{{"symbol":"{market.listing.symbol}","price":"{_price(market, market.price(market.settled(now)))}"}}'


def book_ticker(market: Market, now: int) -> str:
    """Write the best bid and ask."""
    book = market.book(market.settled(now))
    (bid, bid_lots), (ask, ask_lots) = book.bids[0], book.asks[0]
    return (
        f'{{"symbol":"{market.listing.symbol}","bidPrice":"{_price(market, bid)}",'
        f'"bidQty":"{_quantity(market, bid_lots)}","askPrice":"{_price(market, ask)}",'
        f'"askQty":"{_quantity(market, ask_lots)}"}}'
    )


def depth(market: Market, now: int, limit: int) -> str:
    """Write ``limit`` levels of each side of the book."""
    end = market.settled(now)
    book = market.book(end, limit)
    bids, asks = (
        ",".join(f'["{_price(market, ticks)}","{_quantity(market, lots)}"]' for ticks, lots in side) for side in book
    )
    return f'{{"lastUpdateId":{end * 10},"bids":[{bids}],"asks":[{asks}]}}'


def klines(
    market: Market, interval: str, limit: int, *, now: int, start: int | None, end: int | None, offset: int
) -> str:
    """
    Write candles, oldest first.

    Without ``start`` the latest ones up to ``end``; with it the oldest from there. Times are epoch milliseconds,
    ``offset`` is a time zone's, in seconds.
    """
    settled = market.settled(now)
    latest = _opening(interval, now // 1000, offset)
    if end is not None:
        latest = min(latest, _opening(interval, end // 1000, offset))
    listed = _opening(interval, LISTED_AT, offset)
    if start is None:
        openings = [latest]
        while len(openings) < limit and openings[-1] > listed:
            openings.append(_opening(interval, openings[-1] - 1, offset))
        openings.reverse()
        openings = [opening for opening in openings if listed <= opening]
    else:
        first = max(listed, _opening(interval, -(-start // 1000), offset))
        openings = [first] if first * 1000 >= start else [_closing(interval, first, offset)]
        while len(openings) < limit and openings[-1] <= latest:
            openings.append(_closing(interval, openings[-1], offset))
        openings = [opening for opening in openings if opening <= latest]
    rows = (_kline(market, opening, _closing(interval, opening, offset), settled) for opening in openings)
    return f"[{','.join(rows)}]"


def _kline(market: Market, start: int, end: int, settled: int) -> str:
    candle = market.candle(start, min(end, max(start, settled)))
    return (
        f'[{start * 1000},"{_price(market, candle.open)}","{_price(market, candle.high)}",'
        f'"{_price(market, candle.low)}","{_price(market, candle.close)}","{_quantity(market, candle.lots)}",'
        f'{end * 1000 - 1},"{_turnover(market, candle.quote)}",{candle.trades},'
        f'"{_quantity(market, candle.buys.lots)}","{_turnover(market, candle.buys.quote)}","0"]'
    )


def _opening(interval: str, second: int, offset: int) -> int:
    """Return when the candle opened that ``second`` belongs to; all in epoch seconds."""
    local = second + offset
    if interval == "1M":
        month = datetime.fromtimestamp(local, UTC).replace(day=1, hour=0, minute=0, second=0)
        return int(month.timestamp()) - offset
    length = int(interval[:-1]) * _UNITS[interval[-1]]
    origin = _MONDAY if interval == "1w" else 0
    return (local - origin) // length * length + origin - offset


def _closing(interval: str, opening: int, offset: int) -> int:
    """Return when the next candle opens."""
    if interval != "1M":
        return opening + int(interval[:-1]) * _UNITS[interval[-1]]
    month = datetime.fromtimestamp(opening + offset, UTC)
    year, number = (month.year + 1, 1) if month.month == _DECEMBER else (month.year, month.month + 1)
    return int(month.replace(year=year, month=number).timestamp()) - offset


def trade_rows(
    market: Market,
    now: int,
    limit: int,
    *,
    first_id: int | None = None,
    start: int | None = None,
    end: int | None = None,
    aggregated: bool = False,
) -> str:
    """
    Write trades, oldest first: the latest, or the oldest from an id or a time on; times are epoch milliseconds.

    Here every taker's order is filled by one trade, so that an aggregate trade is one trade.
    """
    settled = market.settled(now)
    if end is not None:
        settled = min(settled, end // 1000 + 1)
    trades: list[Trade] = []
    if first_id is None and start is None:
        second = settled
        while len(trades) < limit and second > LISTED_AT:
            second -= market.listing.leaf
            trades = [*(trade for trade in market.trades(second) if end is None or trade.at // 1000 <= end), *trades]
        trades = trades[-limit:]
    else:
        second = market.leaf_of(first_id) if first_id is not None else (start or 0) // 1000
        second = max(second, LISTED_AT)
        while len(trades) < limit and second < settled:
            trades += (
                trade
                for trade in market.trades(second)
                if (first_id is None or trade.id >= first_id)
                and (start is None or trade.at // 1000 >= start)
                and (end is None or trade.at // 1000 <= end)
            )
            second += market.listing.leaf
        trades = trades[:limit]
    write = _aggregate if aggregated else _trade
    return f"[{','.join(write(market, trade) for trade in trades)}]"


def _trade(market: Market, trade: Trade) -> str:
    return (
        f'{{"id":{trade.id},"price":"{_price(market, trade.price)}","qty":"{_quantity(market, trade.lots)}",'
        f'"quoteQty":"{_turnover(market, trade.price * trade.lots)}","time":{trade.at // 1000},'
        f'"isBuyerMaker":{"false" if trade.bought else "true"},"isBestMatch":true}}'
    )


def _aggregate(market: Market, trade: Trade) -> str:
    return (
        f'{{"a":{trade.id},"p":"{_price(market, trade.price)}","q":"{_quantity(market, trade.lots)}",'
        f'"f":{trade.id},"l":{trade.id},"T":{trade.at // 1000},'
        f'"m":{"false" if trade.bought else "true"},"M":true}}'
    )


def exchange_information(markets: Sequence[Market], now: int, halted: Mapping[str, int]) -> str:
    """Write what may be traded and how often one may ask."""
    return json.dumps(
        {
            "timezone": "UTC",
            "serverTime": now,
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_LIMIT}
            ],
            "exchangeFilters": [],
            "symbols": [_symbol(market, halted=market.listing.symbol in halted) for market in markets],
        },
        separators=(",", ":"),
    )


def _symbol(market: Market, *, halted: bool) -> dict[str, object]:
    listing = market.listing
    tick, step = _price(market, 1), _quantity(market, 1)
    return {
        "symbol": listing.symbol,
        "status": "HALT" if halted else "TRADING",
        "baseAsset": listing.symbol.removesuffix("USDT"),
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000000.00000000", "stepSize": step},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }
