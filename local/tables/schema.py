"""What a table's definition says: its keys and indexes, and whether it is one that needs nothing of moto."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from local.tables.calls import Index, OpenTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from local.tables.rows import Partitions

# API reference, CreateTable: what names of tables and indexes are.
_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_PLAIN_MEMBERS = {
    "TableName",
    "BillingMode",
    "KeySchema",
    "AttributeDefinitions",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
}
_INDEX_MEMBERS = {"IndexName", "KeySchema", "Projection"}
# Developer guide, Constraints: 20 global and 5 local indexes a table, 100 attributes projected by all of them.
_MOST_INDEXES = {"GlobalSecondaryIndexes": 20, "LocalSecondaryIndexes": 5}
_MOST_PROJECTED = 100


def open_table(
    definition: Mapping[str, Any], partitions: Partitions, *, name: str, has_stream: bool = False
) -> OpenTable:
    """
    Return a table as the hot operations see it.

    Args:
        definition: ``KeySchema``, ``AttributeDefinitions`` and the two lists of indexes, as CreateTable takes them.
        partitions: Its rows.
        name: The table's.
        has_stream: Whether writes are to be recorded.
    """
    kinds = {attribute["AttributeName"]: attribute["AttributeType"] for attribute in definition["AttributeDefinitions"]}
    partition_name, sort_name = _key_names(definition["KeySchema"])
    own = [partition_name] if sort_name is None else [partition_name, sort_name]
    indexes = {}
    index_keys = []
    for member in _MOST_INDEXES:
        for index in definition.get(member) or ():
            names = [key["AttributeName"] for key in index["KeySchema"]]
            index_keys += [(key, kinds[key], index["IndexName"]) for key in names if key not in own]
            roles = [key["KeyType"] for key in index["KeySchema"]]
            if roles.count("HASH") == 1 and roles.count("RANGE") <= 1:
                index_partition, index_sort = _key_names(index["KeySchema"])
                indexes[index["IndexName"]] = Index(
                    name=index["IndexName"],
                    partition_name=index_partition,
                    sort_name=index_sort,
                    is_global=member == "GlobalSecondaryIndexes",
                    projected=_projected(index.get("Projection") or {}, [*own, *names]),
                )
    return OpenTable(
        name=name,
        partitions=partitions,
        partition_name=partition_name,
        partition_kind=kinds[partition_name],
        sort_name=sort_name,
        sort_kind="" if sort_name is None else kinds[sort_name],
        has_stream=has_stream,
        indexes=indexes,
        index_keys=tuple(index_keys),
    )


def is_plain(definition: Mapping[str, Any]) -> bool:
    """
    Tell whether a table can be made without moto: DynamoDB would surely take it, and nothing about it is unusual.

    That is a table billed on demand, without a stream, whose keys and indexes are complete and well formed. Whatever
    else there is, right or wrong, moto judges.
    """
    try:
        return _is_plain(definition)
    except (KeyError, TypeError, AttributeError, ValueError):
        return False  # something is missing or of another type: moto has the sentence for it


def _is_plain(definition: Mapping[str, Any]) -> bool:
    if not definition.keys() <= _PLAIN_MEMBERS or definition["BillingMode"] != "PAY_PER_REQUEST":
        return False
    kinds = {attribute["AttributeName"]: attribute["AttributeType"] for attribute in definition["AttributeDefinitions"]}
    if len(kinds) != len(definition["AttributeDefinitions"]) or not set(kinds.values()) <= {"S", "N", "B"}:
        return False
    schemas = [definition["KeySchema"]]
    names = []
    projected = 0
    for member, most in _MOST_INDEXES.items():
        indexes = definition.get(member, [])
        if member in definition and not 1 <= len(indexes) <= most:
            return False
        for index in indexes:
            if index.keys() != _INDEX_MEMBERS or not _is_projection(index["Projection"]):
                return False
            schemas.append(index["KeySchema"])
            names.append(index["IndexName"])
            projected += len(index["Projection"].get("NonKeyAttributes", ()))
            if member == "LocalSecondaryIndexes" and not _is_local(index["KeySchema"], definition["KeySchema"]):
                return False
    used = {key["AttributeName"] for schema in schemas for key in schema}
    return (
        all(_NAME.fullmatch(name) for name in [definition["TableName"], *names])
        and len(set(names)) == len(names)
        and all(_is_schema(schema) for schema in schemas)
        and used == kinds.keys()
        and projected <= _MOST_PROJECTED
    )


def _is_schema(schema: list[Mapping[str, str]]) -> bool:
    """Tell whether keys are a partition key, or one and a sort key of another name."""
    roles = [key["KeyType"] for key in schema]
    return roles in (["HASH"], ["HASH", "RANGE"]) and len({key["AttributeName"] for key in schema}) == len(schema)


def _is_local(schema: list[Mapping[str, str]], of_table: list[Mapping[str, str]]) -> bool:
    """Tell whether an index has the table's partition key and a sort key of its own."""
    return len(schema) == len(of_table) == 2 and schema[0] == of_table[0] and schema[1] != of_table[1]  # noqa: PLR2004


def _is_projection(projection: Mapping[str, Any]) -> bool:
    if projection["ProjectionType"] == "INCLUDE":
        extra = projection["NonKeyAttributes"]
        return len(projection) == 2 and bool(extra) and all(isinstance(name, str) for name in extra)  # noqa: PLR2004
    return len(projection) == 1 and projection["ProjectionType"] in ("ALL", "KEYS_ONLY")


def _key_names(schema: Iterable[Mapping[str, str]]) -> tuple[str, str | None]:
    by_role = {key["KeyType"]: key["AttributeName"] for key in schema}
    return by_role["HASH"], by_role.get("RANGE")


def _projected(projection: Mapping[str, Any], keys: list[str]) -> frozenset[str] | None:
    kind = projection.get("ProjectionType", "ALL")
    if kind == "ALL":
        return None
    return frozenset([*keys, *(projection.get("NonKeyAttributes", []) if kind == "INCLUDE" else [])])
