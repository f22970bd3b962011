"""Which permissions a call of DynamoDB needs: the actions it takes, and the tables and indexes it takes them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Operations on no table in particular.
_ON_ANYTHING = {"DescribeEndpoints", "DescribeLimits", "ListBackups", "ListExports", "ListImports", "ListTables"}
_OF_SEVERAL = {
    "BatchExecuteStatement",
    "BatchGetItem",
    "BatchWriteItem",
    "ExecuteStatement",
    "ExecuteTransaction",
    "TransactGetItems",
    "TransactWriteItems",
}
_OF_TRANSACTIONS = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}
_OF_STATEMENTS = {
    "DELETE": "PartiQLDelete",
    "INSERT": "PartiQLInsert",
    "SELECT": "PartiQLSelect",
    "UPDATE": "PartiQLUpdate",
}


class _Named(msgspec.Struct):
    """What nearly every call says; the rest of it is not even decoded."""

    TableName: str = ""
    IndexName: str = ""
    ResourceArn: str = ""


_decode_named = msgspec.json.Decoder(_Named).decode


def needed(operation: str, body: bytes) -> Iterator[tuple[str, str]]:
    """
    Yield each action with the table that it is taken on: a name, ``name/index/…``, an ARN, or ``*``.

    Nothing at all where the body is such that the call will be refused for that.
    """
    try:
        yield from _several(operation, body) if operation in _OF_SEVERAL else _one(operation, body)
    except (msgspec.DecodeError, AttributeError, LookupError, TypeError):
        return


def _one(operation: str, body: bytes) -> Iterator[tuple[str, str]]:
    if operation in _ON_ANYTHING:
        yield operation, "*"
        return
    named = _decode_named(body)
    place = f"{named.TableName}/index/{named.IndexName}" if named.IndexName else named.TableName
    if place or named.ResourceArn:
        yield operation, place or named.ResourceArn


def _several(operation: str, body: bytes) -> Iterator[tuple[str, str]]:
    call: dict[str, Any] = msgspec.json.decode(body)
    if operation.startswith("Batch") and "RequestItems" in call:
        for table in call["RequestItems"]:
            yield operation, table
    elif "TransactItems" in call:
        for item in call["TransactItems"]:
            for kind, request in item.items():
                yield _OF_TRANSACTIONS[kind], request["TableName"]
    else:
        for statement in _statements(call):
            yield _read_statement(statement)


def _statements(call: dict[str, Any]) -> list[str]:
    if "Statement" in call:
        return [call["Statement"]]
    return [one["Statement"] for one in call.get("Statements") or call["TransactStatements"]]


def _read_statement(statement: str) -> tuple[str, str]:
    """Read of a PartiQL statement what it does, and to which table (``"table"`` or ``"table"."index"``)."""
    words = statement.split()
    verb = words[0].upper()
    before = {"SELECT": "FROM", "DELETE": "FROM", "INSERT": "INTO", "UPDATE": "UPDATE"}[verb]
    target = words[[word.upper() for word in words].index(before) + 1]
    table, _, index = target.replace('"', "").partition(".")
    return _OF_STATEMENTS[verb], f"{table}/index/{index}" if index else table
