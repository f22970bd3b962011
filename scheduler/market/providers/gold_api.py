"""
gold-api.com's prices of metals in dollars: ``/price/{symbol}``, one number, without bid, ask or history.

It asks to keep an answer for 30 seconds, and says in ``cache-control`` in how many the next one comes
(https://gold-api.com/llms.txt, read in 2026). No key is needed.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.market.providers.one_by_one import OneByOne
from scheduler.market.quotes import Quote, price

if TYPE_CHECKING:
    import httpx

KEPT_MS: Final = 30_000
"""How long an answer is kept that does not say for how long, and the longest that any is."""

_MAX_AGE: Final = re.compile(r"max-age=([0-9]{1,9})\b", re.IGNORECASE)


class _Price(msgspec.Struct, rename="camel"):
    """What is used of an answer; the price is the number as it stands in the text."""

    price: msgspec.Raw
    updated_at: datetime


_price = msgspec.json.Decoder(_Price)


class GoldApi(OneByOne):
    """The ``Provider`` on gold-api.com."""

    name = "gold-api"
    period_ms = KEPT_MS

    def _path(self, name: str) -> str:
        return f"price/{name}"

    def _read(self, response: httpx.Response, symbol: str) -> Quote:
        told = _price.decode(response.content)
        last = price(bytes(told.price).decode())
        if last is None or told.updated_at.tzinfo is None:
            raise ValueError(f"no price, or no time of one: {last} at {told.updated_at}")
        return Quote(
            symbol,
            last,
            bid=None,
            ask=None,
            change_pct=None,
            ts=int(told.updated_at.timestamp() * 1000),
            source=self._source(response),
            answered_at=self._now(),
        )

    def _kept_for(self, response: httpx.Response) -> int:
        told = _MAX_AGE.search(response.headers.get("cache-control", ""))
        return min(1000 * int(told[1]), KEPT_MS) if told else KEPT_MS
