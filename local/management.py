"""The management API: POST, GET and DELETE of ``/{stage}/@connections/{id}`` over HTTP."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from local.access.callers import AccessFault, refusal
from local.functions.invocations import new_request_id
from local.rules.effects import Answer

if TYPE_CHECKING:
    from litestar.types import HTTPRequestEvent, Receive, Scope, Send

    from local.access.callers import Access
    from local.sockets import Sockets

PREFIX = "/@connections/"
_NOT_ALLOWED = Answer(405, b'{"message":"Method Not Allowed"}', "MethodNotAllowedException")
FORBIDDEN = Answer(403, b'{"message":"Forbidden"}', "ForbiddenException")


async def manage(
    sockets: Sockets, access: Access, connection_id: str, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve one call of whoever may make it."""
    body = await read_body(receive)
    api = sockets.gateway.api
    try:
        access.check_management(api.id, api.stage.name, connection_id, scope, body)
    except AccessFault as fault:
        await respond(send, refusal(fault))
        return
    match scope["method"]:  # type: ignore[typeddict-item] # an HTTP scope has a method
        case "POST":
            answer = sockets.post(connection_id, body)
        case "GET":
            answer = sockets.gateway.looked(connection_id)
        case "DELETE":
            answer = sockets.delete(connection_id)
        case _:
            answer = _NOT_ALLOWED
    await respond(send, answer)


@lru_cache(maxsize=16_384)
def connection_id_of(rest: bytes) -> str:
    """Return the connection id of what stands behind ``/@connections/``, which may be percent-encoded."""
    return unquote(rest.decode("latin-1"))


async def read_body(receive: Receive) -> bytes:
    """Return the whole body of a request."""
    parts: list[bytes] = []
    while True:
        message = cast("HTTPRequestEvent", await receive())
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def respond(send: Send, answer: Answer) -> None:
    """Send an answer with the headers that the SDKs look for."""
    headers = [
        (b"x-amzn-requestid", new_request_id().encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(answer.body)),
    ]
    if answer.status == 204:  # noqa: PLR2004 # no content: neither a type nor a length
        del headers[1:]
    if answer.error is not None:
        headers.append((b"x-amzn-errortype", answer.error.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
