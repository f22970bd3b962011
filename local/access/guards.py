"""Lambda's API behind a look at the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from local.access.callers import AccessFault, refusal
from local.functions.invoke_api import PREFIX
from local.management import read_body, respond

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

    from local.access.callers import Access


def guard_invoke(app: ASGIApp, access: Access, arn_of: Callable[[str], str]) -> ASGIApp:
    """
    Return Lambda's API for those whom ``access`` lets through.

    ``arn_of`` gives the ARN that a function's name stands for, whether or not there is such a function.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
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


def _resource(scope: Scope, arn_of: Callable[[str], str]) -> str:
    """Return the ARN of the function that is to be invoked, with its version or alias where one is named."""
    path = scope["raw_path"].decode("latin-1")
    arn = arn_of(unquote(path.removeprefix(PREFIX).rpartition("/")[0]))
    qualifier = parse_qs(scope["query_string"].decode("latin-1")).get("Qualifier", [""])[0]
    return f"{arn}:{qualifier}" if qualifier else arn
