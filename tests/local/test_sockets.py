"""What the sockets do when a rule of the gateway itself fails: nobody waits for ever, and the log says why."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from local.functions.invocations import Result
from local.functions.service import Exhausted
from local.gateway import Gateway
from local.sockets import Sockets
from local.stack import HttpIntegration, Route
from tests.local import gateways


class _Functions:
    """Functions that answer when they are told to."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[Result]] = []

    def submit(self, _function: str, _event: bytes) -> asyncio.Future[Result]:
        self.asked.append(asyncio.get_running_loop().create_future())
        return self.asked[-1]


class _Client:
    """The far end of one socket, as the protocol of a server knows it."""

    def __init__(self) -> None:
        self.heard: Any = None
        self.sent: list[bytes] = []
        self.status: int | None = None
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.events.put_nowait({"type": "websocket.connect"})

    def accept(self, _subprotocol: str | None) -> None:
        self.status = 101

    def send_text(self, text: bytes) -> None:
        self.sent.append(text)

    async def send(self, message: Any) -> None:
        self.status = message.get("status", self.status)

    def scope(self) -> Any:
        return {
            "headers": [(b"Host", b"127.0.0.1")],
            "query_string": b"",
            "raw_path": b"/live",
            "client": ("127.0.0.1", 1),
            "extensions": {"tickwire.socket": {"protocol": self}},
        }


async def _connect(functions: _Functions, client: _Client) -> tuple[Sockets, asyncio.Task[None]]:
    sockets = Sockets(gateways.gateway(gateways.route("$connect"), gateways.route("$default")), functions)  # type: ignore[arg-type]
    serving = asyncio.create_task(sockets.serve(client.scope(), client.events.get, client.send))  # type: ignore[arg-type]
    while not functions.asked:
        await asyncio.sleep(0)
    return sockets, serving


def _break(monkeypatch: pytest.MonkeyPatch, sockets: Sockets, rule: str) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a rule that cannot count")

    monkeypatch.setattr(sockets.gateway, rule, fail)


async def _answer(functions: _Functions, payload: bytes = b'{"statusCode": 200}') -> None:
    functions.asked[-1].set_result(Result("id", payload, None))
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_rule_that_fails_on_the_answer_to_a_handshake_refuses_the_client(monkeypatch, caplog):
    functions, client = _Functions(), _Client()
    sockets, serving = await _connect(functions, client)
    _break(monkeypatch, sockets, "_connect_answered")
    await _answer(functions)
    async with asyncio.timeout(1):
        await serving
    assert client.status == 500
    assert "a rule that cannot count" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("rule", ["_message_answered", "_dispatch"])
async def test_a_rule_that_fails_on_a_message_is_told_to_the_client_and_the_socket_stays(rule, monkeypatch, caplog):
    functions, client = _Functions(), _Client()
    sockets, serving = await _connect(functions, client)
    await _answer(functions)
    assert client.status == 101
    with monkeypatch.context() as broken:
        _break(broken, sockets, rule)
        client.heard("hello")
        await _answer(functions) if rule == "_message_answered" else None
    assert [b'"message": "Internal server error"' in frame for frame in client.sent] == [True]
    assert "a rule that cannot count" in caplog.text
    client.heard("again")
    assert len(functions.asked) == (3 if rule == "_message_answered" else 2)
    client.events.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await serving


async def test_an_exhausted_function_is_told_to_the_client(monkeypatch, caplog):
    functions, client = _Functions(), _Client()
    sockets, serving = await _connect(functions, client)
    await _answer(functions)

    def refuse(*_: object) -> None:
        raise Exhausted("Handler", 2)

    monkeypatch.setattr(functions, "submit", refuse)
    client.heard("hello")
    second = _Client()
    async with asyncio.timeout(1):
        await sockets.serve(second.scope(), second.events.get, second.send)  # type: ignore[arg-type]
    assert b'"message": "Internal server error"' in client.sent[0]
    assert second.status == 500
    assert "Handler is busy in all of its 2 processes" in caplog.text
    serving.cancel()


async def test_an_alarm_that_fails_stops_no_clock(monkeypatch, caplog):
    functions, client = _Functions(), _Client()
    sockets, serving = await _connect(functions, client)
    _break(monkeypatch, sockets, "woken")
    sockets._wake()
    assert "a rule that cannot count" in caplog.text
    assert sockets._timer is not None
    sockets.stop()
    serving.cancel()


async def test_a_backend_call_that_breaks_is_told_to_the_client(monkeypatch, caplog):
    api = replace(
        gateways.gateway().api, routes={"$connect": Route("$connect", HttpIntegration("http://backend.example"))}
    )
    sockets = Sockets(Gateway(api, region="us-east-1", random=Random(1)), _Functions())  # type: ignore[arg-type]

    async def fail(_fetch: object) -> None:
        raise ZeroDivisionError("a client that cannot count")

    monkeypatch.setattr(sockets._backends, "call", fail)
    client = _Client()
    async with asyncio.timeout(1):
        await sockets.serve(client.scope(), client.events.get, client.send)  # type: ignore[arg-type]
    assert client.status == 502
    assert "a client that cannot count" in caplog.text
