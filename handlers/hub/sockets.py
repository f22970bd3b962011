"""
One client socket of HTTP/1.1: a request goes out, its answer comes back, in the clear or over TLS.

TLS is done here on OpenSSL's memory buffers, not by asyncio's own TLS transport: with one request under way and no
flow control to do, that saves a quarter of the CPU of a post, and a tunnel through a proxy can begin TLS at any time.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from handlers.hub.http1 import Answer, AnswerBroken, AnswerLost, AnswerReader

if TYPE_CHECKING:
    from collections.abc import Callable

SCRATCH_BYTES: Final = 65_536
"""What a socket reads at once: several TLS records, of at most 16 KB each."""

_RECORD_BYTES: Final = 16_384


class Socket(asyncio.BufferedProtocol):
    """
    One socket, with at most one request under way; bytes that nobody asked for close it.

    Args:
        loop: Where it lives.
        scratch: Where bytes are received into, ``SCRATCH_BYTES`` long. All sockets of one event loop may share one,
            as they never keep anything in it.
        closed: Called once after the socket has been open and is closed, by whichever side.
    """

    __slots__ = (
        "_answer",
        "_closed",
        "_incoming",
        "_loop",
        "_outgoing",
        "_reader",
        "_scratch",
        "_secured",
        "_tls",
        "_tls_ended",
        "_transport",
        "asked_at",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, scratch: bytearray, closed: Callable[[Socket], None]) -> None:
        self._loop = loop
        self._scratch = memoryview(scratch)
        self._closed = closed
        self._reader = AnswerReader()
        self._answer: asyncio.Future[Answer] | None = None
        self._tls: ssl.SSLObject | None = None
        self._tls_ended = False
        self._incoming = self._outgoing = ssl.MemoryBIO()
        self._secured: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self.asked_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed the socket, as far as is known."""
        return self._transport is not None

    @property
    def received(self) -> bool:
        """Whether any byte of an answer came since the last request."""
        return self._reader.received

    @property
    def is_reusable(self) -> bool:
        """Whether the last answer was whole and left the socket fit for another request."""
        return self._reader.reusable and self._transport is not None

    def is_usable(self, asked_after: float) -> bool:
        """Whether the socket is still open, and carried its last request after ``asked_after`` (the loop's time)."""
        return self._transport is not None and self.asked_at > asked_after

    async def secure(self, context: ssl.SSLContext, name: str) -> None:
        """
        Begin TLS with a peer that proves to be ``name``.

        Raises:
            OSError: It does not (``ssl.SSLError``), or the socket closed meanwhile.
        """
        if self._transport is None:
            raise ConnectionResetError("closed before TLS began")
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._secured = self._loop.create_future()
        self._shake_hands(self._tls)
        await self._secured

    def ask(self, request: bytes, *, bodiless: bool) -> asyncio.Future[Answer]:
        """Write one request; the future is its answer, or why there is none."""
        self._reader.expect(bodiless=bodiless)
        answer = self._answer = self._loop.create_future()
        if self._transport is None:
            answer.set_exception(AnswerLost("closed without an answer"))
        elif self._tls is None:
            self._transport.write(request)
        else:
            try:
                # OpenSSL takes one record at a time.
                for start in range(0, len(request), _RECORD_BYTES):
                    self._tls.write(request[start : start + _RECORD_BYTES])
            except ssl.SSLError as error:
                self.fail(AnswerLost(str(error)))
            else:
                self._transport.write(self._outgoing.read())
        return answer

    def fail(self, fault: Exception) -> None:
        """Close the socket at once; who waits for its answer gets ``fault``."""
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(fault)
        self.abort()

    def abort(self) -> None:
        """Close the socket at once, without a good-bye: what was under way on it is lost. Repeating is no error."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # a stream's transport is always a Transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's interface; the size hint is always -1
        """Offer the scratch buffer."""
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has been received into the scratch buffer."""
        if self._tls is None:
            self._read(bytes(self._scratch[:nbytes]))
            return
        self._incoming.write(self._scratch[:nbytes])
        if self._secured is not None:
            self._shake_hands(self._tls)
        else:
            self._decrypt(self._tls)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the socket: the end of an answer that nothing else delimits, or else a loss."""
        self._transport = None
        if self._secured is not None and not self._secured.done():
            self._secured.set_exception(exc or ConnectionResetError("closed in the middle of the TLS handshake"))
        waiting, self._answer = self._answer, None
        if waiting is not None and not waiting.done():
            try:
                # Over TLS only its own farewell is an end: a bare one may be an attacker's, who would cut the answer.
                if exc is not None or (self._tls is not None and not self._tls_ended and self._reader.received):
                    raise AnswerLost(str(exc or "closed in the middle of an answer"))  # noqa: TRY301  # see below
                waiting.set_result(self._reader.end())
            except AnswerLost as fault:
                # One place for every way that an answer is lost.
                waiting.set_exception(fault)
        self._closed(self)

    def _shake_hands(self, tls: ssl.SSLObject) -> None:
        """Go on with the handshake as far as what has come allows."""
        secured = self._secured
        if secured is None or secured.done() or self._transport is None:
            return
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._transport.write(self._outgoing.read())
        except ssl.SSLError as error:
            self._transport.write(self._outgoing.read())  # the alert that tells the peer why
            secured.set_exception(error)
        else:
            self._transport.write(self._outgoing.read())
            self._secured = None
            secured.set_result(None)
            # What came behind the handshake must not be taken for the answer to a request yet to be made.
            self._decrypt(tls)

    def _decrypt(self, tls: ssl.SSLObject) -> None:
        """Read what records are whole."""
        try:
            while self._incoming.pending and self._transport is not None:
                plain = tls.read(_RECORD_BYTES)
                if not plain:
                    self._tls_ended = True
                    self._transport.close()
                    return
                self._read(plain)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is yet to come
        except ssl.SSLError as error:
            self.fail(AnswerLost(str(error)))
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())  # an answer to a renewal of keys

    def _read(self, data: bytes) -> None:
        """Read on in the answer; what no request asked for (a second answer, a farewell) makes the socket unfit."""
        waiting = self._answer
        if waiting is None or waiting.done():
            self._reader.reusable = False
            self.abort()
            return
        try:
            answer = self._reader.feed(data)
        except AnswerBroken as fault:
            self.fail(fault)
            return
        if answer is not None:
            self._answer = None
            waiting.set_result(answer)
