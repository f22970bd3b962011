"""Telling the simulated exchange to fail, over real HTTP: what a client on a socket then sees."""

from __future__ import annotations

import json
import ssl
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn

from local.exchange.application import exchange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

NOW = 1_790_000_003_123
PATHS = {
    "binance": "/binance/api/v3/ticker/price?symbol=BTCUSDT",
    "kraken": "/kraken/0/public/Ticker?pair=EURUSD",
    "gold-api": "/gold-api/price/XAU",
}


# Nothing here is encrypted, and reading the certificates for each client takes longer than the tests.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


CLOCK = Clock()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """One server for all of these tests: stopping one takes uvicorn a tenth of a second."""
    config = uvicorn.Config(exchange(now=CLOCK), port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.001)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def clock() -> Clock:
    CLOCK.now = NOW
    return CLOCK


@pytest.fixture
async def client(address: str, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address, timeout=5, verify=NO_CERTIFICATES) as client:
        for provider in PATHS:
            await client.delete(f"/control/{provider}")
        yield client


@pytest.mark.parametrize("provider", PATHS)
async def test_a_status_is_answered_in_the_providers_form_until_it_is_taken_back(client, provider):
    before = await client.get(PATHS[provider])
    assert (before.status_code, before.headers["content-type"].split(";")[0]) == (200, "application/json")
    for status in (403, 418, 429, 451, 500, 503):
        told = await client.put(f"/control/{provider}", json={"status": status, "retry_after": 7})
        assert told.json() == {"status": status, "retry_after": 7}
        answer = await client.get(PATHS[provider])
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
        assert answer.headers["x-tickwire-source"] == "simulated"
        if status >= 500 or status == 403:
            assert answer.headers["content-type"] == "text/html"
    assert (await client.delete(f"/control/{provider}")).status_code == 204
    assert (await client.get(PATHS[provider])).content == before.content


async def test_binances_refusals_have_its_codes(client):
    codes = {}
    for status in (418, 429, 451):
        await client.put("/control/binance", json={"status": status})
        answer = await client.get(PATHS["binance"])
        codes[status] = (answer.json()["code"], answer.headers.get("retry-after"))
    assert codes == {418: (-1003, "120"), 429: (-1003, "30"), 451: (0, None)}


async def test_one_providers_trouble_is_not_the_others(client):
    await client.put("/control/binance", json={"status": 500})
    assert (await client.get(PATHS["kraken"])).status_code == 200
    assert (await client.get("/control")).json() == {"binance": {"status": 500}, "kraken": {}, "gold-api": {}}
    assert (await client.get("/control/binance")).json() == {"status": 500}


async def test_trouble_ends_by_itself(client, clock):
    await client.put("/control/kraken", json={"status": 500, "for_s": 30})
    clock.now = NOW + 29_999
    assert (await client.get(PATHS["kraken"])).status_code == 500
    clock.now = NOW + 30_000
    assert (await client.get(PATHS["kraken"])).status_code == 200
    assert (await client.get("/control/kraken")).json() == {}


async def test_a_truncated_body_is_properly_framed_and_no_json(client):
    whole = (await client.get(PATHS["binance"])).content
    await client.put("/control/binance", json={"body": "truncated"})
    answer = await client.get(PATHS["binance"])
    assert answer.content == whole[: len(whole) // 2]
    with pytest.raises(json.JSONDecodeError):
        answer.json()


async def test_a_web_page_may_come_under_status_200(client):
    await client.put("/control/binance", json={"body": "html"})
    answer = await client.get(PATHS["binance"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert answer.text.startswith("<html>")


async def test_a_dripping_body_is_whole_in_the_end(client):
    whole = (await client.get(PATHS["binance"])).content
    await client.put("/control/binance", json={"body": "drip", "delay_s": 0.001})
    pieces = []
    async with client.stream("GET", PATHS["binance"]) as answer:
        async for piece in answer.aiter_raw():
            pieces.append(piece)  # noqa: PERF401 - each piece as it comes
    assert b"".join(pieces) == whole
    assert len(pieces) > 5


@pytest.mark.parametrize("body", ["wrong_length", "reset"])
async def test_a_connection_may_end_within_an_answer(client, body):
    await client.put("/control/binance", json={"body": body})
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(PATHS["binance"])
    assert (await client.get(PATHS["kraken"])).status_code == 200


async def test_errors_and_empty_objects_may_come_under_status_200(client):
    bodies = {}
    for body in ("error", "empty_error"):
        for provider, path in PATHS.items():
            await client.put(f"/control/{provider}", json={"body": body})
            answer = await client.get(path)
            assert answer.status_code == 200
            bodies[provider, body] = answer.json()
    assert bodies["kraken", "error"] == {"error": ["EService:Unavailable"]}
    assert bodies["kraken", "empty_error"] == {"error": []}
    assert bodies["binance", "error"]["code"] == -1001
    assert bodies["binance", "empty_error"] == bodies["gold-api", "empty_error"] == {}


async def test_an_answer_may_be_late(client):
    await client.put("/control/gold-api", json={"delay_s": 0.05})
    with pytest.raises(httpx.ReadTimeout):
        await client.get(PATHS["gold-api"], timeout=0.02)
    assert (await client.get(PATHS["gold-api"])).status_code == 200


async def test_a_halted_symbol_keeps_its_price_and_can_be_filtered_out(client, clock):
    await client.put("/control/binance", json={"symbols": ["BTCUSDT"]})
    query = 'symbols=["BTCUSDT","ETHUSDT"]'
    before = (await client.get(f"/binance/api/v3/ticker/24hr?{query}")).json()
    clock.now = NOW + 60_000
    after = (await client.get(f"/binance/api/v3/ticker/24hr?{query}")).json()
    assert after[0] == before[0]
    assert after[1] != before[1]
    trading = (await client.get(f"/binance/api/v3/ticker/24hr?{query}&symbolStatus=TRADING")).json()
    assert [row["symbol"] for row in trading] == ["ETHUSDT"]
    single = await client.get("/binance/api/v3/ticker/24hr?symbol=BTCUSDT&symbolStatus=TRADING")
    assert (single.status_code, single.json()["code"]) == (400, -1220)
    information = (await client.get("/binance/api/v3/exchangeInfo?symbol=BTCUSDT")).json()
    assert information["symbols"][0]["status"] == "HALT"


@pytest.mark.parametrize(
    "told",
    [b"", b"[]", b'{"status":99}', b'{"stauts":500}', b'{"body":"gone"}', b'{"for_s":0}', b'{"delay_s":-1}'],
)
async def test_what_cannot_be_understood_is_refused_and_changes_nothing(client, told):
    await client.put("/control/binance", json={"status": 500})
    answer = await client.put("/control/binance", content=told)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert (await client.get("/control/binance")).json() == {"status": 500}


async def test_only_providers_can_be_told_and_only_by_put_and_delete(client):
    assert (await client.put("/control/nasdaq", json={})).status_code == 404
    assert (await client.put("/control", json={})).status_code == 405
    assert (await client.post("/control/binance", json={})).status_code == 405
    assert (await client.post(PATHS["binance"])).status_code == 405
    assert (await client.delete("/control/binance")).status_code == 204
