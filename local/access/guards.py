"""Lambda's API and DynamoDB behind a look at the caller."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote

from local.access.callers import AccessFault, refusal, table_refusal
from local.front.bodies import BodyNotRead, read_body, send_last
from local.front.direct import Reply, Responder, send_reply
from local.functions.invocations import EVENT_LIMIT
from local.functions.invoke_api import PREFIX, too_large
from local.management import reply_of, respond
from local.rules.effects import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

    from local.access.callers import Access
    from local.tables.dynamodb import Tables

#: How the names of DynamoDB's operations begin, and those of its streams.
DYNAMODB: Final = "DynamoDB"
_REFUSED_BY_TABLES: Final = {"content-type": "application/x-amz-json-1.0"}
#: The longest request of DynamoDB's.
_MOST_TO_TABLES: Final = 16_777_216
_TOO_LONG_FOR_TABLES: Final = (
    413,
    _REFUSED_BY_TABLES,
    b'{"__type":"com.amazon.coral.service#RequestEntityTooLarge","message":"Request size exceeds 16 MB"}',
)


def guard_invoke(app: ASGIApp, access: Access, arn_of: Callable[[str], str]) -> ASGIApp:
    """
    Return Lambda's API for those whom ``access`` lets through.

    ``arn_of`` gives the ARN that a function's name stands for, whether or not there is such a function.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, EVENT_LIMIT)
        except BodyNotRead as fault:
            status, error, said = too_large(scope, fault.size)
            await send_last(send, reply_of(Answer(status, said, error)))
            return
        try:
            access.check_invoke(_resource(scope, arn_of), scope, body)
        except AccessFault as fault:
            await respond(send, refusal(fault))
            return

        async def replay() -> HTTPReceiveMessage:
            # Only the body is ever asked for.
            return {"type": "http.request", "body": body, "more_body": False}

        await app(scope, replay, send)

    return guarded


class GuardedTables:
    """DynamoDB for those whom ``access`` lets through: an application, which answers directly too where it can."""

    def __init__(self, tables: Tables, access: Access) -> None:
        self._tables = tables
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a call as ASGI has it: whatever has an ``X-Amz-Target``."""
        target = target_of(scope) or ""
        try:
            body = await read_body(receive, _MOST_TO_TABLES)
        except BodyNotRead:
            await send_last(send, _reply(_TOO_LONG_FOR_TABLES))
            return
        reply = self._at_once(target, scope, body)
        if reply is None:
            reply = _reply(await self._tables.serve(target, body))
        await send_reply(send, reply)

    def direct(self, scope: Mapping[str, Any]) -> Responder | None:
        """Answer calls for which nothing has to be loaded."""
        target = target_of(scope)
        if target is None or not target.startswith(DYNAMODB):
            return None
        return Responder(partial(self._at_once, target), _MOST_TO_TABLES, _too_long)

    def _at_once(self, target: str, scope: Mapping[str, Any], body: bytes) -> Reply | None:
        try:
            self._access.check_tables(target, scope, body)
        except AccessFault as fault:
            return _reply((400, _REFUSED_BY_TABLES, table_refusal(fault)))
        answered = self._tables.at_once(target, body)
        return None if answered is None else _reply(answered)


def target_of(scope: Mapping[str, Any]) -> str | None:
    """Return the operation that a call of one of AWS's JSON protocols names (``X-Amz-Target``)."""
    for name, value in scope["headers"]:
        if name == b"x-amz-target":
            return str(value, "latin-1")
    return None


def _too_long(_scope: Mapping[str, Any]) -> Reply:
    return _reply(_TOO_LONG_FOR_TABLES)


def _reply(answered: tuple[int, dict[str, str], bytes]) -> Reply:
    status, own_headers, body = answered
    headers = [(name.encode(), value.encode()) for name, value in own_headers.items()]
    headers.append((b"content-length", b"%d" % len(body)))
    return Reply(status, headers, body)


def _resource(scope: Scope, arn_of: Callable[[str], str]) -> str:
    """Return the ARN of the function that is to be invoked, with its version or alias where one is named."""
    path = scope["raw_path"].decode("latin-1")
    arn = arn_of(unquote(path.removeprefix(PREFIX).rpartition("/")[0]))
    qualifier = parse_qs(scope["query_string"].decode("latin-1")).get("Qualifier", [""])[0]
    return f"{arn}:{qualifier}" if qualifier else arn
