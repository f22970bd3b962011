"""
Other ways to post one message to many connections, for comparison: each gets what the broadcaster has.

All of them sign with the same keys. None reads the table or survives a failure: what is compared is the bare posting.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from handlers.hub.signing import Credentials, Signer

if TYPE_CHECKING:
    from collections.abc import Sequence

SOCKETS = 64
"""As many posts at once as the broadcaster has under way."""

THREADS = 32
_OK = b"HTTP/1.1 200"


def signer_for(endpoint: str) -> Signer:
    """Make a signer with the keys of this process's environment."""
    keys = Credentials(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], os.environ.get("AWS_SESSION_TOKEN")
    )
    return Signer(lambda: keys, region=os.environ["AWS_REGION"], host=urlsplit(endpoint).netloc)


def path_of(endpoint: str, connection_id: str) -> str:
    """Return where a connection is posted to."""
    return f"{urlsplit(endpoint).path}/@connections/{connection_id.replace('=', '%3D')}"


class CheapDriver:
    """
    The least that a poster can do: requests signed beforehand, written to plain sockets under one epoll.

    What it gives is what the emulator can take.
    """

    def __init__(self, endpoint: str, sockets: int = SOCKETS) -> None:
        self._endpoint = endpoint
        parts = urlsplit(endpoint)
        self._host = parts.netloc
        assert parts.port is not None
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(sockets):
            one = socket.create_connection((parts.hostname, parts.port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[one.fileno()] = one
            self._poll.register(one.fileno(), select.EPOLLIN)

    def sign(self, ids: Sequence[str], message: bytes) -> list[bytes]:
        """Make the requests that bring ``message`` to ``ids``."""
        signer = signer_for(self._endpoint)
        requests = []
        for connection_id in ids:
            path = path_of(self._endpoint, connection_id)
            head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\n{signer.sign('POST', path, message)}"
            requests.append(f"{head}Content-Length: {len(message)}\r\n\r\n".encode() + message)
        return requests

    def post(self, requests: Sequence[bytes], *, expected: bytes = _OK) -> None:
        """
        Send every request and wait for every answer.

        Raises:
            RuntimeError: An answer does not begin as ``expected``.
        """
        left = iter(requests)
        under_way = 0
        for one, request in zip(self._sockets.values(), left, strict=False):
            one.sendall(request)
            under_way += 1
        while under_way:
            for descriptor, _ in self._poll.poll():
                one = self._sockets[descriptor]
                answer = one.recv(65_536)
                if not answer.startswith(expected):
                    raise RuntimeError(f"{answer[:200]!r}")
                request = next(left, None)
                if request is None:
                    under_way -= 1
                else:
                    one.sendall(request)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for one in self._sockets.values():
            one.close()
        self._poll.close()


class AiohttpPoster:
    """aiohttp, ``SOCKETS`` posts at once; use it as ``async with``."""

    def __init__(self, endpoint: str) -> None:
        import aiohttp  # noqa: PLC0415  # only here, so that the others are measured without it

        self._signer = signer_for(endpoint)
        self._endpoint = endpoint
        self._origin = endpoint.removesuffix(urlsplit(endpoint).path)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=SOCKETS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._session.close()

    async def post(self, ids: Sequence[str], message: bytes) -> None:
        """Post ``message`` to all."""
        left = iter(ids)

        async def work() -> None:
            for connection_id in left:
                await self._post(connection_id, message)

        await asyncio.gather(*(work() for _ in range(SOCKETS)))

    async def _post(self, connection_id: str, message: bytes) -> None:
        import yarl  # noqa: PLC0415  # see above

        path = path_of(self._endpoint, connection_id)
        lines = self._signer.sign("POST", path, message)
        headers = dict(line.split(": ", 1) for line in lines[:-2].split("\r\n"))
        url = yarl.URL(self._origin + path, encoded=True)
        async with self._session.post(url, data=message, headers=headers) as answer:
            await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"answered {answer.status}")


class Boto3Poster:
    """A loop over boto3 in ``THREADS`` threads; use it as ``with``."""

    def __init__(self, endpoint: str) -> None:
        import boto3  # noqa: PLC0415  # only here, so that the others are measured without it
        from botocore.config import Config  # noqa: PLC0415  # see above

        self._client = boto3.client(
            "apigatewaymanagementapi",
            endpoint_url=endpoint,
            region_name=os.environ["AWS_REGION"],
            config=Config(max_pool_connections=THREADS),
        )
        self._threads = ThreadPoolExecutor(THREADS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._threads.shutdown()

    def post(self, ids: Sequence[str], message: bytes) -> None:
        """Post ``message`` to all."""

        def post(connection_id: str) -> None:
            self._client.post_to_connection(ConnectionId=connection_id, Data=message)

        list(self._threads.map(post, ids))
