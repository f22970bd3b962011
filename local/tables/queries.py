"""
Query and Scan on rows, without moto: pages by count and by size, in the order of the sort key, over indexes too.

An index is not kept, it is found by going through the table: about 0.2 µs for each of its items.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

from local.tables.calls import COMMON, Call, Index, OpenTable, answer, capacity, encode, read_units
from local.tables.conditions import KeyCondition, check_bounds, parse_key_condition
from local.tables.errors import Refused, Unusual
from local.tables.values import Attributes, Key, Value, accept_value, key_of, kind_of, same

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local.tables.rows import Partition, Row

# "A single Query operation can retrieve a maximum of 1 MB of data" (API reference): the item that reaches it is the
# page's last.
PAGE_LIMIT = 1024 * 1024

_PAGED = COMMON | {
    "IndexName": str,
    "FilterExpression": str,
    "ProjectionExpression": str,
    "Limit": int,
    "Select": str,
    "ConsistentRead": bool,
    "ExclusiveStartKey": dict,
}
_QUERY = _PAGED | {"KeyConditionExpression": str, "ScanIndexForward": bool}
_SCAN = _PAGED | {"Segment": int, "TotalSegments": int}

_BAD_START = "The provided starting key is invalid"


def query(table: OpenTable, request: dict[str, Any]) -> bytes:
    """Answer one page of the items with one partition key."""
    call = Call(request, _QUERY)
    text = request.get("KeyConditionExpression")
    index = _index(call, table)
    _check_select(call, index)
    if text is None:
        raise Unusual  # the legacy KeyConditions, or nothing
    partition_name, sort_name = _key_names(table, index)
    condition = parse_key_condition(text, call.names_key, partition_name, sort_name)
    condition.reading.check(call.values)
    call.readings.append(condition.reading)
    page = _Page(call, table, index)
    page.check_filter(partition_name, sort_name)
    call.check_usage("KeyConditionExpression", "FilterExpression")
    partition_value = call.values[condition.partition]
    bounds = [call.values[name] for name in condition.bounds]
    _check_types(table, {partition_name: [partition_value], sort_name or "": bounds})
    if condition.sign == "BETWEEN":
        check_bounds("KeyConditionExpression", *bounds)
    forward = request.get("ScanIndexForward", True)
    start = _start(call, table, index)
    if start is not None and not same(start[partition_name], partition_value):
        raise Refused("The provided starting key is outside query boundaries based on provided conditions")
    if index is None:
        raw = partition_value[table.partition_kind]
        partition = table.partitions.by_key.get(key_of(table.partition_kind, raw))
        if partition is None:
            return page.of([], size=0)
        low, high = _range(condition.sign, bounds, partition.order)
        if start is not None and table.sort_name is not None:
            after = key_of(table.sort_kind, start[table.sort_name][table.sort_kind])
            low, high = _past(partition, after, low, high, forward=forward)
        elif start is not None:
            low = high
        rows = partition.rows
        keys = partition.order[low:high] if forward else partition.order[low:high][::-1]
        limit = request.get("Limit")
        if limit is not None:
            keys = keys[:limit]
        return page.of([rows[key] for key in keys], size=partition.size)
    found = _in_index(table, index, condition, partition_value, bounds)
    return page.of(_after(table, index, found, start, forward=forward), size=None)


def scan(table: OpenTable, request: dict[str, Any]) -> bytes:
    """Answer one page of all items of a table, an index or a segment."""
    call = Call(request, _SCAN)
    index = _index(call, table)
    _check_select(call, index)
    segment, segments = request.get("Segment"), request.get("TotalSegments")
    if (segment is None) != (segments is None) or (segments is not None and not 0 <= (segment or 0) < segments):
        raise Unusual
    page = _Page(call, table, index)
    call.check_usage("FilterExpression")
    start = _start(call, table, index)
    rows = list(table.partitions.rows())
    if segments is not None:
        rows = [row for row in rows if _segment(row.attributes[table.partition_name], segments) == segment]
    if index is not None:
        wanted = [name for name in (index.partition_name, index.sort_name) if name is not None]
        rows = [row for row in rows if all(name in row.attributes for name in wanted)]
    return page.of(_after(table, index, rows, start, forward=True), size=None)


def _segment(value: Value, segments: int) -> int:
    return zlib.crc32(encode(value)) % segments


def _index(call: Call, table: OpenTable) -> Index | None:
    name = call.request.get("IndexName")
    if name is None:
        return None
    index = table.indexes.get(name)
    if index is None:
        if name in {known for _, _, known in table.index_keys}:
            raise Unusual  # keys of several attributes
        raise Refused(f"The table does not have the specified index: {name}")
    if index.is_global and call.request.get("ConsistentRead"):
        raise Refused("Consistent reads are not supported on global secondary indexes")
    return index


def _key_names(table: OpenTable, index: Index | None) -> tuple[str, str | None]:
    if index is None:
        return table.partition_name, table.sort_name
    return index.partition_name, index.sort_name


def _kinds(table: OpenTable) -> dict[str, str]:
    kinds = {name: kind for name, kind, _ in table.index_keys}
    kinds[table.partition_name] = table.partition_kind
    if table.sort_name is not None:
        kinds[table.sort_name] = table.sort_kind
    return kinds


def _check_select(call: Call, index: Index | None) -> None:
    """Leave to moto the sentences for a Select that does not fit."""
    request = call.request
    limit = request.get("Limit", 1)
    if limit < 1:
        raise Refused(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1"
        )
    select = request.get("Select")
    projected = "ProjectionExpression" in request
    if select is None or (select == "SPECIFIC_ATTRIBUTES" and projected):
        return
    fits = {
        "ALL_ATTRIBUTES": index is None or not index.is_global or index.projected is None,
        "ALL_PROJECTED_ATTRIBUTES": index is not None,
        "COUNT": True,
    }
    if projected or not fits.get(select, False):
        raise Unusual


def _check_types(table: OpenTable, values: dict[str, list[Value]]) -> None:
    kinds = _kinds(table)
    for name, wanted in values.items():
        for value in wanted:
            if kind_of(value) != kinds[name]:
                raise Refused(
                    "One or more parameter values were invalid: Condition parameter type does not match schema type"
                )
            if value[kinds[name]] == "":
                raise Refused(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
                    f"contain an empty {'string' if kinds[name] == 'S' else 'binary'} value. Key: {name}"
                )


def _start(call: Call, table: OpenTable, index: Index | None) -> Attributes | None:
    start: Attributes | None = call.request.get("ExclusiveStartKey")
    if start is None:
        return None
    kinds = _kinds(table)
    names = {name for name in (*_key_names(table, index), table.partition_name, table.sort_name) if name is not None}
    if start.keys() != names:
        raise Refused(_BAD_START)
    for name, value in start.items():
        accept_value(value)
        if kind_of(value) != kinds[name]:
            raise Refused(_BAD_START)
    return start


def _range(sign: str, bounds: Sequence[Value], order: list[Key]) -> tuple[int, int]:
    """Return where in the sorted keys the matching ones begin and end."""
    if not sign:
        return 0, len(order)
    low = _key(bounds[0])
    if sign == "begins_with":
        beyond = _successor(low)
        return _left(order, low), len(order) if beyond is None else _left(order, beyond)
    if sign == "BETWEEN":
        return _left(order, low), _right(order, _key(bounds[1]))
    before, beyond_equal = _left(order, low), _right(order, low)
    return {
        "=": (before, beyond_equal),
        "<": (0, before),
        "<=": (0, beyond_equal),
        ">": (beyond_equal, len(order)),
        ">=": (before, len(order)),
    }[sign]


def _past(partition: Partition, after: Key, low: int, high: int, *, forward: bool) -> tuple[int, int]:
    """Narrow a range to what comes after a key, in the direction of reading."""
    if forward:
        return max(low, _right(partition.order, after)), high
    return low, min(high, _left(partition.order, after))


def _key(value: Value) -> Key:
    [(kind, raw)] = value.items()
    return key_of(kind, raw)


def _left(order: list[Key], key: Key) -> int:
    return bisect_left(order, key)


def _right(order: list[Key], key: Key) -> int:
    return bisect_right(order, key)


def _successor(prefix: Key) -> Key | None:
    """Return the smallest key above all that begin with a prefix; None when there is none."""
    if isinstance(prefix, str):
        kept = prefix.rstrip("\U0010ffff")
        return kept[:-1] + chr(ord(kept[-1]) + 1) if kept else None
    if isinstance(prefix, bytes):
        left = prefix.rstrip(b"\xff")
        return left[:-1] + bytes([left[-1] + 1]) if left else None
    return None


def _in_index(
    table: OpenTable, index: Index, condition: KeyCondition, partition_value: Value, bounds: Sequence[Value]
) -> list[Row]:
    name, sort_name = index.partition_name, index.sort_name
    found = [
        row
        for partition in table.partitions.by_key.values()
        for row in partition.rows.values()
        if (value := row.attributes.get(name)) is not None
        and same(value, partition_value)
        and (sort_name is None or sort_name in row.attributes)
    ]
    if not condition.sign or sort_name is None:
        return found

    def matches(row: Row) -> bool:
        return _range(condition.sign, bounds, [_key(row.attributes[sort_name])]) == (0, 1)

    return [row for row in found if matches(row)]


def _after(
    table: OpenTable, index: Index | None, rows: list[Row], start: Attributes | None, *, forward: bool
) -> list[Row]:
    """Put rows in order, where they come from an index, and leave out those up to the starting key."""
    position = _position(table, index)
    if index is not None:
        rows = sorted(rows, key=lambda row: position(row.attributes), reverse=not forward)
    if start is None:
        return rows
    after = position(start)
    if forward:
        return [row for row in rows if position(row.attributes) > after]
    return [row for row in rows if position(row.attributes) < after]


def _position(table: OpenTable, index: Index | None) -> Callable[[Attributes], tuple[Any, ...]]:
    names = [] if index is None else [index.partition_name, index.sort_name]
    wanted = [name for name in (*names, table.partition_name, table.sort_name) if name is not None]
    return lambda attributes: tuple(_key(attributes[name]) for name in wanted)


def _cut(rows: list[Row], limit: int | None, size: int | None) -> tuple[list[Row], bool]:
    """Return a page's rows, and whether the page ended for its count or size: then there may be more."""
    more = limit is not None and len(rows) >= limit
    if more:
        rows = rows[:limit]
    if size is None or size >= PAGE_LIMIT:
        total = 0
        for position, row in enumerate(rows, 1):
            total += row.size
            if total >= PAGE_LIMIT:
                return rows[:position], True
    return rows, more


def _last(table: OpenTable, index: Index | None, row: Row) -> Attributes:
    names = [table.partition_name, table.sort_name]
    if index is not None:
        names += [index.partition_name, index.sort_name]
    return {name: row.attributes[name] for name in names if name is not None}


class _Page:
    """What a call wants to see of the rows that it reads."""

    def __init__(self, call: Call, table: OpenTable, index: Index | None) -> None:
        self.call = call
        self.table = table
        self.index = index
        self.condition = call.condition("FilterExpression")
        self.projection = call.projection()
        # A local index fetches from the table what it does not hold itself, when it is asked to.
        asked = self.projection is not None or call.request.get("Select") == "ALL_ATTRIBUTES"
        self.held = None if index is None or (asked and not index.is_global) else index.projected
        if self.projection is not None and self.held is not None and index is not None:
            missing = sorted(self.projection.reading.roots - self.held)
            if missing:
                raise Refused(
                    "One or more parameter values were invalid: Global secondary index "
                    f"{index.name} does not project {missing}".replace("'", "")
                )

    def check_filter(self, *key_names: str | None) -> None:
        """Refuse a filter on a key: that is what the key condition is for."""
        for name in key_names:
            if self.condition is not None and name in self.condition.reading.roots:
                raise Refused(
                    f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {name}"
                )

    def of(self, rows: list[Row], *, size: int | None) -> bytes:
        """
        Answer the page that begins with the first of these rows.

        ``size`` is an upper bound of what all rows hold in bytes, where somebody knows it.
        """
        call, request = self.call, self.call.request
        rows, more = _cut(rows, request.get("Limit"), size)
        units = b""
        if "ReturnConsumedCapacity" in request:
            read = read_units(sum(row.size for row in rows), consistent=request.get("ConsistentRead", False))
            units = capacity(call, self.table, read, self.index)
        last = b'"LastEvaluatedKey":' + encode(_last(self.table, self.index, rows[-1])) if more else b""
        kept = rows
        if self.condition is not None:
            holds, values = self.condition.holds, call.values
            kept = [row for row in rows if holds(self.visible(row), values)]
        counts = b'"Count":%d,"ScannedCount":%d' % (len(kept), len(rows))
        if request.get("Select") == "COUNT":
            return answer(counts, last, units)
        if self.projection is not None:
            items = [encode(self.projection.of(self.visible(row))) for row in kept]
        elif self.held is not None:
            items = [encode(self.visible(row)) for row in kept]
        else:
            items = [row.json or row.encoded() for row in kept]
        return b"".join((b'{"Items":[', b",".join(items), b"],", answer(counts, last, units)[1:]))

    def visible(self, row: Row) -> Attributes:
        """Return what the index holds of an item."""
        if self.held is None:
            return row.attributes
        return {name: value for name, value in row.attributes.items() if name in self.held}
