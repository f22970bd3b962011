"""Candles that tests make up, the same every time, and those that were recorded."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from talipp.ohlcv import OHLCV

SHARED = os.environ.get("TICKWIRE_SHARED")
recorded = pytest.mark.skipif(SHARED is None, reason="TICKWIRE_SHARED does not name the folder of recorded answers")


def made_up(count, *, seed=1, volatility=0.006, price=100.0, decimals=None):
    """Make up a random walk with reach and volume; rounded, if asked for, so that equal prices occur."""
    chance, candles = random.Random(seed), []
    for _ in range(count):
        opening, price = price, price * (1 + chance.gauss(0, volatility))
        high = max(opening, price) * (1 + abs(chance.gauss(0, volatility / 2)))
        low = min(opening, price) * (1 - abs(chance.gauss(0, volatility / 2)))
        prices = [opening, high, low, price]
        if decimals is not None:
            prices = [round(one, decimals) for one in prices]
        candles.append(OHLCV(*prices, chance.expovariate(0.01)))
    return candles


def flat(count, price=0.1, volume=1.0):
    return [OHLCV(price, price, price, price, volume)] * count


def recording(name):
    return json.loads((Path(SHARED) / "market" / "recordings" / name).read_text(encoding="utf-8"))


def recordings():
    """Give every recorded series by a name of its own."""
    if SHARED is None:
        return {}
    found = dict(recording("binance_fapi_klines_12symbols_1h_500.json"))
    for name in ("binance_klines_BTCUSDT_4h_500", "binance_klines_BTCUSDT_5m_500"):
        found[name] = recording(f"{name}.json")
    # Kraken's rows have the mean price before the volume.
    minutes = recording("kraken_ohlc_XXBTZUSD_1m.json")["result"]["XXBTZUSD"]
    found["kraken"] = [[*row[:5], row[6]] for row in minutes]
    return {name: [OHLCV(*map(float, row[1:6])) for row in rows] for name, rows in found.items()}
