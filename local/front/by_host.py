"""Requests led by the host that they name, or by the stage that their path begins with."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from litestar.enums import ScopeType

from local.front.direct import Leading
from local.front.hosts import EXECUTE_API
from local.stages import nowhere

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.types import ASGIApp, Scope

    from local.services.application import Services


def by_host(default: ASGIApp, apps: Mapping[str, ASGIApp], services: Services) -> Leading:
    """
    Return the application that leads by the ``Host`` header: to one of ``apps``, to ``services``, or to ``default``.

    An API's host at AWS that is none of them is an API that does not exist, and is answered as such.
    """
    by_header = {spelt.encode(): app for host, app in apps.items() for spelt in (host, f"{host}:443")}

    def find(scope: Scope) -> ASGIApp:
        host = b""
        for name, value in scope["headers"]:
            if name in {b"host", b"Host"} or name.lower() == b"host":
                host = value
                break
        app = by_header.get(host)
        if app is None and (b"." in host and not host.startswith(b"127.")):
            plain = host.decode("latin-1").lower().partition(":")[0]
            app = apps.get(plain) or (nowhere if EXECUTE_API.fullmatch(plain) else None)
            if app is None and scope["type"] == ScopeType.HTTP and (service := services.at(plain)) is not None:
                return partial(services.serve, service)
        return app or default

    return Leading(find)


def by_stage(default: ASGIApp, stages: Mapping[str, ASGIApp]) -> Leading:
    """Return the application that leads to one of ``stages`` by the first part of the path, or else to ``default``."""
    by_name = {name.encode(): app for name, app in stages.items()}

    def find(scope: Scope) -> ASGIApp:
        path = scope["raw_path"]
        end = path.find(b"/", 1)
        name = path[1:end] if end > 0 else path[1:]
        app = by_name.get(name)
        if app is None and b"%" in name:
            app = by_name.get(unquote_to_bytes(name))
        return app or default

    return Leading(find)
