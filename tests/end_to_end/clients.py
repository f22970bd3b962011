"""WebSocket clients for tests, on a library that shares nothing with the server's (aiohttp)."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.running import Emulator


class Client:
    """One connection and everything it has received, oldest first, with the times of receipt."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.received: list[dict[str, Any]] = []
        self.at: list[float] = []
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, session: aiohttp.ClientSession, url: str) -> Client:
        return cls(await session.ws_connect(url, max_msg_size=0))

    @classmethod
    async def following(cls, session: aiohttp.ClientSession, emulator: Emulator) -> Client:
        """Connect, subscribe to the market and wait for the first tick."""
        client = await cls.connect(session, emulator.ready["websocket"])
        await client.subscribe()
        await client.batches(1, within=15)
        return client

    async def _read(self) -> None:
        async for message in self.socket:
            assert message.type == aiohttp.WSMsgType.TEXT
            async with self._news:
                self.received.append(json.loads(message.data, parse_float=Decimal))
                self.at.append(time.time())
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    async def send(self, message: Any) -> None:
        await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def find(self, wanted: Callable[[dict[str, Any]], bool], *, within: float, after: int = 0) -> dict[str, Any]:
        """Return the first message from number ``after`` on that is wanted, waiting for it."""

        def seen() -> list[dict[str, Any]]:
            return [message for message in self.received[after:] if wanted(message)]

        try:
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(lambda: seen() or self._reader.done())
        except TimeoutError:
            pass
        found = seen()
        assert found, f"waited {within} s; received {self.received[-3:]}, closed with {self.socket.close_code}"
        return found[0]

    async def ask(self, message: Any, *, within: float = 5.0) -> dict[str, Any]:
        """Send a request and return the next message that is no tick and no status."""
        after = len(self.received)
        await self.send(message)

        def is_answer(one: dict[str, Any]) -> bool:
            return not one.get("type", "").endswith(("status", "_batch", "_compact"))

        return await self.find(is_answer, within=within, after=after)

    async def subscribe(self, **more: Any) -> dict[str, Any]:
        """Subscribe to the market and return the answer; waits for the very first tick of a system just started."""
        request = {"action": "subscribe", "id": "1", "streams": ["market"]} | more
        async with asyncio.timeout(30):
            while (answer := await self.ask(request, within=20))["streams"]["market"]["seq"] is None:
                await asyncio.sleep(0.5)
        return answer

    async def batches(self, count: int, *, within: float) -> list[dict[str, Any]]:
        """Return the first ``count`` market batches, waiting for them."""

        def enough(_: dict[str, Any]) -> bool:
            return len(self.ticks) >= count

        await self.find(enough, within=within)
        return self.ticks[:count]

    @property
    def ticks(self) -> list[dict[str, Any]]:
        return [message for message in self.received if message.get("type") == "market_batch"]

    async def ended(self, within: float = 5.0) -> int | None:
        """Wait for the end of the connection and return its close code."""
        await asyncio.wait_for(asyncio.shield(self._reader), within)
        return self.socket.close_code

    async def close(self) -> None:
        await self.socket.close()
        await self._reader


def assert_every_tick_once(client: Client) -> None:
    """Check that no tick is missing, doubled or out of order between the first and the last one received."""
    ticks = client.ticks
    for before, after in pairwise(ticks):
        assert after["seq"] > before["seq"]
        assert after["prev"] == before["seq"], f"a tick between {before['seq']} and {after['seq']} is missing"
