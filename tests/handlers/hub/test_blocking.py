"""The pool of callers without an event loop, against a server that misbehaves, on real sockets of the loopback."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from handlers.hub.blocking import BlockingPool
from handlers.hub.http1 import AnswerBroken, AnswerLost, AnswerTimedOut, ConnectFailed, ConnectTimedOut
from handlers.hub.origin import Origin, Proxy
from tests.misbehaving import (
    CLOSE,
    CUT,
    HOLD,
    OK,
    RESET,
    Authority,
    Misbehaving,
    TunnelProxy,
    answer,
    make_authority,
)

if TYPE_CHECKING:
    from handlers.hub.http1 import Answer

SOON = 0.05  # seconds, for what is meant to time out
HALF = answer(body=b"0123456789")[:-5]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def pool_to(server: Misbehaving, **options: object) -> BlockingPool:
    return BlockingPool(server.origin, **options)  # type: ignore[arg-type]  # a test's shorthand


async def send(pool: BlockingPool, body: bytes = b"") -> Answer:
    return await asyncio.to_thread(pool.send, "POST", "/", "", body)


async def test_a_request_goes_out_as_it_was_asked_for():
    async with Misbehaving([[answer(201, b"done")]]) as server:
        got = await asyncio.to_thread(pool_to(server).send, "POST", "/a%3D", "X-A: 1\r\n", b"hallo")
    assert (got.status, got.body) == (201, b"done")
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/a%3D", b"hallo")
    assert request.headers == {"host": f"127.0.0.1:{server.port}", "x-a": "1", "content-length": "5"}


async def test_requests_one_after_another_share_a_socket():
    async with Misbehaving() as server:
        pool = pool_to(server)
        for _ in range(5):
            await send(pool)
    assert (len(server.requests), server.accepted) == (5, 1)


async def test_requests_at_once_have_a_socket_each_and_no_more_are_kept_than_asked_for():
    async with Misbehaving([[0.05, OK]]) as server:
        pool = pool_to(server, sockets=2)
        await asyncio.gather(*(send(pool) for _ in range(4)))
        assert server.most_in_flight == 4
        await server.until_closed(2)
        pool.close()
        await server.until_closed()


async def test_a_pool_that_nobody_has_any_more_leaves_nothing_open():
    async with Misbehaving() as server:
        pool = pool_to(server)
        await send(pool)
        del pool
        await server.until_closed()


async def test_a_large_answer_comes_whole_in_whatever_pieces():
    body = bytes(range(256)) * 8_000
    whole = answer(body=body)
    async with Misbehaving([[whole[:7], 0.01, whole[7:100], 0.01, whole[100:1_000_000], whole[1_000_000:]]]) as server:
        assert (await send(pool_to(server, body_limit=3_000_000))).body == body
        with pytest.raises(AnswerBroken, match="1,048,576 bytes"):
            await send(pool_to(server))


async def test_a_socket_that_was_closed_while_it_was_idle_is_not_used_again():
    async with Misbehaving([[OK, CLOSE]], [[OK]]) as server:
        pool = pool_to(server)
        await send(pool)
        await server.until_closed()
        await send(pool)
    assert [request.socket for request in server.requests] == [0, 1]


async def test_a_socket_on_which_something_came_that_nobody_asked_for_is_not_used_again():
    async with Misbehaving([[OK + answer(410)]], [[OK]]) as server:
        pool = pool_to(server)
        await send(pool)
        assert (await send(pool)).status == 200
        assert server.accepted == 2
    async with Misbehaving([[OK, 0.02, answer(410)]], [[OK]]) as server:
        pool = pool_to(server)
        await send(pool)
        await asyncio.sleep(0.1)
        assert (await send(pool)).status == 200
        assert server.accepted == 2


async def test_an_old_socket_is_not_used_again():
    now = [1_000.0]
    async with Misbehaving() as server:
        pool = pool_to(server, idle_for=50.0, clock=lambda: now[0])
        for after, sockets in ((0, 1), (49, 1), (51, 2)):
            now[0] += after
            await send(pool)
            assert server.accepted == sockets


@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["close", "reset"])
async def test_a_kept_socket_that_closes_without_an_answer_is_tried_once_more(end):
    async with Misbehaving([[OK], [end]], [[OK]]) as server:
        pool = pool_to(server)
        await send(pool)
        assert (await send(pool, b"again")).status == 200
    assert [(request.socket, request.body) for request in server.requests] == [(0, b""), (0, b"again"), (1, b"again")]


async def test_after_silence_on_a_kept_socket_no_other_that_was_kept_is_used():
    async with Misbehaving(*[[[SOON, OK], [HOLD]]] * 3, [[OK]]) as server:
        pool = pool_to(server, answer_for=4 * SOON)
        await asyncio.gather(*(send(pool) for _ in range(3)))
        with pytest.raises(AnswerTimedOut):
            await send(pool, b"unheard")
        assert (await send(pool, b"again")).status == 200
    assert server.accepted == 4


async def test_after_half_an_answer_the_other_sockets_are_used_as_before():
    async with Misbehaving([[SOON, OK], [HALF, HOLD]], [[SOON, OK], [HALF, HOLD]]) as server:
        pool = pool_to(server, answer_for=4 * SOON)
        await asyncio.gather(*(send(pool) for _ in range(2)))
        for _ in range(2):
            with pytest.raises(AnswerTimedOut):
                await send(pool)
    assert server.accepted == 2


@pytest.mark.parametrize(
    ("scripts", "before", "fault"),
    [
        ([[[CLOSE]]], 0, AnswerLost),
        ([[[RESET]]], 0, AnswerLost),
        ([[[OK], [HALF, CLOSE]]], 1, AnswerLost),
        ([[[OK], [CLOSE]], [[CLOSE]]], 1, AnswerLost),
        ([[[b"SSH-2.0-OpenSSH_9.6\r\n\r\n"]]], 0, AnswerBroken),
        ([[[b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nab"]]], 0, AnswerBroken),
    ],
    ids=["close", "reset", "half an answer", "closed twice", "no HTTP", "two lengths"],
)
async def test_an_answer_that_does_not_come_is_a_fault_and_takes_its_socket_with_it(scripts, before, fault):
    async with Misbehaving(*scripts) as server:
        pool = pool_to(server)
        for _ in range(before):
            await send(pool)
        with pytest.raises(fault):
            await send(pool)
        await server.until_closed()
    assert len(server.requests) == sum(len(script) for script in scripts)


async def test_a_late_answer_is_never_given_to_the_next_request():
    async with Misbehaving([[0.2, answer(410)]], [[OK]]) as server:
        pool = pool_to(server, answer_for=SOON)
        with pytest.raises(AnswerTimedOut, match=r"within 0\.05 s"):
            await send(pool)
        assert (await send(pool)).status == 200
    assert server.accepted == 2


async def test_an_answer_that_drips_has_no_more_time_than_another():
    drip = [step for byte in answer(body=b"x" * 40) for step in (bytes([byte]), 0.01)]
    async with Misbehaving([drip]) as server:
        with pytest.raises(AnswerTimedOut):
            await send(pool_to(server, answer_for=SOON))


async def test_an_answer_that_stops_after_it_has_begun_has_no_more_time_than_another():
    async with Misbehaving([[0.3, b"HTTP/1.1 200", HOLD]]) as server:
        pool = pool_to(server, answer_for=0.4)
        began = time.monotonic()
        with pytest.raises(AnswerTimedOut):
            await send(pool)
        assert time.monotonic() - began < 0.6


async def test_nobody_who_listens_is_a_failure_to_connect():
    async with Misbehaving() as server:
        pool = pool_to(server)
    with pytest.raises(ConnectFailed, match=r"no socket to 127\.0\.0\.1"):
        await send(pool)
    with pytest.raises(ConnectFailed):
        await send(BlockingPool(Origin("http", "a..b", 80)))


# TLS and proxies.


async def test_over_tls_the_server_has_to_prove_who_it_is(authority):
    async with Misbehaving(tls=authority.server()) as server:
        pool = pool_to(server, tls=authority.client())
        assert [(await send(pool)).status for _ in range(3)] == [200] * 3
        assert server.accepted == 1
        with pytest.raises(ConnectFailed, match="certificate verify failed"):
            await send(pool_to(server))


async def test_of_many_threads_one_makes_the_tls_context(authority, monkeypatch):
    made = []

    def trust(environ):
        made.append(environ)
        time.sleep(SOON)
        return authority.client()

    monkeypatch.setattr("handlers.hub.blocking.trust", trust)
    async with Misbehaving([[SOON, OK]], tls=authority.server()) as server:
        pool = pool_to(server)
        assert [answered.status for answered in await asyncio.gather(*(send(pool) for _ in range(4)))] == [200] * 4
        assert (server.accepted, len(made)) == (4, 1)
        pool.close()


async def test_over_tls_an_answer_without_an_end_of_its_own_needs_the_farewell(authority):
    endless = b"HTTP/1.1 200 OK\r\n\r\nhalf"
    async with Misbehaving([[endless, CUT]], tls=authority.server()) as server:
        with pytest.raises(AnswerLost):
            await send(pool_to(server, tls=authority.client()))


async def test_a_peer_that_does_not_speak_tls_is_a_failure_to_connect(authority):
    async with Misbehaving() as server:
        pool = BlockingPool(Origin("https", "127.0.0.1", server.port), tls=authority.client(), connect_for=SOON)
        with pytest.raises(ConnectTimedOut):
            await send(pool)


async def test_a_tunnel_leads_through_the_proxy(authority):
    async with TunnelProxy() as proxy, Misbehaving(tls=authority.server()) as server:
        pool = pool_to(server, tls=authority.client(), proxy=Proxy("127.0.0.1", proxy.port, "Basic abc"))
        assert [(await send(pool)).status for _ in range(2)] == [200] * 2
        (asked,) = proxy.requests
        assert (asked.method, asked.target) == ("CONNECT", f"127.0.0.1:{server.port}")
        assert asked.headers["proxy-authorization"] == "Basic abc"
        pool.close()


async def test_a_proxy_that_refuses_is_a_failure_to_connect(authority):
    async with TunnelProxy(refusal=answer(403)) as proxy:
        origin = Origin("https", "127.0.0.1", 9)
        pool = BlockingPool(origin, tls=authority.client(), proxy=Proxy("127.0.0.1", proxy.port, ""))
        with pytest.raises(ConnectFailed, match="answered 403"):
            await send(pool)


def test_a_proxy_is_for_https_only():
    with pytest.raises(ValueError, match="https only"):
        BlockingPool(Origin("http", "127.0.0.1", 1), proxy=Proxy("127.0.0.1", 2, ""))
