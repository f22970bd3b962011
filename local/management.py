"""The management API: POST, GET and DELETE of ``/{stage}/@connections/{id}`` over HTTP."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from local.access.callers import AccessFault, refusal
from local.front.direct import Reply, send_reply
from local.functions.invocations import new_request_id
from local.rules.effects import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.types import Send

    from local.access.callers import Access
    from local.sockets import Sockets

PREFIX = "/@connections/"
_NOT_ALLOWED = Answer(405, b'{"message":"Method Not Allowed"}', "MethodNotAllowedException")
FORBIDDEN = Answer(403, b'{"message":"Forbidden"}', "ForbiddenException")


def manage(sockets: Sockets, access: Access, connection_id: str, scope: Mapping[str, Any], body: bytes) -> Answer:
    """Do what one call asks for, if its caller may; ``scope`` is a request's in ASGI, ``body`` all that it brings."""
    api = sockets.gateway.api
    try:
        access.check_management(api.id, api.stage.name, connection_id, scope, body)
    except AccessFault as fault:
        return refusal(fault)
    match scope["method"]:
        case "POST":
            return sockets.post(connection_id, body)
        case "GET":
            return sockets.gateway.looked(connection_id)
        case "DELETE":
            return sockets.delete(connection_id)
    return _NOT_ALLOWED


@lru_cache(maxsize=16_384)
def connection_id_of(rest: bytes) -> str:
    """Return the connection id of what stands behind ``/@connections/``, which may be percent-encoded."""
    return unquote(rest.decode("latin-1"))


async def respond(send: Send, answer: Answer) -> None:
    """Send an answer as ASGI has it."""
    await send_reply(send, reply_of(answer))


def reply_of(answer: Answer) -> Reply:
    """Return an answer with the headers that the SDKs look for."""
    fields = _fields(answer.status, len(answer.body), answer.error)
    return Reply(answer.status, ((b"x-amzn-requestid", new_request_id().encode()), *fields), answer.body)


@lru_cache(maxsize=64)
def _fields(status: int, length: int, error: str | None) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that are the same for every answer of a kind."""
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % length)]
    if status == 204:  # noqa: PLR2004 # no content: neither a type nor a length
        fields = []
    if error is not None:
        fields.append((b"x-amzn-errortype", error.encode()))
    return tuple(fields)
