"""
Reading HTTP/1.1 answers, without input or output: bytes in, one ``Answer`` out.

What can go wrong between asking and having the whole answer is named here, for the pool and everybody above it::

    ExchangeFault
    ├── ConnectFailed           no socket to the origin: name, route, TLS or proxy
    │   └── ConnectTimedOut
    ├── AnswerLost              the socket closed before the answer was complete
    ├── AnswerTimedOut          the answer was not complete in time
    ├── AnswerBroken            not HTTP/1.1, or longer than anybody needs
    └── PoolClosed              the pool was closed before the answer came

The rules are RFC 9112's; its sections are named where they decide. Where the standard lets a client be lenient (bare
line feeds, folded headers, spaces before a colon), this reader is strict: a socket whose framing is in doubt is
closed, and the next one starts clean.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from handlers.hub.errors import HubError

HEAD_LIMIT: Final = 65_536
"""Bytes of status line and headers (or of trailers) that an answer may have; API Gateway's are about 300."""

BODY_LIMIT: Final = 1_048_576
"""Bytes of body that an answer may have by default; the management API has no reason to send more than 1,000."""

# RFC 9112, section 4 and 5: a status line, and header lines of a token, a colon and a value without line ends.
_HEAD: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n]*)?"
    rb"((?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*)*)"
)
_FRAMING: Final = re.compile(rb"\r\n(content-length|transfer-encoding|connection):([^\r]*)")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")
_CHUNK_LINE_LIMIT: Final = 1_024
_LENGTH_DIGITS: Final = 12
_SWITCHING_PROTOCOLS: Final = 101
_FIRST_FINAL: Final = 200
_BODILESS: Final = frozenset({204, 304})


class ExchangeFault(HubError):
    """A request went out, or could not, and no answer to it will come."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason or str(type(self).__doc__)


class ConnectFailed(ExchangeFault):
    """No socket to the origin could be opened."""


class ConnectTimedOut(ConnectFailed):
    """No socket to the origin could be opened in time."""


class AnswerLost(ExchangeFault):
    """The socket closed before the answer was complete."""


class AnswerTimedOut(ExchangeFault):
    """The answer was not complete in time."""


class AnswerBroken(ExchangeFault):
    """The answer is not HTTP/1.1, or longer than anybody needs."""


class PoolClosed(ExchangeFault):
    """The pool was closed before the answer came."""


class Answer(NamedTuple):
    """A final answer, whole; ``head`` is its header lines as they came, each with a CR LF before it."""

    status: int
    head: bytes
    body: bytes

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All headers, with names in lower case, in the order they came."""
        pairs = (line.partition(b":") for line in self.head.split(b"\r\n")[1:])
        return [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]

    def header(self, name: bytes) -> bytes:
        """Give the first value of ``name`` (in lower case), or empty bytes."""
        return next((value for key, value in self.headers if key == name), b"")


class _Framing(NamedTuple):
    length: int | None
    is_chunked: bool
    keep_alive: bool


@lru_cache(maxsize=64)
def _read_framing(minor: int, lines: tuple[tuple[bytes, bytes], ...]) -> _Framing:
    """
    Read, from the header lines that matter for it, where a body ends and whether the socket is kept.

    Cached, because a server answers with the same few again and again.
    """
    length: bytes | None = None
    coding = connection = b""
    for name, padded in lines:
        value = padded.strip(b" \t")
        if name == b"content-length":
            if not value.isdigit() or len(value) > _LENGTH_DIGITS or length not in {None, value}:
                raise AnswerBroken(f"no content-length, or too great a one: {value[:40]!r}")
            length = value
        elif name == b"transfer-encoding":
            coding += b"," + value
        else:
            connection += b"," + value
    if coding not in {b"", b",chunked"}:
        raise AnswerBroken(f"a transfer coding that nobody had asked for: {coding[1:41]!r}")
    options = {option.strip(b" \t") for option in connection.split(b",")}
    keep_alive = b"close" not in options if minor else b"keep-alive" in options
    if coding:
        # Both framings at once are how answers are smuggled: chunked wins, and the socket is not used again. Nor is it
        # after chunks under 1.0, which knows none.
        keep_alive = keep_alive and length is None and minor == 1
    return _Framing(None if length is None else int(length), bool(coding), keep_alive)


class AnswerReader:
    """
    Reads one answer after another from one socket, however the network cuts them.

    Say ``expect`` before each. Interim answers (1xx) are skipped. After an answer, ``reusable`` says whether the
    socket may carry another request: the peer did not ask to close, the end was certain, and not a byte came behind it.
    ``received`` says whether anything came since ``expect``. ``body_limit`` is how many bytes a body may have.
    """

    __slots__ = (
        "_bodiless",
        "_body",
        "_body_limit",
        "_buffer",
        "_interim",
        "_keep_alive",
        "_left",
        "_lines",
        "_read",
        "_status",
        "received",
        "reusable",
    )

    def __init__(self, body_limit: int = BODY_LIMIT) -> None:
        self._body_limit = body_limit
        self._buffer = bytearray()
        self._body = bytearray()
        self.expect()

    def expect(self, *, bodiless: bool = False) -> None:
        """
        Begin anew with the answer to a request just sent.

        Args:
            bodiless: The answer has no body, whatever its headers say: it answers HEAD, or a CONNECT that is granted.
        """
        self._bodiless = bodiless
        self._buffer.clear()
        self._body.clear()
        self._lines = b""
        self._status = 0
        self._left = 0
        self._interim = 0
        self._keep_alive = False
        self._read = self._read_head
        self.received = False
        self.reusable = False

    def feed(self, data: bytes) -> Answer | None:
        """
        Take what the socket brought; give the answer once it is whole, and nothing before.

        Raises:
            AnswerBroken: The bytes are no HTTP/1.1, or pass ``HEAD_LIMIT`` or the body's limit. Close the socket.
        """
        self.received = True
        return self._read(data)

    def end(self) -> Answer:
        """
        Take the end of the socket, which completes a body that nothing else delimits.

        Raises:
            AnswerLost: It came before the end of the answer, as far as that had been announced.
        """
        if self._read == self._read_until_end:
            return Answer(self._status, self._lines, bytes(self._body))
        raise AnswerLost("closed in the middle of an answer" if self.received else "closed without an answer")

    def _read_head(self, data: bytes) -> Answer | None:
        buffer = self._buffer
        if buffer:
            searched = max(0, len(buffer) - 3)
            buffer += data
            end = buffer.find(b"\r\n\r\n", searched)
            if end >= 0:
                data = bytes(buffer)
                buffer.clear()
        else:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                buffer += data
        while end >= 0:
            self._bound_head(end)
            minor = self._parse_head(data[:end])
            data = data[end + 4 :]
            if self._status >= _FIRST_FINAL:
                return self._begin_body(minor, data)
            if self._status == _SWITCHING_PROTOCOLS:
                raise AnswerBroken("switched protocols, which nobody had asked for")
            self._interim += end + 4
            end = data.find(b"\r\n\r\n")
            if end < 0:
                buffer += data
        self._bound_head(len(buffer))
        return None

    def _bound_head(self, length: int) -> None:
        if self._interim + length > HEAD_LIMIT:
            raise AnswerBroken(f"more than {HEAD_LIMIT:,} bytes of headers")

    def _parse_head(self, head: bytes) -> int:
        """Take the status and the header lines; give the minor version."""
        match = _HEAD.fullmatch(head)
        if match is None:
            raise AnswerBroken(f"no head of an HTTP/1.1 answer: {head[:80]!r}")
        minor, status, self._lines = match.groups()
        self._status = int(status)
        return int(minor)

    def _begin_body(self, minor: int, rest: bytes) -> Answer | None:
        """Decide where the body ends: RFC 9112, section 6.3."""
        framing = _read_framing(minor, tuple(_FRAMING.findall(self._lines.lower())))
        length = framing.length
        self._keep_alive = framing.keep_alive
        if self._bodiless or self._status in _BODILESS:
            return self._finish(b"", rest)
        if framing.is_chunked:
            self._read = self._read_chunk_size
            return self._read(rest)
        if length is None:
            self._keep_alive = False
            self._read = self._read_until_end
            return self._read(rest)
        self._left = length
        self._bound_body(length)
        if len(rest) >= self._left:
            return self._finish(rest[: self._left], rest[self._left :])
        self._read = self._read_counted
        return self._read(rest)

    def _bound_body(self, length: int) -> None:
        if length > self._body_limit:
            raise AnswerBroken(f"more than {self._body_limit:,} bytes of body")

    def _read_counted(self, data: bytes) -> Answer | None:
        body = self._body
        body += data
        if len(body) < self._left:
            return None
        return self._finish(bytes(body[: self._left]), body[self._left :])

    def _read_until_end(self, data: bytes) -> Answer | None:
        self._body += data
        self._bound_body(len(self._body))
        return None

    def _read_chunk_size(self, data: bytes) -> Answer | None:
        """Read chunks (RFC 9112, section 7.1) as long as there are whole lines and bytes to read."""
        buffer = self._buffer
        buffer += data
        while True:
            end = buffer.find(b"\r\n", 0, _CHUNK_LINE_LIMIT)
            if end < 0:
                if len(buffer) >= _CHUNK_LINE_LIMIT:
                    raise AnswerBroken("a chunk's size has no end")
                return None
            match = _CHUNK_SIZE.fullmatch(buffer, 0, end)
            if match is None:
                raise AnswerBroken(f"no size of a chunk: {bytes(buffer[:40])!r}")
            size = int(match[1], 16)
            # A match holds the buffer, which could not be cut while it does.
            del match
            if size == 0:
                rest = bytes(buffer[end + 2 :])
                buffer.clear()
                self._read = self._read_trailers
                return self._read(rest)
            self._bound_body(len(self._body) + size)
            self._left = size
            del buffer[: end + 2]
            if not self._take_chunk():
                self._read = self._read_chunk
                return None

    def _read_chunk(self, data: bytes) -> Answer | None:
        self._buffer += data
        if not self._take_chunk():
            return None
        self._read = self._read_chunk_size
        return self._read(b"")

    def _take_chunk(self) -> bool:
        """Move one chunk from the buffer to the body, if it is there with the line end behind it."""
        buffer, size = self._buffer, self._left
        if len(buffer) < size + 2:
            return False
        if buffer[size : size + 2] != b"\r\n":
            raise AnswerBroken("a chunk is not as long as it says")
        self._body += buffer[:size]
        del buffer[: size + 2]
        return True

    def _read_trailers(self, data: bytes) -> Answer | None:
        """Skip the trailers: nothing of ours is ever in them."""
        buffer = self._buffer
        searched = max(0, len(buffer) - 3)
        buffer += data
        if buffer.startswith(b"\r\n"):
            return self._finish(bytes(self._body), buffer[2:])
        end = buffer.find(b"\r\n\r\n", searched)
        if (end if end >= 0 else len(buffer)) > HEAD_LIMIT:
            raise AnswerBroken(f"more than {HEAD_LIMIT:,} bytes of trailers")
        return self._finish(bytes(self._body), buffer[end + 4 :]) if end >= 0 else None

    def _finish(self, body: bytes, surplus: bytes | bytearray) -> Answer:
        # Bytes behind an answer belong to no request: whatever they are, the next answer could not be trusted.
        self.reusable = self._keep_alive and not surplus
        return Answer(self._status, self._lines, body)
