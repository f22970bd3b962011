"""Stages as ASGI applications: a stage's sockets at its path, its management API below."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec
from litestar.enums import ScopeType

from local.management import FORBIDDEN, PREFIX, connection_id_of, manage, respond
from local.rules.effects import Answer
from local.sockets import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar.types import ASGIApp, Receive, Scope, Send

    from local.access.callers import Access
    from local.sockets import Sockets

UPGRADE_REQUIRED = Answer(426, b'{"message":"Upgrade Required"}')
_FOUND: Final = 200
_log = logging.getLogger("tickwire.stages")


def stage(apis: Sequence[Sockets], access: Access, *, prefix: str) -> ASGIApp:
    """
    Serve a stage.

    Args:
        apis: Those that have a stage of this name. The first gets whoever connects; a call of the management API goes
            to the one that has the connection.
        access: Decides who may call the management API.
        prefix: Where the stage lies: ``/prod``, or nothing for a domain of somebody's own.
    """
    length = len(prefix)
    below = f"{prefix}{PREFIX}".encode()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"]
        if path.startswith(below) and len(apis) == 1 and scope["type"] == ScopeType.HTTP:
            # Ahead of everything else, because one tick brings thousands of posts.
            await manage(apis[0], access, connection_id_of(path[len(below) :]), scope, receive, send)
            return
        rest = path[length:].decode("latin-1")
        if scope["type"] == ScopeType.WEBSOCKET:
            if rest in {"", "/"}:
                await apis[0].serve(scope, receive, send)
            else:
                await refuse_upgrade(receive, send)
        elif (decoded := rest.replace("%40", "@")).startswith(PREFIX):
            connection_id = connection_id_of(decoded[len(PREFIX) :].encode("latin-1"))
            sockets = apis[0] if len(apis) == 1 else owner(apis, connection_id) or apis[0]
            await manage(sockets, access, connection_id, scope, receive, send)
        elif rest in {"", "/"}:
            await respond(send, UPGRADE_REQUIRED)
        elif not prefix:
            # What AWS says of a stage in the path where a domain leads to the stage already.
            message = f"No method found matching route {rest[1:]} for http method {scope['method']}"
            await respond(send, Answer(403, msgspec.json.encode({"message": message}), "ForbiddenException"))
        else:
            await respond(send, FORBIDDEN)

    return serve


def api_of_host(sockets: Sockets, access: Access, *, custom: bool) -> ASGIApp:
    """Serve the one API that a host leads to; under a domain of somebody's own the path names no stage."""
    if custom:
        return stage([sockets], access, prefix="")
    prefix = f"/{sockets.gateway.api.stage.name}"
    inside = stage([sockets], access, prefix=prefix)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1")
        if path == prefix or path.startswith(f"{prefix}/"):
            await inside(scope, receive, send)
        elif scope["type"] == ScopeType.WEBSOCKET:
            await refuse_upgrade(receive, send)
        else:
            await respond(send, FORBIDDEN)

    return serve


def domain(apis: Mapping[str, Sockets], access: Access) -> ASGIApp:
    """Serve a domain of somebody's own; ``apis`` are by the first part of the path that leads to each, or nothing."""
    keyed = {key: stage([sockets], access, prefix=f"/{key}" if key else "") for key, sockets in apis.items()}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1")
        fitting = [key for key in keyed if not key or path == f"/{key}" or path.startswith(f"/{key}/")]
        if fitting:
            await keyed[max(fitting, key=len)](scope, receive, send)
        elif scope["type"] == ScopeType.WEBSOCKET:
            await refuse_upgrade(receive, send)
        else:
            await respond(send, FORBIDDEN)

    return serve


def without_stage(apis: Sequence[Sockets], access: Access) -> ASGIApp:
    """
    Serve ``/@connections/…`` without a stage, for connections that are there.

    On AWS that is right behind a domain of one's own, and there alone; so the log says it, once.
    """
    told = False

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal told
        connection_id = connection_id_of(scope["raw_path"].replace(b"%40", b"@")[len(PREFIX) :])
        sockets = owner(apis, connection_id)
        if scope["type"] == ScopeType.WEBSOCKET:
            await refuse_upgrade(receive, send)
        elif sockets is None:
            await respond(send, FORBIDDEN)
        else:
            if not told:
                told = True
                _log.warning(
                    "a call of @connections names no stage: on AWS it works only behind a custom domain, "
                    "and https://{api}.execute-api.{region}.amazonaws.com wants /%s before it",
                    sockets.gateway.api.stage.name,
                )
            await manage(sockets, access, connection_id, scope, receive, send)

    return serve


def owner(apis: Sequence[Sockets], connection_id: str) -> Sockets | None:
    """Return the API that has a connection."""
    return next((one for one in apis if one.gateway.looked(connection_id).status == _FOUND), None)


async def refuse_upgrade(receive: Receive, send: Send) -> None:
    """Refuse a socket at a path that is no stage."""
    await receive()
    await refuse(send, FORBIDDEN.status, FORBIDDEN.body, error=FORBIDDEN.error)
