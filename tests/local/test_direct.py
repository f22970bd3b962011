"""
Answers without ASGI, beside those that uvicorn gives with it: the same bytes in, the same bytes out.

Each stream of bytes goes through two servers of one application, of which one may answer directly.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from http import HTTPStatus
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from local.front.bodies import BodyNotRead, read_body, respond_with
from local.front.direct import LEFT_FOR_TOO_LONG, DirectProtocol, Leading, Reply, Responder
from local.front.http_protocol import HttpProtocol
from local.front.server import Front

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: The longest body that is taken.
MOST = 200_000
HOST = b"Host: 127.0.0.1:8000\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST + b"X-Mixed-Case: Yes\r\nContent-Length: 5\r\n\r\nhello"
GET = b"GET /echo?a=1&b=%20 HTTP/1.1\r\n" + HOST + b"\r\n"
UPGRADE = (
    b"GET /echo HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


H2C = (
    b"Connection: Upgrade, HTTP2-Settings",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
)


def post(path: str = "/echo", *lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    head = b"POST %s HTTP/%s\r\n" % (path.encode(), version)
    length = (
        [] if any(line.lower().startswith((b"content-l", b"transfer-e")) for line in lines) else [b"Content-Length"]
    )
    said = [HOST, *(line + b"\r\n" for line in lines), *(b"%s: %d\r\n" % (name, len(body)) for name in length)]
    return head + b"".join(said) + b"\r\n" + body


class Application:
    """Says what it was asked; everything below ``/left`` is left to ASGI."""

    def __init__(self) -> None:
        self.direct_answers = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await respond_with(Responder(self._reply, MOST, self._too_long), scope, receive, send)

    def direct(self, scope: Mapping[str, Any]) -> Responder | None:
        return (
            None if scope["raw_path"] == b"/left/from/the/beginning" else Responder(self._answer, MOST, self._too_long)
        )

    def _answer(self, scope: Mapping[str, Any], body: bytes) -> Reply | None:
        if scope["raw_path"].startswith(b"/left"):
            return None
        self.direct_answers += 1
        return self._reply(scope, body)

    def _too_long(self, scope: Mapping[str, Any]) -> Reply:
        return Reply(413, [(b"content-length", b"2")], b"no")

    def _reply(self, scope: Mapping[str, Any], body: bytes) -> Reply:
        if scope["raw_path"] == b"/fails":
            raise RuntimeError("on purpose")
        if scope["raw_path"] == b"/empty":
            return Reply(204, [(b"x-id", b"1")], b"")
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
        path, query = scope["raw_path"].decode(), scope["query_string"].decode()
        said = json.dumps([scope["method"], path, query, headers, len(body), body[:9].decode("latin-1")]).encode()
        return Reply(200, [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(said))], said)


class Transport:
    """The server's end of a connection, without a socket."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_extra_info(self, _name: str) -> None:
        return None

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


def front_of(application: Application, *, directly: bool) -> Front:
    nothing: Any = None
    find = Leading(lambda _scope: application).direct if directly else None
    return Front(application, hosts=nothing, tls=nothing, started=nothing, stopping=nothing, direct=find)


async def converse(front: Front, chunks: Iterable[bytes]) -> Transport:
    """Let a new connection say something, piece by piece, and the server answer in between."""
    transport: Any = Transport()
    for chunk in chunks:
        if transport.closed:
            break
        if transport.protocol is None:
            front.sort(transport, chunk)
        else:
            transport.protocol.data_received(chunk)
        for _ in range(4):
            await asyncio.sleep(0)
    if hasattr(transport.protocol, "connection_lost"):
        transport.protocol.connection_lost(None)
    return transport


STREAMS: dict[str, tuple[bytes, int]] = {
    "a post": (POST, 1),
    "a post without a body": (post(), 1),
    "a get with a query": (GET, 1),
    "no content": (post("/empty"), 1),
    "three at once": (POST + GET + POST, 3),
    "left in the middle": (POST + post("/left", body=b"x") + POST, 1),
    "left from the beginning": (post("/left/from/the/beginning", body=b"xyz"), 0),
    "left from the beginning, more behind": (post("/left/from/the/beginning") + post("/left") + GET, 0),
    "in chunks": (post("/echo", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), 1),
    "fields behind the chunks": (
        post("/echo", b"Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\nX-Amz-Date: 1\r\n\r\n") + GET,
        2,
    ),
    "expected": (post("/echo", b"Expect: 100-continue", body=b"now"), 0),
    "head": (b"HEAD /echo HTTP/1.1\r\n" + HOST + b"\r\n", 0),
    "options": (b"OPTIONS /echo HTTP/1.1\r\n" + HOST + b"\r\n", 1),
    "the last": (post("/echo", b"Connection: close", body=b"bye"), 1),
    "the last, more behind": (post("/echo", b"Connection: close", body=b"bye") + POST, 1),
    "the last, an upgrade behind": (post("/echo", b"Connection: close") + UPGRADE, 1),
    "keep-alive": (post("/echo", b"Connection: keep-alive") + POST, 2),
    "HTTP/1.0": (post(version=b"1.0", body=b"old"), 0),
    "HTTP/1.0 that stays": (post("/echo", b"Connection: keep-alive", version=b"1.0"), 0),
    "a whole URL": (post("http://127.0.0.1:8000/echo", body=b"x"), 0),
    "a fragment": (post("/echo#part"), 0),
    "no ASCII": (post("/ech\xf6"), 0),
    "percent": (post("/%65cho/%C3%B6?x=%20"), 1),
    "two slashes": (post("//echo"), 1),
    "twice the same field": (post("/echo", b"X-A: 1", b"x-a: 2"), 1),
    "both framings": (post("/echo", b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"), 0),
    "two lengths": (post("/echo", b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"), 0),
    "a length that is none": (post("/echo", b"Content-Length: +5", body=b"hello"), 0),
    "a chunk that is none": (post("/echo", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\nzz\r\n"), 0),
    "a blank before the colon": (post("/echo", b"X-A : 1"), 0),
    "a folded line": (post("/echo", b"X-A: 1", b" X-B: 2"), 0),
    "no HTTP": (b"hello\r\n\r\n", 0),
    "another upgrade": (b"GET /echo HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 1),
    "another upgrade, a body and more behind": (post("/echo", *H2C, body=b"hello") + POST + GET, 3),
    "another upgrade, in chunks": (
        post("/echo", *H2C, b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n") + POST,
        2,
    ),
    "another upgrade, left": (post("/left", *H2C, body=b"x") + post("/left/from/the/beginning", *H2C, body=b"y"), 0),
    "other upgrades": (post("/echo", *H2C, body=b"a") * 3, 3),
    "another upgrade, the last": (post("/echo", *H2C[1:], b"Connection: Upgrade, close", body=b"a") + POST, 1),
    "another upgrade, HTTP/1.0": (post("/echo", *H2C, version=b"1.0", body=b"a"), 0),
    "another upgrade behind the last": (post("/echo", b"Connection: close") + post("/echo", *H2C), 1),
    "connect": (POST + b"CONNECT /echo HTTP/1.1\r\n" + HOST + b"\r\n", 1),
    "as long as may be": (post(body=bytes(MOST)), 1),
    "too long": (post(body=bytes(MOST + 1)) + POST, 0),
    "too long, in chunks": (
        post("/echo", b"Transfer-Encoding: chunked", body=b"30000\r\n%s\r\n" % bytes(0x30000) * 3 + b"0\r\n\r\n") + GET,
        0,
    ),
    "too long, left": (post("/left/from/the/beginning", body=bytes(MOST + 1)) + POST, 0),
    "no host": (b"POST /echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + GET, 0),
    "two hosts": (b"GET /left HTTP/1.1\r\n" + HOST + HOST + b"\r\n" + GET, 0),
    "no host, HTTP/1.0": (b"GET /echo HTTP/1.0\r\n\r\n", 0),
    "a failure": (post("/fails") + POST, 1),
}


@pytest.mark.parametrize("name", STREAMS)
async def test_an_answer_is_to_the_byte_what_uvicorn_would_send(name, caplog):
    caplog.set_level(logging.CRITICAL)
    stream, expected = STREAMS[name]
    for chunks in _pieces(stream):
        application, plain = Application(), Application()
        answered = await converse(front_of(application, directly=True), chunks)
        by_uvicorn = await converse(front_of(plain, directly=False), chunks)
        assert _without_chance(answered.written) == _without_chance(by_uvicorn.written)
        assert answered.closed == by_uvicorn.closed
        assert plain.direct_answers == 0
        if chunks == [stream]:
            assert application.direct_answers == expected


def _pieces(stream: bytes) -> Iterator[list[bytes]]:
    """Give a stream whole, with a break behind each head, and byte by byte if it is not too long."""
    yield [stream]
    yield [chunk for chunk in re.split(rb"(?<=\r\n\r\n)", stream) if chunk]
    if len(stream) < 1_000:
        yield [stream[at : at + 1] for at in range(len(stream))]


def _without_chance(answers: bytes) -> list[bytes]:
    lines = answers.split(b"\r\n")
    return [line for line in lines if not line.lower().startswith((b"x-amzn-requestid:", b"date:"))]


class Clock:
    """A loop whose timers go off when the test says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Any]] = []
        self.create_task = loop.create_task

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Any) -> Any:
        timer = (self.now + delay, call)
        self.timers.append(timer)
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer) if timer in self.timers else None)

    def pass_to(self, now: float) -> None:
        self.now = now
        for timer in [one for one in self.timers if one[0] <= now]:
            self.timers.remove(timer)
            timer[1]()


def connect(
    application: Application, kind: type[DirectProtocol] = DirectProtocol
) -> tuple[Transport, DirectProtocol, Clock]:
    """Return a new connection, with a clock of the test's own."""
    clock: Any = Clock(asyncio.get_running_loop())
    config = uvicorn.Config(application, ws="none", access_log=False, log_config=None, timeout_keep_alive=75)
    protocol = kind(config, ServerState(), {}, _loop=clock)
    protocol.find = application.direct
    transport: Any = Transport()
    protocol.connection_made(transport)
    return transport, protocol, clock


async def test_who_asks_for_nothing_any_more_is_hung_up_on_after_75_seconds():
    transport, protocol, clock = connect(Application())
    for _ in range(3):
        protocol.data_received(POST)
        clock.pass_to(clock.now + 50)
    assert len(clock.timers) == 1
    clock.pass_to(274)
    assert not transport.closed
    clock.pass_to(275)
    assert transport.closed
    assert clock.timers == []


async def test_who_is_still_asking_is_not_hung_up_on_and_nobody_waits_for_who_has_gone():
    transport, protocol, clock = connect(Application())
    protocol.data_received(POST)
    protocol.data_received(POST[:-1])
    clock.pass_to(1_000)
    assert not transport.closed
    protocol.data_received(POST[-1:])
    assert transport.written.count(b"HTTP/1.1 200 OK") == 2
    assert len(clock.timers) == 1
    protocol.connection_lost(None)
    assert clock.timers == []


async def test_the_end_of_the_server_waits_for_what_is_being_asked():
    transport, protocol, _ = connect(Application())
    protocol.data_received(POST[:-1])
    protocol.shutdown()
    assert not transport.closed
    protocol.data_received(POST[-1:])
    assert b"\r\nconnection: close\r\n" in transport.written
    assert transport.closed


async def test_the_end_of_the_server_is_the_end_of_who_asks_nothing():
    transport, protocol, _ = connect(Application())
    protocol.data_received(POST)
    protocol.shutdown()
    assert transport.closed


async def test_who_takes_no_answers_gets_no_direct_ones():
    application = Application()
    transport, protocol, _ = connect(application)
    protocol.pause_writing()
    protocol.data_received(POST)
    await asyncio.sleep(0)
    assert (application.direct_answers, transport.written) == (0, b"")
    protocol.resume_writing()
    for _ in range(3):
        await asyncio.sleep(0)
    assert transport.written.startswith(b"HTTP/1.1 200 OK")


async def test_fields_behind_a_body_are_no_headers():
    transport, protocol, _ = connect(Application())
    for path in ("/echo", "/left"):
        transport.written = b""
        protocol.data_received(post(path, b"Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\nX-Amz-Date: 1\r\n\r\n"))
        for _ in range(3):
            await asyncio.sleep(0)
        assert b"transfer-encoding" in transport.written
        assert b"x-amz-date" not in transport.written


@pytest.mark.parametrize("path", ["/echo", "/left", "/left/from/the/beginning"])
async def test_a_request_that_would_become_another_protocol_is_served_as_it_is(path):
    transport, protocol, _ = connect(Application())
    protocol.data_received(post(path, *H2C, body=b"hello"))
    for _ in range(3):
        await asyncio.sleep(0)
    head, _, said = transport.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    method, asked, _, headers, length, body = json.loads(said)
    assert (method, asked, length, body) == ("POST", path, 5, "hello")
    assert ["upgrade", "h2c"] in headers


async def test_any_number_of_such_requests_may_come_at_once():
    transport, protocol, _ = connect(Application())
    protocol.data_received(post("/echo", *H2C, body=b"hello") * 1_500)
    assert transport.written.count(b"HTTP/1.1 200 OK") == 1_500
    assert not transport.closed


@pytest.mark.parametrize("asked", [b"WebSocket", b"h2c, websocket", b"h2c\r\nupgrade: websocket"])
async def test_an_upgrade_to_a_socket_may_name_others_too(asked):
    transport = await converse(
        front_of(Application(), directly=True), [UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: " + asked)]
    )
    assert type(transport.protocol).__name__ == "SocketProtocol"


async def test_a_body_that_is_too_long_and_does_not_end_is_not_kept_and_refused_after_two_seconds():
    application = Application()
    transport, protocol, clock = connect(application)
    protocol.data_received(post("/echo", b"Content-Length: 100000000000"))
    for _ in range(20):
        protocol.data_received(bytes(MOST // 4))
    assert sum(map(len, protocol._parts)) == 0
    clock.pass_to(clock.now + LEFT_FOR_TOO_LONG - 0.1)
    assert transport.written == b""
    clock.pass_to(clock.now + 0.1)
    assert (
        transport.written
        == b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno".replace(
            b"Content Too Large", HTTPStatus(413).phrase.encode()
        )
    )
    assert transport.closed
    assert application.direct_answers == 0
    protocol.connection_lost(None)
    assert clock.timers == []


async def test_by_asgi_a_body_that_is_too_long_is_let_go_by_for_two_seconds(monkeypatch):
    assert LEFT_FOR_TOO_LONG == 2
    monkeypatch.setattr("local.front.bodies.LEFT_FOR_TOO_LONG", 0.01)

    async def receive() -> Any:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": bytes(1_000), "more_body": True}

    with pytest.raises(BodyNotRead) as fault:
        await read_body(receive, 5_000)
    assert fault.value.size > 5_000


async def test_what_a_client_began_to_send_before_it_left_is_no_body():
    messages = iter([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    with pytest.raises(BodyNotRead):
        await read_body(receive, 5_000)


async def test_a_head_that_grows_for_ever_is_refused():
    transport, protocol, _ = connect(Application(), HttpProtocol)
    protocol.data_received(POST + b"GET / HTTP/1.1\r\nX-Long: ")
    transport.written = b""
    for _ in range(16):
        assert not transport.closed
        protocol.data_received(b"x" * 65_536)
    assert transport.written.startswith(b"HTTP/1.1 431 ")
    assert transport.closed


async def test_who_does_not_end_a_head_is_hung_up_on_at_the_first_request_and_at_every_other():
    for before in (b"", POST, POST + post("/echo", *H2C)):
        transport, protocol, clock = connect(Application(), HttpProtocol)
        if before:
            protocol.data_received(before)
            transport.written = b""
            clock.pass_to(clock.now + 50)
        protocol.data_received(POST[:20])
        clock.pass_to(clock.now + 9)
        protocol.data_received(POST[20:21])
        assert not transport.closed
        clock.pass_to(clock.now + 1)
        assert transport.written.startswith(b"HTTP/1.1 408 Request Timeout")
        assert transport.closed
        protocol.connection_lost(None)
        assert clock.timers == []


async def test_what_is_no_request_keeps_no_connection():
    transport, protocol, clock = connect(Application(), HttpProtocol)
    protocol.data_received(POST)
    for _ in range(8):
        clock.pass_to(clock.now + 10)
        protocol.data_received(b"\r\n")
    assert transport.closed


async def test_a_failure_is_logged(caplog):
    transport, protocol, _ = connect(Application())
    protocol.data_received(post("/fails"))
    assert transport.written.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert "POST /fails failed" in caplog.text
    assert "on purpose" in caplog.text


async def test_nothing_behind_a_failure_is_read_not_even_an_upgrade():
    transport, protocol, _ = connect(Application())
    protocol.data_received(post("/fails") + UPGRADE)
    assert transport.written.count(b"HTTP/1.1") == 1
    assert transport.closed


async def test_who_waits_for_an_answer_by_asgi_is_not_idle():
    transport, protocol, clock = connect(Application())
    protocol.data_received(POST + post("/left"))
    clock.pass_to(1_000)
    assert not transport.closed
