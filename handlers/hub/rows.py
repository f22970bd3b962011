"""
The rows of connections as a tick reads them: thousands at once.

botocore takes an answer apart attribute by attribute, in Python: some 20 µs for a row, half of what posting to it
takes, and with every other thread waiting. Here the page is read before botocore does, in one go and to types, in 2 µs
a row; botocore is left with what stands beside the rows. Signatures, retries, paging and errors stay botocore's.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryOutputTypeDef

_PAGE_KEY: Final = "Rows"
_FIRST_ERROR: Final = 300


class Text(msgspec.Struct):
    """An attribute of the type S."""

    S: str


class Number(msgspec.Struct):
    """An attribute of the type N."""

    N: int


class Flag(msgspec.Struct):
    """An attribute of the type BOOL."""

    BOOL: bool


class Members(msgspec.Struct):
    """What a subscription's map contains."""

    subscribed_at: Number
    snapshot_owed: Flag
    symbols: Text | None = None


class SubscriptionRow(msgspec.Struct):
    """A subscription, an attribute of the type M."""

    M: Members


class Row(msgspec.Struct):
    """A connection, with the subscriptions that were asked for."""

    sk: Text
    connected_at: Number
    expires_at: Number
    format: Text
    market: SubscriptionRow | None = None
    signals: SubscriptionRow | None = None
    binary: SubscriptionRow | None = None


class _Rest(msgspec.Struct):
    """What stands beside the rows."""

    LastEvaluatedKey: msgspec.Raw = msgspec.Raw()  # empty on the last page


class _Page(_Rest):
    Items: list[Row] = []


class _RawPage(_Rest):
    """A page with a row that cannot be read."""

    Items: list[msgspec.Raw] = []


# DynamoDB writes numbers as strings, which strict reading would not take for numbers.
_PAGE = msgspec.json.Decoder(_Page, strict=False)
_ROW = msgspec.json.Decoder(Row, strict=False)

logger = logging.getLogger(__name__)


# Whether the Query under way in this thread is one of ``pages_of_rows``.
_is_ours: ContextVar[bool] = ContextVar("_is_ours", default=False)


def enable_rows(client: DynamoDBClient) -> None:
    """Let ``pages_of_rows`` be used on ``client``; not from several threads at once. Saying so again is no error."""
    client.meta.events.register("before-parse.dynamodb.Query", _read, unique_id="tickwire-rows")


def pages_of_rows(asking: Iterable[QueryOutputTypeDef]) -> Iterator[list[Row]]:
    """
    Give the pages of a paginator that queries connections, from any thread.

    Only what is asked for here is read as rows: any other Query of the same client is botocore's, as ever.
    """
    pages = iter(asking)
    while (page := _next(pages)) is not None:
        yield cast("Mapping[str, list[Row]]", page)[_PAGE_KEY]


def _next(pages: Iterator[QueryOutputTypeDef]) -> QueryOutputTypeDef | None:
    before = _is_ours.set(True)
    try:
        return next(pages, None)
    finally:
        _is_ours.reset(before)


def _read(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Read a page; botocore's parser gets the rest of it."""
    if not _is_ours.get() or response_dict["status_code"] >= _FIRST_ERROR:
        return
    page: _Page | _RawPage
    try:
        page = _PAGE.decode(response_dict["body"])
        customized_response_dict[_PAGE_KEY] = page.Items
    except msgspec.ValidationError:
        page = msgspec.json.decode(response_dict["body"], type=_RawPage)
        customized_response_dict[_PAGE_KEY] = _readable(page.Items)
    rest = {"LastEvaluatedKey": page.LastEvaluatedKey} if bytes(page.LastEvaluatedKey) else {}
    response_dict["body"] = msgspec.json.encode(rest)


def _readable(rows: Iterable[msgspec.Raw]) -> list[Row]:
    """Pass over rows that another version has written otherwise: they are nobody else's trouble."""
    read, errors = [], []
    for row in rows:
        try:
            read.append(_ROW.decode(row))
        except msgspec.ValidationError as error:
            errors.append(error)
    if errors:
        logger.error("%d connections of a page cannot be read: %s", len(errors), errors[0])
    return read
