"""
What a signed post over TLS costs in CPU: this pool against boto3 in threads and against aiohttp, in one run.

``python tests/benchmarks/bench_pool.py`` prints one JSON object a line, each a measurement as ``measure()`` gives it.
The server is a process of its own, on the other core if there is one, and does next to nothing; only the client's CPU
is counted, so that the figures depend little on what else the machine does. The ratios depend on it least.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # run as a script, its own folder stands there instead

from handlers.hub.management import ManagementApi  # noqa: E402  # after the path is set
from handlers.hub.origin import Origin  # noqa: E402  # after the path is set
from handlers.hub.pool import Pool  # noqa: E402  # after the path is set
from handlers.hub.signing import Credentials, Signer  # noqa: E402  # after the path is set
from tests.benchmarks.measurement import Measurement, less  # noqa: E402  # after the path is set
from tests.benchmarks.system import serving  # noqa: E402  # after the path is set
from tests.misbehaving import Authority, make_authority  # noqa: E402  # after the path is set

SLICES = 9
SLICE = 0.25  # seconds, of which each client gets SLICES
SOCKETS = 128
THREADS = 32
BUDGET = 60.0  # microseconds of CPU for a post
REGION = "eu-west-1"
KEYS = Credentials("AKIDEXAMPLE", "secret", "t" * 600)  # a role's session token is about that long
MESSAGE = b'{"type":"market_batch","updates":[' + b'{"symbol":"BTC","data":{"last":97123.45}},' * 24 + b"null]}"
IDS = [f"{number:05x}c00000C00A=" for number in range(1000)]
ANSWER = (
    b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 0\r\n"
    b"Connection: keep-alive\r\nx-amzn-RequestId: 2a1c7a3e-0b62-4d4b-a6d4-7a1c4dd1c1e9\r\nx-amz-apigw-id: NdJx=\r\n\r\n"
)


class _Server(asyncio.Protocol):
    """Answers every request with 200 as soon as its body is whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:") + 15
        if len(self._buffer) >= end + 4 + int(head[at:].split(b"\r\n", 1)[0]):
            self._buffer = b""
            self._transport.write(ANSWER)  # type: ignore[attr-defined]  # a stream's transport writes


async def _serve(chain: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0, ssl=context, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # how the parent learns the port
    await asyncio.to_thread(sys.stdin.read)  # until the parent goes


class _Meter:
    """
    Counts posts, and reads the CPU clock of the process every now and then.

    The figure is that of the quietest slice: what else runs on the machine makes the same work take more CPU (shared
    caches, shared cores), never less.
    """

    def __init__(self) -> None:
        self.posts = 0
        self._readings: list[tuple[int, float]] = []

    def read(self) -> None:
        self._readings.append((self.posts, time.process_time()))

    def microseconds(self) -> float:
        pairs = pairwise(self._readings)
        return min((cpu1 - cpu0) / (posts1 - posts0) for (posts0, cpu0), (posts1, cpu1) in pairs) * 1e6


async def _spend(post: Callable[[str], Awaitable[None]]) -> float:
    """Post from ``SOCKETS`` tasks for a while; give the microseconds of CPU a post."""
    for _ in range(2):
        await asyncio.gather(*(post(name) for name in IDS[:SOCKETS]))
    meter = _Meter()

    async def work(start: int) -> None:
        for at in count(start, SOCKETS):
            await post(IDS[at % len(IDS)])
            meter.posts += 1

    tasks = [asyncio.create_task(work(start)) for start in range(SOCKETS)]
    for _ in range(SLICES):
        meter.read()
        await asyncio.sleep(SLICE)
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome
    return meter.microseconds()


async def _pool(port: int, authority: Authority) -> float:
    pool = Pool(Origin("https", "127.0.0.1", port), sockets=SOCKETS, tls=authority.client())
    endpoint = f"https://127.0.0.1:{port}/prod"
    async with ManagementApi(endpoint, region=REGION, credentials=lambda: KEYS, pool=pool) as api:
        return await _spend(lambda name: api.post(name, MESSAGE))


async def _aiohttp(port: int, authority: Authority) -> float:
    import aiohttp  # noqa: PLC0415  # only here, so that the pool is measured without it
    import yarl  # noqa: PLC0415  # see above

    signer = Signer(lambda: KEYS, region=REGION, host=f"127.0.0.1:{port}")
    connector = aiohttp.TCPConnector(limit=SOCKETS, ssl=authority.client())
    async with aiohttp.ClientSession(connector=connector) as session:

        async def post(name: str) -> None:
            path = f"/prod/@connections/{name.replace('=', '%3D')}"
            lines = signer.sign("POST", path, MESSAGE)
            headers = dict(line.split(": ", 1) for line in lines[:-2].split("\r\n"))
            url = yarl.URL(f"https://127.0.0.1:{port}{path}", encoded=True)
            async with session.post(url, data=MESSAGE, headers=headers) as answer:
                await answer.read()
                assert answer.status == 200

        return await _spend(post)


def _boto3(port: int, authority: Authority) -> float:
    import boto3  # noqa: PLC0415  # only here, so that the pool is measured without it
    from botocore.config import Config  # noqa: PLC0415  # see above

    client = boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=f"https://127.0.0.1:{port}/prod",
        region_name=REGION,
        aws_access_key_id=KEYS.access_key,
        aws_secret_access_key=KEYS.secret_key,
        aws_session_token=KEYS.token,
        verify=str(authority.certificate),
        config=Config(max_pool_connections=THREADS),
    )

    meter = _Meter()
    stop = Event()

    def work(start: int) -> None:
        for at in count(start, THREADS):
            if stop.is_set():
                return
            client.post_to_connection(ConnectionId=IDS[at % len(IDS)], Data=MESSAGE)
            meter.posts += 1

    with ThreadPoolExecutor(THREADS) as threads:
        working = [threads.submit(work, start) for start in range(THREADS)]
        time.sleep(SLICE)  # for the handshakes
        for _ in range(SLICES):
            meter.read()
            time.sleep(SLICE)
        stop.set()
        for one in working:
            one.result()
    return meter.microseconds()


def measure() -> list[Measurement]:
    """Run the three clients one after another against one server; about 8 seconds."""
    with tempfile.TemporaryDirectory() as folder:
        authority = make_authority(Path(folder))
        with serving(__file__, str(authority.chain)) as port:
            pool = asyncio.run(_pool(port, authority))
            aiohttp = asyncio.run(_aiohttp(port, authority))
            boto3 = _boto3(port, authority)
    name = f"pool: CPU of a signed TLS post, {SOCKETS} sockets"
    return [
        less(name, pool, "µs", BUDGET),
        less(name, pool, "µs", aiohttp, f"aiohttp, the same signer, {aiohttp:.0f}"),
        less(name, pool, "µs", boto3, f"boto3, {THREADS} threads, {boto3:.0f}"),
    ]


def main() -> None:
    """Print the measurements; or be the server, if ``measure`` started this."""
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(_serve(sys.argv[2]))
        return
    for measurement in measure():
        print(json.dumps(measurement, ensure_ascii=False))  # noqa: T201  # a script prints


if __name__ == "__main__":
    main()
