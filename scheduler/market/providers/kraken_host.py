"""
What all calls to Kraken's public REST API have in common: errors under status 200, and its own names for pairs.

Read in 2026 at https://docs.kraken.com/api (Get Tradable Asset Pairs, Get Ticker Information, Spot REST errors). No key
is needed. Each of Kraken's errors is a text such as "EQuery:Unknown asset pair"; one that begins with W only warns.
"""

from __future__ import annotations

from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.errors import MalformedAnswer, RateLimited, Unavailable
from scheduler.market.providers.host import LIMITED_MS, Host

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import httpx

    from scheduler.errors import ProviderFault

LISTED_FOR_MS: Final = 3_600_000
"""How long the list of pairs is taken for true, in milliseconds."""

_PUBLIC: Final = "0/public/"


class _Answer(msgspec.Struct):
    """What every answer is: errors, or a result."""

    error: list[str]
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Pair(msgspec.Struct):
    """What is used of a pair: its name in queries, and, if it is on the WebSocket, there (of version 1)."""

    altname: str
    wsname: str = ""


_answer = msgspec.json.Decoder(_Answer)
_pairs = msgspec.json.Decoder(dict[str, _Pair])


class KrakenHost(Host):
    """A caller of Kraken's REST API, to be built on."""

    name = "kraken"
    # Kraken's own name and its pair by altname, and when that was read.
    _listed: Mapping[str, tuple[str, _Pair]] = MappingProxyType({})
    _listed_at: int | None = None

    async def _ask(
        self, method: str, parameters: Mapping[str, str] | None = None, *, weight: float = 1
    ) -> tuple[msgspec.Raw, httpx.Response]:
        """
        Make one call of a public method, and give its result, not read yet.

        Raises:
            ProviderFault: There is no good answer.
        """
        response = await self._get(_PUBLIC + method, parameters, weight=weight)
        if response.status_code != HTTPStatus.OK:
            raise MalformedAnswer(self.name, f"unexpected answer {self._reason(response)}")
        try:
            answer = _answer.decode(response.content)
        except ValueError as error:  # msgspec's errors are, and that of bytes that are no UTF-8
            raise MalformedAnswer(self.name, f"no answer of Kraken's: {error}") from error
        errors = [error for error in answer.error if not error.startswith("W")]
        if errors:
            raise self._read_error(", ".join(errors)[:200])
        return answer.result, response

    async def _names(self, altnames: Iterable[str]) -> dict[str, str]:
        """
        Lead from Kraken's own names, which it answers under, to those of ``altnames`` that it lists.

        The whole list is read once an hour: to ask for single pairs fails for all when one is unknown.

        Raises:
            ProviderFault: The list cannot be had.
        """
        await self._list()
        return {self._listed[altname][0]: altname for altname in altnames if altname in self._listed}

    async def socket_names(self, altnames: Iterable[str]) -> dict[str, str]:
        """
        Lead from ``altnames`` to the names of the pairs that can be listened to ("XBT/USD").

        Raises:
            ProviderFault: The list cannot be had.
        """
        await self._list()
        pairs = {altname: self._listed[altname][1] for altname in altnames if altname in self._listed}
        return {altname: pair.wsname for altname, pair in pairs.items() if pair.wsname}

    async def _list(self) -> None:
        now = self._now()
        if self._listed_at is None or now - self._listed_at >= LISTED_FOR_MS:
            # Without a weight: one call an hour, without which nothing else can be asked.
            result, _ = await self._ask("AssetPairs", weight=0)
            try:
                self._listed = {pair.altname: (name, pair) for name, pair in _pairs.decode(result).items()}
            except ValueError as error:  # msgspec's errors are, and that of bytes that are no UTF-8
                raise MalformedAnswer(self.name, f"the list of pairs cannot be read: {error}") from error
            self._listed_at = now

    def _read_error(self, errors: str) -> ProviderFault:
        if "Rate limit" in errors or "Too many requests" in errors or "lockout" in errors:
            return self._stop(RateLimited(self.name, errors, retry_at=self._now() + LIMITED_MS))
        if "EService:" in errors:
            return Unavailable(self.name, errors)
        if "Unknown asset pair" in errors:
            self._listed_at = None  # what was listed is so no more
        return MalformedAnswer(self.name, errors)
