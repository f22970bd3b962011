"""
Frankfurter's daily rates of currencies: no quotes, but something to compare quotes with.

``/v2/rates`` blends what 84 central banks publish; an answer keeps as long as ``cache-control`` says, at most a day
(https://frankfurter.dev, read in 2026). No key is needed. One unknown currency fails the whole call with 422.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.errors import MalformedAnswer, ProviderFault
from scheduler.market.providers import ReferenceAnswer
from scheduler.market.providers.host import Host

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from handlers.hub.instruments import Instrument

BASE: Final = "USD"
"""All rates are asked for against one currency, and crossed from there."""

DAY_MS: Final = 86_400_000

SHORTEST_MS: Final = 3_600_000
"""How long an answer is kept at least, in milliseconds."""

AGAIN_MS: Final = 600_000
"""After how many milliseconds a question without an answer is put again."""

_MAX_AGE: Final = re.compile(r"max-age=([0-9]{1,9})\b", re.IGNORECASE)
# Far finer than the three percent that the rates are good for.
_DIGITS: Final = 10


class _Rate(msgspec.Struct):
    """So much of ``quote`` is one ``base``."""

    date: date
    base: str
    quote: str
    rate: Decimal


_rates = msgspec.json.Decoder(list[_Rate])


class Frankfurter(Host):
    """The ``ReferenceProvider`` on Frankfurter's API."""

    name = "frankfurter"

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> ReferenceAnswer:
        """Ask in one call for all currencies of the instruments' reference pairs."""
        pairs = {one.symbol: one.reference.split("/") for one in instruments if one.reference}
        currencies = sorted({currency for pair in pairs.values() for currency in pair} - {BASE})
        fault: ProviderFault
        try:
            async with asyncio.timeout(within):
                response = await self._get("v2/rates", {"base": BASE, "quotes": ",".join(currencies)})
            return self._read(response, pairs)
        except TimeoutError:
            fault = self._late(within)
        except ProviderFault as met:
            fault = met
        return ReferenceAnswer({}, 0, max(self._now() + AGAIN_MS, fault.retry_at or 0), [fault])

    def _read(self, response: httpx.Response, pairs: dict[str, list[str]]) -> ReferenceAnswer:
        """
        Read an answer; a pair without both of its currencies has no rate.

        Raises:
            MalformedAnswer: It has no rates.
        """
        if response.status_code != HTTPStatus.OK:
            raise MalformedAnswer(self.name, f"unexpected answer {self._reason(response)}")
        try:
            rows = _rates.decode(response.content)
        except ValueError as error:  # msgspec's errors are, and that of bytes that are no UTF-8
            raise MalformedAnswer(self.name, f"no rates: {error}") from error
        worth = {row.quote: row.rate for row in rows if row.base == BASE and row.rate > 0} | {BASE: Decimal(1)}
        rates = {
            symbol: format(round(worth[quote] / worth[base], _DIGITS), "f")
            for symbol, (base, quote) in pairs.items()
            if base in worth and quote in worth
        }
        if not rates:
            raise MalformedAnswer(self.name, "no rate that was asked for")
        oldest = datetime.combine(min(row.date for row in rows), time(), UTC)
        told = _MAX_AGE.search(response.headers.get("cache-control", ""))
        kept = min(max(1000 * int(told[1]), SHORTEST_MS), DAY_MS) if told else DAY_MS
        return ReferenceAnswer(rates, int(oldest.timestamp() * 1000), self._now() + kept)
