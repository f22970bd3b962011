"""
DynamoDB, as far as the stores need it: single items, batches of writes, and queries, in AWS's own words.

Requests are the members of DynamoDB's API (Amazon DynamoDB API Reference, "Actions"), attribute values its JSON with
``bytes`` for binary ones. botocore does this and everything else; it takes fourteen times as long for a call, and half
of a cold start.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NotRequired, TypedDict, TypeVar

import msgspec

from handlers.hub.attributes import Attributes, AttributeValue
from handlers.hub.errors import CallRefused, ConditionFailed, ServiceUnavailable
from handlers.hub.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Unpack

    Post = Callable[[str, tuple[tuple[str, str], ...], bytes], bytes]
    """What ``Service.call`` is."""

_CONTENT_TYPE: Final = ("Content-Type", "application/x-amz-json-1.0")


class _Names(TypedDict, total=False):
    ExpressionAttributeNames: Mapping[str, str]
    ExpressionAttributeValues: Mapping[str, AttributeValue]


class _Write(_Names, total=False):
    ConditionExpression: str
    ReturnValuesOnConditionCheckFailure: Literal["ALL_OLD"]


class _Get(TypedDict):
    TableName: str
    Key: Attributes
    ConsistentRead: NotRequired[bool]


class _Put(_Write):
    TableName: str
    Item: Attributes


class _Update(_Write):
    TableName: str
    Key: Attributes
    UpdateExpression: str
    ReturnValues: NotRequired[Literal["ALL_NEW"]]


class _Delete(_Write):
    TableName: str
    Key: Attributes
    ReturnValues: NotRequired[Literal["ALL_OLD"]]


class _Query(_Names):
    TableName: str
    KeyConditionExpression: str
    ConsistentRead: NotRequired[bool]
    FilterExpression: NotRequired[str]
    ProjectionExpression: NotRequired[str]
    Limit: NotRequired[int]


class QueryPage(msgspec.Struct):
    """What stands beside the items of a page; one without ``LastEvaluatedKey`` is the last."""

    LastEvaluatedKey: msgspec.Raw = msgspec.Raw()


Read = TypeVar("Read")
Page = TypeVar("Page", bound=QueryPage)


class ItemsPage(QueryPage):
    """A page of whole items."""

    Items: list[Attributes] = []


class _Answer(msgspec.Struct):
    Item: Attributes | None = None
    Attributes: dict[str, AttributeValue] | None = None


class _PutRequest(msgspec.Struct):
    Item: Attributes


class _WriteRequest(msgspec.Struct):
    PutRequest: _PutRequest


class _Unprocessed(msgspec.Struct):
    UnprocessedItems: dict[str, list[_WriteRequest]] = {}


class _Refusal(msgspec.Struct):
    Item: Attributes | None = None


_encode: Final = msgspec.json.Encoder().encode
_ANSWER: Final = msgspec.json.Decoder(_Answer).decode
_ITEMS: Final = msgspec.json.Decoder(ItemsPage).decode
_UNPROCESSED: Final = msgspec.json.Decoder(_Unprocessed).decode
_REFUSAL: Final = msgspec.json.Decoder(_Refusal).decode


def read_items(body: bytes) -> ItemsPage:
    """Read a page of a query as whole items."""
    return _ITEMS(body)


class DynamoDB:
    """
    The API; may be used from many threads.

    Every method is one request (a query one for each page), which ``post`` may repeat: see ``Service``. They raise
    ``CallRefused``, of which ``ConditionFailed`` is a kind, and ``ServiceUnavailable``.
    """

    def __init__(self, post: Post) -> None:
        self._post = post

    def get_item(self, **request: Unpack[_Get]) -> Attributes | None:
        """Give an item, if there is one."""
        return _read(_ANSWER, self._call(_GET, request)).Item

    def put_item(self, **request: Unpack[_Put]) -> None:
        """Write a whole item."""
        self._call(_PUT, request)

    def update_item(self, **request: Unpack[_Update]) -> Attributes:
        """Change an item; gives what ``ReturnValues`` asks for."""
        return _read(_ANSWER, self._call(_UPDATE, request)).Attributes or {}

    def delete_item(self, **request: Unpack[_Delete]) -> Attributes:
        """Delete an item, if there is one; gives what ``ReturnValues`` asks for."""
        return _read(_ANSWER, self._call(_DELETE, request)).Attributes or {}

    def batch_write_item(self, table: str, items: Sequence[Attributes]) -> list[Attributes]:
        """Write up to 25 whole items; gives those that DynamoDB left out because it is busy."""
        requests = [{"PutRequest": {"Item": item}} for item in items]
        answer = _read(_UNPROCESSED, self._call(_BATCH_WRITE, {"RequestItems": {table: requests}}))
        return [left.PutRequest.Item for left in answer.UnprocessedItems.get(table, ())]

    def query(self, read: Callable[[bytes], Page], **request: Unpack[_Query]) -> Iterator[Page]:
        """Give the pages of a query, as ``read`` reads them; each is asked for when it is wanted."""
        question: dict[str, Any] = {**request}
        while True:
            page = _read(read, self._call(_QUERY, question))
            yield page
            if not bytes(page.LastEvaluatedKey):
                return
            question["ExclusiveStartKey"] = page.LastEvaluatedKey

    def _call(self, headers: tuple[tuple[str, str], ...], request: Mapping[str, Any]) -> bytes:
        try:
            return self._post("/", headers, _encode(request))
        except CallRefused as refusal:
            if refusal.code != "ConditionalCheckFailedException":
                raise
            raise ConditionFailed(refusal.reason, _read(_REFUSAL, refusal.body).Item) from None


def _read(read: Callable[[bytes], Read], body: bytes) -> Read:
    try:
        return read(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ServiceUnavailable("AnswerUnreadable", str(error)) from error


def _target(operation: str) -> tuple[tuple[str, str], ...]:
    return (_CONTENT_TYPE, ("X-Amz-Target", f"DynamoDB_20120810.{operation}"))


_GET: Final = _target("GetItem")
_PUT: Final = _target("PutItem")
_UPDATE: Final = _target("UpdateItem")
_DELETE: Final = _target("DeleteItem")
_BATCH_WRITE: Final = _target("BatchWriteItem")
_QUERY: Final = _target("Query")


@lru_cache(maxsize=1)
def dynamodb() -> DynamoDB:
    """
    Make the one DynamoDB client of this process, as the environment says where and who.

    Tests call ``dynamodb.cache_clear()``.

    Raises:
        HubError: There is no region, or there are no credentials.
    """
    return DynamoDB(Service.from_environment("dynamodb").call)
