"""
What all calls to Binance's public REST API have in common: its weight, and the unknown symbol that fails a whole call.

Numbers and answers are those of https://github.com/binance/binance-spot-api-docs (rest-api.md, errors.md), read in
July 2026; what 451 looks like was seen in its users' reports.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

from scheduler.clock import next_point
from scheduler.errors import MalformedAnswer, RateLimited
from scheduler.market.providers.host import Host

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

WEIGHT_LIMIT: Final = 6_000
"""Request weight an address may use in a minute of the clock."""

WEIGHT_RESERVE: Final = 300
"""No call is made in the rest of a minute in which less than this is left: others may share the address."""

_MINUTE_MS: Final = 60_000
# -1121 is an unknown symbol, -1100 one with characters that no symbol has; either fails the whole call.
_BAD_SYMBOL: Final = frozenset({-1121, -1100})


class _Error(msgspec.Struct):
    """The body of an error: ``{"code":-1121,"msg":"Invalid symbol."}``."""

    code: int
    msg: str = ""


_error = msgspec.json.Decoder(_Error)


class BadSymbol(Exception):
    """A call failed because of one of its symbols; Binance does not say of which."""


class BinanceHost(Host):
    """A caller of Binance's REST API, to be built on; no key is needed."""

    name = "binance"

    async def _get(
        self, path: str, parameters: Mapping[str, str] | None = None, *, weight: float = 2
    ) -> httpx.Response:
        """
        Make one call, of a path behind ``/api/v3/``, and follow what it says about the calls to come.

        Raises:
            ProviderFault: There is no good answer.
            BadSymbol: One of the symbols asked for is not known.
        """
        response = await super()._get(f"api/v3/{path}", parameters, weight=weight)
        self._follow_weight(response)
        if response.status_code == HTTPStatus.OK:
            return response
        try:
            said = _error.decode(response.content)
        except ValueError:  # msgspec's errors are, and that of bytes that are no UTF-8
            said = _Error(0)
        if response.status_code == HTTPStatus.BAD_REQUEST and said.code in _BAD_SYMBOL:
            raise BadSymbol(f"{said.code} {said.msg}")
        raise MalformedAnswer(self.name, f"unexpected answer {self._reason(response)}")

    def _follow_weight(self, response: httpx.Response) -> None:
        """Stop for the rest of the minute when the address has nearly used what it may."""
        used = response.headers.get("X-MBX-USED-WEIGHT-1M", "")
        if used.isdecimal() and int(used) > WEIGHT_LIMIT - WEIGHT_RESERVE:
            next_minute = next_point(self._now() + 1, _MINUTE_MS)
            self._stop(RateLimited(self.name, f"{used} of {WEIGHT_LIMIT} a minute are used", retry_at=next_minute))
