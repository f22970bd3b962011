"""One WebSocket on the wire: uvicorn's protocols, with what ASGI has no word for."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidState
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol

from local.front.http_protocol import http_date

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from uvicorn._types import ASGISendEvent
    from websockets.extensions import Extension
    from websockets.http11 import Response
    from websockets.typing import ExtensionParameter, StatusLike, Subprotocol

#: The largest frame that the gateway sends; longer messages are split (quotas page: frames of 32 KB).
_FRAME = 32_768
#: What API Gateway answers to an offer of permessage-deflate, as seen by clients of the websockets library.
_WINDOW_BITS = 12
#: Seconds in which a client may read what it was sent before its end.
_READ_FOR = 10.0
#: How much a client may say before it is accepted; then it is not read any more until it is.
_EARLY = 65_536


class _Deflate(PerMessageDeflate):
    """permessage-deflate whose limit on what a client sends is the message's; that of frames holds on the wire."""

    max_message = 131_072

    def __init__(self, agreed: PerMessageDeflate) -> None:
        super().__init__(
            agreed.remote_no_context_takeover,
            agreed.local_no_context_takeover,
            agreed.remote_max_window_bits,
            agreed.local_max_window_bits,
            agreed.compress_settings,
        )
        self._inflated = 0

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:  # noqa: ARG002 # the base class's
        """Inflate a frame, up to what is left of the longest message."""
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY}:
            self._inflated = 0
        inflated = super().decode(frame, max_size=max(1, self.max_message - self._inflated))
        self._inflated += len(inflated.data)
        return inflated


class _DeflateFactory(ServerPerMessageDeflateFactory):
    """Agrees to permessage-deflate as API Gateway does, whatever window the client would like for itself."""

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Answer with the size of our window, and with nothing of the client's."""
        answer, agreed = super().process_request_params(params, accepted_extensions)
        agreed.remote_max_window_bits = 15
        return [pair for pair in answer if pair[0] != "client_max_window_bits"], _Deflate(agreed)


# memLevel 5 takes 16 KB a connection instead of 128; the answer is a little longer.
_DEFLATE = [_DeflateFactory(server_max_window_bits=_WINDOW_BITS, compress_settings={"memLevel": 5})]


class _Frames(ServerProtocol):
    """websockets' sans-I/O protocol, which gives its own reasons in close frames; the gateway's are its choice."""

    refusal_reason = ""

    def parse(self) -> Generator[None]:
        """Read frames from the beginning: the request that came before has been read by ``HttpProtocol``."""
        yield from Protocol.parse(self)

    def recv_frame(self, frame: Frame) -> None:
        """Take a frame; a close frame ends a message that is not whole yet (RFC 6455, 5.4), which is no fault."""
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)

    def process_extensions(self, headers: Headers) -> tuple[str | None, list[Extension]]:
        """Agree on extensions; a header that is empty offers none."""
        return super().process_extensions(_offers(headers, "Sec-WebSocket-Extensions"))

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Take no sub-protocol, for the gateway's handler does; a header that is empty offers none."""
        return super().process_subprotocol(_offers(headers, "Sec-WebSocket-Protocol"))

    def reject(self, status: StatusLike, text: str) -> Response:  # noqa: ARG002 # the base class's
        """Refuse a request in the gateway's words: one whose extensions or sub-protocols cannot be read."""
        response = super().reject(status, "")
        response.body = f'{{"message":"{HTTPStatus(status).phrase}"}}'.encode()
        del response.headers["Content-Length"], response.headers["Content-Type"]
        response.headers["Content-Length"] = str(len(response.body))
        response.headers["Content-Type"] = "application/json"
        response.headers["x-amzn-RequestId"] = str(uuid4())
        return response

    def fail(self, code: int, reason: str = "") -> None:  # noqa: ARG002 # the base class's
        """Close for a fault of the client's."""
        super().fail(code, self.refusal_reason)


def _offers(headers: Headers, name: str) -> Headers:
    """Return those headers of a name that say something."""
    offers = Headers()
    for value in headers.get_all(name):
        if value.strip():
            offers[name] = value
    return offers


def text_head(size: int) -> bytes:
    """Return the head of a final text frame of the server's (RFC 6455, section 5.2)."""
    if size < 126:  # noqa: PLR2004 # as long as the length fits beside the mask's bit
        return bytes((0x81, size))
    return b"\x81\x7e" + size.to_bytes(2, "big")


class SocketProtocol(WebSocketsSansIOProtocol):
    """
    uvicorn's WebSocket protocol with what ASGI has no word for.

    Frame sizes, the 101's own headers, compression, whether a close frame came at all, how many bytes the client has
    not read, sending without waiting. The limits are set on the class, once for the process (``configure``).
    """

    max_frame = 32_768
    max_message = 131_072
    backlog = 262_144
    compression = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 # handed through
        super().__init__(*args, **kwargs)
        self.conn = _Frames(
            max_size=(self.max_message, self.max_frame),
            extensions=_DEFLATE if self.compression else None,
            logger=self.conn.logger,
        )
        self.close_timeout = 1.0
        self._early = bytearray()
        #: Whether the client leaves so much unread that it is not read from either.
        self._is_blocked = False
        #: Whether frames go out as they are: no extension was agreed on.
        self._is_plain = False
        #: Gets every whole message, as text or, if it is a binary one, as bytes. The gateway takes each at once, for it
        #: has no use for a client that waits; other applications (the exchange) receive them as ASGI has it.
        self.heard: Callable[[str | bytes], None] = self._keep
        #: Called when a binary message begins of which more is to come, where nobody wants to read it to its end.
        self.binary_begun: Callable[[], None] | None = None
        #: Called at every ping of the client's, where the gateway wants to know.
        self.pinged: Callable[[], None] | None = None

    def _keep(self, message: str | bytes) -> None:
        """Keep a message for who receives it; until then nothing more is read."""
        if isinstance(message, str):
            self.queue.put_nowait({"type": "websocket.receive", "text": message})
        else:
            self.queue.put_nowait({"type": "websocket.receive", "bytes": message})
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    @classmethod
    def configure(cls, *, frame: int, message: int, backlog: int, compression: bool, refusal_reason: str) -> None:
        """Set what holds for every connection of this process; sizes are bytes."""
        cls.max_frame, cls.max_message, cls.backlog, cls.compression = frame, message, backlog, compression
        _Deflate.max_message = message
        _Frames.refusal_reason = refusal_reason

    async def run_asgi(self) -> None:
        """Run the application with this protocol in its scope."""
        self.scope["extensions"]["tickwire.socket"] = {"protocol": self}
        await super().run_asgi()

    def data_received(self, data: bytes) -> None:
        """
        Take what arrives; a fault ends the connection behind the messages before it, not instead of them.

        What a client says before it is accepted waits: answering it (a ping, a close) would come before the 101.
        """
        if self.handshake_initiated and not self.handshake_complete:
            self._early += data
            if len(self._early) > _EARLY:
                self.transport.pause_reading()
            return
        self.conn.receive_data(data)
        self.handle_events()
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report a socket that went without a close frame as 1006, which the base class reports as 1005."""
        if self.handshake_complete and self.conn.close_rcvd is None and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006, "reason": ""})
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read: its pings and questions would be answered into memory."""
        super().pause_writing()
        self._is_blocked = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on with a client that has read what there was."""
        super().resume_writing()
        self._is_blocked = False
        if not self.read_paused:
            self.transport.resume_reading()

    def handle_bytes(self, event: Frame) -> None:
        """Take the first frame of a binary message."""
        super().handle_bytes(event)
        if self.binary_begun is not None and not event.fin and not self.close_sent:
            self.binary_begun()

    def handle_ping(self) -> None:
        """Answer a ping; the pong carries what the ping did."""
        super().handle_ping()
        if self.pinged is not None:
            self.pinged()

    async def send(self, message: ASGISendEvent) -> None:
        """Send what ASGI has to say; a refusal that is complete ends the handshake, which the base class forgets."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    @property
    def unread(self) -> int:
        """How many bytes wait for the client to take them."""
        return self.transport.get_write_buffer_size()

    def accept(self, subprotocol: str | None) -> None:
        """Answer the upgrade with 101, in the gateway's own mixture of capitals."""
        if self.disconnected or self.handshake_complete or self.transport.is_closing():
            return
        was = self.response.headers
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            f"Date: {http_date()}",
            "Connection: upgrade",
            "upgrade: websocket",
            f"sec-websocket-accept: {was['Sec-WebSocket-Accept']}",
        ]
        if subprotocol is not None:
            lines.append(f"sec-websocket-protocol: {subprotocol}")
        if (extensions := was.get("Sec-WebSocket-Extensions")) is not None:
            lines.append(f"sec-websocket-extensions: {extensions.replace('; ', ';')}")
        else:
            self._is_plain = True
        self.handshake_complete = True
        self.transport.set_write_buffer_limits(high=self.backlog)
        self.conn.state = OPEN
        self.transport.write("\r\n".join([*lines, "", ""]).encode())
        # A third of all that a connection consists of, and nobody asks for it any more.
        del self.request, self.response
        if self._early:
            early, self._early = bytes(self._early), bytearray()
            self.transport.resume_reading()
            self.loop.call_soon(self.data_received, early)

    def send_text(self, text: bytes) -> None:
        """Send one text message at once, in frames of at most 32 KB; nothing happens on a closing socket."""
        if self.close_sent or self.transport.is_closing():
            return
        if self._is_plain and len(text) <= _FRAME and self.conn.state is OPEN:
            # What nearly all messages are; websockets would take three times as long to make the same frame.
            self.transport.write(text_head(len(text)) + text)
            return
        try:
            if len(text) <= _FRAME:
                self.conn.send_text(text)
            else:
                self.conn.send_text(text[:_FRAME], fin=False)
                for at in range(_FRAME, len(text), _FRAME):
                    self.conn.send_continuation(text[at : at + _FRAME], fin=at + _FRAME >= len(text))
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))

    def hang_up(self, code: int, reason: str) -> None:
        """Send a close frame and give the client a second to answer it, and some more to read what comes before."""
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        try:
            self.conn.send_close(code, reason)
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused or self._is_blocked:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self._let_go)

    def _let_go(self) -> None:
        """End the connection; by itself ``close`` waits for ever for a client that does not read."""
        self.transport.close()
        if self.unread:
            self.close_timer = self.loop.call_later(_READ_FOR, self.transport.abort)

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message on; a text that is no UTF-8 is the client's fault (1007) and nobody's stack trace."""
        content = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        if self.curr_msg_data_type != "text":
            self.heard(bytes(content))
            return
        try:
            text = str(content, "utf-8")
        except UnicodeDecodeError:
            self.conn.fail(1007)
            self.handle_parser_exception()
            return
        self.heard(text)
