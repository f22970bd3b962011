"""One WebSocket held open, against a real server that a test scripts."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from websockets.asyncio.server import serve

from local.front.certificates import Certificates
from scheduler.clock import epoch_ms
from scheduler.errors import MalformedAnswer, RateLimited, Refused, Unavailable, Unreachable
from scheduler.market.breaker import Breaker
from scheduler.market.push import connection
from scheduler.market.push.binance import BinanceListener, BinanceListening
from scheduler.market.push.connection import Patience
from scheduler.market.push.keeper import CONNECTIONS_AT_ONCE, Keeper
from scheduler.virtual_time import run_virtually
from tests.scheduler.fakes import BITCOIN, ETHER, pushed_ticker

QUICK = Patience(handshake=1.0, silent=0.3, unheard=0.6, life=60.0, handover=0.05)


class Host:
    """A WebSocket server; ``script`` is what it does with each connection, in turn, the last one for all others."""

    def __init__(self, *script):
        self.script = list(script)
        self.paths = []
        self.open = 0
        self.refusals = []

    async def __call__(self, socket):
        self.paths.append(socket.request.path)
        self.open += 1
        try:
            await (self.script.pop(0) if len(self.script) > 1 else self.script[0])(socket)
        finally:
            self.open -= 1

    def refuse(self, connection, request):
        if self.refusals:
            status, headers = self.refusals.pop(0)
            response = connection.respond(HTTPStatus(status), "no")
            response.headers.update(headers)
            return response
        return None


async def talk(socket, last="1.00", every=0.05):
    while True:
        await socket.send(pushed_ticker(at=epoch_ms(), last=last))
        await asyncio.sleep(every)


def saying(last):
    return lambda socket: talk(socket, last)


@asynccontextmanager
async def listening(host, *, breaker=None, patience=QUICK, shortest=0.02, instruments=(BITCOIN,)):
    async with serve(host, "127.0.0.1", 0, process_request=host.refuse, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        keeper = Keeper(
            "binance",
            f"ws://127.0.0.1:{port}/",
            BinanceListening(),
            breaker=breaker or Breaker("binance"),
            patience=patience,
            shortest=shortest,
        )
        keeper.follow(list(instruments))
        try:
            yield keeper
        finally:
            await keeper.close()


async def until(holds, within=8.0):
    ends = time.monotonic() + within
    while not holds():
        assert time.monotonic() < ends, "it did not come to that"
        await asyncio.sleep(0.01)


def last(keeper):
    quote = keeper.quote(BITCOIN)
    return quote and quote.last


async def test_quotes_arrive_with_the_name_of_who_sends_them_and_the_socket_ends_with_close():
    host = Host(saying("1.00"))
    async with listening(host) as keeper:
        await until(lambda: last(keeper) == "1.00")
        assert keeper.quote(BITCOIN).source == "binance"
        assert epoch_ms() - keeper.quote(BITCOIN).answered_at < 1_000
        assert host.paths == ["/stream?streams=btcusdt@ticker/btcusdt@bookTicker"]
        began = time.monotonic()
        await keeper.close()
        assert time.monotonic() - began < 1
        await until(lambda: host.open == 0)
        assert keeper.quote(BITCOIN) is None


async def test_after_a_close_it_can_follow_again():
    async with listening(Host(saying("1.00"))) as keeper:
        await until(lambda: last(keeper))
        await keeper.close()
        keeper.follow([BITCOIN])
        await until(lambda: last(keeper))


async def test_pings_are_answered():
    answered = asyncio.Event()

    async def pinging(socket):
        waiter = await socket.ping(b"20 seconds")
        await waiter
        answered.set()
        await talk(socket)

    async with listening(Host(pinging)):
        await asyncio.wait_for(answered.wait(), 5)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012])
async def test_a_closed_socket_is_a_fault_and_another_one_takes_its_place(code):
    async def closing(socket):
        await socket.send(pushed_ticker(at=epoch_ms(), last="1.00"))
        await socket.close(code)

    async with listening(Host(closing, saying("2.00"))) as keeper:
        await until(lambda: last(keeper) == "2.00")
        (fault,) = keeper.take_faults()
        assert isinstance(fault, Unreachable)
        assert str(code) in str(fault)


async def test_a_socket_that_breaks_off_is_replaced():
    async def breaking(socket):
        await socket.send(pushed_ticker(at=epoch_ms(), last="1.00"))
        socket.transport.abort()

    async with listening(Host(breaking, saying("2.00"))) as keeper:
        await until(lambda: last(keeper) == "2.00")
        assert [type(fault) for fault in keeper.take_faults()] == [Unreachable]


async def test_silence_is_noticed_and_the_socket_given_up():
    async def falling_silent(socket):
        await socket.send(pushed_ticker(at=epoch_ms(), last="1.00"))
        await socket.wait_closed()

    host = Host(falling_silent, saying("2.00"))
    async with listening(host) as keeper:
        await until(lambda: last(keeper) == "2.00")
        (fault,) = keeper.take_faults()
        assert "silent for 0.3 s" in str(fault)


async def test_a_socket_without_prices_is_given_up():
    async def rambling(socket):
        while True:
            await socket.send('{"result":null,"id":1}')
            await asyncio.sleep(0.05)

    async with listening(Host(rambling, saying("2.00"))) as keeper:
        await until(lambda: last(keeper) == "2.00")
        assert "says nothing about prices" in str(keeper.take_faults()[0])


async def test_a_malformed_message_ends_the_socket():
    async def mumbling(socket):
        await socket.send('{"stream":"btcusdt@tick')
        await socket.wait_closed()

    async with listening(Host(mumbling, saying("2.00"))) as keeper:
        await until(lambda: last(keeper) == "2.00")
        assert [type(fault) for fault in keeper.take_faults()] == [MalformedAnswer]


async def test_a_bug_in_reading_ends_the_socket_and_no_more(monkeypatch, caplog):
    def fail(self, frame, *, now):
        monkeypatch.undo()
        raise KeyError("btcusdt")

    monkeypatch.setattr(BinanceListener, "hear", fail)
    async with listening(Host(saying("1.00"), saying("2.00"))) as keeper:
        await until(lambda: last(keeper) == "2.00")
        (fault,) = keeper.take_faults()
        assert "met a bug: KeyError('btcusdt')" in str(fault)
    assert "Traceback" in caplog.text


async def test_a_bug_in_one_turn_is_logged_and_the_next_one_listens(monkeypatch, caplog):
    async def fail(self, instruments):
        monkeypatch.undo()
        raise KeyError("btcusdt")

    monkeypatch.setattr(BinanceListening, "listen", fail)
    async with listening(Host(saying("1.00"))) as keeper:
        await until(lambda: last(keeper) == "1.00")
    assert "listening to binance met a bug" in caplog.text
    assert "KeyError: 'btcusdt'" in caplog.text


async def test_a_bug_that_stays_is_met_again_after_a_pause(monkeypatch):
    turns = []

    async def fail(self):
        turns.append(self)
        if len(turns) > 20:
            await asyncio.sleep(3_600)
        raise OverflowError

    monkeypatch.setattr(Keeper, "_wait", fail)
    async with listening(Host(saying("1.00")), shortest=0.05):
        await asyncio.sleep(0.12)
    assert 2 <= len(turns) <= 4


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0), (1, 1), (3, 4), (7, 60), (10_000, 60)])
def test_the_pause_doubles_up_to_a_minute_however_many_failures_there_were(failures, seconds):
    async def run():
        keeper = Keeper("binance", "ws://nowhere", BinanceListening(), breaker=Breaker("binance"), jitter=lambda: 0.0)
        keeper._failures = failures
        await keeper._wait()
        return asyncio.get_running_loop().time()

    assert run_virtually(run()) == seconds


async def test_a_bug_once_the_socket_is_open_leaves_no_socket_behind(monkeypatch):
    async def fail(self, before):
        monkeypatch.undo()
        raise KeyError("bug")

    monkeypatch.setattr(Keeper, "_hand_over", fail)
    host = Host(saying("1.00"), saying("2.00"))
    async with listening(host) as keeper:
        await until(lambda: last(keeper) == "2.00")
        await until(lambda: host.open == 1)


async def test_an_announced_shutdown_moves_over_before_the_end():
    told = asyncio.Event()

    async def leaving(socket):
        talking = asyncio.create_task(talk(socket, "1.00"))
        await told.wait()
        await socket.send('{"e":"serverShutdown","E":1}')
        await socket.wait_closed()
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)

    async def slow(socket):
        await asyncio.sleep(0.2)
        await talk(socket, "2.00")

    host = Host(leaving, slow)
    async with listening(host) as keeper:
        await until(lambda: last(keeper) == "1.00")
        told.set()
        while last(keeper) != "2.00":
            assert last(keeper) == "1.00", "there is always somebody to hear"
            await asyncio.sleep(0.002)
        await until(lambda: host.open == 1)
        assert keeper.take_faults() == []


async def test_a_socket_is_replaced_before_its_life_is_over():
    host = Host(saying("1.00"), saying("2.00"))
    async with listening(host, patience=QUICK._replace(life=0.2)) as keeper:
        await until(lambda: last(keeper) == "1.00")
        await until(lambda: last(keeper) == "2.00")
        assert keeper.take_faults() == []


async def test_other_instruments_are_subscribed_by_another_socket():
    host = Host(saying("1.00"))
    async with listening(host) as keeper:
        await until(lambda: last(keeper))
        keeper.follow([BITCOIN])
        keeper.follow([BITCOIN, ETHER])
        await until(lambda: len(host.paths) == 2 and host.open == 1)
        assert "ethusdt@ticker" in host.paths[1]


@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait_s"),
    [
        (429, {"Retry-After": "7"}, RateLimited, 7),
        (429, {}, RateLimited, 60),
        (451, {}, Refused, 3_600),
        (403, {}, Refused, 3_600),
        (418, {"Retry-After": "120"}, RateLimited, 120),
    ],
)
async def test_a_refused_handshake_is_not_repeated_before_its_time(status, headers, kind, wait_s):
    breaker, host = Breaker("binance"), Host(saying("1.00"))
    host.refusals = [(status, headers)]
    async with listening(host, breaker=breaker) as keeper:
        await until(lambda: host.refusals == [])
        faults = []
        await until(lambda: faults.extend(keeper.take_faults()) or faults)
        (fault,) = faults
        assert type(fault) is kind
        assert abs(fault.retry_at - epoch_ms() - wait_s * 1_000) < 3_000
        await asyncio.sleep(0.15)
        assert host.paths == []
    # Only a ban is about calls, too: all else leaves the provider to be asked over HTTP.
    assert (breaker.fault is fault) == (status == 418)


async def test_other_refusals_are_tried_again_after_a_pause():
    host = Host(saying("1.00"))
    host.refusals = [(503, {}), (404, {})]
    async with listening(host) as keeper:
        await until(lambda: last(keeper))
        assert [type(fault) for fault in keeper.take_faults()] == [Unavailable, Unavailable]


async def test_nobody_connects_while_the_breaker_is_open():
    breaker, host = Breaker("binance"), Host(saying("1.00"))
    breaker.open(RateLimited("binance", "418", retry_at=epoch_ms() + 400))
    async with listening(host, breaker=breaker) as keeper:
        await asyncio.sleep(0.2)
        assert host.paths == []
        await until(lambda: last(keeper))


async def test_errors_of_the_socket_do_not_count_with_the_breaker():
    breaker = Breaker("binance")
    host = Host(saying("1.00"))
    host.refusals = [(503, {})] * 7
    async with listening(host, breaker=breaker) as keeper:
        await until(lambda: last(keeper))
        assert len(keeper.take_faults()) == 7
    assert breaker.fault is None


async def test_a_host_that_drops_everybody_is_not_besieged():
    async def dropping(socket):
        await socket.send(pushed_ticker(at=epoch_ms()))
        socket.transport.abort()

    host = Host(dropping)
    async with listening(host, shortest=0.001):
        await until(lambda: len(host.paths) == CONNECTIONS_AT_ONCE)
        await asyncio.sleep(0.3)
        assert len(host.paths) == CONNECTIONS_AT_ONCE


async def test_where_nobody_listens_is_a_fault_and_tried_again():
    keeper = Keeper("binance", "ws://127.0.0.1:9", BinanceListening(), breaker=Breaker("binance"), shortest=0.01)
    keeper.follow([BITCOIN])
    faults = []
    await until(lambda: len(faults.extend(keeper.take_faults()) or faults) > 2)
    assert {type(fault) for fault in faults} == {Unreachable}
    await keeper.close()


async def test_what_cannot_be_read_is_told_and_not_quoted():
    async def strange(socket):
        await socket.send(pushed_ticker(at=epoch_ms(), c="dear"))
        await socket.wait_closed()

    async with listening(Host(strange)) as keeper:
        await until(lambda: keeper.quote(BITCOIN) is None and keeper._faults)
        assert {type(fault) for fault in keeper.take_faults()} == {MalformedAnswer}


class Hesitating(BinanceListening):
    """Does not know at first what things are called; meanwhile ``meanwhile`` happens."""

    def __init__(self, *faults, meanwhile=lambda: None):
        self.faults = list(faults)
        self.meanwhile = meanwhile

    async def listen(self, instruments):
        self.meanwhile()
        if self.faults:
            raise self.faults.pop(0)
        return await super().listen(instruments)


async def test_without_names_nobody_connects_until_there_are_some():
    host = Host(saying("1.00"))
    async with listening(host) as keeper:
        await keeper.close()
        keeper._listening = Hesitating(Unavailable("binance", "503"), Unavailable("binance", "503"))
        keeper.follow([BITCOIN])
        await until(lambda: last(keeper))
        assert [str(fault) for fault in keeper.take_faults()] == ["binance: 503"] * 2


async def test_who_follows_something_else_while_a_socket_is_opened_gets_another_one():
    host = Host(saying("1.00"))
    async with listening(host) as keeper:
        await keeper.close()
        await until(lambda: host.open == 0)
        host.paths.clear()
        keeper._listening = Hesitating(meanwhile=lambda: keeper.follow([BITCOIN, ETHER]))
        keeper.follow([BITCOIN])
        await until(lambda: len(host.paths) >= 2 and host.open == 1)
        assert ["ethusdt" in path for path in host.paths] == [False, True]


async def test_a_secure_socket_is_believed_by_the_authorities_that_http_believes(monkeypatch, tmp_path):
    authority = Certificates(tmp_path, accepts=lambda host: True)
    trusted = [ssl.create_default_context(), ssl.create_default_context(cafile=str(authority.bundle()))]
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setattr(connection, "certificates", lambda: trusted.pop(0) if len(trusted) > 1 else trusted[0])
    host = Host(saying("1.00"))
    async with serve(host, "127.0.0.1", 0, ssl=authority.context(), ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        breaker = Breaker("binance")
        keeper = Keeper("binance", f"wss://localhost:{port}", BinanceListening(), breaker=breaker, shortest=0.02)
        keeper.follow([BITCOIN])
        await until(lambda: last(keeper))
        (fault,) = keeper.take_faults()
        assert "CERTIFICATE_VERIFY_FAILED" in str(fault)
        await keeper.close()
