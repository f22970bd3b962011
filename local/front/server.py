"""
The front of the one port: plain and TLS told apart by the first byte, and a proxy for functions (CONNECT).

A connection begins with a protocol that only looks at its first bytes and hands it on: to uvicorn's protocols, through
TLS or not, or to the proxy. Nobody who is slow or silent keeps another waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from asyncio.sslproto import SSLProtocol
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import uvicorn

from local.front.http_protocol import HttpProtocol
from local.front.socket_protocol import SocketProtocol
from local.front.tunnel import CONNECT, LONGEST_HEAD, ProxyFault, outer_proxies, proxy_answer, read_target, relay

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator

    from litestar.types import ASGIApp

    from local.front.direct import Find
    from local.front.hosts import Hosts

#: A client that has sent nothing, or half of a handshake, for this many seconds is hung up on.
SILENT_FOR: Final = 10.0
_TLS_HANDSHAKE: Final = 0x16
#: Seconds in which a client may answer the end of TLS; a function's idle connection never does.
_FAREWELL_FOR: Final = 0.3
_log = logging.getLogger("tickwire.front")


class Front(uvicorn.Server):
    """
    uvicorn's server, with our own look at each connection, our signals, our word when it listens and our farewell.

    Args:
        app: What is served, on TLS as without.
        hosts: Which hosts the proxy answers for here.
        tls: Makes the server's side of TLS; called once, when the first client wants it.
        started: Called when connections are accepted.
        stopping: Called before everything is closed.
        silent_for: Seconds after which a client that says nothing is hung up on.
        direct: Finds who answers a request without ASGI (``local.front.direct``).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Hosts,
        tls: Callable[[], ssl.SSLContext],
        started: Callable[[], None],
        stopping: Callable[[], None],
        silent_for: float = SILENT_FOR,
        direct: Find | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws=SocketProtocol,
                loop="none",
                lifespan="off",
                ws_ping_interval=None,
                ws_per_message_deflate=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                access_log=False,
                log_config=None,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=1,
            )
        )
        self._hosts = hosts
        self._find = direct
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None
        self._tell_started = started
        self._tell_stopping = stopping
        self._silent_for = silent_for
        self._proxies = outer_proxies()
        #: Who has said nothing yet, in the order of their deadlines: one timer serves all.
        self._silent: dict[_Waiting, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to us."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept on listening sockets, then say so."""
        self._loop = asyncio.get_running_loop()
        self.servers = [
            await self._loop.create_server(lambda: _Knock(self), sock=listener) for listener in sockets or []
        ]
        self.started = True
        self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so, then close everything: first what has no protocol of uvicorn's yet."""
        self._tell_stopping()
        if self._timer is not None:
            self._timer.cancel()
        for knock in self._silent:
            knock.transport.abort()
        for task in self._tasks:
            task.cancel()
        await super().shutdown(sockets)

    def wait_for(self, knock: _Waiting) -> None:
        """Give a new connection its time to say something."""
        self._silent[knock] = at = self._loop.time() + self._silent_for
        if self._timer is None:
            self._timer = self._loop.call_at(at, self._hang_up)

    def let_go(self, knock: _Waiting) -> None:
        """Forget a connection that has said something, or is no more."""
        self._silent.pop(knock, None)

    def _hang_up(self) -> None:
        """Close those that have been silent for too long."""
        self._timer = None
        now = self._loop.time()
        for knock, at in list(self._silent.items()):
            if at > now:
                self._timer = self._loop.call_at(at, self._hang_up)
                return
            self.let_go(knock)
            knock.transport.abort()

    def sort(self, transport: asyncio.Transport, first: bytes) -> None:
        """Hand a connection on by what it says first."""
        if first[0] == _TLS_HANDSHAKE:
            secured = _Secured(self._secure())
            transport.set_protocol(secured)
            secured.connection_made(transport)
            secured.data_received(first)
        elif first.startswith(CONNECT) or CONNECT.startswith(first):
            asked = _Asked(self)
            transport.set_protocol(asked)
            asked.connection_made(transport)
            asked.data_received(first)
        else:
            plain = self._protocol()
            transport.set_protocol(plain)
            plain.connection_made(transport)
            plain.data_received(first)

    def _protocol(self) -> HttpProtocol:
        protocol = HttpProtocol(config=self.config, server_state=self.server_state, app_state={})
        protocol.patience = self._silent_for
        protocol.find = self._find
        return protocol

    def _secure(self) -> SSLProtocol:
        if self._tls is None:
            self._tls = self._make_tls()
        return SSLProtocol(
            self._loop,
            self._protocol(),
            self._tls,
            waiter=None,  # type: ignore[arg-type] # nobody waits for the end of the handshake
            server_side=True,
            ssl_handshake_timeout=self._silent_for,  # type: ignore[arg-type] # seconds, whole or not
            ssl_shutdown_timeout=_FAREWELL_FOR,
        )

    def lead(self, transport: asyncio.Transport, head: bytes) -> None:
        """Serve a CONNECT: as that host if it is one of ours, through a tunnel if it is none of AWS's."""
        try:
            host, port = read_target(head)
            if not self._hosts.is_ours(host):
                self._hosts.check_outside(host)
                # Until there is somebody to carry it to, nothing more is read.
                transport.pause_reading()
                task = self._loop.create_task(self._tunnel(transport, host, port))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                return
        except ProxyFault as fault:
            transport.write(proxy_answer(fault.status, str(fault)))
            transport.close()
            return
        transport.write(proxy_answer(HTTPStatus.OK))
        # What comes now is a connection like any other.
        knock = _Knock(self)
        transport.set_protocol(knock)
        knock.connection_made(transport)

    async def _tunnel(self, transport: asyncio.Transport, host: str, port: int) -> None:
        try:
            await relay(transport, host, port, proxies=self._proxies)
        except ProxyFault as fault:
            transport.write(proxy_answer(fault.status, str(fault)))
        except OSError as error:
            # A client that went away: its own trouble.
            _log.debug("a tunnel to %s ended: %s", host, error)
        finally:
            transport.close()


class _Waiting(asyncio.Protocol):
    """A connection that has not said yet what it is for, and has not for ever to do it."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._front.wait_for(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # the base class's
        self._front.let_go(self)


class _Knock(_Waiting):
    """A connection that has said nothing yet."""

    def data_received(self, data: bytes) -> None:
        self._front.let_go(self)
        self._front.sort(self.transport, data)


class _Asked(_Waiting):
    """A connection to the proxy, up to the end of its request."""

    _head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        if (
            b"\r\n\r\n" in self._head
            or len(self._head) > LONGEST_HEAD
            or not self._head.startswith(CONNECT[: len(self._head)])
        ):
            self._front.let_go(self)
            self._front.lead(self.transport, self._head)


class _Secured(asyncio.Protocol):
    """Carries what arrives into asyncio's TLS, which is made for transports that read into its own buffer."""

    def __init__(self, inside: SSLProtocol) -> None:
        self._inside = inside

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inside.connection_made(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            room = self._inside.get_buffer(len(rest))
            taken = min(len(room), len(rest))
            room[:taken] = rest[:taken]
            self._inside.buffer_updated(taken)
            rest = rest[taken:]

    def eof_received(self) -> None:
        self._inside.eof_received()

    def pause_writing(self) -> None:
        self._inside.pause_writing()

    def resume_writing(self) -> None:
        self._inside.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inside.connection_lost(exc)
