"""The last known state of each stream, for whoever subscribes and for the tick that computes what has changed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from handlers.hub.dynamodb import dynamodb
from handlers.hub.errors import ConditionFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handlers.hub.attributes import Attributes
    from handlers.hub.dynamodb import DynamoDB
    from handlers.hub.settings import HubSettings


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    Full state of one stream after one tick.

    ``seq`` is the last tick that was really sent on the stream (the next batch's ``prev``), ``ts`` when it was
    composed (epoch milliseconds). ``data`` leads from a symbol to its full ``data`` as encoded JSON, with the
    source's own digits. ``state`` is what the scheduler needs for the next tick, opaque here; empty for none.
    """

    stream: str
    seq: int
    ts: int
    data: Mapping[str, bytes]
    state: bytes


class SnapshotStore(Protocol):
    """Keeps the latest snapshot of each stream. Synchronous, like the connection store."""

    def latest(self, stream: str) -> Snapshot | None:
        """Give the snapshot that was saved last, in a strongly consistent read; None before the first tick."""
        ...

    def save(self, snapshot: Snapshot) -> bool:
        """
        Put ``snapshot`` in place of an older one; one write.

        Returns False, and changes nothing, when a later tick's is stored already, or another of the same tick. The
        very same snapshot again is True: so a write that succeeds unheard and is tried again has succeeded.
        """
        ...


def snapshot_store(settings: HubSettings) -> DynamoSnapshotStore:
    """Make the store of a deployment, on the process's client."""
    return DynamoSnapshotStore(dynamodb(), settings.table)


class DynamoSnapshotStore:
    """
    Snapshots in the one table: ``pk`` is ``SNAPSHOT#{stream}``, ``sk`` is ``latest``.

    ``payload`` and ``state`` are compressed: DynamoDB takes 400 KB an item and refuses more with a
    ``ValidationException``, and 200 instruments of 150 bytes are some 30 KB before and 8 KB after.
    """

    def __init__(self, client: DynamoDB, table: str) -> None:
        self._client = client
        self._table = table

    def latest(self, stream: str) -> Snapshot | None:
        """Read the latest snapshot in one strongly consistent GetItem."""
        item = self._client.get_item(TableName=self._table, Key=_key(stream), ConsistentRead=True)
        return _snapshot(stream, item) if item is not None else None

    def save(self, snapshot: Snapshot) -> bool:
        """Save in one PutItem on the condition that what is stored is older."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item=_item(snapshot),
                ConditionExpression="attribute_not_exists(#seq) OR #seq < :seq",
                ExpressionAttributeNames={"#seq": "seq"},
                ExpressionAttributeValues={":seq": {"N": str(snapshot.seq)}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as refusal:
            return refusal.item is not None and _snapshot(snapshot.stream, refusal.item) == snapshot
        return True


def _key(stream: str) -> Attributes:
    return {"pk": {"S": f"SNAPSHOT#{stream}"}, "sk": {"S": "latest"}}


def _item(snapshot: Snapshot) -> Attributes:
    payload = msgspec.json.encode({symbol: msgspec.Raw(data) for symbol, data in snapshot.data.items()})
    return {
        **_key(snapshot.stream),
        "seq": {"N": str(snapshot.seq)},
        "ts": {"N": str(snapshot.ts)},
        "payload": {"B": zlib.compress(payload)},
        "state": {"B": zlib.compress(snapshot.state)},
    }


def _snapshot(stream: str, item: Attributes) -> Snapshot:
    payload = msgspec.json.decode(zlib.decompress(item["payload"]["B"]), type=dict[str, msgspec.Raw])
    return Snapshot(
        stream=stream,
        seq=int(item["seq"]["N"]),
        ts=int(item["ts"]["N"]),
        data={symbol: bytes(data) for symbol, data in payload.items()},
        state=zlib.decompress(item["state"]["B"]),
    )
