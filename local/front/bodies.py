"""The bodies of requests as ASGI brings them: none is kept that is longer than anybody takes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from local.front.direct import LEFT_FOR_TOO_LONG, Reply, Responder, send_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.types import Receive, Scope, Send


class BodyNotRead(Exception):
    """
    A body has more bytes than are taken, or its client went before its end and hears no answer.

    ``size`` is how many came, as far as they came in time.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size


async def read_body(receive: Receive, most: int) -> bytes:
    """
    Return the whole body of a request.

    Raises:
        BodyNotRead: It has more than ``most`` bytes, of which the rest was let go by, for a while; or it has no end.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyNotRead(size)
        part, more = _read(message)
        size += len(part)
        parts.append(part)
    if size <= most:
        return parts[0] if len(parts) == 1 else b"".join(parts)
    parts.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEFT_FOR_TOO_LONG):
            while more:
                part, more = _read(await receive())
                size += len(part)
    raise BodyNotRead(size)


def _read(message: Mapping[str, Any]) -> tuple[bytes, bool]:
    return message.get("body", b""), message.get("more_body", False)


async def respond_with(responder: Responder, scope: Scope, receive: Receive, send: Send) -> None:
    """Let a responder that has an answer to everything give it as ASGI has it."""
    try:
        body = await read_body(receive, responder.most)
    except BodyNotRead:
        await send_last(send, responder.too_long(scope))
        return
    reply = responder.answer(scope, body)
    if reply is None:
        raise ValueError("a responder that leaves requests to others")
    await send_reply(send, reply)


async def send_last(send: Send, reply: Reply) -> None:
    """Send an answer behind which nothing is read from the connection."""
    await send_reply(send, reply._replace(headers=(*reply.headers, (b"connection", b"close"))))
