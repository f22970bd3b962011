"""
PutItem, GetItem, UpdateItem and DeleteItem on rows, without moto.

Each takes a table and a decoded request and returns the JSON of the answer, or raises ``Refused`` or ``Unusual`` before
anything was changed.
"""

from __future__ import annotations

from typing import Any

from local.tables.calls import COMMON, CONDITIONAL, Call, OpenTable, answer, capacity, encode, read_units
from local.tables.errors import Refused, Unusual
from local.tables.rows import Row
from local.tables.updates import Update, parse_update
from local.tables.values import ITEM_LIMIT, Attributes, accept

_PUT = CONDITIONAL | {"Item": dict}
_DELETE = CONDITIONAL | {"Key": dict}
_UPDATE = _DELETE | {"UpdateExpression": str}
_GET = COMMON | {"Key": dict, "ProjectionExpression": str, "ConsistentRead": bool}


def _open_for_writing(call: Call, table: OpenTable) -> None:
    """Leave to moto what only it keeps account of: streams, and what a write to an index costs."""
    request = call.request
    if table.has_stream:
        raise Unusual
    if table.index_keys and (
        request.get("ReturnConsumedCapacity", "NONE") != "NONE"
        or request.get("ReturnItemCollectionMetrics", "NONE") != "NONE"
    ):
        raise Unusual
    if request.get("ReturnValuesOnConditionCheckFailure", "NONE") not in ("NONE", "ALL_OLD"):
        raise Unusual


def _write_units(*rows: Row | None) -> float:
    # One for 1 KB of the larger of the item before and after (developer guide, Capacity unit consumption for writes).
    return float(max(1, *(-(-row.size // 1_024) for row in rows if row is not None), 0))


def _written(call: Call, table: OpenTable, attributes: bytes, *rows: Row | None) -> bytes:
    """Answer a write; ``attributes`` is their JSON, or empty."""
    if not attributes and "ReturnConsumedCapacity" not in call.request:
        return b"{}"
    shown = b'"Attributes":' + attributes if attributes else b""
    return answer(shown, capacity(call, table, _write_units(*rows)))


def put_item(table: OpenTable, request: dict[str, Any]) -> bytes:
    """Put an item in the place of whatever had its key."""
    call = Call(request, _PUT)
    _open_for_writing(call, table)
    item: Attributes = call.required("Item")
    returned = call.choice("ReturnValues", "NONE", "ALL_OLD")
    condition = call.condition("ConditionExpression")
    call.check_usage("ConditionExpression")
    row = Row(item, accept(item))
    if row.size > ITEM_LIMIT:
        raise Refused("Item size has exceeded the maximum allowed size")
    partition_key, sort_key = table.locate_item(item)
    old = table.partitions.get(partition_key, sort_key)
    call.require(condition, old)
    table.partitions.put(partition_key, sort_key, row)
    return _written(call, table, old.encoded() if old is not None and returned == "ALL_OLD" else b"", old, row)


def delete_item(table: OpenTable, request: dict[str, Any]) -> bytes:
    """Delete an item; none there is no error."""
    call = Call(request, _DELETE)
    _open_for_writing(call, table)
    partition_key, sort_key = table.locate(call.required("Key"))
    returned = call.choice("ReturnValues", "NONE", "ALL_OLD")
    condition = call.condition("ConditionExpression")
    call.check_usage("ConditionExpression")
    old = table.partitions.get(partition_key, sort_key)
    call.require(condition, old)
    if old is None:
        return _written(call, table, b"")
    table.partitions.pop(partition_key, sort_key)
    return _written(call, table, old.encoded() if returned == "ALL_OLD" else b"", old)


def get_item(table: OpenTable, request: dict[str, Any]) -> bytes:
    """Get an item, or an empty answer."""
    call = Call(request, _GET)
    partition_key, sort_key = table.locate(call.required("Key"))
    projection = call.projection()
    call.check_usage()
    row = table.partitions.get(partition_key, sort_key)
    units = read_units(0 if row is None else row.size, consistent=request.get("ConsistentRead", False))
    shown = b""
    if row is not None:
        shown = b'"Item":' + (row.encoded() if projection is None else encode(projection.of(row.attributes)))
    return answer(shown, capacity(call, table, units))


def update_item(table: OpenTable, request: dict[str, Any]) -> bytes:
    """Change an item's attributes, or make the item; without an expression only the latter."""
    call = Call(request, _UPDATE)
    _open_for_writing(call, table)
    key: Attributes = call.required("Key")
    partition_key, sort_key = table.locate(key)
    returned = call.choice("ReturnValues", "NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
    update = _read_update(call, table, returned)
    condition = call.condition("ConditionExpression")
    call.check_usage("UpdateExpression", "ConditionExpression")
    old = table.partitions.get(partition_key, sort_key)
    call.require(condition, old)
    row = _updated(call, table, update, key, old)
    table.partitions.put(partition_key, sort_key, row)
    return _written(call, table, _shown(returned, update, old, row), old, row)


def _read_update(call: Call, table: OpenTable, returned: str) -> Update | None:
    text = call.request.get("UpdateExpression")
    if text is None:
        return None
    update = parse_update(text, call.names_key)
    update.check(call.values)
    for path in update.written:
        if path[0] in (table.partition_name, table.sort_name):
            raise Refused(
                f"One or more parameter values were invalid: Cannot update attribute {path[0]}. "
                "This attribute is part of the key"
            )
    if not update.shallow and returned.startswith("UPDATED"):
        raise Unusual  # only the changed part of a document is returned
    call.readings.append(update.reading)
    return update


def _updated(call: Call, table: OpenTable, update: Update | None, key: Attributes, old: Row | None) -> Row:
    before = {} if old is None else old.attributes
    attributes = dict(key) if old is None else before
    if update is not None:
        attributes = update.apply(before, attributes, call.values)
    row = Row(attributes, accept(attributes))
    if row.size > ITEM_LIMIT:
        raise Refused("Item size to update has exceeded the maximum allowed size")
    table.check_indexes(attributes)
    return row


def _shown(returned: str, update: Update | None, old: Row | None, row: Row) -> bytes:
    """Return the JSON of the attributes that the call wants to see."""
    if returned == "ALL_NEW":
        return row.encoded()
    source = row if returned == "UPDATED_NEW" else old
    if returned == "NONE" or source is None:
        return b""
    if returned == "ALL_OLD":
        return source.encoded()
    names = () if update is None else (str(path[0]) for path in update.written)
    changed = {name: source.attributes[name] for name in names if name in source.attributes}
    return encode(changed) if changed else b""
