"""One WebSocket to one provider, from its handshake to its end."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from scheduler.errors import ProviderFault, RateLimited, Refused, Unavailable, Unreachable
from scheduler.market.providers import USER_AGENT
from scheduler.market.providers.host import (
    LIMITED_MS,
    REFUSED_MS,
    TEAPOT,
    certificates,
    read_retry_after,
    read_source,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.http11 import Response

    from scheduler.market.push import Listener

FAREWELL_S: Final = 0.3
"""How long a closing connection waits for the provider's own close frame, in seconds: a stopping process has 0.7."""


logger = logging.getLogger(__name__)


class Patience(NamedTuple):
    """
    How long what may take, in seconds.

    ``handshake``: until a connection is open. ``silent``: without any message, when there is one a second. ``unheard``:
    without a price after the handshake. ``life``: from when on another connection takes its place; Binance ends one
    after 24 hours. ``handover``: how long the old one stays beside the new.
    """

    handshake: float = 5.0
    silent: float = 5.0
    unheard: float = 10.0
    life: float = 23 * 3600.0
    handover: float = 3.0


class Connection:
    """
    One connection, from the beginning to its ``fault``, or ``close``.

    It ``is_heard`` once there was anything about a price, ``is_leaving`` when another one is to take its place;
    ``is_ban`` says that the fault is a ban of this address. ``source`` is who is at the other end.

    Args:
        name: The provider's.
        url: Its address, without a slash at the end.
        listener: Who hears what it says.
        now: Epoch milliseconds.
        patience: How long what may take.
        news: Called when ``is_heard``, ``is_leaving`` or ``fault`` has changed.
    """

    def __init__(
        self,
        name: str,
        url: str,
        listener: Listener,
        *,
        now: Callable[[], int],
        patience: Patience,
        news: Callable[[], None],
    ) -> None:
        self.listener = listener
        self.source = name
        self.is_heard = False
        self.is_leaving = False
        self.is_ban = False
        self.fault: ProviderFault | None = None
        self._name = name
        self._url = url
        self._now = now
        self._patience = patience
        self._tell = news
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End it, if it has not ended yet."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def leave(self) -> None:
        """Ask for another one in its place."""
        self.is_leaving = True
        self._tell()

    async def _run(self) -> None:
        """Connect and listen until something is wrong, which is ``fault`` then."""
        try:
            await self._listen()
        except ProviderFault as fault:
            self.fault = fault
        except InvalidStatus as refusal:
            self.fault = self._read_refusal(refusal.response)
        except ConnectionClosed as end:
            self.fault = self._unreachable(f"was closed: {end}")
        except (WebSocketException, OSError) as trouble:  # a handshake's TimeoutError is an OSError
            self.fault = self._unreachable(f"cannot be had: {type(trouble).__name__}: {trouble}".rstrip(": "))
        except EOFError as trouble:
            self.fault = self._unreachable(f"broke off: {trouble}")
        except Exception as bug:  # whoever keeps this waits for its end, and would for ever
            logger.exception("the socket to %s met a bug", self._name)
            self.fault = self._unreachable(f"met a bug: {bug!r}")
        finally:
            self._tell()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        secure = self._url.startswith("wss://")
        async with connect(
            f"{self._url}/{self.listener.address}",
            user_agent_header=USER_AGENT,
            compression=None,
            # The provider sends pings, which the library answers; whoever falls silent is given up below.
            ping_interval=None,
            open_timeout=self._patience.handshake,
            close_timeout=FAREWELL_S,
            # As with HTTP: the environment's proxy leads out to wss; plain ws is a stand-in nearby.
            proxy=True if secure else None,
            ssl=certificates() if secure else None,
        ) as socket:
            self.source = read_source(socket.response.headers if socket.response else {}, self._name)
            for message in self.listener.greeting:
                await socket.send(message)
            opened_at = loop.time()
            leaving = loop.call_later(self._patience.life, self.leave)
            try:
                async with asyncio.timeout(self._patience.silent) as limit:
                    while True:
                        self._take(await socket.recv(decode=False))
                        if not self.is_heard and loop.time() - opened_at > self._patience.unheard:
                            raise self._unreachable("says nothing about prices")
                        limit.reschedule(loop.time() + self._patience.silent)
            except TimeoutError:
                raise self._unreachable(f"has been silent for {self._patience.silent:g} s") from None
            finally:
                leaving.cancel()

    def _take(self, frame: bytes) -> None:
        self.listener.hear(frame, now=self._now())
        if self.listener.is_heard and not self.is_heard:
            self.is_heard = True
            self._tell()
        if self.listener.is_leaving and not self.is_leaving:
            self.leave()

    def _unreachable(self, what: str) -> Unreachable:
        return Unreachable(self._name, f"its socket {what}")

    def _read_refusal(self, response: Response) -> ProviderFault:
        status, now = response.status_code, self._now()
        reason = f"{status} to its socket"
        text = response.headers.get("Retry-After", "")
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimited(self._name, reason, retry_at=read_retry_after(text, LIMITED_MS, now=now))
        if status == TEAPOT:
            self.is_ban = True
            return RateLimited(self._name, reason, retry_at=read_retry_after(text, REFUSED_MS, now=now))
        if status in {HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS, HTTPStatus.FORBIDDEN}:
            return Refused(self._name, reason, retry_at=read_retry_after(text, REFUSED_MS, now=now))
        return Unavailable(self._name, reason)
