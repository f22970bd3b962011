"""Stages as applications: a stage's sockets at its path, its management API below."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar.enums import ScopeType

from local.front.bodies import respond_with
from local.front.direct import Leading, Reply, Responder
from local.management import FORBIDDEN, PREFIX, connection_id_of, manage, reply_of, respond
from local.rules.answers import TOO_LARGE
from local.rules.effects import Answer
from local.sockets import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar.types import ASGIApp, Receive, Scope, Send

    from local.access.callers import Access
    from local.sockets import Sockets

UPGRADE_REQUIRED = Answer(426, b'{"message":"Upgrade Required"}')
_FOUND: Final = 200
#: By how many bytes a post may be over the limit and is still looked at as any other: who sends it, and to whom. Longer
#: ones are not kept, whoever sends them.
_OVER: Final = 65_536
_log = logging.getLogger("tickwire.stages")


class StageApp:
    """
    Serves a stage; calls of its management API directly too.

    Args:
        apis: Those that have a stage of this name. The first gets whoever connects; a call of the management API goes
            to the one that has the connection.
        access: Decides who may call the management API.
        prefix: Where the stage lies: ``/prod``, or nothing for a domain of somebody's own.
    """

    def __init__(self, apis: Sequence[Sockets], access: Access, *, prefix: str) -> None:
        self._apis = apis
        self._access = access
        self._prefix = prefix
        self._below = f"{prefix}{PREFIX}".encode()
        self._most = max(one.gateway.limits.message for one in apis) + _OVER

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as ASGI has it."""
        path = scope["raw_path"]
        rest = path[len(self._prefix) :].decode("latin-1")
        if scope["type"] == ScopeType.WEBSOCKET:
            if rest in {"", "/"}:
                await self._apis[0].serve(scope, receive, send)
            else:
                await refuse_upgrade(receive, send)
        elif (decoded := rest.replace("%40", "@")).startswith(PREFIX):
            await respond_with(self._responder(decoded[len(PREFIX) :].encode("latin-1")), scope, receive, send)
        elif rest in {"", "/"}:
            await respond(send, UPGRADE_REQUIRED)
        elif not self._prefix:
            # What AWS says of a stage in the path where a domain leads to the stage already.
            message = f"No method found matching route {rest[1:]} for http method {scope['method']}"
            await respond(send, Answer(403, msgspec.json.encode({"message": message}), "ForbiddenException"))
        else:
            await respond(send, FORBIDDEN)

    def direct(self, scope: Mapping[str, Any]) -> Responder | None:
        """Answer calls of the management API that spell its path as everybody does."""
        path: bytes = scope["raw_path"]
        return self._responder(path[len(self._below) :]) if path.startswith(self._below) else None

    def _responder(self, rest: bytes) -> Responder:
        return Responder(partial(self._manage, rest), self._most, _too_long)

    def _manage(self, rest: bytes, scope: Mapping[str, Any], body: bytes) -> Reply:
        """Serve a call of the management API; ``rest`` is what follows ``/@connections/``."""
        connection_id = connection_id_of(rest)
        apis = self._apis
        sockets = apis[0] if len(apis) == 1 else owner(apis, connection_id) or apis[0]
        return reply_of(manage(sockets, self._access, connection_id, scope, body))


def api_of_host(sockets: Sockets, access: Access, *, custom: bool) -> ASGIApp:
    """Serve the one API that a host leads to; under a domain of somebody's own the path names no stage."""
    return domain({"" if custom else sockets.gateway.api.stage.name: sockets}, access)


def domain(apis: Mapping[str, Sockets], access: Access) -> ASGIApp:
    """Serve a host; ``apis`` are by the first part of the path that leads to each, or nothing."""
    keyed = {key: StageApp([sockets], access, prefix=f"/{key}" if key else "") for key, sockets in apis.items()}

    def find(scope: Scope) -> ASGIApp:
        path = scope["raw_path"].decode("latin-1")
        fitting = [key for key in keyed if not key or path == f"/{key}" or path.startswith(f"/{key}/")]
        return keyed[max(fitting, key=len)] if fitting else nowhere

    return Leading(find)


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

            def answer(scope: Mapping[str, Any], body: bytes) -> Reply:
                return reply_of(manage(sockets, access, connection_id, scope, body))

            await respond_with(
                Responder(answer, sockets.gateway.limits.message + _OVER, _too_long), scope, receive, send
            )

    return serve


def _too_long(_scope: Mapping[str, Any]) -> Reply:
    return reply_of(TOO_LARGE)


def owner(apis: Sequence[Sockets], connection_id: str) -> Sockets | None:
    """Return the API that has a connection."""
    return next((one for one in apis if one.gateway.looked(connection_id).status == _FOUND), None)


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse whatever comes to a place where nothing is."""
    if scope["type"] == ScopeType.WEBSOCKET:
        await refuse_upgrade(receive, send)
    else:
        await respond(send, FORBIDDEN)


async def refuse_upgrade(receive: Receive, send: Send) -> None:
    """Refuse a socket at a path that is no stage."""
    await receive()
    await refuse(send, FORBIDDEN.status, FORBIDDEN.body, error=FORBIDDEN.error)
