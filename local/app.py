"""The Litestar application: one port for the stages, their management APIs, Lambda, DynamoDB and the page."""

from __future__ import annotations

from mimetypes import guess_type
from pathlib import Path  # noqa: TC003 # Litestar reads annotations when it runs
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from litestar import HttpMethod, Litestar, MediaType, Request, Response, WebSocket, asgi, route, websocket
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State  # noqa: TC002 # Litestar reads annotations when it runs
from litestar.enums import ScopeType
from litestar.middleware import DefineMiddleware
from litestar.middleware.compression import CompressionMiddleware
from litestar.response import File
from litestar.types import Receive, Scope, Send  # noqa: TC002 # Litestar reads annotations when it runs

from local.effects import Answer
from local.management import FORBIDDEN, PREFIX, manage, read_body, respond
from local.sockets import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.handlers import ASGIRouteHandler, HTTPRouteHandler
    from litestar.types import ASGIApp

    from local.sockets import Sockets
    from local.stack import OwnSystem
    from local.tables import Tables

_UPGRADE_REQUIRED = Answer(426, b'{"message":"Upgrade Required"}')
_NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>tickwire</title>
<p>The page is not built yet: <code>make run</code> builds it, or <code>npm ci &amp;&amp; npm run build</code> in
<code>client-app/</code>. The streams are served all the same.</p>"""
_METHODS = [HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.DELETE, HttpMethod.PATCH]


def create_app(
    *, sockets: Sequence[Sockets], tables: Tables, invoke_api: ASGIApp, exchange: ASGIApp | None, own: OwnSystem | None
) -> Litestar:
    """
    Put everything that is served behind one port.

    The hot paths (sockets, posts, DynamoDB) are mounted ASGI applications: a Litestar route handler costs them half
    of their speed.
    """
    handlers: list[ASGIRouteHandler] = [_stage(one) for one in sockets]
    handlers.append(_mounted("/2015-03-31/functions", invoke_api, keep_prefix=True))
    if exchange is not None:
        handlers.append(_mounted("/exchange", exchange))
    if own is not None and sockets:
        handlers += [_public_path(path, stream, sockets[0]) for stream, path in own.streams.items()]
    page = own.page if own is not None else None
    return Litestar(
        [*handlers, _root(tables, page), _page(page), _nowhere],
        openapi_config=None,
        logging_config=None,
    )


def _stage(sockets: Sockets) -> ASGIRouteHandler:
    """Mount one stage: its socket at ``/{stage}``, its management API below."""
    prefix = "/" + sockets.gateway.api.stage.name

    @asgi(prefix, is_mount=True, copy_scope=False)
    async def stage(scope: Scope, receive: Receive, send: Send) -> None:
        rest = _raw_path(scope)[len(prefix) :]
        if scope["type"] == ScopeType.WEBSOCKET:
            if rest in {"", "/"}:
                await sockets.serve(scope, receive, send)
            else:
                await _refuse_upgrade(receive, send)
        elif (decoded := rest.replace("%40", "@")).startswith(PREFIX):
            await manage(sockets, decoded[len(PREFIX) :], scope, receive, send)
        else:
            await respond(send, _UPGRADE_REQUIRED if rest in {"", "/"} else FORBIDDEN)

    return stage


def _public_path(path: str, stream: str, sockets: Sockets) -> ASGIRouteHandler:
    """Lead a public path to the stage, subscribing to ``stream``, as the deployed front door's rewrite does."""

    @asgi(path, copy_scope=False)
    async def front_door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.WEBSOCKET:
            await respond(send, _UPGRADE_REQUIRED)
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


def _root(tables: Tables, page: Path | None) -> ASGIRouteHandler:
    """Serve ``/``: DynamoDB to whoever names an operation of it, the page to everybody else."""
    loaded = False

    @asgi("/", copy_scope=False)
    async def root(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.WEBSOCKET:
            await _refuse_upgrade(receive, send)
            return
        headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if (target := headers.get("x-amz-target")) is not None:
            nonlocal loaded
            if not loaded:
                await tables.load()
                loaded = True
            status, own_headers, body = tables.answer(target, await read_body(receive), headers)
            raw = [(name.lower().encode(), value.encode()) for name, value in own_headers.items()]
            raw.append((b"content-length", b"%d" % len(body)))
            await send({"type": "http.response.start", "status": status, "headers": raw})
            await send({"type": "http.response.body", "body": body, "more_body": False})
            return
        request: Request[None, None, State] = Request(scope, receive, send)
        response = _file(page, "").to_asgi_response(app=None, request=request)
        await response(scope, receive, send)

    return root


def _page(page: Path | None) -> HTTPRouteHandler:
    """Serve the page's files; a path without one is a view of the page, which finds its own way."""
    gzip = DefineMiddleware(CompressionMiddleware, config=CompressionConfig(backend="gzip", gzip_compress_level=6))

    @route("/{rest:path}", http_method=_METHODS, middleware=[gzip])
    async def files(request: Request[None, None, State], rest: str) -> Response[bytes] | File:
        if request.method != "GET" or PREFIX in f"/{rest.lstrip('/')}":
            return Response(FORBIDDEN.body, status_code=FORBIDDEN.status, media_type=MediaType.JSON)
        return _file(page, rest.lstrip("/"))

    return files


def _file(page: Path | None, rest: str) -> Response[bytes] | File:
    if page is None:
        return Response(b'{"message":"Not Found"}', status_code=404, media_type=MediaType.JSON)
    wanted = (page / rest).resolve()
    if not wanted.is_relative_to(page):
        return Response(FORBIDDEN.body, status_code=FORBIDDEN.status, media_type=MediaType.JSON)
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


@websocket("/{rest:path}")
async def _nowhere(socket: WebSocket[None, None, State], rest: str) -> None:  # noqa: ARG001 # Litestar hands it over
    """Refuse an upgrade at a path that is no stage."""
    await socket.receive()
    await refuse(socket.send, FORBIDDEN.status, FORBIDDEN.body)


async def _refuse_upgrade(receive: Receive, send: Send) -> None:
    await receive()
    await refuse(send, FORBIDDEN.status, FORBIDDEN.body)


def _raw_path(scope: Scope) -> str:
    return scope["raw_path"].decode("latin-1")
