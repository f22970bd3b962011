"""Binance and Kraken over real WebSockets to the simulated exchange: how old quotes are, and what trouble comes to."""

from __future__ import annotations

import asyncio
import threading
import time

import httpx
import pytest
import uvicorn

from handlers.hub.instruments import instruments
from local.exchange.application import exchange
from scheduler.clock import epoch_ms
from scheduler.composition import Known
from scheduler.errors import RateLimited
from scheduler.market import quotes
from scheduler.market.breaker import Breaker
from scheduler.market.prices import Prices
from scheduler.market.providers.binance import Binance
from scheduler.market.providers.kraken import Kraken
from scheduler.market.push.binance import BinanceListening
from scheduler.market.push.connection import Patience
from scheduler.market.push.keeper import Keeper
from scheduler.market.push.kraken import KrakenListening
from scheduler.market.push.pushed import Pushed

pytestmark = pytest.mark.end_to_end

MAKERS = {"binance": Binance, "kraken": Kraken}
# As the real ones, but for silence, which would keep the tests waiting.
PATIENCE = Patience(silent=2.5, handover=1.0)


class Counting(httpx.AsyncHTTPTransport):
    """Counts the calls by provider and last word of the path."""

    def __init__(self):
        super().__init__(verify=False)
        self.calls = []

    async def handle_async_request(self, request):
        self.calls.append(request.url.path.rpartition("/")[2])
        return await super().handle_async_request(request)


@pytest.fixture(scope="module")
def address():
    config = uvicorn.Config(
        exchange(), port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=1, ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.001)
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


class Market:
    """The market stream of one pushing provider, tick by tick; each begins with a second, as those of the grid do."""

    def __init__(self, address, name):
        self.name = name
        self.transport = Counting()
        self.breaker = Breaker("nobody's")  # ticks come faster here than a pace allows
        rest = MAKERS[name](f"http://{address}/{name}", transport=self.transport, breaker=self.breaker)
        way = BinanceListening() if name == "binance" else KrakenListening(rest)
        self.keeper = Keeper(name, f"ws://{address}/{name}", way, breaker=self.breaker, patience=PATIENCE, shortest=0.2)
        self.instruments = [one for one in instruments().values() if next(iter(one.sources)) == name]
        self.prices = Prices(self.instruments, [Pushed(rest, self.keeper)])
        self.known = Known()
        self.faults = []

    async def tick(self):
        """Run one; gives every quote by its symbol."""
        await asyncio.sleep(1 - time.time() % 1 + 0.02)
        self.transport.calls.clear()
        fetched = await self.prices.fetch(within=4)
        self.now = epoch_ms()
        composition = self.prices.compose(fetched, self.known, now=self.now, full=False)
        self.known = Known(composition.content, composition.state)
        self.faults += composition.faults
        held = {
            symbol: quotes.decode(symbol, written, answered_at=0) for symbol, written in composition.content.items()
        }
        self.age = max(self.now - quote.ts for quote in held.values())
        self.is_asked = bool({"24hr", "Ticker"} & set(self.transport.calls))
        return held

    async def until_heard(self):
        """Run ticks until one has all from the socket."""
        for _ in range(15):
            await self.tick()
            if not self.is_asked and self.age < 1_000:
                return
        raise AssertionError(f"nothing is heard: {self.faults}")


@pytest.fixture
async def trouble(address):
    async with httpx.AsyncClient(base_url=f"http://{address}", verify=False) as client:  # noqa: S501 - nothing is encrypted

        async def make(name, **what):
            assert (await client.put(f"/control/{name}", json=what)).status_code == 200

        async def end(name):
            await client.delete(f"/control/{name}")

        make.end = end
        yield make
        for name in ("binance", "kraken"):
            await end(name)


@pytest.fixture
async def market(address, request):
    one = Market(address, getattr(request, "param", "binance"))
    yield one
    await one.prices.close()


both = pytest.mark.parametrize("market", ["binance", "kraken"], indirect=True)


@both
async def test_a_tick_has_quotes_younger_than_a_second(market):
    first = await market.tick()
    assert market.is_asked
    assert set(first) == {one.symbol for one in market.instruments}
    assert {quote.source for quote in first.values()} == {"simulated"}
    await market.until_heard()
    before = {}
    for _ in range(3):
        held = await market.tick()
        assert (market.is_asked, market.age < 1_000) == (False, True)
        assert {quote.source for quote in held.values()} == {"simulated"}
        assert any(quote.last != before.get(symbol) for symbol, quote in held.items()), "prices move"
        before = {symbol: quote.last for symbol, quote in held.items()}
    assert market.faults == []


@both
async def test_what_is_pushed_is_what_is_answered(market, address):
    await market.until_heard()
    rest = MAKERS[market.name](f"http://{address}/{market.name}")
    first, rest._days = market.instruments[0], getattr(market.prices._providers[market.name]._rest, "_days", None)
    for _ in range(5):
        await asyncio.sleep(1 - time.time() % 1 + 0.96)  # everything about this second has been said
        pushed = market.keeper.quote(first)
        asked = (await rest.fetch([first], within=4)).quotes[first.symbol]
        if asked.answered_at // 1000 == pushed.answered_at // 1000:
            break
    await rest.close()
    assert pushed.says_the_same_as(asked)


async def test_a_dropped_socket_costs_a_call_at_the_next_tick_and_comes_back(market, trouble):
    await market.until_heard()
    await trouble(market.name, push="drop")
    await asyncio.sleep(1)
    held = await market.tick()
    assert (market.is_asked, market.age < 1_200) == (True, True)
    assert not any(quote.stale for quote in held.values())
    await trouble.end(market.name)
    await market.until_heard()
    assert any("its socket was closed" in fault for fault in market.faults)


async def test_silence_is_noticed_at_the_next_tick_and_the_socket_replaced(market, trouble):
    await market.until_heard()
    await trouble(market.name, push="silence", for_s=3)
    await asyncio.sleep(1)
    await market.tick()
    assert (market.is_asked, market.age < 1_200) == (True, True)
    await market.until_heard()
    assert any("silent" in fault for fault in market.faults)


async def test_an_announced_shutdown_is_not_noticed_by_anybody(market, trouble):
    await market.until_heard()
    await trouble("binance", push="shutdown", delay_s=2.5)
    for _ in range(4):
        await market.tick()
        assert (market.is_asked, market.age < 1_000) == (False, True)
    assert market.faults == []


async def test_malformed_messages_leave_the_asking(market, trouble):
    await market.until_heard()
    await trouble("binance", push="malformed")
    await asyncio.sleep(1)
    held = await market.tick()
    assert (market.is_asked, any(quote.stale for quote in held.values())) == (True, False)
    await trouble.end("binance")
    await market.until_heard()
    assert any("cannot be read" in fault for fault in market.faults)


async def test_refused_calls_do_not_silence_the_socket(market, trouble):
    await market.until_heard()
    await trouble("binance", status=429)
    market.breaker.open(RateLimited("binance", "429", retry_at=epoch_ms() + 60_000))
    for _ in range(2):
        await market.tick()
        assert market.age < 1_000
    assert '"binance":{"state":"ok"' in market.known.state.decode()
