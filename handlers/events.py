"""
Read what API Gateway hands to a function: the events of a WebSocket API, as far as the routes need them.

The layout is the one in use since about 2022; what another one has more is ignored. ``tests/events/*.json`` are
checked against this reader and against ``local/events.py``, which writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Context(msgspec.Struct, rename="camel"):
    """Members of ``requestContext`` that every event has; ``connectedAt`` is epoch milliseconds."""

    connection_id: str
    connected_at: int
    request_id: str
    domain_name: str
    stage: str


class _DisconnectContext(_Context, rename="camel"):
    """The same when the connection has ended; the code may be missing when it ended without a close frame."""

    disconnect_status_code: int | None = None
    disconnect_reason: str | None = None


class _Connect(msgspec.Struct, rename="camel"):
    request_context: _Context
    query_string_parameters: dict[str, str] | None = None


class _Message(msgspec.Struct, rename="camel"):
    request_context: _Context
    body: str | None = None


class _Disconnect(msgspec.Struct, rename="camel"):
    request_context: _DisconnectContext


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectEvent:
    """
    Somebody opens a connection, which is not there before the function has answered.

    ``connected_at`` is epoch milliseconds. ``query`` is empty when the address had none; of a repeated key it holds
    the last value.
    """

    connection_id: str
    connected_at: int
    request_id: str
    domain_name: str
    stage: str
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEvent:
    """A client has sent ``body``, the text of one frame or of several that belong together."""

    connection_id: str
    connected_at: int
    request_id: str
    domain_name: str
    stage: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectEvent:
    """A connection has ended with ``code`` (None without a close frame) and ``reason`` (perhaps empty)."""

    connection_id: str
    connected_at: int
    request_id: str
    domain_name: str
    stage: str
    code: int | None
    reason: str


def read_connect(event: Mapping[str, Any]) -> ConnectEvent:
    """
    Read the event of ``$connect``.

    Raises:
        msgspec.ValidationError: It is no such event; the sentence names the member. So do the other two.
    """
    read = msgspec.convert(event, _Connect)
    return ConnectEvent(**_common(read.request_context), query=read.query_string_parameters or {})


def read_message(event: Mapping[str, Any]) -> MessageEvent:
    """Read the event of a message, whatever its route."""
    read = msgspec.convert(event, _Message)
    return MessageEvent(**_common(read.request_context), body=read.body or "")


def read_disconnect(event: Mapping[str, Any]) -> DisconnectEvent:
    """Read the event of ``$disconnect``."""
    read = msgspec.convert(event, _Disconnect)
    return DisconnectEvent(
        **_common(read.request_context),
        code=read.request_context.disconnect_status_code,
        reason=read.request_context.disconnect_reason or "",
    )


def _common(context: _Context) -> dict[str, Any]:
    return {
        "connection_id": context.connection_id,
        "connected_at": context.connected_at,
        "request_id": context.request_id,
        "domain_name": context.domain_name,
        "stage": context.stage,
    }
