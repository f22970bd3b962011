"""Stages as applications: a stage's sockets at its path, its management API below."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

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
NOT_FOUND = Answer(404, b'{"message":"Not Found"}', "NotFoundException")
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
        prefix: Where the stage lies: ``/prod``, or what a domain of somebody's own maps to it, which may be nothing.
        own: Whether it lies there behind a domain of somebody's own.
    """

    def __init__(self, apis: Sequence[Sockets], access: Access, *, prefix: str, own: bool = False) -> None:
        self._apis = apis
        self._access = access
        self._depth = prefix.count("/")
        self._own = own
        # A mapping of several levels lets no capitals through.
        self._serve = partial(apis[0].serve, lower_names=self._depth > 1) if own else apis[0].serve
        self._below = f"{prefix}{PREFIX}".encode()
        most = max(one.gateway.limits.message for one in apis) + _OVER
        self._direct = Responder(self._manage_directly, most, _too_long)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as ASGI has it."""
        # Not cut off by its length: each part of the prefix may be percent-encoded.
        parts = scope["raw_path"].decode("latin-1").split("/", self._depth + 1)
        rest = f"/{parts[-1]}" if len(parts) == self._depth + 2 else ""  # one is before the first slash
        if scope["type"] == ScopeType.WEBSOCKET:
            if rest in {"", "/"}:
                await self._serve(scope, receive, send)
            else:
                await refuse_upgrade(receive, send)
        elif (decoded := rest.replace("%40", "@")).startswith(PREFIX):
            answer = partial(self._manage, decoded[len(PREFIX) :].encode("latin-1"))
            await respond_with(self._direct._replace(answer=answer), scope, receive, send)
        elif rest in {"", "/"}:
            await respond(send, UPGRADE_REQUIRED)
        elif self._own:
            # What AWS says of a stage in the path where a domain leads to the stage already.
            message = f"No method found matching route {rest[1:]} for http method {scope['method']}"
            await respond(send, Answer(403, msgspec.json.encode({"message": message}), "ForbiddenException"))
        else:
            await respond(send, FORBIDDEN)

    def direct(self, scope: Mapping[str, Any]) -> Responder | None:
        """Answer calls of the management API that spell its path as everybody does."""
        path: bytes = scope["raw_path"]
        return self._direct if path.startswith(self._below) else None

    def _manage_directly(self, scope: Mapping[str, Any], body: bytes) -> Reply:
        return self._manage(scope["raw_path"][len(self._below) :], scope, body)

    def _manage(self, rest: bytes, scope: Mapping[str, Any], body: bytes) -> Reply:
        """Serve a call of the management API; ``rest`` is what follows ``/@connections/``."""
        connection_id = connection_id_of(rest)
        apis = self._apis
        sockets = apis[0] if len(apis) == 1 else owner(apis, connection_id) or apis[0]
        return reply_of(manage(sockets, self._access, connection_id, scope, body))


def api_of_host(sockets: Sockets, access: Access, *, custom: bool) -> ASGIApp:
    """Serve the one API that a host leads to; under a domain of somebody's own the path names no stage."""
    if custom:
        return domain({"": sockets}, access)
    if not sockets.gateway.api.has_default_endpoint:
        return nowhere
    stage = sockets.gateway.api.stage.name
    app = StageApp([sockets], access, prefix=f"/{stage}")
    return Leading(lambda scope: app if _decoded(scope["raw_path"], 1)[:1] == [stage] else nowhere)


def domain(apis: Mapping[str, Sockets], access: Access) -> ASGIApp:
    """Serve a domain of somebody's own; ``apis`` are by the beginning of the path that leads to each, or nothing."""
    keyed = {
        key: StageApp([sockets], access, prefix=f"/{key}" if key else "", own=True) for key, sockets in apis.items()
    }
    split = {key: key.split("/") if key else [] for key in keyed}
    deepest = max(map(len, split.values()))

    def find(scope: Scope) -> ASGIApp:
        path = _decoded(scope["raw_path"], deepest)
        fitting = [key for key, parts in split.items() if path[: len(parts)] == parts]
        if not fitting:
            return nowhere
        key = max(fitting, key=len)
        return without_slash if key and path == split[key] else keyed[key]

    return Leading(find)


def _decoded(raw_path: bytes, count: int) -> list[str]:
    """Return the first parts of a path, and the rest as it is if there is one."""
    parts = raw_path.decode("latin-1").split("/", count + 1)[1:]
    return [*map(unquote, parts[:count]), *parts[count:]]


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


async def without_slash(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse whoever leaves out the slash behind the key of a domain's mapping."""
    if scope["type"] == ScopeType.WEBSOCKET:
        await refuse_upgrade(receive, send, NOT_FOUND)
    else:
        await respond(send, NOT_FOUND)


async def refuse_upgrade(receive: Receive, send: Send, answer: Answer = FORBIDDEN) -> None:
    """Refuse a socket at a path that is no stage."""
    await receive()
    await refuse(send, answer.status, answer.body, error=answer.error)
