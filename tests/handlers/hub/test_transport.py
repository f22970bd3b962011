"""The pool behind httpx's interface."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from handlers.hub.origin import Origin
from handlers.hub.pool import Pool
from handlers.hub.signing import Credentials, Signer
from handlers.hub.transport import PoolTransport, SigV4
from tests.misbehaving import CLOSE, HOLD, Misbehaving, answer


def client_of(server: Misbehaving, **options: float) -> httpx.AsyncClient:
    transport = PoolTransport(Pool(server.origin, **options))  # type: ignore[arg-type]  # a test's shorthand
    return httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{server.port}")


async def test_a_request_of_httpx_goes_through_the_pool():
    made = answer(201, b'{"a":1}', Content_Type="application/json")
    async with Misbehaving([[made]]) as server, client_of(server) as client:
        got = await client.post("/a%3D?b=c", json={"d": "é"}, headers={"X-E": "f"})
    assert (got.status_code, got.json()) == (201, {"a": 1})
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/a%3D?b=c")
    assert request.body.decode() == '{"d":"é"}'
    assert request.headers["x-e"] == "f"
    assert request.headers["content-type"] == "application/json"
    assert list(request.headers).count("host") == 1


async def test_a_streamed_body_is_sent_whole():
    async def pieces():
        yield b"hal"
        yield b"lo"

    async with Misbehaving() as server, client_of(server) as client:
        await client.post("/", content=pieces())
    assert server.requests[0].body == b"hallo"
    assert "transfer-encoding" not in server.requests[0].headers


async def test_a_chunked_answer_is_read():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    async with Misbehaving([[chunked]]) as server, client_of(server) as client:
        assert (await client.get("/")).text == "hi"


async def test_many_requests_at_once_share_the_sockets():
    async with Misbehaving() as server:
        async with client_of(server, sockets=4) as client:
            answers = await asyncio.gather(*(client.post("/") for _ in range(40)))
        assert {got.status_code for got in answers} == {200}
        assert server.accepted <= 4
        await server.until_closed()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([[CLOSE]], httpx.ReadError),
        ([[b"garbage\r\n\r\n"]], httpx.RemoteProtocolError),
        ([[HOLD]], httpx.ReadTimeout),
    ],
)
async def test_a_fault_is_the_error_that_httpx_would_raise(script, error):
    async with Misbehaving(script) as server, client_of(server, answer_for=0.05) as client:
        with pytest.raises(error):
            await client.get("/")


async def test_nobody_listening_is_a_connect_error():
    async with Misbehaving() as server:
        pass
    async with client_of(server) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/")


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "https://127.0.0.1:{port}/", "http://localhost:{port}/"])
async def test_a_request_for_another_origin_is_refused(url):
    async with Misbehaving() as server, client_of(server) as client:
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get(url.format(port=server.port))
    assert not server.requests


async def test_a_header_with_a_line_end_is_refused():
    async with Misbehaving() as server, client_of(server) as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.get("/", headers={"X-A": "b\r\nX-C: d"})
    assert not server.requests


async def test_requests_can_be_signed():
    async with Misbehaving() as server, client_of(server) as client:
        host = Origin("http", "127.0.0.1", server.port).authority
        signer = Signer(lambda: Credentials("A", "B", "C"), region="eu-west-1", host=host, now=lambda: 1_700_000_000)
        await client.post("/prod/@connections/a%3D?x=1", content=b"hi", auth=SigV4(signer))
        lines = signer.sign("POST", "/prod/@connections/a%3D", b"hi", query="x=1")
    assert server.requests[0].target == "/prod/@connections/a%3D?x=1"
    for line in lines.splitlines():
        name, value = line.split(": ", 1)
        assert server.requests[0].headers[name.lower()] == value
