"""
Keep-alive HTTP/1.1 sockets to one origin for callers without an event loop: functions, and threads beside one.

A request is one write and, as a rule, one read, as in ``handlers.hub.pool``; faults are ``handlers.hub.http1``'s.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

from handlers.hub.http1 import (
    BODY_LIMIT,
    Answer,
    AnswerBroken,
    AnswerLost,
    AnswerReader,
    AnswerTimedOut,
    ConnectFailed,
    ConnectTimedOut,
)
from handlers.hub.origin import Origin, Proxy, trust, tunnel

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_READ_BYTES: Final = 65_536
_SUCCESS: Final = range(200, 300)


class _Socket:
    """One socket, its reader, and when it carried its last request (monotonic seconds)."""

    __slots__ = ("asked_at", "readable", "reader", "socket")

    def __init__(self, opened: socket.socket, body_limit: int) -> None:
        self.socket = opened
        self.reader = AnswerReader(body_limit)
        self.asked_at = 0.0
        self.readable = select.poll()
        self.readable.register(opened, select.POLLIN)

    def is_usable(self, asked_after: float) -> bool:
        """Whether the last request was late enough, and nothing has come since: bytes nobody asked for, or the end."""
        return self.asked_at > asked_after and not self.readable.poll(0)


class BlockingPool:
    """
    Sockets to ``origin``, each with at most one request under way; may be used from many threads.

    There are as many sockets as there are requests at once; ``sockets`` of them are kept. The one last used is used
    first. A socket whose answer fails is closed, so that no answer can ever reach the wrong request.

    Args:
        origin: Where every request goes.
        sockets: How many are kept for later requests.
        connect_for: Seconds that opening a socket may wait for each step: an address, the proxy, TLS.
        answer_for: Seconds within which an answer must be complete, counted from its request.
        idle_for: Seconds after its last request that a socket is not used again.
        body_limit: Bytes of body that an answer may have.
        tls: Whom an https origin is checked against; ``origin.trust`` of this process's environment by default.
        proxy: Where to ask for a tunnel; none by default.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        sockets: int = 32,
        connect_for: float = 1.0,
        answer_for: float = 2.0,
        idle_for: float = 50.0,
        body_limit: int = BODY_LIMIT,
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if proxy is not None and origin.scheme != "https":
            raise ValueError("a tunnel through a proxy is for https only")
        self.origin = origin
        self._sockets = sockets
        self._connect_for = connect_for
        self._answer_for = answer_for
        self._idle_for = idle_for
        self._body_limit = body_limit
        self._tls = tls
        self._trusting = threading.Lock()
        self._proxy = proxy
        self._clock = clock
        self._host = f"Host: {origin.authority}\r\n"
        self._idle: list[_Socket] = []
        # A pool that nobody has any more leaves nothing open.
        weakref.finalize(self, _close, self._idle)

    def send(self, method: str, target: str, headers: str = "", body: bytes = b"") -> Answer:
        """
        Send one request and give its answer, whatever its status.

        A socket that had served before and closes without one byte of an answer was most likely closed by the peer
        for having been idle: the request is sent once more, on a new socket. So a request whose answer was lost that
        way may have been served twice; nothing else is ever repeated.

        One that had served before and says nothing in time may lead nowhere any more, as after a function was frozen
        for long. Whatever else was kept may be like it, and is closed: the next attempt has a new socket.

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
        """
        length = f"Content-Length: {len(body)}\r\n" if body or method not in {"GET", "HEAD"} else ""
        request = f"{method} {target} HTTP/1.1\r\n{self._host}{headers}{length}\r\n".encode("latin-1") + body
        bodiless = method == "HEAD"
        kept = self._take()
        if kept is not None:
            try:
                return self._ask(kept, request, bodiless=bodiless)
            except AnswerLost:
                if kept.reader.received:
                    raise
            except AnswerTimedOut:
                if not kept.reader.received:
                    self.close()
                raise
        return self._ask(self._connect(), request, bodiless=bodiless)

    def close(self) -> None:
        """Close the sockets that are kept; whoever sends on opens new ones."""
        _close(self._idle)

    def _take(self) -> _Socket | None:
        """Give the socket last used, if it still can be; those that cannot are closed."""
        asked_after = self._clock() - self._idle_for
        while True:
            try:
                kept = self._idle.pop()
            except IndexError:
                return None
            if kept.is_usable(asked_after):
                return kept
            kept.socket.close()

    def _ask(self, through: _Socket, request: bytes, *, bodiless: bool) -> Answer:
        through.asked_at = self._clock()
        try:
            answer = self._exchange(through, request, through.asked_at + self._answer_for, bodiless=bodiless)
        except BaseException:
            through.socket.close()
            raise
        if through.reader.reusable and len(self._idle) < self._sockets:
            self._idle.append(through)
        else:
            through.socket.close()
        return answer

    def _exchange(self, through: _Socket, request: bytes, until: float, *, bodiless: bool) -> Answer:
        opened, reader = through.socket, through.reader
        reader.expect(bodiless=bodiless)
        try:
            opened.settimeout(self._answer_for)
            opened.sendall(request)
            while (left := until - self._clock()) > 0:
                opened.settimeout(left)
                arrived = opened.recv(_READ_BYTES)
                answer = reader.feed(arrived) if arrived else reader.end()
                if answer is not None:
                    return answer
        except TimeoutError:
            pass  # as when the loop ends
        except OSError as error:
            raise AnswerLost(str(error)) from error
        raise AnswerTimedOut(f"no whole answer within {self._answer_for:g} s")

    def _connect(self) -> _Socket:
        host, port, proxy = self.origin.host, self.origin.port, self._proxy
        place = (host, port) if proxy is None else (proxy.host, proxy.port)
        try:
            opened = socket.create_connection(place, self._connect_for)
            try:
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if proxy is not None:
                    self._ask_for_tunnel(opened, proxy)
                if self.origin.scheme == "https":
                    # An end without TLS's own farewell may be an attacker's, who would cut an answer short.
                    opened = self._trust().wrap_socket(opened, server_hostname=host, suppress_ragged_eofs=False)
            except BaseException:
                opened.close()
                raise
        except TimeoutError as error:
            raise ConnectTimedOut(f"no socket to {self.origin.authority} within {self._connect_for:g} s") from error
        except (OSError, ValueError, AnswerLost, AnswerBroken) as error:
            # A ValueError is a name that is none.
            raise ConnectFailed(f"no socket to {self.origin.authority}: {error}") from error
        return _Socket(opened, self._body_limit)

    def _trust(self) -> ssl.SSLContext:
        """Give the TLS context, made by the first thread that needs it; the others would each take as long for it."""
        with self._trusting:
            if self._tls is None:
                self._tls = trust(os.environ)
            return self._tls

    def _ask_for_tunnel(self, opened: socket.socket, proxy: Proxy) -> None:
        opened.sendall(tunnel(self.origin, proxy))
        reader = AnswerReader()
        reader.expect(bodiless=True)
        answer = None
        while answer is None:
            arrived = opened.recv(_READ_BYTES)
            answer = reader.feed(arrived) if arrived else reader.end()
        if answer.status not in _SUCCESS:
            raise AnswerBroken(f"the proxy {proxy.host}:{proxy.port} answered {answer.status}")


def _close(idle: list[_Socket]) -> None:
    while idle:
        idle.pop().socket.close()
