"""Binance's documented answers and errors, most over a transport in memory, what the network does over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import re
import tomllib
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from handlers.hub.instruments import instruments
from scheduler.errors import (
    MalformedAnswer,
    RateLimited,
    Refused,
    Unavailable,
    UnknownInstrument,
    Unreachable,
)
from scheduler.market import quotes
from scheduler.market.providers import USER_AGENT
from scheduler.market.providers.binance import Binance
from scheduler.market.providers.host import QUARANTINE_MS
from tests.scheduler.fakes import BITCOIN, ETHER, NOON, Clock, ticker

SHARED = os.environ.get("TICKWIRE_SHARED")
recorded = pytest.mark.skipif(SHARED is None, reason="TICKWIRE_SHARED does not name the folder of recorded answers")
BOTH = [BITCOIN, ETHER]


def recording(name):
    return json.loads((Path(SHARED) / "market" / "recordings" / name).read_text(encoding="utf-8"))


def listed_as(*names):
    return [replace(BITCOIN, symbol=name.removesuffix("USDT"), sources={"binance": name}) for name in names]


class Exchange:
    """Stands in for Binance: knows some symbols, says 400 about others, and answers what it is told in their place."""

    def __init__(self, *known, headers=None):
        self.known = {row["symbol"]: row for row in known}
        self.headers = headers or {}
        self.asked = []
        self.requests = []
        self.instead = []

    def __call__(self, request):
        self.requests.append(request)
        self.asked.append(json.loads(request.url.params["symbols"]))
        if self.instead:
            return self.instead.pop(0)
        if not set(self.asked[-1]) <= set(self.known):
            return httpx.Response(400, json={"code": -1121, "msg": "Invalid symbol."}, headers=self.headers)
        return httpx.Response(200, json=[self.known[symbol] for symbol in self.asked[-1]], headers=self.headers)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def provider_of(clock):
    opened = []

    def make(exchange):
        provider = Binance("http://exchange.test", now=clock, transport=httpx.MockTransport(exchange))
        opened.append(provider)
        return provider

    yield make
    for provider in opened:
        await provider.close()


@pytest.fixture
def provider(provider_of, exchange):
    return provider_of(exchange)


@pytest.fixture
def exchange():
    return Exchange(ticker("BTCUSDT"), ticker("ETHUSDT", "2283.29000000", close_time=NOON + 1))


async def test_quotes_have_the_sources_digits_and_times(provider, clock):
    clock.at = NOON + 400
    answer = await provider.fetch(BOTH, within=1)
    assert answer.faults == []
    assert set(answer.quotes) == {"BTC", "ETH"}
    bitcoin = answer.quotes["BTC"]
    assert (bitcoin.last, bitcoin.bid, bitcoin.ask) == ("91776.00000000", "91775.99000000", "91776.01000000")
    assert (bitcoin.change_pct, bitcoin.ts, bitcoin.answered_at) == ("4.983", NOON, NOON + 400)
    assert (bitcoin.source, bitcoin.stale, bitcoin.market) == ("binance", False, "open")


async def test_the_call_is_the_documented_one_and_says_who_asks(provider, exchange):
    await provider.fetch(BOTH, within=1)
    request = exchange.requests[0]
    assert request.url.path == "/api/v3/ticker/24hr"
    assert dict(request.url.params) == {"symbols": '["BTCUSDT","ETHUSDT"]', "type": "FULL"}
    assert request.headers["User-Agent"] == USER_AGENT


def test_the_version_that_providers_are_told_is_the_projects():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"{project['name']}/{project['version']}" == USER_AGENT


async def test_no_call_asks_for_more_than_twenty_symbols(provider_of):
    names = [f"{letter}{digit}USDT" for letter in "ABC" for digit in range(10)]
    exchange = Exchange(*map(ticker, names))
    answer = await provider_of(exchange).fetch(listed_as(*names), within=1)
    assert sorted(map(len, exchange.asked)) == [10, 20]
    assert len(answer.quotes) == 30


async def test_every_shipped_instrument_fits_one_call_a_tick(provider_of):
    listed = [instrument for instrument in instruments().values() if "binance" in instrument.sources]
    exchange = Exchange(*(ticker(instrument.sources["binance"]) for instrument in listed))
    answer = await provider_of(exchange).fetch(listed, within=1)
    assert set(answer.quotes) == {instrument.symbol for instrument in listed}
    assert len(exchange.asked) == -(-len(listed) // 20)


async def test_a_stand_in_for_the_exchange_is_named_as_the_source(provider_of):
    answer = await provider_of(Exchange(ticker("BTCUSDT"), headers={"X-Tickwire-Source": "simulated"})).fetch(
        [BITCOIN], within=1
    )
    assert answer.quotes["BTC"].source == "simulated"


async def test_a_source_that_is_no_word_is_not_passed_on(provider_of):
    answer = await provider_of(Exchange(ticker("BTCUSDT"), headers={"X-Tickwire-Source": '"}<b>'})).fetch(
        [BITCOIN], within=1
    )
    assert answer.quotes["BTC"].source == "binance"


async def test_a_symbol_missing_from_the_answer_is_halted_and_no_fault(provider, exchange):
    exchange.instead = [httpx.Response(200, json=[ticker("ETHUSDT"), ticker("XYZUSDT")])]
    answer = await provider.fetch(BOTH, within=1)
    assert (set(answer.quotes), answer.faults) == ({"ETH"}, [])


async def test_an_empty_side_of_the_book_is_no_price(provider, exchange):
    exchange.known["BTCUSDT"]["bidPrice"] = "0.00000000"
    assert (await provider.fetch([BITCOIN], within=1)).quotes["BTC"].bid is None


async def test_one_unknown_symbol_costs_the_others_nothing(provider_of, caplog):
    names = [f"{letter}USDT" for letter in "ABCDEFGHIJKLMNOPQRST"]
    exchange = Exchange(*map(ticker, [name for name in names if name not in {"CUSDT", "TUSDT"}]))
    provider = provider_of(exchange)
    answer = await provider.fetch(listed_as(*names), within=1)
    assert len(answer.quotes) == 18
    assert {type(fault) for fault in answer.faults} == {UnknownInstrument}
    assert {fault.retry_at for fault in answer.faults} == {NOON + QUARANTINE_MS}
    assert "binance does not know CUSDT; asked again in 3600 s" in caplog.text
    exchange.asked.clear()
    answer = await provider.fetch(listed_as(*names), within=1)
    assert (len(answer.quotes), answer.faults, len(exchange.asked)) == (18, [], 1)


async def test_a_quarantined_symbol_is_tried_again_by_itself_after_its_time(provider_of, clock):
    exchange = Exchange(ticker("BTCUSDT"))
    provider = provider_of(exchange)
    await provider.fetch(BOTH, within=1)
    clock.at = NOON + QUARANTINE_MS
    exchange.asked.clear()
    answer = await provider.fetch(BOTH, within=1)
    assert sorted(exchange.asked) == [["BTCUSDT"], ["ETHUSDT"]]
    assert [type(fault) for fault in answer.faults] == [UnknownInstrument]
    exchange.known["ETHUSDT"] = ticker("ETHUSDT")
    clock.at += QUARANTINE_MS
    assert set((await provider.fetch(BOTH, within=1)).quotes) == {"BTC", "ETH"}
    exchange.asked.clear()
    await provider.fetch(BOTH, within=1)
    assert exchange.asked == [["BTCUSDT", "ETHUSDT"]]


async def test_nothing_is_asked_when_no_symbol_is_known(provider_of):
    exchange = Exchange()
    provider = provider_of(exchange)
    await provider.fetch([BITCOIN], within=1)
    exchange.asked.clear()
    answer = await provider.fetch([BITCOIN], within=1)
    assert (answer.quotes, exchange.asked) == ({}, [])


@pytest.mark.parametrize(
    ("status", "headers", "fault", "pause_ms"),
    [
        (429, {"Retry-After": "7"}, RateLimited, 7_000),
        (429, {}, RateLimited, 60_000),
        (429, {"Retry-After": "soon"}, RateLimited, 60_000),
        (429, {"Retry-After": "9" * 5_000}, RateLimited, 60_000),
        (429, {"Retry-After": "Thu, 06 Mar 2025 02:00:30 GMT"}, RateLimited, 30_000),
        (418, {"Retry-After": "259200"}, RateLimited, 259_200_000),
        (418, {}, RateLimited, 3_600_000),
        (451, {}, Refused, 3_600_000),
        (451, {"Retry-After": "90"}, Refused, 90_000),
        (403, {}, Refused, 3_600_000),
    ],
)
async def test_nothing_is_asked_before_the_time_a_refusal_names(
    provider, exchange, clock, status, headers, fault, pause_ms
):
    exchange.instead = [httpx.Response(status, headers=headers, json={"code": -1003, "msg": "Too much."})]
    answer = await provider.fetch(BOTH, within=1)
    assert [type(found) for found in answer.faults] == [fault]
    assert str(answer.faults[0]) == f"binance: {status} Too much."
    clock.at = NOON + pause_ms - 1
    assert [type(found) for found in (await provider.fetch(BOTH, within=1)).faults] == [fault]
    assert len(exchange.asked) == 1
    clock.at = NOON + pause_ms
    assert set((await provider.fetch(BOTH, within=1)).quotes) == {"BTC", "ETH"}


async def test_the_longest_pause_counts_when_two_calls_are_refused_at_once(provider_of, clock):
    names = [f"{letter}{digit}USDT" for letter in "ABC" for digit in range(10)]
    exchange = Exchange(*map(ticker, names))
    exchange.instead = [
        httpx.Response(418, headers={"Retry-After": "300"}, json={}),
        httpx.Response(429, headers={"Retry-After": "1"}, json={}),
    ]

    async def answer_when_both_have_asked(request):
        answer = exchange(request)
        await asyncio.sleep(0)
        return answer

    provider = provider_of(answer_when_both_have_asked)
    assert len((await provider.fetch(listed_as(*names), within=1)).faults) == 2
    clock.at = NOON + 299_999
    await provider.fetch(listed_as(*names), within=1)
    assert len(exchange.asked) == 2


async def test_a_call_that_nearly_uses_up_the_weight_is_the_last_one_of_its_minute(provider, exchange, clock):
    exchange.headers = {"X-MBX-USED-WEIGHT-1M": "5701"}
    clock.at = NOON + 20_000
    assert set((await provider.fetch(BOTH, within=1)).quotes) == {"BTC", "ETH"}
    exchange.headers = {"X-MBX-USED-WEIGHT-1M": "2"}
    clock.at = NOON + 59_999
    answer = await provider.fetch(BOTH, within=1)
    assert [str(fault) for fault in answer.faults] == ["binance: 5701 of 6000 a minute are used"]
    clock.at = NOON + 60_000
    assert set((await provider.fetch(BOTH, within=1)).quotes) == {"BTC", "ETH"}
    assert len(exchange.asked) == 2


@pytest.mark.parametrize("used", ["5700", "", "many"])
async def test_weight_that_leaves_a_reserve_or_is_not_told_stops_nothing(provider, exchange, used):
    exchange.headers = {"X-MBX-USED-WEIGHT-1M": used}
    await provider.fetch(BOTH, within=1)
    await provider.fetch(BOTH, within=1)
    assert len(exchange.asked) == 2


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (httpx.Response(500, text="<html>"), Unavailable),
        (httpx.Response(503, json={"code": -1001, "msg": "Internal error."}), Unavailable),
        (httpx.Response(400, json={"code": -1102, "msg": "Mandatory parameter missing."}), MalformedAnswer),
        (httpx.Response(404, text="nothing here"), MalformedAnswer),
        (httpx.Response(302, headers={"Location": "http://elsewhere.test/"}), MalformedAnswer),
        (httpx.Response(200, text='[{"symbol":"BTCUSDT","lastPr'), MalformedAnswer),
        (httpx.Response(200, text="<html>maintenance</html>"), MalformedAnswer),
        (httpx.Response(200, text=""), MalformedAnswer),
        (httpx.Response(200, json={"symbol": "BTCUSDT"}), MalformedAnswer),
        (httpx.Response(200, content=b"\xff\xfe"), MalformedAnswer),
        (httpx.Response(400, content=b'{"code":-1121,"msg":"\xff"}'), MalformedAnswer),
        (httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"not gzip")), Unreachable),
    ],
    ids=lambda value: f"{value.status_code}" if isinstance(value, httpx.Response) else value.__name__,
)
async def test_an_answer_that_is_none_is_a_fault_and_the_next_tick_asks_again(provider, exchange, answer, fault):
    exchange.instead = [answer]
    found = await provider.fetch(BOTH, within=1)
    assert (found.quotes, [type(one) for one in found.faults]) == ({}, [fault])
    assert set((await provider.fetch(BOTH, within=1)).quotes) == {"BTC", "ETH"}


@pytest.mark.parametrize(
    "wrong", [{"lastPrice": "NaN"}, {"bidPrice": "-1"}, {"closeTime": "noon"}, {"priceChangePercent": None}]
)
async def test_a_row_that_cannot_be_read_is_a_fault_of_its_own(provider, exchange, wrong):
    exchange.known["BTCUSDT"] |= wrong
    answer = await provider.fetch(BOTH, within=1)
    assert (set(answer.quotes), [type(fault) for fault in answer.faults]) == ({"ETH"}, [MalformedAnswer])


# What the network does: through real sockets.


@asynccontextmanager
async def server(serve):
    """Call ``serve(writer, head)`` for each request, and do with its connection what it says; gives the address."""
    over = asyncio.Event()

    async def connected(reader, writer):
        try:
            while True:
                then = serve(writer, await reader.readuntil(b"\r\n\r\n"))
                if then == "hang":
                    await over.wait()
                if then != "go on":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        over.set()


@asynccontextmanager
async def asking(url):
    provider = Binance(url, now=Clock())
    try:
        yield provider
    finally:
        await provider.close()


def http(body, *, length=None):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body) if length is None else length, body)


async def test_one_socket_serves_tick_after_tick():
    sockets = set()

    def serve(writer, head):
        sockets.add(writer.get_extra_info("peername"))
        assert re.match(rb"GET /prefix/api/v3/ticker/24hr\?symbols=%5B%22BTCUSDT%22%5D&type=FULL HTTP/1.1\r\n", head)
        writer.write(http(json.dumps([ticker("BTCUSDT")]).encode()))
        return "go on"

    async with server(serve) as url, asking(f"{url}/prefix/") as provider:
        for _ in range(3):
            assert (await provider.fetch([BITCOIN], within=1)).quotes["BTC"].last == "91776.00000000"
    assert len(sockets) == 1


async def test_a_proxy_for_the_world_is_not_asked_for_a_stand_in_nearby(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    def serve(writer, head):
        writer.write(http(json.dumps([ticker("BTCUSDT")]).encode()))
        return "go on"

    async with server(serve) as url, asking(url) as provider:
        assert (await provider.fetch([BITCOIN], within=1)).faults == []


@pytest.mark.parametrize(
    "sent",
    [b"", http(b"[", length=100), b"SSH-2.0-OpenSSH_9.2\r\n\r\n"],
    ids=["nothing", "less than promised", "another protocol"],
)
async def test_a_connection_that_ends_early_is_a_fault(sent):
    def serve(writer, head):
        writer.write(sent)
        return "close"

    async with server(serve) as url, asking(url) as provider:
        answer = await provider.fetch([BITCOIN], within=1)
    assert [type(fault) for fault in answer.faults] == [Unreachable]


async def test_a_port_where_nobody_listens_is_a_fault():
    async with server(None) as url:
        pass
    async with asking(url) as provider:
        assert [type(fault) for fault in (await provider.fetch([BITCOIN], within=1)).faults] == [Unreachable]


@pytest.mark.contract
async def test_an_answer_that_drips_is_cut_off_and_what_else_came_is_kept():
    names = [f"{letter}{digit}USDT" for letter in "ABC" for digit in range(10)]

    def serve(writer, head):
        if b"A0USDT" in head:
            writer.write(http(b"[", length=100))
            return "hang"
        writer.write(http(json.dumps([ticker(name) for name in names[20:]]).encode()))
        return "go on"

    async with server(serve) as url, asking(url) as provider:
        answer = await provider.fetch(listed_as(*names), within=0.5)
    assert len(answer.quotes) == 10
    assert [str(fault) for fault in answer.faults] == ["binance: no whole answer within 0.5 s"]


async def test_a_provider_that_does_not_answer_in_its_own_time_is_a_fault():
    async with server(lambda writer, head: "hang") as url, asking(url) as provider:
        provider._client.timeout = httpx.Timeout(0.05)
        answer = await provider.fetch([BITCOIN], within=1)
    assert [str(fault) for fault in answer.faults] == ["binance: timed out (ReadTimeout)"]


# Recorded answers.


@recorded
@pytest.mark.parametrize(
    "name", ["binance_ticker_24hr_captured_mixed_dates.json", "binance_ticker_24hr_30symbols_DERIVED.json"]
)
async def test_recorded_answers_are_read_digit_for_digit(provider_of, name):
    rows = recording(name)
    listed = listed_as(*(row["symbol"] for row in rows))
    answer = await provider_of(Exchange(*rows)).fetch(listed, within=1)
    assert answer.faults == []
    by_name = {instrument.sources["binance"]: answer.quotes[instrument.symbol] for instrument in listed}
    for row in rows:
        quote = by_name[row["symbol"]]
        assert (quote.last, quote.bid, quote.ask, quote.change_pct, quote.ts) == (
            row["lastPrice"],
            row["bidPrice"],
            row["askPrice"],
            row["priceChangePercent"],
            row["closeTime"],
        )
        assert row["lastPrice"].encode() in quotes.encode(quote, full=True)


@recorded
async def test_recorded_errors_end_in_their_faults(provider_of):
    expected = {"400": UnknownInstrument, "429": RateLimited, "418": RateLimited, "451": Refused}
    bodies = {title[:3]: body for title, body in recording("binance_errors.json").items()}
    for status, fault in expected.items():
        exchange = Exchange()
        exchange.instead = [httpx.Response(int(status), json=bodies[status])]
        answer = await provider_of(exchange).fetch([BITCOIN], within=1)
        assert [type(found) for found in answer.faults] == [fault]
        assert bodies[status]["msg"][:200] in str(answer.faults[0])
