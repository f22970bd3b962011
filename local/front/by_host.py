"""Requests led by the host that they name, or by the stage that their path begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar.enums import ScopeType

from local.front.hosts import EXECUTE_API
from local.management import FORBIDDEN, respond
from local.sockets import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.types import ASGIApp, Receive, Scope, Send

    from local.services.application import Services


def by_host(default: ASGIApp, apps: Mapping[str, ASGIApp], services: Services) -> ASGIApp:
    """
    Return the application that leads by the ``Host`` header: to one of ``apps``, to ``services``, or to ``default``.

    An API's host at AWS that is none of them is an API that does not exist, and is answered as such.
    """
    by_header = {spelt.encode(): app for host, app in apps.items() for spelt in (host, f"{host}:443")}

    async def lead(scope: Scope, receive: Receive, send: Send) -> None:
        host = b""
        for name, value in scope["headers"]:
            if name in {b"host", b"Host"} or name.lower() == b"host":
                host = value
                break
        app = by_header.get(host)
        if app is None and (b"." in host and not host.startswith(b"127.")):
            plain = host.decode("latin-1").lower().partition(":")[0]
            app = apps.get(plain) or (_no_such_api if EXECUTE_API.fullmatch(plain) else None)
            if app is None and scope["type"] == ScopeType.HTTP and (service := services.at(plain)) is not None:
                await services.serve(service, scope, receive, send)
                return
        await (app or default)(scope, receive, send)

    return lead


def by_stage(default: ASGIApp, stages: Mapping[str, ASGIApp]) -> ASGIApp:
    """Return the application that leads to one of ``stages`` by the first part of the path, or else to ``default``."""
    by_name = {name.encode(): app for name, app in stages.items()}

    async def lead(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"]
        end = path.find(b"/", 1)
        app = by_name.get(path[1:end] if end > 0 else path[1:], default)
        await app(scope, receive, send)

    return lead


async def _no_such_api(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == ScopeType.WEBSOCKET:
        await receive()
        await refuse(send, FORBIDDEN.status, FORBIDDEN.body, error=FORBIDDEN.error)
    else:
        await respond(send, FORBIDDEN)
