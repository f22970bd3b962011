"""What the hot operations share: a table's schema, a call's expressions, the parts of an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from local.tables.conditions import Condition, parse_condition
from local.tables.errors import Refused, Unusual
from local.tables.expressions import Names, Projection, Reading, Values, parse_projection
from local.tables.values import Attributes, Key, Value, accept_value, key_of, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.tables.rows import Partitions, Row

encode = msgspec.json.Encoder().encode

# Developer guide, Constraints: partition key at most 2,048 bytes, sort key at most 1,024.
PARTITION_KEY_LIMIT = 2_048
SORT_KEY_LIMIT = 1_024

_MISMATCH = "The provided key element does not match the schema"
_EMPTY = {"S": "string", "B": "binary"}

Members = dict[str, type]
COMMON: Members = {
    "TableName": str,
    "ExpressionAttributeNames": dict,
    "ExpressionAttributeValues": dict,
    "ReturnConsumedCapacity": str,
}
CONDITIONAL: Members = COMMON | {
    "ConditionExpression": str,
    "ReturnValues": str,
    "ReturnItemCollectionMetrics": str,
    "ReturnValuesOnConditionCheckFailure": str,
}


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index; ``projected`` are its attributes, None for all of them."""

    name: str
    partition_name: str
    sort_name: str | None
    is_global: bool
    projected: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class OpenTable:
    """
    A table as the hot operations see it.

    ``index_keys`` are the attributes that are keys of an index, with their type and the index; ``indexes`` has only
    those with one partition key and at most one sort key.
    """

    name: str
    partitions: Partitions
    partition_name: str
    partition_kind: str
    sort_name: str | None = None
    sort_kind: str = ""
    has_stream: bool = False
    indexes: Mapping[str, Index] = field(default_factory=dict)
    index_keys: tuple[tuple[str, str, str], ...] = ()

    def locate(self, key: Attributes) -> tuple[Key, Key]:
        """
        Return the partition key and the sort key that a call's ``Key`` gives; the sort key is ``""`` without one.

        Raises:
            Refused: It has other attributes or types than the schema, or is empty or too long.
        """
        if len(key) != (1 if self.sort_name is None else 2):
            raise Refused(_MISMATCH)
        for value in key.values():
            accept_value(value)
        return self._keys_in(key, "")

    def locate_item(self, item: Attributes) -> tuple[Key, Key]:
        """
        Return the keys of an accepted item.

        Raises:
            Refused: A key, or an index's key, is missing or has the wrong type, or is empty or too long.
        """
        self.check_indexes(item)
        return self._keys_in(item, "One or more parameter values were invalid: ")

    def _keys_in(self, attributes: Attributes, put: str) -> tuple[Key, Key]:
        partition = attributes.get(self.partition_name)
        partition_key = self._key(partition, self.partition_name, self.partition_kind, PARTITION_KEY_LIMIT, put)
        if self.sort_name is None:
            return partition_key, ""
        sort = attributes.get(self.sort_name)
        return partition_key, self._key(sort, self.sort_name, self.sort_kind, SORT_KEY_LIMIT, put)

    def _key(self, value: Value | None, name: str, kind: str, limit: int, put: str) -> Key:
        if value is None:
            raise Refused(f"{put}Missing the key {name} in the item" if put else _MISMATCH)
        raw = value.get(kind)
        if raw is None:
            actual = kind_of(value)
            raise Refused(f"{put}Type mismatch for key {name} expected: {kind} actual: {actual}" if put else _MISMATCH)
        if raw == "":
            raise Refused(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
                f"empty {_EMPTY[kind]} value. Key: {name}"
            )
        if len(raw) * 4 > limit and accept_value(value) > limit:
            raise Refused(
                "One or more parameter values were invalid: "
                + (
                    f"Size of hashkey has exceeded the maximum size limit of{limit} bytes"
                    if limit == PARTITION_KEY_LIMIT
                    else f"Aggregated size of all range keys has exceeded the size limit of {limit} bytes"
                )
            )
        return key_of(kind, raw)

    def check_indexes(self, item: Attributes) -> None:
        """
        Check an item's attributes that are keys of an index.

        Raises:
            Refused: One has another type than the index wants, or is empty.
        """
        for name, kind, index in self.index_keys:
            value = item.get(name)
            if value is None:
                continue
            if kind not in value:
                raise Refused(
                    f"One or more parameter values were invalid: Type mismatch for Index Key {name} "
                    f"Expected: {kind} Actual: {kind_of(value)} IndexName: {index}"
                )
            if value[kind] == "":
                raise Refused(
                    "One or more parameter values are not valid. A value specified for a secondary index key is not "
                    "supported. The AttributeValue for a key attribute cannot contain an empty "
                    f"{_EMPTY[kind]} value. IndexName: {index}, IndexKey: {name}"
                )


class Call:
    """
    One request: its expressions, read against its names and values.

    Raises:
        Refused: A member has the wrong type, or a name or value is malformed.
        Unusual: There are members that only moto knows.
    """

    __slots__ = ("names", "names_key", "readings", "request", "values")

    def __init__(self, request: dict[str, Any], members: Members) -> None:
        for member, value in request.items():
            if type(value) is not members.get(member):
                if member in members and value is not None:
                    raise Refused(f"{member} has the wrong type", kind="SerializationException")
                raise Unusual
        if request.get("ReturnConsumedCapacity", "NONE") not in ("NONE", "TOTAL", "INDEXES"):
            raise Unusual
        self.request = request
        self.readings: list[Reading] = []
        self.names: dict[str, str] = request.get("ExpressionAttributeNames", {})
        self.names_key: Names = ()
        self.values: Values = request.get("ExpressionAttributeValues", {})
        if "ExpressionAttributeNames" in request:
            self._accept_names()
        if "ExpressionAttributeValues" in request:
            self._accept_values()

    def _accept_names(self) -> None:
        if not self.names:
            raise Refused("ExpressionAttributeNames must not be empty")
        for alias, name in self.names.items():
            if alias[:1] != "#" or len(alias) == 1:
                raise Refused(f'ExpressionAttributeNames contains invalid key: Syntax error; key: "{alias}"')
            if type(name) is not str:
                raise Refused("Unexpected value type in payload", kind="SerializationException")
        self.names_key = tuple(self.names.items())

    def _accept_values(self) -> None:
        if not self.values:
            raise Refused("ExpressionAttributeValues must not be empty")
        for name, value in self.values.items():
            if name[:1] != ":" or len(name) == 1:
                raise Refused(f'ExpressionAttributeValues contains invalid key: Syntax error; key: "{name}"')
            try:
                accept_value(value)
            except Refused as refusal:
                if refusal.kind != "ValidationException":
                    raise
                raise Refused(
                    f"ExpressionAttributeValues contains invalid value: {refusal.message} for key {name}"
                ) from refusal

    def required(self, member: str) -> Any:  # noqa: ANN401 -- the JSON's member, whose type was checked
        """Return a member that must be there."""
        value = self.request.get(member)
        if value is None:
            raise Refused(
                f"1 validation error detected: Value null at '{member[0].lower()}{member[1:]}' failed to satisfy "
                "constraint: Member must not be null"
            )
        return value

    def choice(self, member: str, default: str, *choices: str) -> str:
        """Return a member with few values; moto has the sentences for all others."""
        value: str = self.request.get(member, default)
        if value != default and value not in choices:
            raise Unusual
        return value

    def condition(self, member: str) -> Condition | None:
        """Return a parsed condition or filter, its values checked; None without one."""
        text = self.request.get(member)
        if text is None:
            return None
        condition = parse_condition(member, text, self.names_key)
        condition.check(self.values)
        self.readings.append(condition.reading)
        return condition

    def projection(self) -> Projection | None:
        """Return the parsed projection, or None."""
        text = self.request.get("ProjectionExpression")
        if text is None:
            return None
        projection = parse_projection(text, self.names_key)
        self.readings.append(projection.reading)
        return projection

    def check_usage(self, *expressions: str) -> None:
        """
        Refuse names and values that no expression used; call it after all of them were read.

        ``expressions`` are the members that could have used values.
        """
        if self.names:
            if not self.readings:
                raise Refused("ExpressionAttributeNames can only be specified when using expressions")
            self._refuse_unused("Names", self.names, {name for reading in self.readings for name in reading.names_used})
        if self.values:
            if not any(expression in self.request for expression in expressions):
                absent = " and ".join(expressions) + (" are both null" if len(expressions) > 1 else " is null")
                raise Refused(f"ExpressionAttributeValues can only be specified when using expressions: {absent}")
            used = {name for reading in self.readings for name in reading.values_used}
            self._refuse_unused("Values", self.values, used)

    @staticmethod
    def _refuse_unused(which: str, given: Mapping[str, Any], used: set[str]) -> None:
        if len(used) < len(given):
            keys = ", ".join(sorted(given.keys() - used))
            raise Refused(f"Value provided in ExpressionAttribute{which} unused in expressions: keys: {{{keys}}}")

    def require(self, condition: Condition | None, row: Row | None) -> None:
        """
        Hold the item against the call's condition.

        Raises:
            Refused: It does not hold; with the item where the call asked for it.
        """
        if condition is None or condition.holds({} if row is None else row.attributes, self.values):
            return
        wanted = self.request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        raise Refused(
            "The conditional request failed",
            kind="ConditionalCheckFailedException",
            more={"Item": row.attributes} if wanted and row is not None else None,
        )


def capacity(call: Call, table: OpenTable, units: float, index: Index | None = None) -> bytes:
    """Return the ``ConsumedCapacity`` member of an answer, or nothing when the call did not ask for it."""
    wanted = call.request.get("ReturnConsumedCapacity")
    if wanted is None or wanted == "NONE":
        return b""
    consumed: dict[str, Any] = {"TableName": table.name, "CapacityUnits": units}
    if wanted == "INDEXES":
        consumed["Table"] = {"CapacityUnits": 0.0 if index else units}
        if index is not None:
            which = "GlobalSecondaryIndexes" if index.is_global else "LocalSecondaryIndexes"
            consumed[which] = {index.name: {"CapacityUnits": units}}
    return b'"ConsumedCapacity":' + encode(consumed)


def read_units(size: int, *, consistent: bool) -> float:
    """Return read capacity units: one for 4 KB, half of that when eventually consistent (developer guide)."""
    units = max(1, -(-size // 4_096))
    return float(units) if consistent else units / 2


def answer(*members: bytes) -> bytes:
    """Join an answer's members that are not empty."""
    return b"{" + b",".join(filter(None, members)) + b"}"
