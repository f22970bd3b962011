"""Who runs a tick: each is claimed by one conditional write before anything else is done for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from handlers.hub.dynamodb import dynamodb
from handlers.hub.errors import ConditionFailed

if TYPE_CHECKING:
    from handlers.hub.attributes import Attributes, AttributeValue
    from handlers.hub.dynamodb import DynamoDB
    from handlers.hub.settings import HubSettings


@dataclass(frozen=True, slots=True)
class Claim:
    """
    The right to run tick ``seq`` of ``stream``, given to ``run``.

    ``fence`` grows by one with every claim. ``state`` is what tick ``state_seq`` left because it sent nothing and so
    wrote no snapshot; empty, and 0, when none ever has. ``sent_seq`` is the last tick that was committed, None when
    none ever was, and ``followers`` how many the stream had when that was last written down.
    """

    stream: str
    seq: int
    run: str
    fence: int
    state: bytes = b""
    state_seq: int = 0
    sent_seq: int | None = None
    followers: int = 0


class ClaimStore(Protocol):
    """Gives each tick to one run. Synchronous: a caller in an event loop uses threads."""

    def claim(self, stream: str, seq: int, run: str) -> Claim | None:
        """
        Claim a tick; None when this tick or a later one is another run's.

        The same ``run`` again is given its claim again, because a write that succeeded unheard is tried again;
        so a name of a run is used for one tick only.
        """
        ...

    def leave(self, claim: Claim, state: bytes) -> bool:
        """
        Leave ``state`` for the next tick; False, and nothing is changed, when a later tick has been claimed.

        For ticks that send nothing: what a tick sends is in its snapshot, with the state beside it.
        """
        ...

    def commit(self, claim: Claim, followers: int) -> bool:
        """
        Write down that the claim's tick is sent from here on; False when a later tick has been claimed.

        So every claim knows for certain what was sent before it: what it does not find committed never will be. To
        commit again is no error. ``followers`` is how many the stream has, as far as is known.
        """
        ...


def claim_store(settings: HubSettings) -> DynamoClaimStore:
    """Make the store of a deployment, on the process's client."""
    return DynamoClaimStore(dynamodb(), settings.table)


class DynamoClaimStore:
    """Claims in the one table: ``pk`` is ``TICK#{stream}``, ``sk`` is ``latest``; one small item a stream."""

    def __init__(self, client: DynamoDB, table: str) -> None:
        self._client = client
        self._table = table

    def claim(self, stream: str, seq: int, run: str) -> Claim | None:
        """Claim in one UpdateItem, which also reads what was left."""
        try:
            item = self._client.update_item(
                TableName=self._table,
                Key=_key(stream),
                UpdateExpression="SET #seq = :seq, #run = :run ADD #fence :one",
                ConditionExpression="attribute_not_exists(#seq) OR #seq < :seq",
                ExpressionAttributeNames={"#seq": "seq", "#run": "run", "#fence": "fence"},
                ExpressionAttributeValues={":seq": {"N": str(seq)}, ":run": {"S": run}, ":one": {"N": "1"}},
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as refusal:
            winner = _claim(stream, refusal.item) if refusal.item else None
            return winner if winner and (winner.seq, winner.run) == (seq, run) else None
        return _claim(stream, item)

    def leave(self, claim: Claim, state: bytes) -> bool:
        """Leave the state in one UpdateItem, on the condition that the claim still is the latest."""
        # Every name is an alias: state is a reserved word in expressions.
        return self._update(claim, "SET #state = :state, #state_seq = :seq", {":state": {"B": state}})

    def commit(self, claim: Claim, followers: int) -> bool:
        """Commit in one UpdateItem, on the condition that the claim still is the latest."""
        counted: AttributeValue = {"N": str(followers)}
        return self._update(claim, "SET #sent_seq = :seq, #followers = :followers", {":followers": counted})

    def _update(self, claim: Claim, change: str, values: Attributes) -> bool:
        names = ("seq", "run", *re.findall(r"#(\w+) =", change))
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(claim.stream),
                UpdateExpression=change,
                ConditionExpression="#seq = :seq AND #run = :run",
                ExpressionAttributeNames={f"#{name}": name for name in names},
                ExpressionAttributeValues={":seq": {"N": str(claim.seq)}, ":run": {"S": claim.run}, **values},
            )
        except ConditionFailed:
            return False
        return True


def _key(stream: str) -> Attributes:
    return {"pk": {"S": f"TICK#{stream}"}, "sk": {"S": "latest"}}


def _claim(stream: str, item: Attributes) -> Claim:
    return Claim(
        stream,
        seq=int(item["seq"]["N"]),
        run=item["run"]["S"],
        fence=int(item["fence"]["N"]),
        state=item["state"]["B"] if "state" in item else b"",
        state_seq=int(item["state_seq"]["N"]) if "state_seq" in item else 0,
        sent_seq=int(item["sent_seq"]["N"]) if "sent_seq" in item else None,
        followers=int(item["followers"]["N"]) if "followers" in item else 0,
    )
