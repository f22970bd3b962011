"""Fakes that implement the project's ports, and what tests need to make the real things."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from handlers.hub.candles import Candles, Votes
from handlers.hub.connections import Connection, Subscription, shard_of
from handlers.hub.protocol import DEFAULT_FORMAT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from handlers.hub.candles import CandleStore
    from handlers.hub.connections import ConnectionStore
    from handlers.hub.errors import GatewayFault
    from handlers.hub.management import Poster
    from handlers.hub.snapshots import Snapshot, SnapshotStore


class InMemoryConnectionStore:
    """A ``ConnectionStore`` that passes the same contract as DynamoDB's (tests/handlers/test_connections.py)."""

    def __init__(self, *connections: Connection, shards: int = 4) -> None:
        self.shards = shards
        self.connections = {connection.id: connection for connection in connections}

    def remember(self, connection: Connection) -> None:
        self.connections[connection.id] = connection

    def subscribe(
        self,
        connection_id: str,
        subscriptions: Mapping[str, Subscription],
        *,
        format: str | None,  # noqa: A002 - the wire's word
        connected_at: int,
        expires_at: int,
    ) -> None:
        before = self.connections.get(connection_id)
        self.connections[connection_id] = Connection(
            id=connection_id,
            connected_at=connected_at,
            expires_at=expires_at,
            format=format or (before.format if before else DEFAULT_FORMAT),
            subscriptions={**(before.subscriptions if before else {}), **subscriptions},
        )

    def unsubscribe(self, connection_id: str, streams: Collection[str]) -> Connection | None:
        before = self.connections.get(connection_id)
        if before is None:
            return None
        left = {stream: kept for stream, kept in before.subscriptions.items() if stream not in streams}
        self.connections[connection_id] = replace(before, subscriptions=left)
        return self.connections[connection_id]

    def find(self, connection_id: str) -> Connection | None:
        return self.connections.get(connection_id)

    def forget(self, connection_id: str, *, unless_connected_after: int | None = None) -> bool:
        found = self.connections.get(connection_id)
        if found is None or (unless_connected_after is not None and found.connected_at > unless_connected_after):
            return False
        del self.connections[connection_id]
        return True

    def followers(self, stream: str, shard: int, *, now: int) -> Iterator[Connection]:
        for _, connection in sorted(self.connections.items()):
            if (
                shard_of(connection.id, self.shards) == shard
                and stream in connection.subscriptions
                and connection.expires_at > now
            ):
                yield replace(connection, subscriptions={stream: connection.subscriptions[stream]})


class InMemorySnapshotStore:
    """A ``SnapshotStore`` that passes the same contract as DynamoDB's (tests/handlers/test_snapshots.py)."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self.snapshots = {snapshot.stream: snapshot for snapshot in snapshots}

    def latest(self, stream: str) -> Snapshot | None:
        return self.snapshots.get(stream)

    def save(self, snapshot: Snapshot) -> bool:
        stored = self.snapshots.get(snapshot.stream)
        if stored is not None and stored.seq >= snapshot.seq:
            return stored == snapshot
        self.snapshots[snapshot.stream] = snapshot
        return True


class InMemoryCandleStore:
    """A ``CandleStore`` that passes the same contract as DynamoDB's (tests/handlers/test_candles.py)."""

    def __init__(self, *items: Candles | Votes) -> None:
        self.candles: dict[tuple[str, str], Candles] = {}
        self.votes: dict[tuple[str, str], Votes] = {}
        self.keep(items)

    def find_candles(self, symbol: str, timeframe: str) -> Candles | None:
        return self.candles.get((symbol, timeframe))

    def find_votes(self, symbol: str, timeframe: str) -> Votes | None:
        return self.votes.get((symbol, timeframe))

    def keep(self, items: Sequence[Candles | Votes]) -> Sequence[Candles | Votes]:
        for item in items:
            if isinstance(item, Candles):
                self.candles[item.symbol, item.timeframe] = item
            else:
                self.votes[item.symbol, item.timeframe] = item
        return ()


class RecordingGateway:
    """
    A ``Poster`` that keeps what was posted, in order, instead of sending it.

    ``trouble`` leads from a connection id to what a post to it meets: one fault for every post, or a list of which
    each post takes the next (None: that one succeeds), until it is empty.
    """

    def __init__(self, trouble: Mapping[str, GatewayFault | list[GatewayFault | None]] | None = None) -> None:
        self.posts: list[tuple[str, bytes]] = []
        self.trouble = dict(trouble or {})

    async def post(self, connection_id: str, message: bytes) -> None:
        trouble = self.trouble.get(connection_id)
        fault = (trouble.pop(0) if trouble else None) if isinstance(trouble, list) else trouble
        if fault is not None:
            raise fault
        self.posts.append((connection_id, message))

    def messages(self, connection_id: str) -> list[Any]:
        """Give what was posted to one connection, decoded."""
        return [msgspec.json.decode(message) for posted_to, message in self.posts if posted_to == connection_id]


#: The one table, as infra/template.yaml makes it.
TABLE = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
}


if TYPE_CHECKING:
    # The type checker's word that the fakes are what they stand for.
    _PORTS: tuple[ConnectionStore, SnapshotStore, CandleStore, Poster] = (
        InMemoryConnectionStore(),
        InMemorySnapshotStore(),
        InMemoryCandleStore(),
        RecordingGateway(),
    )
