"""
A server that misbehaves on purpose, a proxy to reach it through, and an authority to trust it by.

Each socket that ``Misbehaving`` accepts plays a script: for every request a turn, which is what is done, step by step,
once the request has been read. The last turn of a script repeats, as does the last script; a script without turns
closes its socket at once::

    Misbehaving([[OK], [CLOSE]], [[OK]])

answers the first request of its first socket and closes that socket on the second; every later socket is served well.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from handlers.hub.origin import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Act(Enum):
    """What a server can do besides writing."""

    CLOSE = "close the socket in order"
    RESET = "close the socket with a TCP reset"
    CUT = "close the socket without TLS's farewell"
    HOLD = "wait until the test opens the gate"


CLOSE, CUT, RESET, HOLD = Act.CLOSE, Act.CUT, Act.RESET, Act.HOLD

Step = bytes | float | Act  # bytes are written; a number is a pause in seconds


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """Write an answer as a server that behaves would; ``x_amzn_ErrorType`` becomes ``x-amzn-ErrorType``."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


OK = answer()


class Request(NamedTuple):
    """A request as it came; ``socket`` counts from 0 in the order of accepting."""

    socket: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Misbehaving:
    """The server; ``async with`` binds it to a free port of 127.0.0.1 and closes everything at the end."""

    def __init__(self, *scripts: Sequence[Sequence[Step]], tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts or ([[OK]],)
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.gate = asyncio.Event()
        self.requests: list[Request] = []
        self.accepted = 0
        self.open = 0
        self.most_open = 0
        self.most_in_flight = 0
        self._in_flight = 0
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def origin(self) -> Origin:
        return Origin("https" if self._tls else "http", "127.0.0.1", self.port)

    async def until(self, claim: Callable[[Misbehaving], bool]) -> None:
        """Wait, at most a second, until ``claim`` is true of this server."""
        async with asyncio.timeout(1):
            while not claim(self):
                self._changed.clear()
                await self._changed.wait()

    async def until_closed(self, count: int = 0) -> None:
        """Wait, at most a second, until no more than ``count`` sockets are open."""
        await self.until(lambda server: server.open <= count)

    async def until_asked(self, count: int) -> None:
        """Wait, at most a second, until ``count`` requests have come."""
        await self.until(lambda server: len(server.requests) >= count)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(self.accepted, reader, writer))
        self.accepted += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(number, len(self._scripts) - 1)]
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self._changed.set()
        turn = 0
        try:
            while script and (request := await _read_request(number, reader)) is not None:
                self.requests.append(request)
                self._changed.set()
                self._in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self._in_flight)
                try:
                    if not await self._play(script[min(turn, len(script) - 1)], reader, writer):
                        return
                finally:
                    self._in_flight -= 1
                turn += 1
        except (ConnectionError, ssl.SSLError):
            pass  # the client went away, which is its right
        finally:
            self.open -= 1
            self._changed.set()
            writer.transport.abort()

    async def _play(self, turn: Sequence[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        for step in turn:
            match step:
                case bytes():
                    writer.write(step)
                    await writer.drain()
                case float():
                    await asyncio.sleep(step)
                case Act.HOLD:
                    if not await self._hold(reader):
                        return False
                case Act.CLOSE:
                    writer.close()
                    with contextlib.suppress(ConnectionError, ssl.SSLError):
                        await writer.wait_closed()
                    return False
                case Act.CUT:
                    return False
                case Act.RESET:
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return False
        return True

    async def _hold(self, reader: asyncio.StreamReader) -> bool:
        """Wait for the gate; False if the client went away before."""
        gate, farewell = asyncio.create_task(self.gate.wait()), asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({gate, farewell}, return_when=asyncio.FIRST_COMPLETED)
            return gate.done()
        finally:
            for task in (gate, farewell):
                task.cancel()
            await asyncio.gather(gate, farewell, return_exceptions=True)


async def _read_request(number: int, reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except asyncio.IncompleteReadError:
        return None
    return Request(number, method, target, headers, body)


class TunnelProxy:
    """An HTTP proxy that knows ``CONNECT`` alone: it tunnels, or answers ``refusal`` instead."""

    def __init__(self, *, refusal: bytes | None = None) -> None:
        self._refusal = refusal
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[Request] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            request = await _read_request(len(self.requests), reader)
            if request is None:
                return
            self.requests.append(request)
            if self._refusal is not None:
                writer.write(self._refusal)
                await writer.drain()
                return
            host, _, port = request.target.rpartition(":")
            far_reader, far = await asyncio.open_connection(host, int(port))
            # As the older proxies do: 1.0, and no length.
            writer.write(b"HTTP/1.0 200 Connection established\r\n\r\n")
            await asyncio.gather(_pipe(reader, far), _pipe(far_reader, writer))
        except ConnectionError:
            pass  # one side went away, which is its right
        finally:
            writer.transport.abort()
            if far is not None:
                far.transport.abort()


class HandmadeTls(asyncio.Protocol):
    """A TLS server made by hand: it sends ``greeting`` with the last bytes of its handshake, and keeps what failed."""

    def __init__(self, context: ssl.SSLContext, greeting: bytes = b"") -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._greeting = greeting
        self.failure: asyncio.Future[ssl.SSLError] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
            if self._greeting:
                self._tls.write(self._greeting)
                self._greeting = b""
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.failure.set_result(error)
        self._transport.write(self._outgoing.read())  # type: ignore[attr-defined]  # a stream's transport writes


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    writer.transport.abort()


@dataclass(frozen=True)
class Authority:
    """A certificate authority of one test run, and a server certificate for 127.0.0.1 and localhost."""

    certificate: Path
    """The authority's own certificate: what a client must trust."""
    chain: Path
    """The server's certificate and key."""

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))


def make_authority(folder: Path) -> Authority:
    """Make an authority and one server certificate, valid for a day, in ``folder``."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "An authority of one test run")])
    authority = (
        _certificate(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(authority_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        _certificate(name, authority_name, key.public_key())
        .add_extension(names, critical=False)
        # OpenSSL's strict mode, which is the default since Python 3.13, asks for the issuer's key.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    made = Authority(folder / "authority.pem", folder / "server.pem")
    made.certificate.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    made.chain.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return made


def _certificate(name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(tz=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
    )
