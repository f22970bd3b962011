"""
Swissquote's public quotes of currencies and metals: the best bid and ask of several platforms and kinds of customers.

The feed is that of its web pages, without documentation or terms of its own. So it is asked only where an operator
has switched it on, and about no pair more often than every ten seconds. No key is needed. What an answer looks like
was seen in answers of 2026: an array of platforms, each with prices by customer; an empty one for an unknown pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.market.providers.one_by_one import OneByOne
from scheduler.market.quotes import Quote, middle, price

if TYPE_CHECKING:
    import httpx

KEPT_MS: Final = 10_000
"""How far apart two questions about a pair are, in milliseconds."""


class _Prices(msgspec.Struct):
    """What one kind of customer pays; the prices are the numbers as they stand in the text."""

    bid: msgspec.Raw
    ask: msgspec.Raw


class _Platform(msgspec.Struct, rename="camel"):
    """What is used of a platform; ``ts`` is epoch milliseconds."""

    spread_profile_prices: list[_Prices]
    ts: int | None = None


_platforms = msgspec.json.Decoder(list[_Platform])


class Swissquote(OneByOne):
    """
    The ``Provider`` on Swissquote's feed.

    Bid and ask are the medians over all platforms and customers, the price is the middle of both; the time is the
    latest that a platform names, or that of receipt.
    """

    name = "swissquote"
    period_ms = KEPT_MS

    def _path(self, name: str) -> str:
        return f"public-quotes/bboquotes/instrument/{name}"

    def _read(self, response: httpx.Response, symbol: str) -> Quote | None:
        platforms = _platforms.decode(response.content)
        if not platforms:
            return None
        offered = [prices for platform in platforms for prices in platform.spread_profile_prices]
        bids = [bid for prices in offered if (bid := _text(prices.bid))]
        asks = [ask for prices in offered if (ask := _text(prices.ask))]
        if not bids or not asks:
            raise ValueError("no bid or no ask")
        now = self._now()
        bid, ask = middle(bids), middle(asks)
        return Quote(
            symbol,
            middle([bid, ask]),
            bid=bid,
            ask=ask,
            change_pct=None,
            ts=max((platform.ts for platform in platforms if platform.ts is not None), default=now),
            source=self._source(response),
            answered_at=now,
        )

    def _kept_for(self, response: httpx.Response) -> int:
        del response  # it does not say
        return KEPT_MS


def _text(raw: msgspec.Raw) -> str | None:
    return price(bytes(raw).decode())
