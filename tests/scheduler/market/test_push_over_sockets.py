"""Binance and Kraken over real WebSockets to the simulated exchange: how old quotes are, and what trouble comes to."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import asynccontextmanager

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


@pytest.fixture
def address():
    """Serve as many exchanges as are asked for, each below a path of its own, so that many can fail at once."""
    exchanges = {}

    async def serve(scope, receive, send):
        name = scope["path"].split("/")[1]
        one = exchanges.setdefault(name, exchange())
        await one({**scope, "root_path": f"/{name}"}, receive, send)

    config = uvicorn.Config(serve, port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
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


@asynccontextmanager
async def market_at(address, name="binance"):
    """Run a market of a provider, which is heard."""
    one = Market(address, name)
    try:
        first = await one.tick()
        assert (one.is_asked, set(first)) == (True, {instrument.symbol for instrument in one.instruments})
        await one.until_heard()
        yield one
    finally:
        await one.prices.close()


async def tell(address, name, **trouble):
    async with httpx.AsyncClient(base_url=f"http://{address}", verify=False) as client:  # noqa: S501 - nothing is encrypted
        if trouble:
            assert (await client.put(f"/control/{name}", json=trouble)).status_code == 200
        else:
            await client.delete(f"/control/{name}")


async def quotes_are_young_and_those_that_are_answered(address, name):
    async with market_at(address, name) as market:
        before, young = {}, 0
        for _ in range(9):
            held = await market.tick()
            # Of a busy machine's exchange a second may come too late.
            young += not market.is_asked and market.age < 1_000
            if young == 3:
                break
            assert {quote.source for quote in held.values()} == {"simulated"}
            assert any(quote.last != before.get(symbol) for symbol, quote in held.items()), "prices move"
            before = {symbol: quote.last for symbol, quote in held.items()}
        assert (young, market.faults) == (3, [])
        rest, first = market.prices._providers[name]._rest, market.instruments[0]
        for _ in range(5):
            # The ticker comes in the second half of a second, and that is the last of what is said about it.
            while (pushed := market.keeper.quote(first)) is None or not _is_of_this_half(pushed.answered_at):
                await asyncio.sleep(0.005)
            asked = (await rest.fetch([first], within=4)).quotes[first.symbol]
            if asked.answered_at // 1000 == pushed.answered_at // 1000:
                break
        assert pushed.says_the_same_as(asked)


def _is_of_this_half(at):
    return at // 500 == epoch_ms() // 500 and at % 1000 >= 500


async def a_dropped_socket_costs_a_call_at_the_next_tick_and_comes_back(address):
    async with market_at(address) as market:
        await tell(address, "binance", push="drop")
        await asyncio.sleep(1)
        held = await market.tick()
        assert (market.is_asked, market.age < 2_000) == (True, True)
        assert not any(quote.stale for quote in held.values())
        await tell(address, "binance")
        await market.until_heard()
        assert any("its socket was closed" in fault for fault in market.faults)


async def silence_is_noticed_at_the_next_tick_and_the_socket_replaced(address):
    async with market_at(address) as market:
        await tell(address, "binance", push="silence", for_s=3)
        await asyncio.sleep(1)
        await market.tick()
        assert (market.is_asked, market.age < 2_000) == (True, True)
        await market.until_heard()
        assert any("silent" in fault for fault in market.faults)


async def an_announced_shutdown_is_not_noticed_by_anybody(address):
    async with market_at(address) as market:
        await tell(address, "binance", push="shutdown", delay_s=2.5)
        for _ in range(4):
            await market.tick()
            assert market.age < 1_500
        assert market.faults == []


async def malformed_messages_leave_the_asking(address):
    async with market_at(address) as market:
        await tell(address, "binance", push="malformed")
        await asyncio.sleep(1)
        held = await market.tick()
        assert (market.is_asked, any(quote.stale for quote in held.values())) == (True, False)
        await tell(address, "binance")
        await market.until_heard()
        assert any("cannot be read" in fault for fault in market.faults)


async def refused_calls_do_not_silence_the_socket(address):
    async with market_at(address) as market:
        await tell(address, "binance", status=429)
        market.breaker.open(RateLimited("binance", "429", retry_at=epoch_ms() + 60_000))
        for _ in range(2):
            await market.tick()
            assert market.age < 1_500
        assert '"binance":{"state":"ok"' in market.known.state.decode()


async def test_a_tick_has_quotes_younger_than_a_second(address):
    async with asyncio.TaskGroup() as group:
        for name in MAKERS:
            group.create_task(quotes_are_young_and_those_that_are_answered(f"{address}/{name}", name))


async def test_no_trouble_of_a_socket_costs_more_than_a_call(address):
    """All of them at once, each with an exchange of its own: each takes seconds, and nearly all of that is waiting."""
    async with asyncio.TaskGroup() as group:
        for number, trouble in enumerate(
            (
                a_dropped_socket_costs_a_call_at_the_next_tick_and_comes_back,
                silence_is_noticed_at_the_next_tick_and_the_socket_replaced,
                an_announced_shutdown_is_not_noticed_by_anybody,
                malformed_messages_leave_the_asking,
                refused_calls_do_not_silence_the_socket,
            )
        ):
            group.create_task(trouble(f"{address}/{number}"), name=trouble.__name__)
