"""Every documented trouble of every provider, over real HTTP to the simulated exchange, and where it ends."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import httpx
import msgspec
import pytest
import uvicorn

from handlers.hub.instruments import instruments
from local.exchange.application import exchange
from scheduler.binary import Sentiments
from scheduler.composition import Known
from scheduler.errors import MalformedAnswer, RateLimited, Refused, Unavailable, UnknownInstrument, Unreachable
from scheduler.market.prices import Prices
from scheduler.market.providers.binance import Binance
from scheduler.market.providers.gold_api import GoldApi
from scheduler.market.providers.kraken import Kraken
from scheduler.market.providers.kraken_flow import KrakenFlow
from tests.scheduler.fakes import Clock

pytestmark = pytest.mark.end_to_end

MONDAY = 1_790_000_003_123  # 2026-09-21, in the afternoon
CLOCK = Clock(MONDAY)
MAKERS = {"binance": Binance, "kraken": Kraken, "gold-api": GoldApi}


@pytest.fixture(scope="module")
def address():
    config = uvicorn.Config(
        exchange(now=CLOCK), port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.001)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def clock():
    CLOCK.at += 60_000  # the exchange counts calls, too
    return CLOCK


@pytest.fixture
async def closing():
    """Close at the end of a test what it has opened: the server waits for that."""
    closers = []
    yield closers
    for close in closers:
        await close()


@pytest.fixture
def provider_of(address, clock, closing):
    def make(name):
        provider = MAKERS[name](f"{address}/{name}", now=clock)
        closing.append(provider.close)
        return provider

    return make


@pytest.fixture
async def trouble(address):
    """Have a provider fail, until the end of the test or of the trouble."""
    async with httpx.AsyncClient(base_url=address, verify=False) as client:  # noqa: S501 - nothing is encrypted here

        async def make(name, **what):
            answer = await client.put(f"/control/{name}", json=what)
            assert answer.status_code == 200

        async def end(name):
            await client.delete(f"/control/{name}")

        make.end = end
        yield make
        for name in MAKERS:
            await end(name)


def sold_by(name):
    """Choose what the simulated exchange has at a provider."""
    listed = {"XBTUSD", "ETHUSD", "PAXGUSD"}
    return [
        one
        for one in instruments().values()
        if name in one.sources and (name != "kraken" or one.kind == "forex" or one.sources[name] in listed)
    ]


@pytest.mark.parametrize("name", MAKERS)
async def test_everything_that_is_sold_there_has_a_quote_and_says_that_it_is_simulated(provider_of, name):
    answer = await provider_of(name).fetch(sold_by(name), within=5)
    assert answer.faults == []
    assert set(answer.quotes) == {one.symbol for one in sold_by(name)}
    assert {quote.source for quote in answer.quotes.values()} == {"simulated"}
    assert all(quote.last for quote in answer.quotes.values())


HOUR = 3_600_000
TROUBLES = [
    ({"status": 429, "retry_after": 7}, RateLimited, 7_000),
    ({"status": 429}, RateLimited, 30_000),
    ({"status": 418}, RateLimited, 120_000),
    ({"status": 451}, Refused, HOUR),
    ({"status": 403}, Refused, HOUR),
    ({"status": 500}, Unavailable, None),
    ({"status": 502}, Unavailable, None),
    ({"status": 503}, Unavailable, None),
    ({"body": "truncated"}, MalformedAnswer, None),
    ({"body": "html"}, MalformedAnswer, None),
    ({"body": "error"}, {"kraken": Unavailable}, None),
    ({"body": "empty_error"}, MalformedAnswer, None),
    ({"body": "wrong_length"}, Unreachable, None),
    ({"body": "reset"}, Unreachable, None),
    ({"body": "drip", "delay_s": 0.05}, Unreachable, None),
    ({"delay_s": 0.5}, Unreachable, None),
]
"""What is wrong, what kind of fault that is (by provider, where it is not of the same kind), and for how long."""


def patience(what):
    """Only a delay is met by our own impatience; all else answers, however busy the machine is."""
    return 0.2 if "delay_s" in what else 3


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(("what", "faults", "shut_for"), TROUBLES, ids=str)
async def test_a_trouble_is_a_fault_of_its_kind_and_over_when_it_is_over(
    provider_of, trouble, clock, name, what, faults, shut_for
):
    provider, sold = provider_of(name), sold_by(name)
    await trouble(name, **what)
    answer = await provider.fetch(sold, within=patience(what))
    expected = faults.get(name, MalformedAnswer) if isinstance(faults, dict) else faults
    assert (answer.quotes, {type(fault) for fault in answer.faults}) == ({}, {expected})
    assert {fault.retry_at for fault in answer.faults} == {shut_for and clock.at + shut_for}
    await trouble.end(name)
    if shut_for:
        clock.at += shut_for - 1
        assert (await provider.fetch(sold, within=5)).quotes == {}
        clock.at += 1
    assert set((await provider.fetch(sold, within=5)).quotes) == {one.symbol for one in sold}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(("what", "shut_for"), [(what, shut_for) for what, _, shut_for in TROUBLES], ids=str)
async def test_a_trouble_leaves_the_last_values_stale_and_the_provider_down_until_it_is_over(
    provider_of, trouble, clock, name, what, shut_for
):
    provider, sold = provider_of(name), sold_by(name)
    prices, known, told = Prices(sold, [provider], now=clock), Known(), []

    async def tick(within):
        nonlocal known
        composition = prices.compose(await prices.fetch(within=within), known, now=clock.at, full=False)
        known = Known(composition.content, composition.state)
        told.extend((one.component, one.state) for one in composition.news)
        return {symbol: msgspec.json.decode(data) for symbol, data in composition.content.items()}

    good = await tick(5)
    await trouble(name, **what)
    for _ in range(3):
        clock.at += provider.period_ms + 1_000
        left = await tick(patience(what))
    assert {symbol: quote | {"stale": False} for symbol, quote in left.items()} == good
    assert {quote["stale"] for quote in left.values()} == {True}
    assert told == [(f"provider.{name}", "down")]
    await trouble.end(name)
    # Errors of transport may have opened the breaker too, for two minutes at most.
    clock.at += max(shut_for or 0, 120_000)
    better = await tick(5)
    assert better.keys() == good.keys()
    assert {quote["stale"] for quote in better.values()} == {False}
    assert told == [(f"provider.{name}", "down"), (f"provider.{name}", "ok")]


FLOWING = ("EURUSD", "GBPUSD", "XAU")
"""Of whose order flow Kraken is asked here: few enough for its pace."""


@pytest.fixture
def flowing(address, clock, closing):
    async def wait(seconds):
        clock.at += round(1000 * seconds)

    provider = KrakenFlow(f"{address}/kraken", now=clock, sleep=wait)
    closing.append(provider.close)
    return provider, [instruments()[symbol] for symbol in FLOWING]


@pytest.mark.parametrize(("what", "faults", "shut_for"), TROUBLES, ids=str)
async def test_a_trouble_with_order_flow_is_a_fault_of_its_kind_and_over_when_it_is_over(
    flowing, trouble, clock, what, faults, shut_for
):
    provider, sold = flowing
    good = await provider.fetch(sold, within=5)
    assert (set(good.traded), set(good.book), good.faults) == (set(FLOWING), set(FLOWING), [])
    await trouble("kraken", **what)
    flow = await provider.fetch(sold, within=patience(what))
    expected = faults.get("kraken", MalformedAnswer) if isinstance(faults, dict) else faults
    assert (flow.traded, flow.book, {type(fault) for fault in flow.faults}) == ({}, {}, {expected})
    assert {fault.retry_at for fault in flow.faults} == {shut_for and clock.at + shut_for}
    await trouble.end("kraken")
    if shut_for:
        clock.at += shut_for - 1
        assert (await provider.fetch(sold, within=5)).traded == {}
        clock.at += 1
    again = await provider.fetch(sold, within=5)
    assert (set(again.traded), set(again.book), again.faults) == (set(FLOWING), set(FLOWING), [])


@pytest.mark.parametrize(("what", "shut_for"), [(what, shut_for) for what, _, shut_for in TROUBLES], ids=str)
async def test_a_trouble_leaves_the_last_sentiment_stale_until_it_is_over(flowing, trouble, clock, what, shut_for):
    provider, sold = flowing
    composer, known = Sentiments(sold, [provider], now=clock), Known()

    async def tick(within):
        nonlocal known
        composition = composer.compose(await composer.fetch(within=within), known, now=clock.at, full=False)
        known = Known(composition.content, composition.state)
        return {symbol: msgspec.json.decode(data) for symbol, data in composition.content.items()}

    good = await tick(5)
    assert set(good) == set(FLOWING)
    await trouble("kraken", **what)
    for _ in range(3):
        clock.at += provider.period_ms + 1_000
        left = await tick(patience(what))
    assert {symbol: told | {"stale": False} for symbol, told in left.items()} == good
    assert {told["stale"] for told in left.values()} == {True}
    await trouble.end("kraken")
    # Errors of transport may have opened the breaker too, for two minutes at most.
    clock.at += max(shut_for or 0, 120_000)
    better = await tick(5)
    assert better.keys() == good.keys()
    assert {told["stale"] for told in better.values()} == {False}


@pytest.mark.parametrize(("name", "unknown"), [("binance", "NOPEUSDT"), ("kraken", "NOPEUSD"), ("gold-api", "NOPE")])
async def test_a_symbol_that_is_not_known_there_is_told_once_and_costs_no_other_its_quote(
    provider_of, clock, name, unknown
):
    provider, sold = provider_of(name), sold_by(name)
    nobodys = replace(sold[0], symbol="NOPE", sources={name: unknown})
    asked = [sold[0], nobodys, *sold[1:]]
    answer = await provider.fetch(asked, within=5)
    assert set(answer.quotes) == {one.symbol for one in sold}
    (fault,) = answer.faults
    assert isinstance(fault, UnknownInstrument)
    assert unknown in str(fault)
    clock.at += provider.period_ms
    again = await provider.fetch(asked, within=5)
    assert (set(again.quotes), again.faults) == ({one.symbol for one in sold}, [])


async def test_bans_are_sat_out_and_whoever_is_left_is_asked_meanwhile(address, clock, trouble, closing):
    providers = [MAKERS[name](f"{address}/{name}", now=clock) for name in MAKERS]
    prices = Prices(instruments().values(), providers, now=clock)
    closing.append(prices.close)
    known, told = Known(), []

    async def tick():
        nonlocal known
        composition = prices.compose(await prices.fetch(within=5), known, now=clock.at, full=False)
        known = Known(composition.content, composition.state)
        told.extend(composition.news)
        clock.at += 5_000
        return composition

    first = await tick()
    assert set(first.content) == set(instruments())
    await trouble("binance", status=418)
    await tick()
    assert [(one.component, one.state) for one in told] == [("provider.binance", "down")]
    await tick()
    await tick()
    # Kraken says nothing of the day before what it is only asked for in need; the simulated one has no SOL.
    assert b'"change_pct":null' in known.content["BTC"]
    assert b'"stale":false' in known.content["BTC"]
    assert b'"stale":true' in known.content["SOL"]
    await trouble("kraken", status=403)
    for _ in range(4):
        await tick()
    assert all(b'"stale":true' in known.content[symbol] for symbol in ("BTC", "SOL", "EURUSD"))
    await trouble.end("binance")
    await trouble.end("kraken")
    clock.at += 3_600_000
    await tick()
    states = [(one.component.removeprefix("provider."), one.state) for one in told]
    assert states == [("binance", "down"), ("kraken", "down"), ("binance", "ok"), ("kraken", "ok")]
    assert all(b'"stale":false' in known.content[symbol] for symbol in ("BTC", "SOL", "EURUSD"))
