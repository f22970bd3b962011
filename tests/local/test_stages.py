"""Where a host and a path lead: to a stage, to its management API, or nowhere."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from local.front.by_host import by_stage
from local.stack import Stage
from local.stages import StageApp, api_of_host, domain, nowhere
from tests.local.gateways import gateway

if TYPE_CHECKING:
    from litestar.types import ASGIApp

    from local.access.callers import Access

#: Nobody has this connection.
CALL = "@connections/R1kmxc2VNjMCFIA%3D"
FORBIDDEN = (403, "Forbidden")
GONE = (410, None)
NOT_FOUND = (404, "Not Found")
NO_SOCKET = (426, "Upgrade Required")


class Everybody:
    """Lets everybody in."""

    def check_management(self, *_asked: Any) -> None:
        return


class Sockets:
    """One gateway, whose sockets only tell how they were opened."""

    def __init__(self, *, stage: str = "live", has_default_endpoint: bool = True) -> None:
        self.gateway = gateway(stage=Stage(stage))
        self.gateway.api = replace(self.gateway.api, has_default_endpoint=has_default_endpoint)

    async def serve(self, _scope: Any, _receive: Any, send: Any, *, lower_names: bool = False) -> None:
        await send({"type": "served", "status": 101, "body": b'{"message":"%s"}' % str(lower_names).encode()})


ACCESS: Access = Everybody()  # type: ignore[assignment]


async def ask(app: ASGIApp, path: str, *, method: str = "GET", kind: str = "http") -> tuple[int, str | None]:
    """Give the status and the message of an answer."""
    told: dict[str, Any] = {}

    async def send(message: Any) -> None:
        told.update({key: message[key] for key in ("status", "body") if key in message})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: Any = {"type": kind, "method": method, "raw_path": path.encode(), "query_string": b"", "headers": []}
    await app(scope, receive, send)
    return told["status"], json.loads(told["body"])["message"] if told["body"] else None


def served(*, lower_names: bool = False) -> tuple[int, str]:
    return 101, str(lower_names)


@pytest.mark.parametrize(
    ("key", "path", "expected"),
    [
        ("", "", served()),
        ("", "/", served()),
        ("chat", "/chat/", served()),
        ("chat", "/ch%61t/", served()),
        ("chat", "/chat", NOT_FOUND),
        ("chat", "/chat/more", FORBIDDEN),
        ("chat", "/chats/", FORBIDDEN),
        ("chat", "/", FORBIDDEN),
        ("v1/chat", "/v1/chat/", served(lower_names=True)),
        ("v1/chat", "/v%31/chat/", served(lower_names=True)),
        ("v1/chat", "/v1/chat", NOT_FOUND),
        ("v1/chat", "/v1/", FORBIDDEN),
        ("v1/chat", "/v1%2Fchat/", FORBIDDEN),
    ],
)
async def test_a_mapping_of_an_own_domain_wants_its_slash(key, path, expected):
    app = domain({key: Sockets()}, ACCESS)  # type: ignore[dict-item]
    assert await ask(app, path, kind="websocket") == expected
    if expected in {served(), NOT_FOUND}:
        assert await ask(app, path) == (expected if expected == NOT_FOUND else NO_SOCKET)


async def test_behind_a_mapping_of_several_levels_the_names_of_headers_are_in_lower_case():
    app = domain({"": Sockets(), "v1": Sockets(), "v1/chat": Sockets()}, ACCESS)  # type: ignore[dict-item]
    assert await ask(app, "/v1/chat/", kind="websocket") == served(lower_names=True)
    assert await ask(app, "/v1/", kind="websocket") == served(lower_names=False)
    assert await ask(app, "/", kind="websocket") == served(lower_names=False)


@pytest.mark.parametrize(("key", "before"), [("", ""), ("chat", "/chat"), ("v1/chat", "/v1/chat"), ("chat", "/ch%61t")])
async def test_a_stage_behind_an_own_domain_has_no_route(key, before):
    app = domain({key: Sockets()}, ACCESS)  # type: ignore[dict-item]
    for method in ("GET", "POST"):
        said = f"No method found matching route live/{CALL} for http method {method}"
        assert await ask(app, f"{before}/live/{CALL}", method=method) == (403, said)
    assert await ask(app, f"{before}/{CALL}") == GONE
    assert await ask(app, f"{before}/{CALL.replace('@', '%40')}") == GONE


@pytest.mark.parametrize(
    ("stage", "path", "expected"),
    [
        ("live", "/live", NO_SOCKET),
        ("live", "/l%69ve", NO_SOCKET),
        ("live", "/l%69ve/", NO_SOCKET),
        ("live", f"/l%69ve/{CALL}", GONE),
        ("live", f"/live/%40{CALL[1:]}", GONE),
        ("live", "/l%69ve/more", FORBIDDEN),
        ("live", "/live%2F", FORBIDDEN),
        ("live", "/lives", FORBIDDEN),
        ("live", "/", FORBIDDEN),
        ("$default", "/%24default", NO_SOCKET),
        ("$default", f"/%24default/{CALL}", GONE),
        ("$default", f"/$default/{CALL}", GONE),
    ],
)
async def test_the_name_of_a_stage_may_be_encoded(stage, path, expected):
    sockets: Any = Sockets(stage=stage)
    app = StageApp([sockets], ACCESS, prefix=f"/{stage}")
    assert await ask(by_stage(nowhere, {stage: app}), path) == expected
    assert await ask(api_of_host(sockets, ACCESS, custom=False), path) == expected


async def test_without_a_default_endpoint_only_an_own_domain_leads_to_an_api():
    sockets: Any = Sockets(has_default_endpoint=False)
    awss_own = api_of_host(sockets, ACCESS, custom=False)
    for path in ("/live", f"/live/{CALL}"):
        assert await ask(awss_own, path) == FORBIDDEN
    assert await ask(awss_own, "/live", kind="websocket") == FORBIDDEN
    alias = api_of_host(sockets, ACCESS, custom=True)
    assert await ask(alias, f"/{CALL}") == GONE
    assert await ask(alias, "/", kind="websocket") == served()
