"""
The gateway's management API: post to, look at or close one connection.

``https://{api}.execute-api.{region}.amazonaws.com/{stage}/@connections/{id}``, signed with SigV4 (API Gateway
Developer Guide, "Use @connections commands in your backend service"). What it refuses becomes a type of
``handlers.hub.errors``.
"""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, Protocol, Self
from urllib.parse import quote

import msgspec

from handlers.hub.environment import credentials, region
from handlers.hub.errors import (
    AccessDenied,
    BadConnectionId,
    ConnectionGone,
    GatewayFault,
    GatewayUnavailable,
    LimitExceeded,
    PayloadTooLarge,
)
from handlers.hub.http1 import Answer, ExchangeFault
from handlers.hub.origin import proxy_for, read_endpoint
from handlers.hub.pool import Pool
from handlers.hub.signing import Credentials, CredentialsUnavailable, Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.hub.settings import HubSettings

MAX_MESSAGE_BYTES: Final = 131_072
"""API Gateway's limit for one message ("Quotas for configuring and running a WebSocket API")."""

_SUCCESS: Final = range(200, 300)
_REASON_LIMIT: Final = 500
_BASE64URL: Final = re.compile(r"[\w-]+=*", re.ASCII)

_FAULT_BY_TYPE: Final[dict[str, type[GatewayFault]]] = {
    "GoneException": ConnectionGone,
    "LimitExceededException": LimitExceeded,
    "TooManyRequestsException": LimitExceeded,
    "ThrottlingException": LimitExceeded,
    "PayloadTooLargeException": PayloadTooLarge,
    "ForbiddenException": AccessDenied,
    "AccessDeniedException": AccessDenied,
    "MissingAuthenticationTokenException": AccessDenied,
    "IncompleteSignatureException": AccessDenied,
    "InvalidSignatureException": AccessDenied,
    "UnrecognizedClientException": AccessDenied,
    "ExpiredTokenException": AccessDenied,
    "BadRequestException": BadConnectionId,
}
_FAULT_BY_STATUS: Final[dict[int, type[GatewayFault]]] = {
    400: BadConnectionId,
    403: AccessDenied,
    410: ConnectionGone,
    413: PayloadTooLarge,
    429: LimitExceeded,
}


class Poster(Protocol):
    """Whoever can bring a message to a connection."""

    async def post(self, connection_id: str, message: bytes) -> None:
        """
        Post one message, which the client gets as one text message.

        Raises:
            GatewayFault: One of its branches, as drawn in ``handlers.hub.errors``; nothing else.
        """
        ...


class ConnectionView(NamedTuple):
    """What the gateway tells about an open connection; instants are epoch milliseconds."""

    connected_at: int
    last_active_at: int
    source_ip: str
    user_agent: str | None


class ManagementApi:
    """
    The management API of one stage; a ``Poster``. Use it as ``async with``, or end it with ``aclose``.

    All calls may be made concurrently, as many at once as the pool has sockets; further ones wait their turn.
    Every call raises only branches of ``GatewayFault``; an answer that never came, or a broken one, is
    ``GatewayUnavailable`` (the message may have been delivered all the same).

    Args:
        endpoint: ``https://{api}.execute-api.{region}.amazonaws.com/{stage}``, or the like; no slash needed.
        region: What the signature names.
        credentials: Asked at most once a second; raises ``CredentialsUnavailable`` when it has none.
        pool: Sockets to the endpoint's origin, closed with this; by default 128 of them, which trust and use proxies
            as the environment says (``handlers.hub.origin``).
        now: Seconds since the epoch, for signatures.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        region: str,
        credentials: Callable[[], Credentials],
        pool: Pool | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        origin, path = read_endpoint(endpoint)
        self._pool = Pool(origin, proxy=proxy_for(origin, os.environ)) if pool is None else pool
        self._signer = Signer(credentials, region=region, host=origin.authority, now=now)
        self._path = f"{path}/@connections/"

    @classmethod
    def from_environment(cls, settings: HubSettings) -> Self:
        """
        Make the one of ``settings``, with the region and the credentials of ``handlers.hub.environment``.

        Raises:
            ValueError: The settings name no management API.
            RegionUnknown: No region is configured.
            CredentialsUnavailable: No credentials are found.
        """
        return cls(settings.management_endpoint, region=region(), credentials=credentials())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the sockets; calls under way fail with ``GatewayUnavailable``. Closing again is no error."""
        await self._pool.close()

    async def post(self, connection_id: str, message: bytes) -> None:
        """
        Post one message of at most 131,072 bytes, which the client gets as one text message.

        Raises:
            GatewayFault: One of its branches; see the class.
        """
        if len(message) > MAX_MESSAGE_BYTES:
            # The gateway would say the same, but not before it had been sent all of it.
            raise PayloadTooLarge(connection_id, f"{len(message):,} bytes are more than {MAX_MESSAGE_BYTES:,}")
        await self._call("POST", connection_id, message)

    async def look(self, connection_id: str) -> ConnectionView:
        """
        Tell since when, from where and with what a client is connected.

        Raises:
            GatewayFault: One of its branches; see the class.
        """
        answer = await self._call("GET", connection_id)
        try:
            view = _VIEW.decode(answer.body)
        except ValueError as error:  # msgspec's errors are, and that of bytes that are no UTF-8
            raise GatewayUnavailable(connection_id, f"no view of a connection: {error}") from error
        return ConnectionView(
            _epoch_ms(view.connected_at),
            _epoch_ms(view.last_active_at),
            view.identity.source_ip,
            view.identity.user_agent,
        )

    async def close(self, connection_id: str) -> None:
        """
        Close a connection; its client sees 1000, its function a ``$disconnect``.

        Raises:
            GatewayFault: One of its branches; see the class.
        """
        await self._call("DELETE", connection_id)

    async def _call(self, method: str, connection_id: str, body: bytes = b"") -> Answer:
        path = self._path + _encode(connection_id)
        try:
            answer = await self._pool.send(method, path, self._signer.sign(method, path, body), body)
        except ExchangeFault as fault:
            raise GatewayUnavailable(connection_id, str(fault)) from fault
        except CredentialsUnavailable as fault:
            raise AccessDenied(connection_id, str(fault)) from fault
        if answer.status not in _SUCCESS:
            raise _fault(connection_id, answer)
        return answer


class _Identity(msgspec.Struct, rename="camel"):
    source_ip: str
    user_agent: str | None = None


class _View(msgspec.Struct, rename="camel"):
    connected_at: Annotated[datetime, msgspec.Meta(tz=True)]
    last_active_at: Annotated[datetime, msgspec.Meta(tz=True)]
    identity: _Identity


class _Refusal(msgspec.Struct):
    message: str | None = None
    Message: str | None = None  # what IAM's refusals call it


_VIEW = msgspec.json.Decoder(_View)
_REFUSAL = msgspec.json.Decoder(_Refusal)


def _encode(connection_id: str) -> str:
    """Make one path segment of an id; API Gateway's own are base64url, quickly encoded."""
    if _BASE64URL.fullmatch(connection_id):
        return connection_id.replace("=", "%3D")
    if connection_id in {"", ".", ".."}:
        raise BadConnectionId(connection_id, "would be another path")
    return quote(connection_id, safe="")


def _epoch_ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def _fault(connection_id: str, answer: Answer) -> GatewayFault:
    """Name what an answer means: by its error type, as AWS's own clients do, and by its status where it has none."""
    error_type = answer.header(b"x-amzn-errortype").decode("latin-1").partition(":")[0].rpartition("#")[2]
    fault = _FAULT_BY_TYPE.get(error_type) or _FAULT_BY_STATUS.get(answer.status)
    text = _read_reason(answer.body) or error_type
    if fault is None:
        return GatewayUnavailable(connection_id, f"{answer.status} {text}".rstrip())
    return fault(connection_id, text)


def _read_reason(body: bytes) -> str:
    try:
        refusal = _REFUSAL.decode(body)
        text = refusal.message or refusal.Message or ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode("utf-8", "replace").strip()
    return text[:_REASON_LIMIT]
