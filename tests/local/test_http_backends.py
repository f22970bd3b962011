import asyncio

import pytest

from local.http_backends import BackendUnreachable, HttpBackends
from local.rules.effects import Fetch


def fetch(url):
    return Fetch(1, "PUT", url, (("connectionId", "x"),), b"text", 2.0, "$default", "x")


async def test_a_backend_gets_the_call_and_its_answer_comes_back():
    seen = []

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append((head.decode().lower(), await reader.readexactly(4)))
        writer.write(b"HTTP/1.1 307 Moved\r\nContent-Length: 5\r\nLocation: /elsewhere\r\n\r\nhello")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backends = HttpBackends()
    assert await backends.call(fetch(f"http://127.0.0.1:{port}/path?a=1")) == (307, b"hello")
    head, body = seen[0]
    assert head.startswith("put /path?a=1 ")
    assert "connectionid: x" in head
    assert body == b"text"
    server.close()
    await backends.close()
    with pytest.raises(BackendUnreachable, match=str(port)):
        await backends.call(fetch(f"http://127.0.0.1:{port}/"))
    await backends.close()


async def test_a_header_that_is_not_ascii_goes_on_as_it_came():
    heads = []

    async def answer(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backends = HttpBackends()
    name = "Jürgen".encode().decode("latin-1")  # as the server reads what a client sends
    asked = Fetch(1, "GET", f"http://127.0.0.1:{port}/", (("X-Name", name), ("X-Sign", "€")), b"", 2.0, "$default", "x")
    assert await backends.call(asked) == (204, b"")
    assert "X-Name: Jürgen".encode() in heads[0]
    server.close()
    await backends.close()
