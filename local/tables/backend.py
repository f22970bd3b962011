"""
DynamoDB on moto's backend, with the hot operations beside it: one set of rows, two ways to them.

Importing this module imports moto (about 0.3 s): ``local.tables.dynamodb`` does it in a thread.

What of moto 5.2 is touched, and nothing else of it is replaced:

* ``DynamoDBBackend`` and ``DynamoDBStreamsBackend`` are made here, one of each, and not registered with moto: its
  ``mock_aws`` neither sees nor resets them. ``DynamoHandler`` and ``DynamoDBStreamsHandler`` are subclassed for their
  backend only; calls go through their ``dispatch`` with a ``moto.core.request.Request``.
* ``Table.items`` of each table is an ``Items`` of ours (``table_items``): moto's two levels of dictionaries, made from
  the rows when moto looks. It is put there when a table is first opened after a call of moto's that may have made it.
* ``DynamoType`` and ``Item`` are made without their constructors, whose size check is quadratic.
* UpdateItem and TransactWriteItems change an ``Item`` in place: what was lent to them is read back when they succeed.
* A transaction copies its tables first (``copy.deepcopy``): ``Items`` copies as snapshots that share their rows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.model import OperationNotFoundError
from moto.core.request import Request
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.responses import DynamoHandler
from moto.dynamodbstreams.models import DynamoDBStreamsBackend
from moto.dynamodbstreams.responses import DynamoDBStreamsHandler

from local.tables.errors import Refused, Unusual
from local.tables.hot import HOT, SERVICE, name_of_table, no_such_table, read_request
from local.tables.items import Items, Loans, adopt
from local.tables.schema import open_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.dynamodb.models.table import Table

    from local.tables.calls import OpenTable
    from local.tables.rows import Partitions

# The operations of moto that change an Item where it lies; all others put a new one in its place.
_IN_PLACE = frozenset({"UpdateItem", "TransactWriteItems"})
# "BatchWriteItem: up to 25 item put or delete operations" (API reference); moto takes any number.
_BATCH_LIMIT = 25


class Backend:
    """
    The tables of one account and region.

    Not for several threads: every call comes from the thread of the event loop.
    """

    def __init__(self, *, region: str, account: str) -> None:
        self._region = region
        self._loans = Loans()
        self._open: dict[str, OpenTable] = {}
        self.moto = moto = DynamoDBBackend(region, account)
        streams_of_moto = type("Streams", (DynamoDBStreamsBackend,), {"dynamodb": property(lambda _self: moto)})
        streams = streams_of_moto(region, account)
        # moto's own classes find their backend in a registry of the process, by the account in the request.
        self._handlers: dict[str, Any] = {
            SERVICE: type("Handler", (DynamoHandler,), {"dynamodb_backend": property(lambda _self: moto)}),
            "DynamoDBStreams_20120810": type(
                "StreamsHandler", (DynamoDBStreamsHandler,), {"backend": property(lambda _self: streams)}
            ),
        }

    def run(self, service: str, operation: str, body: bytes) -> bytes:
        """
        Run one operation and return its answer's JSON.

        Raises:
            Refused: What DynamoDB answers instead.
        """
        request = read_request(body)
        hot = HOT.get(operation)
        if hot is not None and service == SERVICE:
            try:
                return hot(self.table(name_of_table(request)), request)
            except Unusual:
                pass
        if operation == "BatchWriteItem":
            _check_batch(request)
        return self._run_on_moto(service, operation, body)

    def table(self, name: str) -> OpenTable:
        """
        Return a table by its name or ARN.

        Raises:
            Refused: There is none.
        """
        table = self._open.get(name)
        if table is None:
            found = self.moto.tables.get(name.rpartition(":table/")[2])
            if found is None or (name.startswith("arn:") and found.table_arn != name):
                raise no_such_table()
            table = self._open[name] = _opened(found, self._loans)
        return table

    def take_over(self, name: str, partitions: Partitions) -> None:
        """Put the rows that a table has had before moto was loaded behind the one of that name."""
        table = self.moto.tables[name]
        table.items = Items(table, partitions, self._loans)  # type: ignore[assignment]  # as in adopt()

    def _run_on_moto(self, service: str, operation: str, body: bytes) -> bytes:
        handler = self._handlers.get(service)
        if handler is None:
            raise Refused("", kind="UnknownOperationException")
        for table in self.moto.tables.values():
            adopt(table, self._loans)
        call = Request.from_primitives(
            "POST",
            f"https://dynamodb.{self._region}.amazonaws.com/",
            {"X-Amz-Target": f"{service}.{operation}", "Content-Type": "application/x-amz-json-1.0"},
            body,
        )
        try:
            status, _headers, answer = handler.dispatch(call)
            if int(status) >= 400:  # noqa: PLR2004 -- HTTP
                raise _refusal(int(status), answer)
            if operation in _IN_PLACE:
                self._loans.read_back()
        except (OperationNotFoundError, NotImplementedError) as error:
            raise Refused(str(error), kind="UnknownOperationException") from error
        except (ValueError, KeyError) as error:
            # How moto says that it cannot read an expression, or misses a member or a name.
            raise Refused(f"moto cannot read this call: {error!r}") from error
        finally:
            self._loans.items.clear()
            self._open.clear()
        return answer if isinstance(answer, bytes) else str(answer).encode()


def _refusal(status: int, answer: Any) -> Refused:  # noqa: ANN401 -- text or bytes
    members: Mapping[str, Any] = json.loads(answer)
    kind = str(members.get("__type", "InternalServerError")).rpartition("#")[2]
    message = str(members.get("message", members.get("Message", "")))
    more = {name: member for name, member in members.items() if name not in ("__type", "message", "Message")}
    return Refused(message, kind=kind, status=status, more=more)


def _check_batch(request: Mapping[str, Any]) -> None:
    tables = request.get("RequestItems")
    if not isinstance(tables, dict):
        return
    count = sum(len(requests) for requests in tables.values() if isinstance(requests, list))
    if count > _BATCH_LIMIT:
        raise Refused("Too many items requested for the BatchWriteItem call")


def _opened(table: Table, loans: Loans) -> OpenTable:
    """Put our rows behind one of moto's tables, if they are not there yet, and return how we see it."""
    definition = {
        "KeySchema": table.schema,
        "AttributeDefinitions": table.attr,
        "GlobalSecondaryIndexes": [_described(index) for index in table.global_indexes],
        "LocalSecondaryIndexes": [_described(index) for index in table.indexes],
    }
    partitions = adopt(table, loans).partitions
    return open_table(definition, partitions, name=table.name, has_stream=table.stream_shard is not None)


def _described(index: Any) -> dict[str, Any]:  # noqa: ANN401 -- moto's SecondaryIndex
    return {"IndexName": index.name, "KeySchema": index.schema, "Projection": index.projection}
