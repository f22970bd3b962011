"""Small gateways for tests: an API with one function behind every route, and handshakes to open them with."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from local.events import Handshake
from local.gateway import Gateway
from local.stack import LambdaIntegration, Route, Stage, WebSocketApi

if TYPE_CHECKING:
    from local.limits import Choices, Limits
    from local.rules.effects import Effect

NOW = 1_700_000_000.0


def route(key: str, *, two_way: bool = False, timeout: float = 29.0, function: str = "Handler") -> Route:
    return Route(key=key, integration=LambdaIntegration(function, timeout), two_way=two_way)


def gateway(
    *routes: Route,
    stage: Stage | None = None,
    limits: Limits | None = None,
    choices: Choices | None = None,
    random: Random | None = None,
) -> Gateway:
    api = WebSocketApi(
        logical_id="Api",
        id="abcdef1234",
        name="Api",
        selection="$request.body.action",
        stage=stage or Stage(name="live"),
        routes={one.key: one for one in routes},
    )
    return Gateway(api, region="us-east-1", random=random or Random(1), limits=limits, choices=choices)


def handshake(*headers: tuple[str, str], query: str = "") -> Handshake:
    return Handshake(
        headers=[("Host", "127.0.0.1:8000"), ("Sec-WebSocket-Version", "13"), *headers],
        query=query,
        source_ip="192.0.2.1",
        domain_name="127.0.0.1:8000",
    )


def answer(**members: Any) -> bytes:
    return msgspec.json.encode(members)


def only(effects: list[Effect], kind: type) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]
