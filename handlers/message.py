"""
The routes of messages, all two-way: ``subscribe``, ``unsubscribe``, ``snapshot``, ``ping`` and ``$default``.

``candles`` and ``votes`` are asked for too seldom to have routes; they come by ``$default``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from handlers.events import read_message
from handlers.hub.candles import candle_store
from handlers.hub.connections import Subscription, connection_store, expiry
from handlers.hub.errors import ClientFault, ConnectionGone, GatewayUnavailable, LimitExceeded, ServiceUnavailable
from handlers.hub.protocol import (
    PERIOD_MS,
    CandlesRequest,
    SnapshotRequest,
    Subscribe,
    Unsubscribe,
    VotesRequest,
    candles,
    error,
    id_of,
    parse_request,
    pong,
    snapshot,
    subscribed,
    unavailable,
    unsubscribed,
    votes,
)
from handlers.hub.settings import hub_settings
from handlers.hub.snapshots import snapshot_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from handlers.events import MessageEvent
    from handlers.hub.candles import CandleStore
    from handlers.hub.connections import ConnectionStore
    from handlers.hub.management import Poster
    from handlers.hub.settings import HubSettings
    from handlers.hub.snapshots import SnapshotStore

_log = logging.getLogger(__name__)


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Serve every message on Lambda."""
    settings = hub_settings()
    return respond(
        read_message(event),
        connections=connection_store(settings),
        snapshots=snapshot_store(settings),
        kept=candle_store(settings),
        gateway=lambda: _management_api(settings),
        settings=settings,
        now=time.time_ns() // 1_000_000,
    )


def respond(
    event: MessageEvent,
    *,
    connections: ConnectionStore,
    snapshots: SnapshotStore,
    kept: CandleStore,
    gateway: Callable[[], AbstractAsyncContextManager[Poster]],
    settings: HubSettings,
    now: int,
) -> dict[str, Any]:
    """
    Answer one message of a client; ``now`` is epoch milliseconds.

    One message goes back as the route's response; several are posted through ``gateway``, in order, and the response
    is empty. Whatever is wrong with the request, the client is told, and its connection stays as it was. When the
    table or the gateway cannot be used just now, the client is asked to try again; any other failure is a bug and
    reaches Lambda.
    """
    try:
        messages = answer(event, connections=connections, snapshots=snapshots, kept=kept, settings=settings, now=now)
    except ClientFault as fault:
        messages = [error(fault, id_of(event.body))]
    except ServiceUnavailable:
        _log.exception("the table cannot be used; request %s", event.request_id)
        messages = [unavailable(id_of(event.body), "the table of connections does not answer; try again")]
    if len(messages) > 1:
        messages = _post(messages, event, connections=connections, gateway=gateway)
    return {"statusCode": 200} | ({"body": messages[0].decode()} if messages else {})


def answer(
    event: MessageEvent,
    *,
    connections: ConnectionStore,
    snapshots: SnapshotStore,
    kept: CandleStore,
    settings: HubSettings,
    now: int,
) -> list[bytes]:
    """
    Do what a client asks for and compose what it is told, in one message or more.

    The body alone says what is asked for, never the route: a route key is chosen from the body, so it adds nothing.

    Raises:
        ClientFault: The request cannot be served, and nothing was written.
    """
    match request := parse_request(event.body):
        case Subscribe():
            return _subscribe(request, event, connections=connections, snapshots=snapshots, settings=settings, now=now)
        case Unsubscribe(streams=streams, id=request_id):
            left = connections.unsubscribe(event.connection_id, streams)
            return [unsubscribed(request_id, left.subscriptions if left else ())]
        case SnapshotRequest(stream=stream, id=request_id):
            connection = connections.find(event.connection_id)
            followed = connection.subscriptions.get(stream) if connection else None
            latest = snapshots.latest(stream)
            if latest is None:
                missing = f"there is no snapshot of {stream} before its first tick"
                return [unavailable(request_id, missing, retry_after_ms=PERIOD_MS[stream])]
            return snapshot(latest, request_id=request_id, only=followed.symbols if followed else None)
        case CandlesRequest() | VotesRequest():
            return [_kept(request, kept)]
    return [pong(request.id, now)]


def _kept(request: CandlesRequest | VotesRequest, kept: CandleStore) -> bytes:
    if isinstance(request, CandlesRequest):
        if (latest := kept.find_candles(request.symbol, request.timeframe)) is not None:
            return candles(request.id, latest)
    elif (voted := kept.find_votes(request.symbol, request.timeframe)) is not None:
        return votes(request.id, voted)
    # Whether there will be any, only the scheduler knows: it has the sources and the timeframes.
    what = "candles" if isinstance(request, CandlesRequest) else "votes"
    missing = f"there are no {what} of {request.symbol} for {request.timeframe}, or not yet"
    return unavailable(request.id, missing, retry_after_ms=PERIOD_MS["signals"])


def _subscribe(
    request: Subscribe,
    event: MessageEvent,
    *,
    connections: ConnectionStore,
    snapshots: SnapshotStore,
    settings: HubSettings,
    now: int,
) -> list[bytes]:
    # First the subscription, then the snapshot; a tick writes its snapshot before it reads who follows. So a tick
    # that runs meanwhile is in the snapshot, or is sent, or both; never neither.
    connections.subscribe(
        event.connection_id,
        {
            stream: Subscription(symbols=request.symbols, subscribed_at=now, snapshot_owed=False)
            for stream in request.streams
        },
        format=request.format,
        connected_at=event.connected_at,
        expires_at=expiry(event.connected_at),
    )
    return subscribed(
        request.id,
        {stream: snapshots.latest(stream) for stream in request.streams},
        server_time=now,
        max_age_ms=settings.connection_max_age_ms,
        ping_after_ms=settings.ping_after_ms,
        only=request.symbols,
        since=request.since,
    )


def _post(
    messages: Sequence[bytes],
    event: MessageEvent,
    *,
    connections: ConnectionStore,
    gateway: Callable[[], AbstractAsyncContextManager[Poster]],
) -> list[bytes]:
    """Post ``messages`` in order, and give what is left to answer."""

    async def post() -> None:
        async with gateway() as poster:
            for message in messages:
                await poster.post(event.connection_id, message)

    try:
        asyncio.run(post())
    except ConnectionGone:
        connections.forget(event.connection_id)
    except (GatewayUnavailable, LimitExceeded) as failure:
        _log.warning("a long answer was not delivered: %s", failure)
        return [unavailable(id_of(event.body), "the answer was not delivered whole; try again")]
    return []


def _management_api(settings: HubSettings) -> AbstractAsyncContextManager[Poster]:
    # Imported for the first answer that needs it: only a snapshot of more than 30 KB does, and a cold start should
    # not wait for it.
    from handlers.hub.management import ManagementApi  # noqa: PLC0415

    return ManagementApi.from_environment(settings)
