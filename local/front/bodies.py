"""The bodies of requests as ASGI brings them: none is kept that is longer than anybody takes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

from local.front.direct import LEFT_FOR_TOO_LONG, Reply, Responder, send_reply

if TYPE_CHECKING:
    from litestar.types import HTTPRequestEvent, Receive, Scope, Send


class BodyTooLong(Exception):
    """A body has more bytes than are taken; ``size`` is how many came, as far as they came in time."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size


async def read_body(receive: Receive, most: int) -> bytes:
    """
    Return the whole body of a request.

    Raises:
        BodyTooLong: It has more than ``most`` bytes. The rest was let go by, for a while.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= most:
        part, more = await _next(receive)
        size += len(part)
        parts.append(part)
    if size <= most:
        return parts[0] if len(parts) == 1 else b"".join(parts)
    parts.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEFT_FOR_TOO_LONG):
            while more:
                part, more = await _next(receive)
                size += len(part)
    raise BodyTooLong(size)


async def _next(receive: Receive) -> tuple[bytes, bool]:
    message = cast("HTTPRequestEvent", await receive())
    return message.get("body", b""), message.get("more_body", False)


async def respond_with(responder: Responder, scope: Scope, receive: Receive, send: Send) -> None:
    """Let a responder that has an answer to everything give it as ASGI has it."""
    try:
        body = await read_body(receive, responder.most)
    except BodyTooLong:
        await send_last(send, responder.too_long(scope))
        return
    reply = responder.answer(scope, body)
    if reply is None:
        raise ValueError("a responder that leaves requests to others")
    await send_reply(send, reply)


async def send_last(send: Send, reply: Reply) -> None:
    """Send an answer behind which nothing is read from the connection."""
    await send_reply(send, reply._replace(headers=(*reply.headers, (b"connection", b"close"))))
