"""
The pool behind httpx's interface, for tools and tests that want httpx's API at many concurrent requests.

httpx's own pool takes time in proportion to connections times requests (encode/httpx#3215); this one does not. It is
a module of its own, so that a function that only posts never imports httpx::

    pool = Pool(Origin("https", "abc.execute-api.eu-west-1.amazonaws.com", 443))
    async with httpx.AsyncClient(transport=PoolTransport(pool), auth=SigV4(signer)) as client:
        await client.post("https://abc.execute-api.eu-west-1.amazonaws.com/prod/@connections/abc%3D", content=b"{}")
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import httpx

from handlers.hub.http1 import AnswerBroken, AnswerTimedOut, ConnectFailed, ConnectTimedOut, ExchangeFault
from handlers.hub.origin import PORTS

if TYPE_CHECKING:
    from collections.abc import Generator

    from handlers.hub.pool import Pool
    from handlers.hub.signing import Signer

_ADDED_BY_THE_POOL: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})
_LINE_END: Final = re.compile(rb"[\r\n\0]")
_ERRORS: Final[tuple[tuple[type[ExchangeFault], type[httpx.TransportError]], ...]] = (
    (ConnectTimedOut, httpx.ConnectTimeout),
    (ConnectFailed, httpx.ConnectError),
    (AnswerTimedOut, httpx.ReadTimeout),
    (AnswerBroken, httpx.RemoteProtocolError),
    (ExchangeFault, httpx.ReadError),
)


class PoolTransport(httpx.AsyncBaseTransport):
    """
    Sends httpx's requests through ``pool``, and closes it at the end.

    Bodies are whole on both sides, not streams; the pool's own times count, not httpx's ``timeout``.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send one request.

        Raises:
            httpx.UnsupportedProtocol: The request is for another origin than the pool's.
            httpx.LocalProtocolError: A header contains a line end.
            httpx.TransportError: The branch that matches the pool's fault.
        """
        origin = self._pool.origin
        url = request.url
        if (url.scheme, url.host, url.port or PORTS.get(url.scheme)) != origin:
            raise httpx.UnsupportedProtocol(f"these sockets lead to {origin.authority} only", request=request)
        lines = []
        for name, value in request.headers.raw:
            if _LINE_END.search(name) or _LINE_END.search(value):
                raise httpx.LocalProtocolError(f"a line end in the header {name!r}", request=request)
            if name.lower() not in _ADDED_BY_THE_POOL:
                lines.append(f"{name.decode('latin-1')}: {value.decode('latin-1')}\r\n")
        body = await request.aread()
        try:
            answer = await self._pool.send(request.method, url.raw_path.decode("ascii"), "".join(lines), body)
        except ExchangeFault as fault:
            error = next(error for kind, error in _ERRORS if isinstance(fault, kind))
            raise error(str(fault), request=request) from fault
        # Its length is that of the body as it is now, whatever framing it came in.
        headers = [header for header in answer.headers if header[0] != b"transfer-encoding"]
        return httpx.Response(answer.status, headers=headers, content=answer.body, request=request)

    async def aclose(self) -> None:
        """Close the pool."""
        await self._pool.close()


class SigV4(httpx.Auth):
    """Signs each request with ``signer``, which must be one for the request's host."""

    requires_request_body = True

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the signature's headers."""
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        for line in self._signer.sign(request.method, path, request.content, query=query).splitlines():
            name, _, value = line.partition(": ")
            request.headers[name] = value
        yield request
