"""
A simulated exchange over HTTP: one ASGI application that stands in for Binance, Kraken and gold-api.com.

``/binance/api/v3/…``, ``/kraken/0/public/…`` and ``/gold-api/price/…`` answer as the hosts do, and so do the WebSockets
``/binance/stream?streams=…`` and ``/kraken/v2``; ``/control/…`` makes them fail (``local.exchange.control``). Every
answer says what it is in the header ``X-Tickwire-Source``: ``simulated`` or, from a recording, ``replay``.
``python -m local.exchange --port 8001`` serves it alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from local.exchange.binance import Binance
from local.exchange.control import RETRY_AFTER, BadTrouble, Control, Trouble
from local.exchange.gold import GoldApi
from local.exchange.kraken import Kraken
from local.exchange.limits import PING_AFTER_S, PONG_WITHIN_S
from local.exchange.listings import BINANCE, KRAKEN, UNDERLYINGS, Listing
from local.exchange.market import Market
from local.exchange.price_path import Noise, PricePath
from local.exchange.provider import HTML, JSON, Answer, Provider, Request, page
from local.exchange.replay import Replay, read
from local.exchange.sockets import serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
    from pathlib import Path

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SEED = "tickwire"
SOURCE = b"x-tickwire-source"
_DRIP_S = 0.5
_LONG = ("/klines", "/OHLC", "/trades", "/aggTrades", "/Trades")


def epoch_ms() -> int:
    """Return the time, epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Exchange:
    """The ASGI application; ``exchange`` makes one."""

    def __init__(self, providers: Mapping[str, Provider], *, source: str, now: Callable[[], int]) -> None:
        self._providers = providers
        self._source = source
        self._now = now
        self._control = Control(providers)
        self._thread = ThreadPoolExecutor(1, "exchange")
        self._long_ones = asyncio.Semaphore(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        name, _, rest = path.strip("/").partition("/")
        if scope["type"] == "websocket":
            await self._serve(name, f"/{rest}", scope, receive, send)
        elif name == "control":
            await self._send(await self._steer(scope["method"], rest, receive), send)
        elif name in self._providers:
            await self._answer(name, f"/{rest}", scope, send)
        else:
            await self._send(page(404, "Not Found"), send)

    async def _answer(self, name: str, path: str, scope: Scope, send: Send) -> None:
        provider = self._providers[name]
        now = self._now()
        trouble, since = self._control.trouble(name, now=now)
        client = scope.get("client")
        request = Request(
            path=path,
            query=_query(scope),
            client=client[0] if client else "",
            now=now,
            halted=dict.fromkeys(trouble.symbols, since),
        )
        if trouble.delay_s and trouble.body != "drip":
            await asyncio.sleep(trouble.delay_s)
        if scope["method"] not in {"GET", "HEAD"}:
            answer = page(405, "Method Not Allowed")
        elif trouble.status is not None and trouble.status != 200:  # noqa: PLR2004 - the status
            wait = RETRY_AFTER.get(trouble.status) if trouble.retry_after is None else trouble.retry_after
            answer = provider.refusal(trouble.status, request, wait or 0)
            if wait is not None:
                answer = replace(answer, headers={**answer.headers, "retry-after": str(wait)})
        else:
            # A thousand candles take a tenth of a second to compute; whoever shares this event loop goes on meanwhile.
            # One thread, because what it remembers between requests is for one at a time. Whoever wants candles waits
            # outside for the others who do, so that a ticker never waits for more than one of them.
            async with self._long_ones if path.endswith(_LONG) else contextlib.nullcontext():
                computed = await asyncio.get_running_loop().run_in_executor(self._thread, provider.answer, request)
            answer = _spoilt(provider, trouble, computed)
        await self._send(answer, send, trouble)

    async def _serve(self, name: str, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        provider = self._providers.get(name)
        session = provider.session(path, _query(scope)) if provider is not None else None
        trouble, _ = self._control.trouble(name, now=self._now())
        if trouble.delay_s and trouble.push is None:
            await asyncio.sleep(trouble.delay_s)
        status = trouble.status if trouble.status not in {None, 200} else None
        if provider is None or session is None or status is not None:
            wait = RETRY_AFTER.get(status or 0) if trouble.retry_after is None else trouble.retry_after
            headers = {"retry-after": str(wait)} if wait is not None else {}
            await self._refuse(replace(page(status or 404, "Error"), headers=headers), send)
            return
        # In the emulator, where the gateway sends no pings, the socket itself stands here.
        if (own := (scope.get("extensions") or {}).get("tickwire.socket")) is not None:
            own["protocol"].ping_interval, own["protocol"].ping_timeout = PING_AFTER_S, PONG_WITHIN_S
        await send({"type": "websocket.accept", "headers": [(SOURCE, self._source.encode())]})

        async def compute(say: Callable[[], Sequence[str]]) -> Sequence[str]:
            return await asyncio.get_running_loop().run_in_executor(self._thread, say)

        await serve(
            session,
            receive,
            send,
            trouble=lambda: self._control.trouble(name, now=self._now()),
            now=self._now,
            compute=compute,
        )

    async def _refuse(self, answer: Answer, send: Send) -> None:
        """Answer a WebSocket's handshake with a status."""
        headers = [(SOURCE, self._source.encode()), (b"content-type", answer.content_type.encode())]
        headers += [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": answer.body})

    async def _steer(self, method: str, provider: str, receive: Receive) -> Answer:
        now = self._now()
        if provider and provider not in self._providers:
            return Answer(b'{"error":"no such provider"}', 404)
        if method == "GET":
            return Answer(self._control.shown(provider or None, now=now))
        if not provider or method not in {"PUT", "DELETE"}:
            return Answer(b'{"error":"PUT, GET or DELETE /control/{provider}"}', 405)
        if method == "DELETE":
            self._control.clear(provider)
            return Answer(b"", 204)
        try:
            self._control.set(provider, await _body(receive), now=now)
        except BadTrouble as fault:
            return Answer(_error(fault), 400)
        return Answer(self._control.shown(provider, now=now))

    async def _send(self, answer: Answer, send: Send, trouble: Trouble | None = None) -> None:
        manner = trouble.body if trouble else None
        body = answer.body
        if manner == "truncated":
            body = body[: len(body) // 2]
        headers = [(SOURCE, self._source.encode()), (b"content-type", answer.content_type.encode())]
        headers += [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        if manner != "reset":
            length = len(body) + (1000 if manner == "wrong_length" else 0)
            headers.append((b"content-length", str(length).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if manner in {"wrong_length", "reset"}:
            # To return without a last part makes the server close the connection.
            half = body if manner == "wrong_length" else body[: len(body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            return
        if manner == "drip" and trouble:
            for place in range(len(body)):
                await send({"type": "http.response.body", "body": body[place : place + 1], "more_body": True})
                await asyncio.sleep(trouble.delay_s or _DRIP_S)
            body = b""
        await send({"type": "http.response.body", "body": body})


def exchange(
    *,
    seed: str = SEED,
    now: Callable[[], int] = epoch_ms,
    recordings: Path | None = None,
    speed: float = 1.0,
) -> Exchange:
    """
    Make a simulated exchange, or one that plays a recording.

    Args:
        seed: Prices are a pure function of it, of the symbol and of the time.
        now: The clock, epoch milliseconds.
        recordings: A folder as ``local.exchange.replay`` describes it; providers that it has not do not exist then.
        speed: How many times as fast the recording is played as it was made.

    Raises:
        BadRecording: The recording is empty or cannot be read.
    """
    providers = simulated_providers(seed)
    if recordings is None:
        return Exchange(providers, source="simulated", now=now)
    started_at = now()
    played: dict[str, Provider] = {
        name: Replay(rows, started_at=started_at, speed=speed, real=providers[name])
        for name, rows in read(recordings).items()
        if name in providers
    }
    return Exchange(played, source="replay", now=now)


def simulated_providers(seed: str) -> dict[str, Provider]:
    """Return the providers by the names under which the exchange serves them."""
    groups = {thing.group for thing in UNDERLYINGS.values() if thing.group}
    common = {group: Noise(seed, "group", group) for group in groups}
    paths = {
        name: PricePath(
            Noise(seed, "path", name),
            volatility=thing.volatility,
            common=common.get(thing.group or ""),
            share=thing.share,
        )
        for name, thing in UNDERLYINGS.items()
    }

    def markets(venue: str, listings: Mapping[str, Listing]) -> dict[str, Market]:
        return {
            symbol: Market(
                listing,
                paths[listing.underlying],
                base=UNDERLYINGS[listing.underlying].base,
                seed=seed,
                venue=venue,
            )
            for symbol, listing in listings.items()
        }

    return {
        "binance": Binance(markets("binance", BINANCE)),
        "kraken": Kraken(markets("kraken", KRAKEN)),
        "gold-api": GoldApi(paths),
    }


def _query(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


def _spoilt(provider: Provider, trouble: Trouble, answer: Answer) -> Answer:
    """Replace the answer's body, if that is the trouble."""
    match trouble.body:
        case "html":
            return replace(answer, body=page(200, "Just a moment...").body, content_type=HTML)
        case "error":
            return replace(answer, body=provider.error(), status=200, content_type=JSON)
        case "empty_error":
            return replace(answer, body=provider.empty(), status=200, content_type=JSON)
    return answer


def _error(fault: Exception) -> bytes:
    text = str(fault).replace('"', "'")
    return f'{{"error":"{text}"}}'.encode()


async def _body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _live(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
