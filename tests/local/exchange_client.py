"""A client of a simulated exchange without a socket, and the clock they share."""

from __future__ import annotations

from typing import Any

import httpx

from local.exchange.application import Exchange, exchange

NOW = 1_790_000_003_123


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


CLOCK = Clock()
EXCHANGE = exchange(now=CLOCK)
"""One for all tests, because it remembers prices; each test is a client with an address of its own."""


class Client:
    def __init__(self, application: Exchange, address: str) -> None:
        transport = httpx.ASGITransport(app=application, client=(address, 1))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://exchange")

    async def get(self, path: str, **query: str) -> httpx.Response:
        return await self._client.get(path, params=query or None)

    async def binance(self, path: str, **query: str) -> Any:
        return (await self.get(f"/binance/api/v3/{path}", **query)).json()

    async def kraken(self, path: str, **query: str) -> Any:
        answer = (await self.get(f"/kraken/0/public/{path}", **query)).json()
        assert answer["error"] == []
        return answer["result"]
