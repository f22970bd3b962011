"""
Binance's public market data for spot symbols: ``/api/v3/ticker/24hr`` and the limits around it.

Numbers and answers are those of https://github.com/binance/binance-spot-api-docs (rest-api.md, errors.md), read in
July 2026; what 451 looks like was seen in its users' reports.
"""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httpx
import msgspec

from scheduler.clock import epoch_ms, next_point
from scheduler.errors import (
    MalformedAnswer,
    ProviderFault,
    RateLimited,
    Refused,
    Unavailable,
    UnknownInstrument,
    Unreachable,
)
from scheduler.market.providers import USER_AGENT, Answer
from scheduler.market.quotes import Quote, number, price

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from handlers.hub.instruments import Instrument

BATCH: Final = 20
"""Symbols a call: up to 20 weigh 2, from 21 on the call weighs 40."""

WEIGHT_LIMIT: Final = 6_000
"""Request weight an address may use in a minute of the clock."""

WEIGHT_RESERVE: Final = 300
"""No call is made in the rest of a minute in which less than this is left: others may share the address."""

QUARANTINE_MS: Final = 3_600_000
"""How long a symbol that Binance does not know is not asked for, in milliseconds."""

REFUSED_MS: Final = 3_600_000
"""How long nothing is asked after 451 or 403 without Retry-After, in milliseconds."""

BAN_MS: Final = 120_000
"""How long nothing is asked after 418 without Retry-After, in milliseconds: the shortest ban there is."""

_MINUTE_MS: Final = 60_000
_SOURCE: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_TEAPOT: Final = 418
# -1121 is an unknown symbol, -1100 one with characters that no symbol has; either fails the whole call.
_BAD_SYMBOL: Final = frozenset({-1121, -1100})

logger = logging.getLogger(__name__)


class _Ticker(msgspec.Struct, rename="camel"):
    """What is used of one row of ``ticker/24hr`` with ``type=FULL``; prices are text, times epoch milliseconds."""

    symbol: str
    last_price: str
    bid_price: str
    ask_price: str
    price_change_percent: str
    close_time: int


class _Error(msgspec.Struct):
    """The body of an error: ``{"code":-1121,"msg":"Invalid symbol."}``."""

    code: int
    msg: str = ""


_rows = msgspec.json.Decoder(list[msgspec.Raw])
_ticker = msgspec.json.Decoder(_Ticker)
_error = msgspec.json.Decoder(_Error)


class _BadSymbol(Exception):
    """A call failed because of one of its symbols; Binance does not say of which."""


class Binance:
    """
    The ``Provider`` on Binance's REST API; no key is needed.

    Args:
        url: Where the API is; a path in it is put before Binance's own.
        now: Epoch milliseconds.
        transport: In place of the network, for tests.
    """

    name = "binance"
    period_ms = 5_000

    def __init__(
        self,
        url: str,
        *,
        now: Callable[[], int] = epoch_ms,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url.rstrip("/") + "/api/v3/ticker/24hr"
        self._now = now
        self._client = httpx.AsyncClient(
            headers={"User-Agent": USER_AGENT},
            timeout=httpx.Timeout(3.0, connect=2.0),
            # httpx would close an idle socket after 5 s, which is just before the next tick needs it.
            limits=httpx.Limits(max_connections=10, keepalive_expiry=60.0),
            # As in the hub's pool: the environment's proxy leads out to https; plain http is a stand-in nearby.
            trust_env=url.startswith("https://"),
            transport=transport,
        )
        # What Binance thinks of this process's address; lost with the process, and said again at the next call.
        self._shut: ProviderFault | None = None
        self._quarantine: dict[str, int] = {}

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> Answer:
        """Ask in calls of at most 20 symbols, all at once; a quarantined symbol whose time has come goes alone."""
        if self._shut is not None and self._shut.retry_at is not None and self._now() < self._shut.retry_at:
            return Answer(faults=[self._shut])
        self._shut = None
        symbols = {instrument.sources[self.name]: instrument.symbol for instrument in instruments}
        trusted = [symbol for symbol in symbols if symbol not in self._quarantine]
        on_trial = [symbol for symbol, until in self._quarantine.items() if symbol in symbols and until <= self._now()]
        calls = [*(trusted[start : start + BATCH] for start in range(0, len(trusted), BATCH)), *([s] for s in on_trial)]
        collected = _Collected(symbols)
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*(self._ask(call, collected) for call in calls))
        except TimeoutError:
            collected.faults.append(Unreachable(self.name, f"no whole answer within {within:.1f} s"))
        return Answer(collected.quotes, collected.faults)

    async def close(self) -> None:
        """Close the sockets."""
        await self._client.aclose()

    async def _ask(self, symbols: list[str], collected: _Collected) -> None:
        """Collect the quotes of ``symbols``, or why there are none; halve a call until its bad symbol stands alone."""
        try:
            response = await self._call(symbols)
            for quote in self._quotes(response, collected):
                collected.quotes[quote.symbol] = quote
        except _BadSymbol as refusal:
            if len(symbols) == 1:
                collected.faults.append(self._put_in_quarantine(symbols[0], str(refusal)))
                return
            middle = len(symbols) // 2
            await asyncio.gather(self._ask(symbols[:middle], collected), self._ask(symbols[middle:], collected))
        except ProviderFault as fault:
            collected.faults.append(fault)
        else:
            for symbol in symbols:
                if self._quarantine.pop(symbol, None) is not None:
                    logger.info("binance knows %s again", symbol)

    async def _call(self, symbols: list[str]) -> httpx.Response:
        """
        Make one call and follow what it says about the calls to come.

        Raises:
            ProviderFault: There is no good answer.
            _BadSymbol: One of ``symbols`` is not known.
        """
        parameters = {"symbols": msgspec.json.encode(symbols).decode(), "type": "FULL"}
        try:
            response = await self._client.get(self._url, params=parameters)
        except httpx.TimeoutException as error:
            raise Unreachable(self.name, f"timed out ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise Unreachable(self.name, f"{type(error).__name__}: {error}") from error
        if response.status_code in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST}:
            self._follow_weight(response)
        if response.status_code == HTTPStatus.OK:
            return response
        raise self._read_refusal(response)

    def _follow_weight(self, response: httpx.Response) -> None:
        """Stop for the rest of the minute when the address has nearly used what it may."""
        used = response.headers.get("X-MBX-USED-WEIGHT-1M", "")
        if used.isdecimal() and int(used) > WEIGHT_LIMIT - WEIGHT_RESERVE:
            next_minute = next_point(self._now() + 1, _MINUTE_MS)
            self._stop(RateLimited(self.name, f"{used} of {WEIGHT_LIMIT} a minute are used", retry_at=next_minute))

    def _read_refusal(self, response: httpx.Response) -> ProviderFault | _BadSymbol:
        status = response.status_code
        try:
            said = _error.decode(response.content)
        except msgspec.DecodeError:  # the firewall's 403 and many a 5xx are HTML
            said = _Error(0)
        reason = f"{status} {said.msg[:200]}".rstrip()
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return self._stop(RateLimited(self.name, reason, retry_at=self._retry_at(response, _MINUTE_MS)))
        if status == _TEAPOT:
            return self._stop(RateLimited(self.name, reason, retry_at=self._retry_at(response, BAN_MS)))
        if status in {HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS, HTTPStatus.FORBIDDEN}:
            return self._stop(Refused(self.name, reason, retry_at=self._retry_at(response, REFUSED_MS)))
        if status == HTTPStatus.BAD_REQUEST and said.code in _BAD_SYMBOL:
            return _BadSymbol(f"{said.code} {said.msg}")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unavailable(self.name, reason)
        return MalformedAnswer(self.name, f"unexpected answer {reason}")

    def _stop(self, fault: ProviderFault) -> ProviderFault:
        """Make no call before the fault's ``retry_at``; the longest stop counts."""
        if self._shut is None or (self._shut.retry_at or 0) < (fault.retry_at or 0):
            self._shut = fault
            logger.warning("no call to binance for %.0f s: %s", ((fault.retry_at or 0) - self._now()) / 1000, fault)
        return fault

    def _retry_at(self, response: httpx.Response, otherwise_ms: int) -> int:
        """Read Retry-After, seconds or a date; Binance documents seconds, the edge before it may send either."""
        text = response.headers.get("Retry-After", "")
        if text.isdecimal():
            return self._now() + 1000 * int(text)
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return self._now() + otherwise_ms
        return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)

    def _put_in_quarantine(self, symbol: str, refusal: str) -> UnknownInstrument:
        self._quarantine[symbol] = self._now() + QUARANTINE_MS
        fault = UnknownInstrument(self.name, f"{symbol}: {refusal}", retry_at=self._quarantine[symbol])
        logger.warning("binance does not know %s; asked again in %d s", symbol, QUARANTINE_MS // 1000)
        return fault

    def _quotes(self, response: httpx.Response, collected: _Collected) -> Iterator[Quote]:
        """
        Read the quotes of an answer; a row that cannot be read is a fault of its own.

        Raises:
            MalformedAnswer: The answer is no JSON array.
        """
        try:
            rows = _rows.decode(response.content)
        except msgspec.DecodeError as error:
            raise MalformedAnswer(self.name, f"no JSON array: {error}") from error
        named = response.headers.get("X-Tickwire-Source", "")
        source = named if _SOURCE.fullmatch(named) else self.name
        answered_at = self._now()
        for row in rows:
            try:
                ticker = _ticker.decode(row)
                if ticker.symbol in collected.symbols:
                    yield Quote(
                        collected.symbols[ticker.symbol],
                        last=price(ticker.last_price),
                        bid=price(ticker.bid_price),
                        ask=price(ticker.ask_price),
                        change_pct=number(ticker.price_change_percent),
                        ts=ticker.close_time,
                        source=source,
                        answered_at=answered_at,
                    )
            except ValueError as error:  # msgspec's errors are ValueErrors
                collected.faults.append(MalformedAnswer(self.name, f"a row cannot be read: {error}"))


class _Collected:
    """What the calls of one fetch have brought; ``symbols`` leads from Binance's name of an instrument to ours."""

    def __init__(self, symbols: dict[str, str]) -> None:
        self.symbols = symbols
        self.quotes: dict[str, Quote] = {}
        self.faults: list[ProviderFault] = []
