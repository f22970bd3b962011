"""Who posts a tick to which group of shards, and how far that is: one small item a group."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from handlers.hub.dynamodb import dynamodb, read_items
from handlers.hub.errors import ConditionFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handlers.hub.attributes import Attributes, AttributeValue
    from handlers.hub.dynamodb import DynamoDB
    from handlers.hub.settings import HubSettings

KEPT_FOR_S: Final = 86_400
"""How long a group's item outlives its last change, in seconds: a smaller number of groups leaves some behind."""


class Tally(msgspec.Struct, frozen=True):
    """What became of one group; the counts are those of ``Delivery``."""

    followers: int = 0
    posted: int = 0
    bytes: int = 0
    limited: int = 0
    failed: int = 0
    late: int = 0
    unread: int = 0
    gone: int = 0
    forgotten: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """The ``attempt``-th try to post tick ``seq`` of ``stream`` to ``group``; a later one takes over from it."""

    stream: str
    group: int
    seq: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Standing:
    """
    Where a group is: who has it, when that gave a sign of life, and its tally once all is done.

    ``alive_at`` is epoch milliseconds, 0 for one that has given up.
    """

    turn: Turn
    alive_at: int
    tally: Tally | None = None


class GroupStore(Protocol):
    """Gives each group of a tick to one function at a time. Synchronous: a caller in an event loop uses threads."""

    def take(self, turn: Turn, *, now: int) -> bool:
        """
        Take a turn; False when this one, a later attempt or a later tick was taken, or this tick done, already.

        So an event that Lambda delivers twice is served once; a write that succeeded unheard, and is tried again by the
        store itself, has taken the turn. ``now`` is epoch milliseconds.
        """
        ...

    def stay(self, turn: Turn, *, alive_at: int) -> bool:
        """Give a sign of life, or give up (``alive_at`` 0); False when another turn has been taken since."""
        ...

    def finish(self, turn: Turn, tally: Tally, *, now: int) -> bool:
        """Write the tally down; False when another turn has been taken since."""
        ...

    def standings(self, stream: str) -> Mapping[int, Standing]:
        """Give where every group of a stream is, by its number, of whatever tick; strongly consistent."""
        ...


def group_store(settings: HubSettings) -> DynamoGroupStore:
    """Make the store of a deployment, on the process's client."""
    return DynamoGroupStore(dynamodb(), settings.table)


class DynamoGroupStore:
    """Groups in the one table: ``pk`` is ``FANOUT#{stream}``, ``sk`` the group's number in four digits."""

    def __init__(self, client: DynamoDB, table: str) -> None:
        self._client = client
        self._table = table

    def take(self, turn: Turn, *, now: int) -> bool:
        """Take a turn in one conditional UpdateItem."""
        return self._update(
            turn,
            "SET #seq = :seq, #attempt = :attempt, #owner = :owner, #alive_at = :alive_at, #expires_at = :expires_at"
            " REMOVE #tally",
            "attribute_not_exists(#seq) OR #seq < :seq"
            " OR (#seq = :seq AND #attempt < :attempt AND attribute_not_exists(#tally))",
            owner={"S": uuid.uuid4().hex},
            alive_at={"N": str(now)},
            expires_at={"N": str(now // 1000 + KEPT_FOR_S)},
            tally=None,
        )

    def stay(self, turn: Turn, *, alive_at: int) -> bool:
        """Give a sign of life in one conditional UpdateItem."""
        return self._update(turn, "SET #alive_at = :alive_at", _IS_MINE, alive_at={"N": str(alive_at)})

    def finish(self, turn: Turn, tally: Tally, *, now: int) -> bool:
        """Write the tally in one conditional UpdateItem."""
        return self._update(
            turn,
            "SET #alive_at = :alive_at, #tally = :tally",
            _IS_MINE,
            alive_at={"N": str(now)},
            tally={"B": msgspec.json.encode(tally)},
        )

    def standings(self, stream: str) -> Mapping[int, Standing]:
        """Query the groups of a stream, page by page."""
        pages = self._client.query(
            read_items,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="#pk = :pk",
            ExpressionAttributeNames={"#pk": "pk"},
            ExpressionAttributeValues={":pk": {"S": f"FANOUT#{stream}"}},
        )
        return {int(item["sk"]["S"]): _standing(stream, item) for page in pages for item in page.Items}

    def _update(self, turn: Turn, change: str, condition: str, **values: AttributeValue | None) -> bool:
        given: Attributes = {":seq": {"N": str(turn.seq)}, ":attempt": {"N": str(turn.attempt)}}
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"FANOUT#{turn.stream}"}, "sk": {"S": f"{turn.group:04d}"}},
                UpdateExpression=change,
                ConditionExpression=condition,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                ExpressionAttributeNames={f"#{name}": name for name in ("seq", "attempt", *values)},
                ExpressionAttributeValues={
                    **given,
                    **{f":{name}": value for name, value in values.items() if value is not None},
                },
            )
        except ConditionFailed as refusal:
            found = refusal.item or {}
            return "owner" in values and found.get("owner") == values["owner"]
        return True


_IS_MINE: Final = "#seq = :seq AND #attempt = :attempt"


def _standing(stream: str, item: Attributes) -> Standing:
    turn = Turn(stream, int(item["sk"]["S"]), int(item["seq"]["N"]), int(item["attempt"]["N"]))
    tally = msgspec.json.decode(item["tally"]["B"], type=Tally) if "tally" in item else None
    return Standing(turn, int(item["alive_at"]["N"]), tally)
