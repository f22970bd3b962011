"""What all providers' HTTP APIs have in common: who asks, how long, what a refusal says, which symbols there are."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

import httpx
import msgspec

from scheduler.clock import epoch_ms
from scheduler.errors import ProviderFault, RateLimited, Refused, Unavailable, UnknownInstrument, Unreachable
from scheduler.market.breaker import Breaker
from scheduler.market.providers import USER_AGENT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping

QUARANTINE_MS: Final = 3_600_000
"""How long a symbol that a provider does not know is not asked for, in milliseconds."""

REFUSED_MS: Final = 3_600_000
"""How long nothing is asked after 418, 451 or 403 without Retry-After, in milliseconds."""

LIMITED_MS: Final = 60_000
"""How long nothing is asked after 429 without Retry-After, in milliseconds."""

LONGEST_MS: Final = 7 * 86_400_000
"""No Retry-After is believed beyond this, in milliseconds; the longest documented ban is Binance's three days."""

_SOURCE: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
TEAPOT: Final = 418
"""The status of Binance's bans."""

_REASON: Final = 200

logger = logging.getLogger(__name__)


@cache
def certificates() -> ssl.SSLContext:
    """Give the authorities that providers are believed by; httpx would read them anew for each client, 20 ms each."""
    return httpx.create_ssl_context()


def read_retry_after(text: str, otherwise_ms: int, *, now: int) -> int:
    """
    Tell from when on to ask again, epoch milliseconds, by a header Retry-After, or ``otherwise_ms`` from now.

    The header has seconds or a date, because the edge before a provider may send either.
    """
    try:
        if text.isdecimal():
            return now + min(1000 * int(text), LONGEST_MS)
        at = parsedate_to_datetime(text)
    except ValueError:
        return now + otherwise_ms
    return min(int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000), now + LONGEST_MS)


def read_source(headers: Mapping[str, str], name: str) -> str:
    """Tell who answered for the provider ``name``: a stand-in says its own name in a header."""
    named = headers.get("X-Tickwire-Source", "")
    return named if _SOURCE.fullmatch(named) else name


@dataclass(frozen=True, slots=True)
class Heard:
    """
    A whole answer as it came: ``path`` is the provider's own, ``at`` when it was all there, epoch milliseconds.

    Names of headers are in small letters; what has to do with the body's way here is not among them.
    """

    provider: str
    at: int
    path: str
    query: Mapping[str, str]
    status: int
    headers: Mapping[str, str]
    body: str


class Host:
    """
    A caller of one provider's HTTP API, to be built on.

    What it remembers is what the provider thinks of this process's address: it is lost with the process, and said
    again at the next call. Sockets belong to an event loop; whoever asks after a ``close`` opens new ones.

    Args:
        url: Where the API is; a path in it is put before the provider's own.
        now: Epoch milliseconds.
        transport: In place of the network, for tests.
        breaker: To share one among all that ask the same provider; without it, one of its own.
    """

    name: ClassVar[str]

    def __init__(
        self,
        url: str,
        *,
        now: Callable[[], int] = epoch_ms,
        transport: httpx.AsyncBaseTransport | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self._url = url.rstrip("/") + "/"
        self._now = now
        self._transport = transport
        self._breaker = breaker or Breaker(self.name, now=now)
        self._quarantine: dict[str, int] = {}
        self._watcher: Callable[[Heard], None] | None = None
        self._opened: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None

    @property
    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._opened is None or self._opened[0] is not loop:
            client = httpx.AsyncClient(
                headers={"User-Agent": USER_AGENT},
                timeout=httpx.Timeout(3.0, connect=2.0),
                # httpx would close an idle socket after 5 s, which is just before the next tick needs it.
                limits=httpx.Limits(max_connections=10, keepalive_expiry=60.0),
                # As in the hub's pool: the environment's proxy leads out to https; plain http is a stand-in nearby.
                trust_env=self._url.startswith("https://"),
                verify=certificates(),
                transport=self._transport,
                event_hooks={"response": [self._tell]} if self._watcher else {},
            )
            self._opened = loop, client
        return self._opened[1]

    @property
    def breaker(self) -> Breaker:
        """What this shares with all that ask the same host."""
        return self._breaker

    async def close(self) -> None:
        """Close the sockets."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened[1].aclose()

    def watch(self, watcher: Callable[[Heard], None]) -> None:
        """Have every answer told to ``watcher``, whatever it says; before the first call."""
        self._watcher = watcher

    async def _tell(self, response: httpx.Response) -> None:
        await response.aread()
        if self._watcher is None:
            return
        url = response.request.url
        way = {"connection", "content-encoding", "content-length", "transfer-encoding"}
        self._watcher(
            Heard(
                self.name,
                at=self._now(),
                path=url.path.removeprefix(httpx.URL(self._url).path.rstrip("/")),
                query=dict(url.params),
                status=response.status_code,
                headers={name.lower(): value for name, value in response.headers.items() if name.lower() not in way},
                body=response.text,
            )
        )

    async def _get(
        self, path: str, parameters: Mapping[str, str] | None = None, *, weight: float = 1
    ) -> httpx.Response:
        """
        Make one call.

        Args:
            path: The provider's own, without a slash before it.
            parameters: The query.
            weight: What the call takes of the provider's documented pace.

        Returns:
            The answer: 200, or a status of the provider's own.

        Raises:
            ProviderFault: The call may not be made, there is no whole answer, or it refuses us or says 5xx.
        """
        self._breaker.spend(weight)
        begun_at = self._now()
        try:
            response = await self._client.get(self._url + path, params=parameters)
        except httpx.TimeoutException as error:
            raise self._unreachable(f"timed out ({type(error).__name__})", begun_at) from error
        except httpx.HTTPError as error:
            raise self._unreachable(f"{type(error).__name__}: {error}", begun_at) from error
        self._breaker.count_answer()
        if (fault := self._read_refusal(response)) is not None:
            raise fault
        return response

    def _standing_refusal(self) -> ProviderFault | None:
        """Tell why no call may be made now; None when one may."""
        return self._breaker.fault

    def _late(self, within: float) -> ProviderFault:
        """Take note that the time for an answer is over."""
        return self._unreachable(f"no whole answer within {within:.1f} s", self._now() - round(1000 * within))

    def _unreachable(self, reason: str, begun_at: int) -> ProviderFault:
        return self._breaker.count_error(Unreachable(self.name, reason), begun_at=begun_at)

    def _read_refusal(self, response: httpx.Response) -> ProviderFault | None:
        status, reason = response.status_code, self._reason(response)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return self._stop(RateLimited(self.name, reason, retry_at=self._retry_at(response, LIMITED_MS)))
        if status == TEAPOT:
            return self._stop(RateLimited(self.name, reason, retry_at=self._retry_at(response, REFUSED_MS)))
        if status in {HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS, HTTPStatus.FORBIDDEN}:
            return self._stop(Refused(self.name, reason, retry_at=self._retry_at(response, REFUSED_MS)))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unavailable(self.name, reason)
        return None

    def _stop(self, fault: ProviderFault) -> ProviderFault:
        """Make no call before the fault's ``retry_at``."""
        return self._breaker.open(fault)

    def _reason(self, response: httpx.Response) -> str:
        """Say the status and what the provider says about it, if it says so in JSON: a firewall's page does not."""
        if response.status_code == HTTPStatus.OK:
            return "200"
        try:
            body = msgspec.json.decode(response.content, type=dict[str, Any])
        except ValueError:  # msgspec's errors are, and that of bytes that are no UTF-8
            body = {}
        told = next((body[member] for member in ("msg", "message", "error") if body.get(member)), "")
        return f"{response.status_code} {str(told)[:_REASON]}".rstrip()

    def _retry_at(self, response: httpx.Response, otherwise_ms: int) -> int:
        return read_retry_after(response.headers.get("Retry-After", ""), otherwise_ms, now=self._now())

    def _source(self, response: httpx.Response) -> str:
        return read_source(response.headers, self.name)

    def _trusted(self, symbols: Iterable[str]) -> list[str]:
        """Choose the symbols that the provider knows, as far as we know."""
        return [symbol for symbol in symbols if symbol not in self._quarantine]

    def _on_trial(self, symbols: Iterable[str]) -> list[str]:
        """Choose the symbols that were not known, and whose time has come to be asked for again, each alone."""
        return [symbol for symbol in symbols if self._quarantine.get(symbol, self._now() + 1) <= self._now()]

    def _put_in_quarantine(self, symbol: str, refusal: str) -> UnknownInstrument:
        self._quarantine[symbol] = self._now() + QUARANTINE_MS
        fault = UnknownInstrument(self.name, f"{symbol}: {refusal}", retry_at=self._quarantine[symbol])
        logger.warning("%s does not know %s; asked again in %d s", self.name, symbol, QUARANTINE_MS // 1000)
        return fault

    def _trust(self, symbols: Iterable[str]) -> None:
        """Take note that the provider has answered for these symbols."""
        for symbol in symbols:
            if self._quarantine.pop(symbol, None) is not None:
                logger.info("%s knows %s again", self.name, symbol)
