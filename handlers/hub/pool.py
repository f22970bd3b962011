"""
Keep-alive HTTP/1.1 sockets to one origin: the broadcast's hot path.

Written for thousands of small requests a second from one event loop: a request is one write and, as a rule, one read.
What that costs is measured by ``tests/benchmarks/bench_pool.py``. Faults are those of ``handlers.hub.http1``.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING, Final, Self

from handlers.hub.http1 import AnswerBroken, AnswerLost, AnswerTimedOut, ConnectFailed, ConnectTimedOut, PoolClosed
from handlers.hub.origin import Origin, Proxy, trust, tunnel
from handlers.hub.sockets import SCRATCH_BYTES, Socket

if TYPE_CHECKING:
    import ssl

    from handlers.hub.http1 import Answer

MAX_SOCKETS: Final = 256
"""Lambda gives a function 1,024 file descriptors, of which the rest of the process wants its share."""

_SUCCESS: Final = range(200, 300)


class Pool:
    """
    At most ``sockets`` sockets to ``origin``, each with at most one request under way.

    So ``sockets`` also bounds the requests in flight; who comes beyond waits its turn, in order, for as long as it
    likes (bound it with ``asyncio.timeout``). The socket last used is used first, so that a quiet pool shrinks to
    what is needed.

    A request that is cancelled, or whose answer fails, takes its socket with it: no answer can ever reach the wrong
    request. A pool belongs to the event loop of its first request. Use it as ``async with``, or ``close`` it.

    Args:
        origin: Where every request goes.
        sockets: 1 to 256.
        connect_for: Seconds within which a socket must be open, proxy and TLS included.
        answer_for: Seconds within which an answer must be complete, counted from its request.
        idle_for: Seconds after its last request that a socket is not used again; AWS's load balancers close theirs
            after 60 s.
        tls: Whom an https origin is checked against; ``origin.trust`` of this process's environment by default.
        proxy: Where to ask for a tunnel; none by default.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        sockets: int = 128,
        connect_for: float = 3.0,
        answer_for: float = 5.0,
        idle_for: float = 50.0,
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        if not 1 <= sockets <= MAX_SOCKETS:
            raise ValueError(f"a pool has 1 to {MAX_SOCKETS} sockets, not {sockets}")
        if proxy is not None and origin.scheme != "https":
            raise ValueError("a tunnel through a proxy is for https only")
        self.origin = origin
        self._connect_for = connect_for
        self._answer_for = answer_for
        self._idle_for = idle_for
        self._tls = tls
        self._proxy = proxy
        self._host = f"Host: {origin.authority}\r\n"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scratch = bytearray(SCRATCH_BYTES)
        self._free = sockets  # how many sockets could still be opened
        self._idle: list[Socket] = []
        self._open: set[Socket] = set()
        self._waiting: deque[asyncio.Future[Socket | None]] = deque()
        self._connecting: set[asyncio.Timeout] = set()
        # Every answer has the same time, so the order of asking is the order of deadlines: one timer serves all.
        self._deadlines: dict[Socket, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._emptied: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def send(self, method: str, target: str, headers: str = "", body: bytes = b"") -> Answer:
        """
        Send one request and give its answer, whatever its status.

        A socket that had served before and closes without one byte of an answer was most likely closed by the peer
        for having been idle: the request is sent once more, on a new socket. So a request whose answer was lost that
        way may have been served twice; nothing else is ever repeated.

        Args:
            method: In capitals.
            target: Path and query as they go over the wire: percent-encoded, without spaces or line ends.
            headers: Whole lines, each ended by CR LF; ``Host`` and ``Content-Length`` are added here.
            body: Sent as it is, after the headers and in the same write.

        Raises:
            ConnectFailed: No socket (``ConnectTimedOut``: not in time).
            AnswerLost: The socket closed before the answer was whole.
            AnswerTimedOut: The answer was not whole within ``answer_for``.
            AnswerBroken: The answer was no HTTP/1.1.
            PoolClosed: The pool is closed, or was before the answer came.
            RuntimeError: The pool belongs to another event loop.
        """
        if self._is_closed:
            raise PoolClosed
        loop = self._loop
        if loop is not asyncio.get_running_loop():
            loop = self._bind()
        bodiless = method == "HEAD"
        socket = self._idle.pop() if self._idle else await self._turn(loop)
        try:
            # Only now: of those who wait, none should hold a copy of its message.
            length = f"Content-Length: {len(body)}\r\n" if body or method not in {"GET", "HEAD"} else ""
            request = f"{method} {target} HTTP/1.1\r\n{self._host}{headers}{length}\r\n".encode("latin-1") + body
            now = loop.time()
            if socket is not None and socket.is_usable(now - self._idle_for):
                try:
                    return await self._ask(loop, now, socket, request, bodiless=bodiless)
                except AnswerLost:
                    if socket.received:
                        raise
            # Not another idle one: what closed the first may have closed them all, and there is one retry.
            if socket is not None:
                socket.abort()
            socket = await self._connect(loop)
            return await self._ask(loop, loop.time(), socket, request, bodiless=bodiless)
        finally:
            self._give_back(socket)

    async def close(self) -> None:
        """Close every socket; requests under way or waiting fail with ``PoolClosed``. Closing again is no error."""
        self._is_closed = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(PoolClosed())
        self._waiting.clear()
        self._idle.clear()
        loop = asyncio.get_running_loop()
        for limit in self._connecting:
            limit.reschedule(loop.time())
        for socket in tuple(self._open):
            socket.fail(PoolClosed())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._open:
            self._emptied = self._emptied or loop.create_future()
            await asyncio.shield(self._emptied)

    def _bind(self) -> asyncio.AbstractEventLoop:
        if self._loop is not None:
            raise RuntimeError("a pool's sockets live in the event loop of its first request; this is another one")
        self._loop = asyncio.get_running_loop()
        return self._loop

    async def _turn(self, loop: asyncio.AbstractEventLoop) -> Socket | None:
        """Wait for a socket, or (None) for the right to open one."""
        if self._free:
            self._free -= 1
            return None
        turn: asyncio.Future[Socket | None] = loop.create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            # The turn may have come at the very moment its owner gave up: the next one gets it.
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_back(turn.result())
            raise

    def _give_back(self, socket: Socket | None) -> None:
        """
        Hand a socket, or the right to open one, to who waits longest; else keep it for later.

        A socket whose last answer is not whole, because it failed or nobody waits for it any more, is closed here.
        """
        if socket is not None and not socket.is_reusable:
            socket.abort()
            socket = None
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(socket)
                return
        if socket is None:
            self._free += 1
        else:
            self._idle.append(socket)

    async def _ask(
        self, loop: asyncio.AbstractEventLoop, now: float, socket: Socket, request: bytes, *, bodiless: bool
    ) -> Answer:
        socket.asked_at = now
        self._deadlines[socket] = deadline = now + self._answer_for
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire, loop)
        try:
            return await socket.ask(request, bodiless=bodiless)
        finally:
            del self._deadlines[socket]

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for socket, deadline in self._deadlines.items():
            if deadline > now:
                self._timer = loop.call_at(deadline, self._expire, loop)
                return
            socket.fail(AnswerTimedOut(f"no whole answer within {self._answer_for:g} s"))

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> Socket:
        if self._is_closed:
            raise PoolClosed
        socket = Socket(loop, self._scratch, self._forget)
        try:
            async with asyncio.timeout(self._connect_for) as limit:
                self._connecting.add(limit)
                try:
                    await self._open_transport(loop, socket)
                except BaseException:
                    socket.abort()
                    raise
                finally:
                    self._connecting.discard(limit)
        except TimeoutError as error:
            # Also what the operating system says when nobody answers.
            if self._is_closed:
                raise PoolClosed from error
            raise ConnectTimedOut(f"no socket to {self.origin.authority} within {self._connect_for:g} s") from error
        except (OSError, ValueError, AnswerLost, AnswerBroken) as error:
            # A ValueError is a name that is none.
            raise ConnectFailed(f"no socket to {self.origin.authority}: {error}") from error
        if socket.is_open:
            # It may have been closed since, and would then stay among the open ones for ever.
            self._open.add(socket)
        return socket

    async def _open_transport(self, loop: asyncio.AbstractEventLoop, socket: Socket) -> None:
        host, port, proxy = self.origin.host, self.origin.port, self._proxy
        if proxy is None:
            await loop.create_connection(lambda: socket, host, port)
        else:
            await loop.create_connection(lambda: socket, proxy.host, proxy.port)
            await self._ask_for_tunnel(socket, proxy)
        if self.origin.scheme == "https":
            if self._tls is None:
                self._tls = trust(os.environ)
            await socket.secure(self._tls, host)

    async def _ask_for_tunnel(self, socket: Socket, proxy: Proxy) -> None:
        answer = await socket.ask(tunnel(self.origin, proxy), bodiless=True)
        if answer.status not in _SUCCESS:
            raise AnswerBroken(f"the proxy {proxy.host}:{proxy.port} answered {answer.status}")

    def _forget(self, socket: Socket) -> None:
        """Take note that a socket is closed, by whichever side."""
        self._open.discard(socket)
        if socket in self._idle:
            self._idle.remove(socket)
            self._free += 1
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)
