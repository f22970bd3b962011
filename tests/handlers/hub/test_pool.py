"""The pool against a server that misbehaves, on real sockets of the loopback."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys

import pytest

from handlers.hub.http1 import (
    AnswerBroken,
    AnswerLost,
    AnswerTimedOut,
    ConnectFailed,
    ConnectTimedOut,
    ExchangeFault,
    PoolClosed,
)
from handlers.hub.origin import Origin, Proxy
from handlers.hub.pool import Pool
from tests.misbehaving import (
    CLOSE,
    CUT,
    HOLD,
    OK,
    RESET,
    Authority,
    HandmadeTls,
    Misbehaving,
    TunnelProxy,
    answer,
    make_authority,
)

SOON = 0.05  # seconds, for what is meant to time out


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def trusting(authority: Authority) -> ssl.SSLContext:
    return authority.client()


def pool_to(server: Misbehaving, **options: object) -> Pool:
    return Pool(server.origin, **{"connect_for": 1.0, "answer_for": 1.0, **options})  # type: ignore[arg-type]  # a test's shorthand


# What is sent, and what comes back.


async def test_a_request_goes_out_as_it_was_asked_for():
    async with Misbehaving() as server, pool_to(server) as pool:
        await pool.send("POST", "/prod/@connections/a%3D", "X-A: 1\r\n", b"hallo")
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/prod/@connections/a%3D", b"hallo")
    assert request.headers == {"host": f"127.0.0.1:{server.port}", "x-a": "1", "content-length": "5"}


@pytest.mark.parametrize(("method", "length"), [("GET", None), ("HEAD", None), ("POST", "0"), ("DELETE", "0")])
async def test_only_a_method_that_may_have_a_body_announces_an_empty_one(method, length):
    async with Misbehaving() as server, pool_to(server) as pool:
        await pool.send(method, "/")
    assert server.requests[0].headers.get("content-length") == length


async def test_requests_one_after_another_share_a_socket():
    async with Misbehaving() as server, pool_to(server) as pool:
        for _ in range(5):
            await pool.send("POST", "/")
    assert (len(server.requests), server.accepted) == (5, 1)


@pytest.mark.parametrize(
    ("turn", "status", "body", "sockets"),
    [
        ([b"HTTP/1.1 100 Continue\r\n\r\n", answer(200, b"hi")], 200, b"hi", 1),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, b"hi")], 200, b"hi", 1),
        ([answer(410, x_amzn_ErrorType="GoneException")], 410, b"", 1),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b"", 1),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nh", b"i\r\n0\r\n\r\n"], 200, b"hi", 1),
        ([answer(200, b"hi", Connection="close"), CLOSE], 200, b"hi", 2),
        ([answer(200, b"hi", Connection="close")], 200, b"hi", 2),
        ([b"HTTP/1.0 200 OK\r\n\r\nhi", CLOSE], 200, b"hi", 2),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi, and more"], 200, b"hi", 2),
        ([answer(200, b"hi") + answer(500)], 200, b"hi", 2),
    ],
)
async def test_an_answer_ends_where_it_says_and_the_socket_is_kept_only_if_that_is_certain(turn, status, body, sockets):
    async with Misbehaving([turn]) as server, pool_to(server) as pool:
        for _ in range(2):
            got = await pool.send("POST", "/")
            assert (got.status, got.body) == (status, body)
    assert server.accepted == sockets


# What goes wrong.


@pytest.mark.parametrize(
    ("turn", "fault"),
    [
        ([CLOSE], AnswerLost),
        ([RESET], AnswerLost),
        ([b"HTTP/1.1 200 OK\r\nConte", CLOSE], AnswerLost),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal", CLOSE], AnswerLost),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal", RESET], AnswerLost),
        ([b"HTTP/1.1 200 OK\r\n\r\nhal", RESET], AnswerLost),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", CLOSE], AnswerLost),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE], AnswerLost),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"], AnswerBroken),
        ([b"SSH-2.0-OpenSSH_9.6\r\n\r\n"], AnswerBroken),
        ([b"\x15\x03\x01\r\n\r\n"], AnswerBroken),
        ([b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 12_000], AnswerBroken),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n"], AnswerBroken),
        ([b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_100_000, HOLD], AnswerBroken),
        ([HOLD], AnswerTimedOut),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal", HOLD], AnswerTimedOut),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", *[b"x", 0.01] * 90], AnswerTimedOut),
    ],
)
async def test_a_broken_answer_is_a_fault_and_the_next_request_gets_a_new_socket(turn, fault):
    answer_for = SOON if fault is AnswerTimedOut else 1.0
    async with Misbehaving([turn], [[OK]]) as server, pool_to(server, sockets=1, answer_for=answer_for) as pool:
        with pytest.raises(fault):
            await pool.send("POST", "/")
        assert len(server.requests) == 1, "nothing is repeated on a socket that was new"
        assert (await pool.send("POST", "/")).status == 200
        await server.until_closed(1)
    assert server.accepted == 2


async def test_a_drip_that_never_ends_is_cut_off_at_the_time_for_the_whole_answer():
    drip = [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", *[b"x", 0.01] * 90]
    async with Misbehaving([drip]) as server, pool_to(server, answer_for=SOON) as pool:
        began = asyncio.get_running_loop().time()
        with pytest.raises(AnswerTimedOut, match=r"0\.05 s"):
            await pool.send("POST", "/")
        assert 0.04 < asyncio.get_running_loop().time() - began < 0.5
        await server.until_closed()


async def test_each_request_has_its_own_time():
    async with Misbehaving([[0.06, OK]]) as server, pool_to(server, answer_for=0.15) as pool:
        for _ in range(3):
            assert (await pool.send("POST", "/")).status == 200


async def test_a_timeout_of_one_request_is_not_one_of_another():
    async with Misbehaving([[HOLD]], [[0.06, OK]]) as server, pool_to(server, answer_for=0.15) as pool:
        slow = asyncio.create_task(pool.send("POST", "/slow"))
        await server.until_asked(1)
        await asyncio.sleep(0.1)
        later = asyncio.create_task(pool.send("POST", "/later"))
        with pytest.raises(AnswerTimedOut):
            await slow
        assert (await later).status == 200


async def test_nobody_listening_is_a_failure_to_connect():
    async with Misbehaving() as server:
        origin = server.origin
    async with Pool(origin, sockets=1) as pool:
        for _ in range(2):
            with pytest.raises(ConnectFailed, match=origin.authority):
                await pool.send("POST", "/")


async def test_a_name_that_is_none_is_a_failure_to_connect():
    async with Pool(Origin("http", "a" * 70 + ".invalid", 80)) as pool:
        with pytest.raises(ConnectFailed):
            await pool.send("POST", "/")


async def test_every_fault_says_what_happened():
    async with Misbehaving([[CLOSE]]) as server, pool_to(server) as pool:
        with pytest.raises(ExchangeFault, match="closed without an answer"):
            await pool.send("POST", "/")
    assert str(PoolClosed()) == "The pool was closed before the answer came."


# Sockets that have gone stale.


async def test_a_socket_closed_while_idle_is_replaced_without_a_fault():
    async with Misbehaving([[OK, CLOSE]], [[OK]]) as server, pool_to(server) as pool:
        await pool.send("POST", "/")
        await server.until_closed()
        assert (await pool.send("POST", "/")).status == 200
    assert (len(server.requests), server.accepted) == (2, 2)


async def test_a_socket_closed_while_idle_leaves_its_place_to_one_other():
    async with Misbehaving([[OK, CLOSE]]) as server, pool_to(server, sockets=1) as pool:
        for _ in range(3):
            await pool.send("POST", "/")
            await server.until_closed()
            await asyncio.sleep(0.001)  # until the pool has seen it too
            assert pool._free + len(pool._idle) == 1
        async with asyncio.timeout(1):
            await pool.send("POST", "/")


@pytest.mark.parametrize("end", [CLOSE, RESET])
async def test_a_request_that_meets_a_stale_socket_is_sent_once_more(end):
    async with Misbehaving([[OK], [end]], [[OK]]) as server, pool_to(server) as pool:
        await pool.send("POST", "/1")
        assert (await pool.send("POST", "/2", body=b"x")).status == 200
    assert [(request.socket, request.target) for request in server.requests] == [(0, "/1"), (0, "/2"), (1, "/2")]
    assert server.requests[1].body == server.requests[2].body == b"x"


async def test_the_second_sending_uses_a_new_socket_though_others_are_idle():
    async with Misbehaving([[HOLD, OK], [CLOSE]], [[HOLD, OK], [CLOSE]], [[OK]]) as server, pool_to(server) as pool:
        both = asyncio.gather(pool.send("POST", "/"), pool.send("POST", "/"))
        await server.until_asked(2)
        server.gate.set()
        await both
        assert (await pool.send("POST", "/")).status == 200
    assert server.accepted == 3


async def test_a_request_is_not_sent_a_third_time():
    async with Misbehaving([[OK], [CLOSE]], [[CLOSE]]) as server, pool_to(server) as pool:
        await pool.send("POST", "/")
        with pytest.raises(AnswerLost):
            await pool.send("POST", "/")
    assert len(server.requests) == 3


@pytest.mark.parametrize("part", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_request_that_was_answered_in_part_is_not_sent_again(part):
    async with Misbehaving([[OK], [part, CLOSE]]) as server, pool_to(server) as pool:
        await pool.send("POST", "/")
        with pytest.raises(AnswerLost):
            await pool.send("POST", "/")
    assert len(server.requests) == 2


async def test_a_request_without_an_answer_in_time_is_not_sent_again():
    async with Misbehaving([[OK], [HOLD]]) as server, pool_to(server, answer_for=SOON) as pool:
        await pool.send("POST", "/")
        with pytest.raises(AnswerTimedOut):
            await pool.send("POST", "/")
    assert len(server.requests) == 2


async def test_a_socket_that_was_idle_for_too_long_is_not_used_again():
    async with Misbehaving() as server, pool_to(server, sockets=1, idle_for=-1.0) as pool:
        for _ in range(3):
            await pool.send("POST", "/")
        await server.until_closed(1)
    assert server.accepted == 3


async def test_bytes_that_nobody_asked_for_close_the_socket():
    async with Misbehaving([[OK, 0.001, answer(408)]], [[OK]]) as server, pool_to(server) as pool:
        await pool.send("POST", "/")
        await server.until_closed()
        assert (await pool.send("POST", "/")).status == 200


# How many at once.


async def test_never_more_sockets_or_requests_than_allowed():
    async with Misbehaving([[0.001, OK]]) as server, pool_to(server, sockets=7) as pool:
        answers = await asyncio.gather(*(pool.send("POST", f"/{n}") for n in range(100)))
    assert [answer.status for answer in answers] == [200] * 100
    assert sorted(int(request.target[1:]) for request in server.requests) == list(range(100))
    assert (server.accepted, server.most_open, server.most_in_flight) == (7, 7, 7)


async def test_never_more_sockets_than_allowed_when_requests_fail_and_are_cancelled():
    scripts = ([[OK], [HOLD]], [[RESET]], [[OK], [b"HTTP/1.1 2", CLOSE]])
    async with Misbehaving(*scripts) as server, pool_to(server, sockets=3, answer_for=SOON) as pool:
        tasks = [asyncio.create_task(pool.send("POST", "/")) for _ in range(40)]
        for task in tasks[::7]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} >= {AnswerLost, AnswerTimedOut, asyncio.CancelledError}
        assert server.most_in_flight <= 3
        assert pool._free + len(pool._idle) == 3, "every right to open a socket has come back"


async def test_who_waits_longest_comes_first():
    async with Misbehaving() as server, pool_to(server, sockets=1) as pool:
        await asyncio.gather(*(pool.send("POST", f"/{n}") for n in range(20)))
    assert [request.target for request in server.requests] == [f"/{n}" for n in range(20)]


async def test_who_waits_gets_the_turn_of_a_request_that_failed():
    async with Misbehaving([[CLOSE]], [[OK]]) as server, pool_to(server, sockets=1) as pool:
        first, second = await asyncio.gather(pool.send("POST", "/"), pool.send("POST", "/"), return_exceptions=True)
    assert isinstance(first, AnswerLost)
    assert not isinstance(second, BaseException)


@pytest.mark.parametrize("sockets", [0, 257, -1])
def test_a_pool_has_1_to_256_sockets(sockets):
    with pytest.raises(ValueError, match="1 to 256"):
        Pool(Origin("http", "127.0.0.1", 1), sockets=sockets)


# Giving up.


async def test_a_cancelled_request_takes_its_socket_with_it():
    async with Misbehaving([[HOLD, answer(500)]], [[OK]]) as server, pool_to(server, sockets=1) as pool:
        given_up = asyncio.create_task(pool.send("POST", "/given-up"))
        await server.until_asked(1)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        server.gate.set()  # its answer would come now
        assert (await pool.send("POST", "/")).status == 200
        await server.until_closed(1)
    assert [request.socket for request in server.requests] == [0, 1]


async def test_a_request_may_be_given_up_with_a_timeout():
    async with Misbehaving([[HOLD]], [[OK]]) as server, pool_to(server, sockets=1) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON):
                await pool.send("POST", "/")
        assert (await pool.send("POST", "/")).status == 200


async def test_who_gives_up_waiting_leaves_the_turn_to_the_next():
    async with Misbehaving([[HOLD, OK], [OK]]) as server, pool_to(server, sockets=1) as pool:
        first, given_up, last = (asyncio.create_task(pool.send("POST", f"/{n}")) for n in range(3))
        await server.until_asked(1)
        given_up.cancel()
        server.gate.set()
        assert [(await task).status for task in (first, last)] == [200, 200]
        assert given_up.cancelled()
    assert [request.target for request in server.requests] == ["/0", "/2"]


async def test_who_gives_up_as_the_turn_comes_leaves_it_to_the_next():
    async with Misbehaving() as server, pool_to(server, sockets=1) as pool:

        async def post_and_cancel() -> None:
            await pool.send("POST", "/0")
            given_up.cancel()  # it has been given the socket, and has not run since

        first = asyncio.create_task(post_and_cancel())
        await asyncio.sleep(0)
        given_up = asyncio.create_task(pool.send("POST", "/1"))
        last = asyncio.create_task(pool.send("POST", "/2"))
        await first
        async with asyncio.timeout(1):
            assert (await last).status == 200
        assert given_up.cancelled()
    assert [(request.socket, request.target) for request in server.requests] == [(0, "/0"), (0, "/2")]


async def test_who_gives_up_connecting_leaves_no_socket(trusting):
    async with Misbehaving() as server:  # accepts, and never speaks TLS
        origin = Origin("https", "127.0.0.1", server.port)
        async with Pool(origin, sockets=1, tls=trusting) as pool:
            given_up = asyncio.create_task(pool.send("POST", "/"))
            await server.until(lambda server: server.open == 1)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            assert pool._free == 1
            await server.until_closed()


# Closing.


async def test_closing_ends_what_is_under_way_waiting_or_idle():
    async with Misbehaving([[OK], [HOLD]], [[HOLD]]) as server:
        pool = pool_to(server, sockets=2)
        await pool.send("POST", "/")
        tasks = [asyncio.create_task(pool.send("POST", "/")) for _ in range(4)]
        await server.until_asked(3)
        await pool.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [PoolClosed] * 4
        await server.until_closed()
        with pytest.raises(PoolClosed):
            await pool.send("POST", "/")
        await pool.close()


async def test_closing_ends_what_is_connecting(trusting):
    async with Misbehaving() as server:
        pool = Pool(Origin("https", "127.0.0.1", server.port), tls=trusting)
        task = asyncio.create_task(pool.send("POST", "/"))
        await server.until(lambda server: server.open == 1)
        await pool.close()
        async with asyncio.timeout(1):
            with pytest.raises(PoolClosed):
                await task
        await server.until_closed()


async def test_closing_does_not_wait_for_a_socket_that_closed_as_it_opened(monkeypatch):
    async with Misbehaving() as server:
        pool = pool_to(server)
        opened = pool._open_transport

        async def open_and_lose(loop, socket) -> None:
            await opened(loop, socket)
            socket.connection_lost(None)

        monkeypatch.setattr(pool, "_open_transport", open_and_lose)
        with pytest.raises(AnswerLost):
            await pool.send("POST", "/")
        async with asyncio.timeout(1):
            await pool.close()


async def test_closing_a_pool_that_was_never_used_is_no_error():
    await Pool(Origin("http", "127.0.0.1", 1)).close()


async def test_a_pool_refuses_to_serve_two_event_loops():
    async with Misbehaving() as server, pool_to(server) as pool:
        await pool.send("POST", "/")

        def elsewhere() -> None:
            asyncio.run(pool.send("POST", "/"))

        with pytest.raises(RuntimeError, match="event loop"):
            await asyncio.to_thread(elsewhere)


# TLS, and the way through a proxy.


async def test_tls_sockets_are_kept_and_bounded_like_others(authority, trusting):
    async with Misbehaving([[OK]], tls=authority.server()) as server:
        async with pool_to(server, sockets=2, tls=trusting) as pool:
            answers = await asyncio.gather(*(pool.send("POST", "/", body=b"x" * 100_000) for _ in range(10)))
        assert [answer.status for answer in answers] == [200] * 10
        assert server.accepted == 2
        await server.until_closed()


async def test_a_stale_tls_socket_is_replaced(authority, trusting):
    tls = authority.server()
    async with Misbehaving([[OK], [CLOSE]], [[OK]], tls=tls) as server, pool_to(server, tls=trusting) as pool:
        await pool.send("POST", "/")
        assert (await pool.send("POST", "/")).status == 200


async def test_an_answer_over_tls_may_come_in_any_pieces(authority, trusting):
    long = answer(200, b"x" * 200_000)
    turns = [[long], [long[:10], 0.001, long[10:70_000], 0.001, long[70_000:]], [long, CLOSE]]
    async with Misbehaving(turns, tls=authority.server()) as server, pool_to(server, tls=trusting) as pool:
        for _ in turns:
            assert len((await pool.send("POST", "/", body=b"y" * 131_072)).body) == 200_000
    assert server.accepted == 1


@pytest.mark.parametrize(
    ("turn", "fault"),
    [
        ([b"HTTP/1.1 200 OK\r\n\r\nhal", CUT], AnswerLost),
        ([b"HTTP/1.1 200 OK\r\n\r\nhal", RESET], AnswerLost),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal", CLOSE], AnswerLost),
        ([b"garbage\r\n\r\n"], AnswerBroken),
        ([CLOSE], AnswerLost),
        ([CUT], AnswerLost),
        ([HOLD], AnswerTimedOut),
    ],
)
async def test_an_answer_over_tls_is_cut_short_by_nobody_unnoticed(authority, trusting, turn, fault):
    tls, answer_for = authority.server(), SOON if fault is AnswerTimedOut else 1.0
    async with Misbehaving([turn], tls=tls) as server, pool_to(server, tls=trusting, answer_for=answer_for) as pool:
        with pytest.raises(fault):
            await pool.send("POST", "/")
        await server.until_closed()


async def test_the_farewell_of_tls_ends_an_answer_that_nothing_else_delimits(authority, trusting):
    turn = [b"HTTP/1.1 200 OK\r\n\r\nhallo", CLOSE]
    async with Misbehaving([turn], tls=authority.server()) as server, pool_to(server, tls=trusting) as pool:
        assert (await pool.send("POST", "/")).body == b"hallo"


@pytest.mark.parametrize("speech", [b"HTTP/1.1 400 Speak plainly\r\n\r\n", b"\x16\x03\x03\x00\x02hi", b""])
async def test_a_server_that_speaks_no_tls_is_a_failure_to_connect(trusting, speech):
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(speech)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        origin = Origin("https", "127.0.0.1", server.sockets[0].getsockname()[1])
        async with Pool(origin, tls=trusting, connect_for=1.0) as pool:
            with pytest.raises(ConnectFailed):
                await pool.send("POST", "/")


async def handmade(context: ssl.SSLContext, greeting: bytes = b"") -> tuple[asyncio.Server, list[HandmadeTls]]:
    made: list[HandmadeTls] = []

    def accept() -> HandmadeTls:
        made.append(HandmadeTls(context, greeting))
        return made[-1]

    return await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0), made


async def test_what_comes_with_the_handshake_answers_no_request(authority, trusting):
    context = authority.server()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose server ends the handshake, so that more may follow at once
    server, _ = await handmade(context, answer(200, b"too early"))
    async with server:
        origin = Origin("https", "127.0.0.1", server.sockets[0].getsockname()[1])
        async with Pool(origin, tls=trusting, connect_for=1.0, answer_for=1.0) as pool:
            with pytest.raises(AnswerLost):
                await pool.send("POST", "/")


async def test_a_server_that_is_refused_is_told_why(authority):
    server, made = await handmade(authority.server())
    async with server:
        origin = Origin("https", "127.0.0.1", server.sockets[0].getsockname()[1])
        async with Pool(origin, tls=ssl.create_default_context(), connect_for=1.0) as pool:
            with pytest.raises(ConnectFailed, match="certificate verify failed"):
                await pool.send("POST", "/")
        async with asyncio.timeout(1):
            assert "UNKNOWN_CA" in str(await made[0].failure)


@pytest.mark.parametrize("secure", [False, True])
async def test_a_server_that_closes_every_socket_at_once_leaves_none_behind(authority, trusting, secure):
    async with Misbehaving([], tls=authority.server() if secure else None) as server:
        pool = pool_to(server, sockets=2, tls=trusting)
        outcomes = await asyncio.gather(*(pool.send("POST", "/") for _ in range(6)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {AnswerLost, ConnectFailed}
        assert pool._free + len(pool._idle) == 2
        async with asyncio.timeout(1):
            await pool.close()


async def test_a_server_that_nobody_vouches_for_is_refused(authority, monkeypatch):
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    async with Misbehaving(tls=authority.server()) as server, pool_to(server) as pool:
        with pytest.raises(ConnectFailed, match="certificate verify failed"):
            await pool.send("POST", "/")
    assert not server.requests


async def test_a_server_under_another_name_is_refused(authority, trusting):
    async with Misbehaving(tls=authority.server()) as server:
        origin = Origin("https", "127.0.0.2", server.port)
        async with Pool(origin, tls=trusting) as pool:
            with pytest.raises(ConnectFailed):
                await pool.send("POST", "/")


async def test_a_bundle_in_the_environment_is_trusted(authority, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.certificate))
    async with Misbehaving(tls=authority.server()) as server, pool_to(server) as pool:
        assert (await pool.send("POST", "/")).status == 200


async def test_a_handshake_that_never_ends_times_out(trusting):
    async with Misbehaving() as server:
        async with Pool(Origin("https", "127.0.0.1", server.port), tls=trusting, connect_for=SOON) as pool:
            with pytest.raises(ConnectTimedOut, match=r"0\.05 s"):
                await pool.send("POST", "/")
        await server.until_closed()


async def test_a_tunnel_through_a_proxy_reaches_the_origin(authority, trusting):
    async with TunnelProxy() as proxy, Misbehaving([[OK]], tls=authority.server()) as server:
        way = Proxy("127.0.0.1", proxy.port, "Basic dTpw")
        async with pool_to(server, tls=trusting, proxy=way) as pool:
            for _ in range(2):
                assert (await pool.send("POST", "/", body=b"x" * 100_000)).status == 200
        await server.until_closed()
    (request,) = proxy.requests
    assert (request.method, request.target) == ("CONNECT", f"127.0.0.1:{server.port}")
    assert request.headers["proxy-authorization"] == "Basic dTpw"
    assert "proxy-authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (answer(407), "answered 407"),
        (b"", "closed without an answer"),
        (b"garbage\r\n\r\n", "no head"),
        (answer(200, b"and now?"), "no socket"),
    ],
)
async def test_a_proxy_that_refuses_is_a_failure_to_connect(trusting, refusal, reason):
    async with TunnelProxy(refusal=refusal) as proxy:
        origin = Origin("https", "127.0.0.1", 9)
        async with Pool(origin, tls=trusting, proxy=Proxy("127.0.0.1", proxy.port, ""), connect_for=1.0) as pool:
            with pytest.raises(ConnectFailed, match=reason):
                await pool.send("POST", "/")


def test_a_proxy_is_for_https_only():
    with pytest.raises(ValueError, match="https only"):
        Pool(Origin("http", "127.0.0.1", 1), proxy=Proxy("127.0.0.1", 2, ""))


# What it costs to import.


def test_posting_imports_neither_httpx_nor_botocore():
    script = (
        "import sys, handlers.hub.management; "
        "print(*{'httpx', 'botocore', 'boto3', 'aiohttp', 'handlers.hub.transport'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
