"""
The events that API Gateway hands to a function for a WebSocket API.

Members, their order and their absences are those of captured events; what is absent there is absent here, never null.
All functions return the event as JSON bytes. Instants are epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from time import gmtime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_encode = msgspec.json.Encoder().encode
#: Headers of the upgrade that an authorizer sees and ``$connect`` does not.
_HOP_BY_HOP = ("connection", "upgrade", "content-length")
#: These, and headers that the gateway writes itself, whatever a client sent.
_REPLACED = {*_HOP_BY_HOP, "x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"}
_UPGRADE = (("Connection", "upgrade"), ("content-length", "0"), ("Upgrade", "websocket"))
#: The order of ``identity`` in events of 2018 to 2021, which showed every member; the API key's come before.
_IDENTITY = (
    *("apiKey", "apiKeyId", "cognitoIdentityPoolId", "cognitoIdentityId", "principalOrgId"),
    *("cognitoAuthenticationType", "userArn", "userAgent", "accountId", "caller", "sourceIp", "accessKey"),
    *("cognitoAuthenticationProvider", "user"),
)


@dataclass(frozen=True, slots=True)
class Handshake:
    """
    A client's upgrade request.

    ``headers`` keep the client's casing and order; ``query`` and ``path`` are raw, as they were sent. With
    ``lower_names`` events show all headers' names in lower case.
    """

    headers: Sequence[tuple[str, str]]
    query: str
    source_ip: str
    domain_name: str
    path: str = "/"
    lower_names: bool = False

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever its casing."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def parameter(self, name: str) -> str | None:
        """Return the last value of a query parameter."""
        return dict(parse_qsl(self.query, keep_blank_values=True)).get(name)


@dataclass(slots=True)
class Caller:
    """What every event of one connection repeats."""

    connection_id: str
    connected_at: float
    api_id: str
    stage: str
    domain_name: str
    identity: dict[str, str]
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    authorizer: dict[str, Any] | None = None


def connect_event(caller: Caller, handshake: Handshake, *, request_id: str, trace_id: str, now: float) -> bytes:
    """Make the event of the ``$connect`` route."""
    single, multi = _header_maps(handshake, _forwarding(handshake, trace_id))
    event: dict[str, Any] = {"headers": single, "multiValueHeaders": multi}
    event.update(_query_maps(handshake.query))
    if caller.stage_variables:
        event["stageVariables"] = dict(caller.stage_variables)
    event["requestContext"] = context_of(caller, route_key="$connect", kind="CONNECT", request_id=request_id, now=now)
    event["isBase64Encoded"] = False
    return _encode(event)


def authorizer_event(
    caller: Caller, handshake: Handshake, *, method_arn: str, request_id: str, trace_id: str, now: float
) -> bytes:
    """
    Make the input of a Lambda REQUEST authorizer.

    It shows three headers that ``$connect`` does not, and stage variables even where there are none.
    """
    single, multi = _header_maps(handshake, [*_UPGRADE, *_forwarding(handshake, trace_id)])
    event: dict[str, Any] = {
        "type": "REQUEST",
        "methodArn": method_arn,
        "headers": single,
        "multiValueHeaders": multi,
        **_query_maps(handshake.query),
        "stageVariables": dict(caller.stage_variables),
        "requestContext": context_of(caller, route_key="$connect", kind="CONNECT", request_id=request_id, now=now),
    }
    return _encode(event)


def message_event(caller: Caller, body: str, *, route_key: str, request_id: str, message_id: str, now: float) -> bytes:
    """Make the event of a client's message."""
    event: dict[str, Any] = {}
    if caller.stage_variables:
        event["stageVariables"] = dict(caller.stage_variables)
    event["requestContext"] = context_of(
        caller, route_key=route_key, kind="MESSAGE", request_id=request_id, now=now, message_id=message_id
    )
    event["body"] = body
    event["isBase64Encoded"] = False
    return _encode(event)


def disconnect_event(caller: Caller, *, code: int, reason: str, request_id: str, now: float) -> bytes:
    """Make the event of the ``$disconnect`` route; its four headers are the gateway's own."""
    headers = {"Host": caller.domain_name, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
    event: dict[str, Any] = {"headers": headers, "multiValueHeaders": {key: [value] for key, value in headers.items()}}
    if caller.stage_variables:
        event["stageVariables"] = dict(caller.stage_variables)
    event["requestContext"] = context_of(
        caller, route_key="$disconnect", kind="DISCONNECT", request_id=request_id, now=now, closed=(code, reason)
    )
    event["isBase64Encoded"] = False
    return _encode(event)


def identity_of(handshake: Handshake) -> dict[str, str]:
    """Return ``requestContext.identity``; a client without User-Agent has no such member."""
    user_agent = handshake.header("user-agent")
    identity = {} if user_agent is None else {"userAgent": user_agent}
    identity["sourceIp"] = handshake.source_ip
    return identity


def with_more_identity(identity: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Add what a signature or an API key tells about a client, in the order in which events show it."""
    known = {**identity, **more}
    return {key: known[key] for key in _IDENTITY if key in known}


def clf_time(now: float) -> str:
    """Write an instant as ``requestTime`` has it: ``09/Feb/2024:18:11:43 +0000``, always UTC, always English."""
    return _clf_of(int(now))


@lru_cache(maxsize=2)
def _clf_of(second: int) -> str:
    at = gmtime(second)
    return f"{at.tm_mday:02}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}:{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000"


def _forwarding(handshake: Handshake, trace_id: str) -> list[tuple[str, str]]:
    """Return the gateway's own headers; a client behind a proxy of its own has told from where it comes."""
    before = [value for key, value in handshake.headers if key.lower() == "x-forwarded-for"]
    return [
        ("X-Amzn-Trace-Id", trace_id),
        ("X-Forwarded-For", ", ".join([*before, handshake.source_ip])),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
    ]


def _header_maps(handshake: Handshake, own: Sequence[tuple[str, str]]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return both maps of a client's headers and the gateway's own."""
    headers = [*(field for field in handshake.headers if field[0].lower() not in _REPLACED), *own]
    if handshake.lower_names:
        headers = [(key.lower(), value) for key, value in headers]
    multi: dict[str, list[str]] = {}
    spelt: dict[str, str] = {}
    for key, value in sorted(headers, key=lambda pair: pair[0].lower()):
        # Whoever sorts without regard to case knows no other name in another: the first spelling is everybody's.
        multi.setdefault(spelt.setdefault(key.lower(), key), []).append(value)
    return {key: values[-1] for key, values in multi.items()}, multi


def _query_maps(query: str) -> dict[str, Any]:
    if not query:
        return {}
    multi: dict[str, list[str]] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        multi.setdefault(key, []).append(value)
    return {
        "queryStringParameters": {key: values[-1] for key, values in multi.items()},
        "multiValueQueryStringParameters": multi,
    }


def context_of(
    caller: Caller,
    *,
    route_key: str,
    kind: str,
    request_id: str,
    now: float,
    message_id: str | None = None,
    closed: tuple[int, str] | None = None,
) -> dict[str, Any]:
    """Make ``requestContext``; ``closed`` is the code and the reason of the end of a connection."""
    context: dict[str, Any] = {"routeKey": route_key}
    if closed is not None:
        context["disconnectStatusCode"] = closed[0]
    if caller.authorizer is not None:
        context["authorizer"] = caller.authorizer
    if message_id is not None:
        context["messageId"] = message_id
    context["eventType"] = kind
    context["extendedRequestId"] = request_id
    context["requestTime"] = clf_time(now)
    context["messageDirection"] = "IN"
    if closed is not None:
        context["disconnectReason"] = closed[1]
    context["stage"] = caller.stage
    context["connectedAt"] = int(caller.connected_at * 1000)
    context["requestTimeEpoch"] = int(now * 1000)
    context["identity"] = caller.identity
    context["requestId"] = request_id
    context["domainName"] = caller.domain_name
    context["connectionId"] = caller.connection_id
    context["apiId"] = caller.api_id
    return context
