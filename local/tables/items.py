# ruff: noqa: ANN401 -- moto's items and values are untyped where they come from
"""
Our rows as moto sees them: ``Table.items``, moto's two levels of dictionaries, made when moto looks.

Part of ``table_backend``, which says what of moto is touched.
"""

from __future__ import annotations

import base64
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict

from local.tables.rows import Partition, Partitions, Row
from local.tables.values import Attributes, Key, Value, accept, key_of, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moto.dynamodb.models.table import Table


class Loans:
    """The items that moto was given during one call."""

    def __init__(self) -> None:
        self.items: dict[int, tuple[Items, Key, Key, Row, Any]] = {}

    def lend(self, items: Items, partition_key: Key, sort_key: Key, row: Row) -> Any:
        """Return moto's item for a row, the same one for the length of a call."""
        loan = self.items.get(id(row))
        if loan is None:
            loan = self.items[id(row)] = (items, partition_key, sort_key, row, items.item_of(row))
        return loan[4]

    def read_back(self) -> None:
        """Write what moto changed into the rows."""
        for items, partition_key, sort_key, row, item in self.items.values():
            if items.partitions.get(partition_key, sort_key) is row:
                attributes = attributes_of(item)
                if attributes != row.attributes:
                    items.partitions.put(partition_key, sort_key, Row(attributes, accept(attributes)))


class Items(MutableMapping[Any, Any]):
    """
    ``Table.items`` as moto uses it: by partition key the items, or by partition key and sort key.

    Like the ``defaultdict`` that it stands for, it gives something for a partition that does not exist.
    """

    def __init__(self, table: Table, partitions: Partitions, loans: Loans) -> None:
        self.partition_name = table.hash_key_attr
        self.sort_name = table.range_key_attr
        self.partitions = partitions
        self.loans = loans

    def __deepcopy__(self, memo: dict[int, Any]) -> Items:
        other = Items.__new__(Items)
        memo[id(self)] = other
        other.partition_name, other.sort_name = self.partition_name, self.sort_name
        other.partitions, other.loans = self.partitions.copy(), self.loans
        return other

    def item_of(self, row: Row) -> Any:
        """Make moto's item out of a row."""
        item: Any = Item.__new__(Item)
        attributes = LimitedSizeDict.__new__(LimitedSizeDict)
        for name, value in row.attributes.items():
            dict.__setitem__(attributes, name, _to_moto(value))
        item.attrs = attributes
        item.hash_key = _to_moto(row.attributes[self.partition_name])
        item.range_key = None if self.sort_name is None else _to_moto(row.attributes[self.sort_name])
        return item

    def store(self, partition_key: Key, sort_key: Key, item: Any) -> None:
        """Keep an item of moto's as a row, and lend it out as what it is: moto may go on changing it."""
        attributes = attributes_of(item)
        row = Row(attributes, accept(attributes))
        self.partitions.put(partition_key, sort_key, row)
        self.loans.items[id(row)] = (self, partition_key, sort_key, row, item)

    def __getitem__(self, key: Any) -> Any:
        partition_key = sort_form_of(key)
        if self.sort_name is not None:
            return ItemsOfPartition(self, partition_key)
        row = self.partitions.get(partition_key, "")
        if row is None:
            raise KeyError(key)
        return self.loans.lend(self, partition_key, "", row)

    def __setitem__(self, key: Any, item: Any) -> None:
        self.store(sort_form_of(key), "", item)

    def __delitem__(self, key: Any) -> None:
        self.partitions.pop(sort_form_of(key), "")

    def __contains__(self, key: object) -> bool:
        return sort_form_of(key) in self.partitions.by_key

    def __iter__(self) -> Iterator[Any]:
        for partition in self.partitions.by_key.values():
            row = next(iter(partition.rows.values()))
            yield _to_moto(row.attributes[self.partition_name])

    def __len__(self) -> int:
        return len(self.partitions.by_key)

    def values(self) -> Any:
        """Return, for each partition, its item or its items by sort key."""
        if self.sort_name is not None:
            return [ItemsOfPartition(self, key) for key in self.partitions.by_key]
        return [
            self.loans.lend(self, key, "", row)
            for key, partition in self.partitions.by_key.items()
            for row in partition.rows.values()
        ]


def adopt(table: Table, loans: Loans) -> Items:
    """Put our rows behind one of moto's tables, with what it holds, unless they are there already."""
    known: Any = table.items
    if isinstance(known, Items):
        return known
    items = Items(table, Partitions(), loans)
    for group in known.values():
        for item in group.values() if table.range_key_attr is not None else (group,):
            attributes = attributes_of(item)
            sort_key = "" if item.range_key is None else sort_form_of(item.range_key)
            items.partitions.put(sort_form_of(item.hash_key), sort_key, Row(attributes, accept(attributes)))
    table.items = items  # type: ignore[assignment]  # that is the point
    return items


class ItemsOfPartition(MutableMapping[Any, Any]):
    """One partition's items by sort key, as moto uses it."""

    def __init__(self, items: Items, partition_key: Key) -> None:
        self.items_of_table = items
        self.partition_key = partition_key

    def _partition(self) -> Partition | None:
        return self.items_of_table.partitions.by_key.get(self.partition_key)

    def _lend(self, sort_key: Key, row: Row) -> Any:
        return self.items_of_table.loans.lend(self.items_of_table, self.partition_key, sort_key, row)

    def __getitem__(self, key: Any) -> Any:
        sort_key = sort_form_of(key)
        row = self.items_of_table.partitions.get(self.partition_key, sort_key)
        if row is None:
            raise KeyError(key)
        return self._lend(sort_key, row)

    def __setitem__(self, key: Any, item: Any) -> None:
        self.items_of_table.store(self.partition_key, sort_form_of(key), item)

    def __delitem__(self, key: Any) -> None:
        self.items_of_table.partitions.pop(self.partition_key, sort_form_of(key))

    def __iter__(self) -> Iterator[Any]:
        partition = self._partition()
        name = str(self.items_of_table.sort_name)
        rows = () if partition is None else partition.rows.values()
        return iter([_to_moto(row.attributes[name]) for row in rows])

    def __len__(self) -> int:
        partition = self._partition()
        return 0 if partition is None else len(partition.rows)

    def values(self) -> Any:
        """Return the items."""
        partition = self._partition()
        return [] if partition is None else [self._lend(key, row) for key, row in list(partition.rows.items())]


def _to_moto(value: Value) -> Any:
    """Make moto's value, which shares nothing that moto changes in place."""
    [(kind, raw)] = value.items()
    made = DynamoType.__new__(DynamoType)
    made.type = kind
    if kind == "M":
        made.value = {name: _to_moto(member) for name, member in raw.items()}
    elif kind == "L":
        made.value = [_to_moto(element) for element in raw]
    else:
        made.value = list(raw) if type(raw) is list else raw
    return made


def _from_moto(value: Any) -> Value:
    if isinstance(value, dict):
        value = DynamoType(value)
    kind, raw = value.type, value.value
    if kind == "M":
        return {kind: {name: _from_moto(member) for name, member in raw.items()}}
    if kind == "L":
        return {kind: [_from_moto(element) for element in raw]}
    if kind == "N":
        return {kind: number(str(raw))}
    if kind in ("SS", "NS", "BS"):
        members = [_text(member) if kind != "NS" else number(str(member)) for member in raw]
        return {kind: list(dict.fromkeys(members))}
    return {kind: _text(raw)}


def _text(raw: Any) -> Any:
    return base64.b64encode(raw).decode() if isinstance(raw, bytes) else raw


def attributes_of(item: Any) -> Attributes:
    """Return an item of moto's as accepted values."""
    return {name: _from_moto(value) for name, value in item.attrs.items()}


def sort_form_of(value: Any) -> Key:
    """Return a key of moto's as something that sorts as DynamoDB sorts it."""
    [(kind, raw)] = _from_moto(value).items()
    if kind == "S":
        return str(raw)
    return key_of(kind, raw)
