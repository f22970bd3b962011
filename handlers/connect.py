"""The route ``$connect``: remember who is there, and what the address already asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from handlers.events import read_connect
from handlers.hub.connections import Connection, Subscription, connection_store, expiry
from handlers.hub.errors import ClientFault
from handlers.hub.protocol import DEFAULT_FORMAT, error, parse_query
from handlers.hub.settings import hub_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handlers.events import ConnectEvent
    from handlers.hub.connections import ConnectionStore


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Serve ``$connect`` on Lambda."""
    return connect(read_connect(event), connections=connection_store(hub_settings()), now=time.time_ns() // 1_000_000)


def connect(event: ConnectEvent, *, connections: ConnectionStore, now: int) -> dict[str, Any]:
    """
    Remember the connection in one write and let it open.

    ``?stream=`` subscribes it at once; nothing can be sent before it is open, so the snapshot is owed. A stream,
    symbol or format that there is not refuses the handshake with 400 and the error message as its body, and nothing
    is written. ``now`` is epoch milliseconds.
    """
    try:
        wanted = parse_query(event.query)
    except ClientFault as fault:
        return {
            "statusCode": 400,
            "headers": {"Content-Type": "application/json"},
            "body": error(fault, None).decode(),
        }
    connections.remember(
        Connection(
            id=event.connection_id,
            connected_at=event.connected_at,
            expires_at=expiry(event.connected_at),
            format=wanted.format or DEFAULT_FORMAT,
            subscriptions={
                stream: Subscription(symbols=wanted.symbols, subscribed_at=now, snapshot_owed=True)
                for stream in wanted.streams
            },
        )
    )
    return {"statusCode": 200}
