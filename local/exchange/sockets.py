"""A provider's WebSocket on ASGI: what its session says is sent when due, or goes wrong as it was told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from local.exchange.limits import SOCKET_LIFE_MS
from local.exchange.provider import Hangup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

    from local.exchange.control import Trouble
    from local.exchange.provider import Session

    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOOK_S = 0.1
"""How soon a socket notices that it has been told to fail, in seconds."""

NOTICE_S = 5.0
"""How long after it was announced a connection ends, in seconds, where the trouble gives no ``delay_s``."""

_GOING_AWAY, _BROKEN, _RESTARTING = 1001, 1011, 1012


async def serve(
    session: Session,
    receive: Receive,
    send: Send,
    *,
    trouble: Callable[[], tuple[Trouble, int]],
    now: Callable[[], int],
    compute: Callable[[Callable[[], Sequence[str]]], Awaitable[Sequence[str]]],
) -> None:
    """
    Serve one WebSocket that has been accepted, to its end.

    Args:
        session: What is said.
        receive: ASGI's.
        send: ASGI's.
        trouble: What is wrong with the provider, and since when, epoch milliseconds.
        now: Epoch milliseconds.
        compute: Runs what takes its time somewhere else.
    """
    socket = _Socket(session, send, trouble=trouble, now=now, compute=compute)
    receiving = asyncio.ensure_future(receive())
    try:
        await socket.open()
        while True:
            await asyncio.wait({receiving}, timeout=socket.pause())
            if receiving.done():
                message = receiving.result()
                if message["type"] == "websocket.disconnect":
                    return
                receiving = asyncio.ensure_future(receive())
                await socket.hear(message.get("text") or "")
            await socket.speak()
    except Hangup as end:
        await send({"type": "websocket.close", "code": end.code, "reason": end.reason})
    except OSError:
        # The client has gone while something was being sent to it.
        return
    finally:
        receiving.cancel()


class _Socket:
    """One WebSocket, and how it fails."""

    def __init__(
        self,
        session: Session,
        send: Send,
        *,
        trouble: Callable[[], tuple[Trouble, int]],
        now: Callable[[], int],
        compute: Callable[[Callable[[], Sequence[str]]], Awaitable[Sequence[str]]],
    ) -> None:
        self._session = session
        self._send = send
        self._trouble = trouble
        self._now = now
        self._compute = compute
        self._opened_at = now()
        self._ends_at = self._opened_at + SOCKET_LIFE_MS
        self._is_announced = False

    def pause(self) -> float:
        """Return for how many seconds there is nothing to do but to look at what is wrong."""
        return min(LOOK_S, max(0.0, (self._session.due_at() - self._now()) / 1000))

    async def open(self) -> None:
        """Say what is said at once."""
        await self._say(self._session.opened(now=self._now()))

    async def hear(self, text: str) -> None:
        """Answer a message."""
        now = self._now()
        await self._say(await self._compute(lambda: self._session.received(text, now=now)))

    async def speak(self) -> None:
        """Say what is due; raise ``Hangup`` at the connection's end."""
        now = self._now()
        wrong, since = self._trouble()
        if wrong.push == "drop":
            raise Hangup(_BROKEN, "")
        if wrong.push == "shutdown" and since >= self._opened_at and not self._is_announced:
            self._is_announced = True
            self._ends_at = now + round(1000 * (wrong.delay_s or NOTICE_S))
            await self._say([self._session.farewell(now=now)])
        if now >= self._ends_at:
            raise Hangup(_RESTARTING if self._is_announced else _GOING_AWAY, "")
        if self._session.due_at() <= now:
            await self._say(await self._compute(lambda: self._session.due(now=now, halted=wrong.symbols)))

    async def _say(self, messages: Sequence[str]) -> None:
        wrong, _ = self._trouble()
        if wrong.push == "silence":
            return
        for message in messages:
            text = message[: len(message) // 2] if wrong.push == "malformed" else message
            await self._send({"type": "websocket.send", "text": text})
