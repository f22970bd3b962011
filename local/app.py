"""The Litestar application: one port for the stages, their management APIs, Lambda, DynamoDB and the page."""

from __future__ import annotations

from mimetypes import guess_type
from pathlib import Path  # noqa: TC003 # Litestar reads annotations when it runs
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, unquote

from litestar import HttpMethod, Litestar, MediaType, Request, Response, WebSocket, asgi, route, websocket
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State  # noqa: TC002 # Litestar reads annotations when it runs
from litestar.enums import ScopeType
from litestar.middleware import DefineMiddleware
from litestar.middleware.compression import CompressionMiddleware
from litestar.response import File
from litestar.types import Receive, Scope, Send  # noqa: TC002 # Litestar reads annotations when it runs

from local.access.guards import DYNAMODB, GuardedTables, target_of
from local.front.by_host import by_host, by_stage
from local.front.direct import Leading
from local.front.hosts import is_custom
from local.management import FORBIDDEN, PREFIX, reply_of, respond
from local.sockets import refuse
from local.stages import UPGRADE_REQUIRED, StageApp, api_of_host, domain, nowhere, refuse_upgrade, without_stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar.handlers import ASGIRouteHandler, HTTPRouteHandler
    from litestar.types import ASGIApp

    from local.access.callers import Access
    from local.services.application import Services
    from local.sockets import Sockets
    from local.stack import Mapped, OwnSystem
    from local.tables.dynamodb import Tables

_NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>tickwire</title>
<p>The page is not built yet: <code>make run</code> builds it, or <code>npm ci &amp;&amp; npm run build</code> in
<code>client-app/</code>. The streams are served all the same.</p>"""
_METHODS = [HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.DELETE, HttpMethod.PATCH]


def create_app(
    *,
    sockets: Sequence[Sockets],
    tables: Tables,
    invoke_api: ASGIApp,
    exchange: ASGIApp | None,
    own: OwnSystem | None,
    access: Access,
    services: Services,
    hosts: Mapping[str, str] | None = None,
    mappings: Sequence[Mapped] = (),
) -> Leading:
    """
    Put everything that is served behind one port.

    The hot paths (sockets, posts, DynamoDB) lie ahead of Litestar's router; posts and calls of DynamoDB are answered
    without ASGI where that is possible (``Leading.direct``). ``sockets`` has one for each API, ``hosts`` the ids of
    APIs by the hosts that lead to them, ``mappings`` the domains of their own. ``access`` decides who may call the
    management API and DynamoDB; ``invoke_api`` and ``services``, all that moto answers for, look at their callers
    themselves.
    """
    handlers: list[ASGIRouteHandler] = []
    stages: dict[str, ASGIApp] = {}
    for name, apis in _by_stage(sockets).items():
        stages[name] = StageApp(apis, access, prefix=f"/{name}")
        # The first of several with a stage of one name has the short path; each has one of its own.
        for one in apis if len(apis) > 1 else ():
            prefix = f"/{one.gateway.api.id}/{name}"
            handlers.append(_mount(prefix, StageApp([one], access, prefix=prefix)))
    handlers.append(_mount(PREFIX.rstrip("/"), without_stage(sockets, access)))
    handlers.append(_mounted("/2015-03-31/functions", invoke_api, keep_prefix=True))
    if exchange is not None:
        handlers.append(_mounted("/exchange", exchange))
    if own is not None and sockets:
        handlers += [_public_path(path, stream, sockets[0]) for stream, path in own.streams.items()]
    page = own.page if own is not None else None
    guarded = GuardedTables(tables, access)
    root = _root(guarded, services, page)
    app = cast(
        "ASGIApp",
        Litestar(
            [*handlers, asgi("/", copy_scope=False)(root), _page(page), _nowhere],
            openapi_config=None,
            logging_config=None,
        ),
    )
    # Functions call DynamoDB at least once for each connection: as hot a path as the stages'.
    stages[""] = _calls(guarded, root, app)
    by_id = {one.gateway.api.id: one for one in sockets}
    leading = {
        host: api_of_host(by_id[api_id], access, custom=is_custom(host)) for host, api_id in (hosts or {}).items()
    }
    for host in {mapped.host for mapped in mappings}:
        leading[host] = domain({one.key: by_id[one.api_id] for one in mappings if one.host == host}, access)
    return by_host(by_stage(app, stages), leading, services)


def _by_stage(sockets: Sequence[Sockets]) -> dict[str, list[Sockets]]:
    stages: dict[str, list[Sockets]] = {}
    for one in sockets:
        stages.setdefault(one.gateway.api.stage.name, []).append(one)
    return stages


def _mount(prefix: str, app: ASGIApp) -> ASGIRouteHandler:
    """Mount an application that reads ``raw_path`` itself."""

    @asgi(prefix, is_mount=True, copy_scope=False)
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return mounted


def _public_path(path: str, stream: str, sockets: Sockets) -> ASGIRouteHandler:
    """Lead a public path to the stage, subscribing to ``stream``, as the deployed front door's rewrite does."""

    @asgi(path, copy_scope=False)
    async def front_door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.WEBSOCKET:
            await respond(send, UPGRADE_REQUIRED)
            return
        query = scope["query_string"]
        scope["query_string"] = b"stream=" + quote(stream).encode() + (b"&" + query if query else b"")
        await sockets.serve(scope, receive, send)

    return front_door


def _mounted(prefix: str, app: ASGIApp, *, keep_prefix: bool = False) -> ASGIRouteHandler:
    """Mount an ASGI application; it sees the path as it was sent, with or without the prefix."""

    @asgi(prefix, is_mount=True, copy_scope=True)
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        raw = _raw_path(scope)
        scope["path"] = unquote(raw if keep_prefix else raw[len(prefix) :])
        await app(scope, receive, send)

    return mounted


def _calls(tables: ASGIApp, root: ASGIApp, default: ASGIApp) -> ASGIApp:
    """Lead calls of AWS's services to ``tables`` or ``root`` without a router between."""

    def find(scope: Scope) -> ASGIApp:
        if scope["type"] != ScopeType.HTTP or (target := target_of(scope)) is None:
            return default
        return tables if target.startswith(DYNAMODB) else root

    return Leading(find)


def _root(tables: ASGIApp, services: Services, page: Path | None) -> ASGIApp:
    """Serve ``/``: a service of AWS to whoever asks for one, the page to everybody else."""

    async def root(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.WEBSOCKET:
            await refuse_upgrade(receive, send)
            return
        target = target_of(scope)
        is_tables = target is not None and target.startswith(DYNAMODB)
        if not is_tables and (service := services.asked(scope, target)) is not None:
            await services.serve(service, scope, receive, send)
        elif target is not None:
            await tables(scope, receive, send)
        elif page is None:
            await nowhere(scope, receive, send)
        else:
            request: Request[None, None, State] = Request(scope, receive, send)
            response = _file(page, "").to_asgi_response(app=None, request=request)
            await response(scope, receive, send)

    return root


def _page(page: Path | None) -> HTTPRouteHandler:
    """
    Serve the page's files; a path without one is a view of the page, which finds its own way.

    Where there is no page, whatever is outside of all stages is refused as AWS does.
    """
    gzip = DefineMiddleware(CompressionMiddleware, config=CompressionConfig(backend="gzip", gzip_compress_level=6))

    @route("/{rest:path}", http_method=_METHODS, middleware=[gzip])
    async def files(request: Request[None, None, State], rest: str) -> Response[bytes] | File:
        if page is None or request.method != "GET" or PREFIX in f"/{rest.lstrip('/')}":
            return _forbidden()
        return _file(page, rest.lstrip("/"))

    return files


def _file(page: Path, rest: str) -> Response[bytes] | File:
    wanted = (page / rest).resolve()
    if not wanted.is_relative_to(page):
        return _forbidden()
    if not wanted.is_file():
        if wanted.suffix:
            return Response(b'{"message":"Not Found"}', status_code=404, media_type=MediaType.JSON)
        wanted = page / "index.html"
    if not wanted.is_file():
        return Response(_NOT_BUILT.encode(), status_code=503, media_type=MediaType.HTML)
    # What Vite writes below assets/ has its content's hash in its name.
    kept = "public, max-age=31536000, immutable" if wanted.parent.name == "assets" else "no-cache"
    kind = guess_type(wanted.name)[0] or "application/octet-stream"
    return File(wanted, content_disposition_type="inline", media_type=kind, headers={"cache-control": kept})


def _forbidden() -> Response[bytes]:
    reply = reply_of(FORBIDDEN)
    headers = {name.decode(): value.decode() for name, value in reply.headers if name != b"content-length"}
    return Response(reply.body, status_code=reply.status, headers=headers)


@websocket("/{rest:path}")
async def _nowhere(socket: WebSocket[None, None, State], rest: str) -> None:  # noqa: ARG001 # Litestar hands it over
    """Refuse an upgrade at a path that is no stage."""
    await socket.receive()
    await refuse(socket.send, FORBIDDEN.status, FORBIDDEN.body, error=FORBIDDEN.error)


def _raw_path(scope: Scope) -> str:
    return scope["raw_path"].decode("latin-1")
