"""
What the simulated exchange trades: the fixed table of prices, volumes and digits.

Base prices, volatilities and daily volumes are round numbers of the order seen in 2026; the price of any moment lies
around the base price. Digits and lots are those of the real markets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LISTED_AT = 1_577_836_800
"""Epoch seconds from which there are candles, 2020-01-01; prices themselves exist at any time."""


@dataclass(frozen=True, slots=True)
class Underlying:
    """
    One thing with one price, wherever it is traded.

    ``base`` is in dollars (or in the pair's second currency), ``volatility`` for a year; the days of two things of one
    ``group`` go together as the product of their ``share`` says, their hours less so.
    """

    base: float
    volatility: float
    group: str | None = None
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Listing:
    """
    One market of one venue.

    ``decimals`` are a price's digits and ``lot_decimals`` a quantity's; ``volume`` is a day's, in the base asset,
    ``trades`` a day's count. ``spread`` is in ticks. ``leaf`` is the length in seconds (1, 5 or 15) of the shortest
    stretch with trades of its own: at least eight in each. ``premium`` is the price here over the underlying's.
    """

    symbol: str
    underlying: str
    decimals: int
    lot_decimals: int
    volume: float
    trades: int
    spread: int = 1
    leaf: Literal[1, 5, 15] = 1
    premium: float = 1.0


def _crypto(base: float, volatility: float, share: float = 0.75) -> Underlying:
    return Underlying(base, volatility, "crypto", share)


UNDERLYINGS = {
    "BTC": _crypto(80_000, 0.50, 0.85),
    "ETH": _crypto(2_600, 0.70, 0.85),
    "BNB": _crypto(850, 0.60),
    "SOL": _crypto(140, 0.85),
    "XRP": _crypto(1.9, 0.80),
    "ADA": _crypto(0.55, 0.90),
    "DOGE": _crypto(0.16, 1.00),
    "AVAX": _crypto(18, 0.90),
    "DOT": _crypto(3.2, 0.85),
    "LINK": _crypto(16, 0.90),
    "LTC": _crypto(85, 0.75),
    "TRX": _crypto(0.29, 0.60, 0.5),
    "BCH": _crypto(480, 0.75),
    "UNI": _crypto(6.5, 0.95),
    "ATOM": _crypto(3.4, 0.85),
    "NEAR": _crypto(2.1, 0.95),
    "ETC": _crypto(16, 0.80),
    "XLM": _crypto(0.24, 0.85),
    "APT": _crypto(3.1, 0.95),
    "FIL": _crypto(1.9, 0.90),
    "XAU": Underlying(4_270, 0.18, "metals", 0.8),
    "XAG": Underlying(60, 0.32, "metals", 0.8),
    "XPT": Underlying(1_650, 0.28, "metals", 0.6),
    "XPD": Underlying(1_300, 0.35, "metals", 0.5),
    "HG": Underlying(5.9, 0.25),
    "EURUSD": Underlying(1.16, 0.075, "dollar", 0.8),
    "GBPUSD": Underlying(1.34, 0.080, "dollar", 0.7),
    "AUDUSD": Underlying(0.66, 0.100, "dollar", 0.6),
    "USDJPY": Underlying(152, 0.095),
    "USDCHF": Underlying(0.80, 0.080),
    "USDCAD": Underlying(1.39, 0.060),
}

BINANCE = {
    listing.symbol: listing
    for listing in (
        Listing("BTCUSDT", "BTC", 2, 5, 18_000, 2_600_000),
        Listing("ETHUSDT", "ETH", 2, 4, 320_000, 2_200_000),
        Listing("BNBUSDT", "BNB", 2, 3, 260_000, 1_100_000),
        Listing("SOLUSDT", "SOL", 2, 3, 3_600_000, 1_500_000),
        Listing("XRPUSDT", "XRP", 4, 1, 160_000_000, 1_400_000),
        Listing("ADAUSDT", "ADA", 4, 1, 110_000_000, 1_050_000),
        Listing("DOGEUSDT", "DOGE", 5, 0, 950_000_000, 1_200_000),
        Listing("AVAXUSDT", "AVAX", 2, 2, 3_100_000, 1_050_000),
        Listing("DOTUSDT", "DOT", 3, 2, 7_500_000, 1_050_000),
        Listing("LINKUSDT", "LINK", 2, 2, 3_800_000, 1_050_000),
        Listing("LTCUSDT", "LTC", 2, 3, 620_000, 1_050_000),
        Listing("TRXUSDT", "TRX", 4, 1, 210_000_000, 1_050_000),
        Listing("BCHUSDT", "BCH", 1, 3, 90_000, 1_050_000),
        Listing("UNIUSDT", "UNI", 3, 2, 6_200_000, 1_050_000),
        Listing("ATOMUSDT", "ATOM", 3, 2, 3_900_000, 1_050_000),
        Listing("NEARUSDT", "NEAR", 3, 1, 19_000_000, 1_050_000),
        Listing("ETCUSDT", "ETC", 2, 2, 1_100_000, 1_050_000),
        Listing("XLMUSDT", "XLM", 4, 0, 85_000_000, 1_050_000),
        Listing("APTUSDT", "APT", 3, 2, 7_900_000, 1_050_000),
        Listing("FILUSDT", "FIL", 3, 2, 6_800_000, 1_050_000),
        Listing("PAXGUSDT", "XAU", 2, 4, 9_500, 1_050_000, premium=1.0008),
    )
}
"""By symbol; the base asset is the symbol without USDT."""


def _kraken(symbol: str, decimals: int, volume: float, *, spread: int, leaf: Literal[5, 15] = 15) -> Listing:
    trades = 12 * 86_400 // leaf
    return Listing(symbol, symbol, decimals, 8, volume, trades, spread, leaf)


KRAKEN = {
    listing.symbol: listing
    for listing in (
        Listing("XBTUSD", "BTC", 1, 8, 2_400, 207_360, 1, 5, 1.0003),
        Listing("ETHUSD", "ETH", 2, 8, 31_000, 207_360, 2, 5, 1.0003),
        Listing("PAXGUSD", "XAU", 2, 8, 1_900, 69_120, 60, 15, 1.0007),
        _kraken("EURUSD", 5, 9_800_000, spread=4),
        _kraken("GBPUSD", 5, 3_100_000, spread=7),
        _kraken("AUDUSD", 5, 1_900_000, spread=6),
        _kraken("USDJPY", 3, 2_700_000, spread=8),
        _kraken("USDCHF", 5, 1_400_000, spread=6),
        _kraken("USDCAD", 5, 2_200_000, spread=7),
    )
}
"""By the pair's altname."""

GOLD_API = {
    "XAU": "Gold",
    "XAG": "Silver",
    "XPT": "Platinum",
    "XPD": "Palladium",
    "HG": "Copper",
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
}
"""Names by symbol, in the order of its ``/symbols``; each symbol is an underlying's."""
