"""Who is connected and what each connection is subscribed to: the port, and DynamoDB behind it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol, TypedDict
from zlib import crc32

from handlers.hub.dynamodb import dynamodb
from handlers.hub.errors import ConditionFailed
from handlers.hub.protocol import DEFAULT_FORMAT, STREAMS
from handlers.hub.rows import read_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from handlers.hub.attributes import Attributes, AttributeValue
    from handlers.hub.dynamodb import DynamoDB
    from handlers.hub.rows import Row, SubscriptionRow
    from handlers.hub.settings import HubSettings

LIFE_S: Final = 2 * 60 * 60
"""How long the gateway keeps a connection at most, in seconds (API Gateway's quota, not adjustable)."""

EXPIRY_SLACK_S: Final = 10 * 60
"""How much longer a row is kept, in seconds: a net for what neither ``$disconnect`` nor a 410 has removed."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """
    What a connection wants of one stream.

    ``symbols`` is None for every instrument. ``subscribed_at`` is epoch milliseconds. ``snapshot_owed`` says that the
    subscription came with the address (``?stream=``), where nothing could be answered: the ticks of the first period
    and 10 s more send a snapshot.
    """

    symbols: frozenset[str] | None
    subscribed_at: int
    snapshot_owed: bool


@dataclass(frozen=True, slots=True)
class Connection:
    """
    One client's open socket and its subscriptions by stream.

    ``connected_at`` is epoch milliseconds, ``expires_at`` epoch seconds; ``format`` is one of ``requests.FORMATS``.
    """

    id: str
    connected_at: int
    expires_at: int
    format: str
    subscriptions: Mapping[str, Subscription]


class ConnectionStore(Protocol):
    """
    Remembers connections, spread over partitions by their ids; to find all of them, read ``shards``.

    Synchronous: a caller in an event loop uses threads. Every call is at most one write or one read, except
    ``followers``, which reads page by page, and while the number of shards is being changed.
    """

    shards: int

    def remember(self, connection: Connection) -> None:
        """Write ``connection`` down, in place of whatever was known under its id."""
        ...

    def subscribe(
        self,
        connection_id: str,
        subscriptions: Mapping[str, Subscription],
        *,
        format: str | None,  # noqa: A002 - the wire's word
        connected_at: int,
        expires_at: int,
    ) -> None:
        """
        Replace the connection's subscriptions to the streams named; those to other streams stay.

        A connection nobody remembers is remembered now, with these instants. ``format`` None keeps what was chosen
        before, ``batch`` if nothing was.
        """
        ...

    def unsubscribe(self, connection_id: str, streams: Collection[str]) -> Connection | None:
        """Drop the subscriptions to ``streams`` and give what is left; None for a connection nobody remembers."""
        ...

    def find(self, connection_id: str) -> Connection | None:
        """Give the connection as the last write left it, expired or not; None when nobody remembers it."""
        ...

    def forget(self, connection_id: str, *, unless_connected_after: int | None = None) -> bool:
        """
        Delete the connection; to forget twice is no error.

        One that was connected after ``unless_connected_after`` (epoch milliseconds) is kept: a 410 may mean that it
        still is inside ``$connect``. Returns whether something was deleted.
        """
        ...

    def followers(self, stream: str, shard: int, *, now: int) -> Iterator[Connection]:
        """
        Give the connections of one shard that are subscribed to ``stream``, in order of their ids.

        Each comes with its subscription to this stream alone. ``now`` is epoch seconds: whatever expires then or
        earlier is left out. A write that was answered before the call is seen.
        """
        ...


def shard_of(connection_id: str, shards: int) -> int:
    """Compute the shard of a connection, from 0 to ``shards`` - 1, the same in every process."""
    return crc32(connection_id.encode()) % shards


def expiry(connected_at: int) -> int:
    """Compute when the row of a connection may be dropped (epoch seconds) from when it was opened (epoch ms)."""
    return connected_at // 1000 + LIFE_S + EXPIRY_SLACK_S


def connection_store(settings: HubSettings) -> DynamoConnectionStore:
    """Make the store of a deployment, on the process's client."""
    return DynamoConnectionStore(dynamodb(), settings.table, shards=settings.shards, others=settings.other_shards)


class _PageLimit(TypedDict, total=False):
    Limit: int


class DynamoConnectionStore:
    """
    Connections in the one table: ``pk`` is ``SHARD#{crc32(id) % shards}``, ``sk`` the connection id.

    Each subscription is an attribute of its own, named like the stream, so that a subscribe is one update and never
    touches another stream. ``page`` bounds the items DynamoDB reads for one answer (1 MB otherwise).

    ``others`` is the number of shards that another version of the functions writes by, or did in the last two hours;
    0 for none. Its rows are found too, and the first change to one brings it to its partition under ``shards``. Both
    rows may be met for a moment then, so a tick may be posted twice; its ``seq`` tells the client.
    """

    def __init__(self, client: DynamoDB, table: str, *, shards: int, others: int = 0, page: int | None = None) -> None:
        self.shards = max(shards, others)
        self._written = shards
        self._others = others or shards
        self._client = client
        self._table = table
        self._page: _PageLimit = {} if page is None else {"Limit": page}

    def remember(self, connection: Connection) -> None:
        """Write ``connection`` down in one PutItem."""
        item: Attributes = {
            **self._key(connection.id),
            "connected_at": {"N": str(connection.connected_at)},
            "expires_at": {"N": str(connection.expires_at)},
            "format": {"S": connection.format},
        }
        for stream, subscription in connection.subscriptions.items():
            item[stream] = _attribute(subscription)
        self._client.put_item(TableName=self._table, Item=item)

    def subscribe(
        self,
        connection_id: str,
        subscriptions: Mapping[str, Subscription],
        *,
        format: str | None,  # noqa: A002 - the wire's word
        connected_at: int,
        expires_at: int,
    ) -> None:
        """Replace the subscriptions to the streams named in one UpdateItem."""
        self._bring(connection_id)
        # Every name is an alias: format and binary are reserved words in expressions.
        names = {"#connected_at": "connected_at", "#expires_at": "expires_at", "#format": "format"}
        values: Attributes = {
            ":connected_at": {"N": str(connected_at)},
            ":expires_at": {"N": str(expires_at)},
            ":format": {"S": format or DEFAULT_FORMAT},
        }
        changes = [
            "#connected_at = :connected_at",
            "#expires_at = :expires_at",
            "#format = :format" if format else "#format = if_not_exists(#format, :format)",
        ]
        for stream, subscription in subscriptions.items():
            names[f"#{stream}"] = stream
            values[f":{stream}"] = _attribute(subscription)
            changes.append(f"#{stream} = :{stream}")
        self._client.update_item(
            TableName=self._table,
            Key=self._key(connection_id),
            UpdateExpression="SET " + ", ".join(changes),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )

    def unsubscribe(self, connection_id: str, streams: Collection[str]) -> Connection | None:
        """Drop the subscriptions to ``streams`` in one UpdateItem, which also answers what is left."""
        self._bring(connection_id)
        try:
            left = self._client.update_item(
                TableName=self._table,
                Key=self._key(connection_id),
                UpdateExpression="REMOVE " + ", ".join(f"#{stream}" for stream in streams),
                # Without it an update of an unknown id would write a row that has nothing but a key.
                ConditionExpression="attribute_exists(#pk)",
                ExpressionAttributeNames={"#pk": "pk", **{f"#{stream}": stream for stream in streams}},
                ReturnValues="ALL_NEW",
            )
        except ConditionFailed:
            return None
        return _connection(left)

    def find(self, connection_id: str) -> Connection | None:
        """Read the connection in one strongly consistent GetItem."""
        for key in self._keys(connection_id):
            item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
            if item is not None:
                return _connection(item)
        return None

    def forget(self, connection_id: str, *, unless_connected_after: int | None = None) -> bool:
        """Delete the connection in one DeleteItem."""
        # The row in its partition last: what is brought there meanwhile has then been met in one place or the other.
        deleted = [self._delete(key, unless_connected_after) for key in reversed(self._keys(connection_id))]
        return any(deleted)

    def _delete(self, key: Attributes, unless_connected_after: int | None) -> bool:
        if unless_connected_after is None:
            return bool(self._client.delete_item(TableName=self._table, Key=key, ReturnValues="ALL_OLD"))
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=key,
                ConditionExpression="#connected_at <= :limit",
                ExpressionAttributeNames={"#connected_at": "connected_at"},
                ExpressionAttributeValues={":limit": {"N": str(unless_connected_after)}},
            )
        except ConditionFailed:
            return False
        return True

    def followers(self, stream: str, shard: int, *, now: int) -> Iterator[Connection]:
        """
        Query one shard, page by page.

        The reads are strongly consistent: whoever subscribed just before the tick's snapshot was written has read
        the snapshot before it, so this query must not miss them.
        """
        pages = self._client.query(
            read_rows,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="#pk = :pk",
            FilterExpression="attribute_exists(#stream) AND #expires_at > :now",
            # Only what is read travels.
            ProjectionExpression="#sk, #connected_at, #expires_at, #format, #stream",
            ExpressionAttributeNames={
                "#pk": "pk",
                "#sk": "sk",
                "#connected_at": "connected_at",
                "#expires_at": "expires_at",
                "#format": "format",
                "#stream": stream,
            },
            ExpressionAttributeValues={":pk": {"S": f"SHARD#{shard}"}, ":now": {"N": str(now)}},
            **self._page,
        )
        for page in pages:
            for row in page.Items:
                yield _follower(row, stream)

    def _bring(self, connection_id: str) -> None:
        """Bring a row from where the other number of shards had it; nothing is read when that is the same place."""
        ours, *others = self._keys(connection_id)
        for theirs in others:
            found = self._client.get_item(TableName=self._table, Key=theirs, ConsistentRead=True)
            if found is not None:
                # Written before it is deleted: a tick meanwhile finds it twice rather than not at all.
                with suppress(ConditionFailed):
                    self._client.put_item(
                        TableName=self._table,
                        Item=found | ours,
                        ConditionExpression="attribute_not_exists(#pk)",
                        ExpressionAttributeNames={"#pk": "pk"},
                    )
                self._client.delete_item(TableName=self._table, Key=theirs)

    def _keys(self, connection_id: str) -> list[Attributes]:
        """Give where a connection's row is written, and then where another number of shards may have it."""
        shards = dict.fromkeys(shard_of(connection_id, number) for number in (self._written, self._others))
        return [{"pk": {"S": f"SHARD#{shard}"}, "sk": {"S": connection_id}} for shard in shards]

    def _key(self, connection_id: str) -> Attributes:
        return self._keys(connection_id)[0]


def _attribute(subscription: Subscription) -> AttributeValue:
    """Write a subscription as a DynamoDB map; without ``symbols`` it is for every instrument."""
    members: Attributes = {
        "subscribed_at": {"N": str(subscription.subscribed_at)},
        "snapshot_owed": {"BOOL": subscription.snapshot_owed},
    }
    if subscription.symbols is not None:
        # One string: a set may not be empty, and a list of twenty takes several times as long to read.
        members["symbols"] = {"S": ",".join(sorted(subscription.symbols))}
    return {"M": members}


def _subscription(attribute: AttributeValue) -> Subscription:
    """Read what ``_attribute`` wrote."""
    members = attribute["M"]
    symbols = members.get("symbols")
    return Subscription(
        symbols=None if symbols is None else _symbols(symbols["S"]),
        subscribed_at=int(members["subscribed_at"]["N"]),
        snapshot_owed=members["snapshot_owed"]["BOOL"],
    )


def _connection(item: Attributes) -> Connection:
    """Read an item, or the projection of one."""
    return Connection(
        id=item["sk"]["S"],
        connected_at=int(item["connected_at"]["N"]),
        expires_at=int(item["expires_at"]["N"]),
        format=item["format"]["S"],
        subscriptions={stream: _subscription(item[stream]) for stream in STREAMS if stream in item},
    )


def _follower(row: Row, stream: str) -> Connection:
    """Make a connection of a row that a tick has read, with its one subscription."""
    subscription: SubscriptionRow = getattr(row, stream)
    members = subscription.M
    return Connection(
        id=row.sk.S,
        connected_at=row.connected_at.N,
        expires_at=row.expires_at.N,
        format=row.format.S,
        subscriptions={
            stream: Subscription(
                symbols=_symbols(members.symbols.S) if members.symbols is not None else None,
                subscribed_at=members.subscribed_at.N,
                snapshot_owed=members.snapshot_owed.BOOL,
            )
        },
    )


@lru_cache(maxsize=256)
def _symbols(text: str) -> frozenset[str]:
    """Read a list of symbols; many connections have the same."""
    return frozenset(filter(None, text.split(",")))
