"""The hot operations by their names, and a request's JSON on its way to one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from local.tables import operations, queries
from local.tables.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.tables.calls import OpenTable

SERVICE: Final = "DynamoDB_20120810"

HOT: Final[dict[str, Callable[[OpenTable, dict[str, Any]], bytes]]] = {
    "PutItem": operations.put_item,
    "GetItem": operations.get_item,
    "UpdateItem": operations.update_item,
    "DeleteItem": operations.delete_item,
    "Query": queries.query,
    "Scan": queries.scan,
}

_decode = msgspec.json.Decoder().decode


def read_request(body: bytes) -> dict[str, Any]:
    """
    Decode a request.

    Raises:
        Refused: It is no JSON object.
    """
    try:
        request = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("The request body is no JSON", kind="SerializationException") from error
    if not isinstance(request, dict):
        raise Refused("The request body is no JSON object", kind="SerializationException")
    return request


def name_of_table(request: dict[str, Any]) -> str:
    """
    Return the name or ARN of the table that a request is about.

    Raises:
        Refused: There is none.
    """
    name = request.get("TableName")
    if not isinstance(name, str):
        raise Refused(
            "1 validation error detected: Value null at 'tableName' failed to satisfy constraint: "
            "Member must not be null"
        )
    return name


def no_such_table() -> Refused:
    """Return what is said of a table that is not there."""
    return Refused("Requested resource not found", kind="ResourceNotFoundException")
