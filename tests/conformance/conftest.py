"""
The target: an emulator started for these tests, or a deployed stage that the environment names.

TICKWIRE_CONFORMANCE_GATEWAY and TICKWIRE_CONFORMANCE_MANAGEMENT hold its addresses; credentials and region are those
of AWS's SDK then.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.conformance import wire
from tests.end_to_end.running import Emulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from botocore.client import BaseClient

    from tests.conformance.wire import Socket

TEMPLATE = Path(__file__).parent / "template.yaml"
GATEWAY = os.environ.get("TICKWIRE_CONFORMANCE_GATEWAY")
MANAGEMENT = os.environ.get("TICKWIRE_CONFORMANCE_MANAGEMENT")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything beside this file talks to a running gateway, but for the list of what is covered."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name != "test_coverage.py":
            item.add_marker(pytest.mark.end_to_end)


@dataclass
class Target:
    """A gateway under test."""

    gateway: str
    management: str
    region: str
    credentials: Credentials
    is_emulator: bool
    others: dict[str, str]

    def client(self) -> BaseClient:
        return boto3.client(
            "apigatewaymanagementapi",
            endpoint_url=self.management,
            region_name=self.region,
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            aws_session_token=self.credentials.token,
        )

    async def call(
        self,
        method: str,
        connection_id: str,
        body: bytes = b"",
        *,
        path: str | None = None,
        signed: bool = True,
        credentials: Credentials | None = None,
        more: Mapping[str, str] | None = None,
    ) -> wire.Reply:
        """Call the management API with a raw path (by default encoded as the SDKs do); ``more`` headers go unsigned."""
        parts = urlsplit(self.management)
        path = path or f"{parts.path}/@connections/{quote(connection_id, safe='')}"
        url = f"{parts.scheme}://{parts.netloc}{path}"
        headers = {"Host": parts.netloc, "Content-Length": str(len(body)), **(more or {})}
        if signed:
            request = AWSRequest(method, url, data=body, headers={"Host": parts.netloc})
            SigV4Auth(credentials or self.credentials, "execute-api", self.region).add_auth(request)
            headers |= dict(request.headers)
        del headers["Host"]
        reply, _, writer = await wire.call(method, url, headers.items(), body)
        writer.close()
        return reply

    def signed_headers(self, url: str) -> list[tuple[str, str]]:
        """Sign an upgrade request in its headers, as programs can."""
        request = AWSRequest("GET", url, headers={"Host": urlsplit(url).netloc})
        SigV4Auth(self.credentials, "execute-api", self.region).add_auth(request)
        return [(key, value) for key, value in request.headers.items() if key != "Host"]

    def signed_url(self, url: str) -> str:
        """Sign the URL of an upgrade request in its query, as browsers have to."""
        request = AWSRequest("GET", url)
        SigV4QueryAuth(self.credentials, "execute-api", self.region, expires=60).add_auth(request)
        return str(request.url)


def _addresses(gateway: str) -> dict[str, str]:
    async def ask() -> Any:
        socket = await wire.connect(gateway)
        found = await socket.ask({"action": "ask", "addresses": True}, within=20)
        await socket.close()
        return found

    return {name.lower(): address for name, address in asyncio.run(ask()).items()}


def _of_emulator(emulator: Emulator) -> Target:
    keys = emulator.ready["credentials"]
    gateway = emulator.ready["websocket"]
    return Target(
        gateway,
        emulator.ready["management"],
        emulator.ready["region"],
        Credentials(keys["access_key_id"], keys["secret_access_key"]),
        is_emulator=True,
        # What AWS would say is not AWS here: every stage's name is its own, and leads there.
        others={
            name: urlsplit(gateway)._replace(path=urlsplit(address).path).geturl()
            for name, address in _addresses(gateway).items()
        },
    )


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    if GATEWAY and MANAGEMENT:
        session = boto3.Session()
        credentials = session.get_credentials()
        assert credentials is not None, "the management API wants signed calls: configure AWS credentials"
        region = session.region_name or urlsplit(MANAGEMENT).netloc.split(".")[2]
        frozen = credentials.get_frozen_credentials()
        keys = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        yield Target(GATEWAY, MANAGEMENT, region, keys, is_emulator=False, others=_addresses(GATEWAY))
        return
    emulator = Emulator(tmp_path_factory.mktemp("conformance"), template=TEMPLATE)
    yield _of_emulator(emulator)
    emulator.stop()


@pytest.fixture(scope="session")
def brief(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[Target]:
    """A gateway whose limits are short enough to wait for."""
    if not target.is_emulator:
        pytest.skip("a deployed stage's limits cannot be shortened")
    flags = [f"--limit={limit}" for limit in ("life=3s", "idle=1s", "integration=1s", "connects=5", "backlog=20000")]
    emulator = Emulator(tmp_path_factory.mktemp("brief"), *flags, template=TEMPLATE)
    yield _of_emulator(emulator)
    emulator.stop()


@pytest.fixture(scope="session")
def management(target: Target) -> BaseClient:
    return target.client()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Awaitable[Socket]]]:
    """Open connections that are dropped at the test's end."""
    opened: list[Socket] = []

    async def open_one(url: str, *headers: tuple[str, str], query: dict[str, str] | None = None, **how: Any) -> Socket:
        opened.append(await wire.connect(url + (f"?{urlencode(query)}" if query else ""), headers, **how))
        return opened[-1]

    yield open_one
    for socket in opened:
        socket.drop()


@pytest.fixture
async def socket(target: Target, connect: Callable[..., Awaitable[Socket]]) -> Socket:
    return await connect(target.gateway)


@pytest.fixture
def key() -> str:
    """A name under which functions keep an event."""
    return uuid4().hex


@pytest.fixture
async def recall(target: Target, connect: Callable[..., Awaitable[Socket]]) -> Callable[..., Awaitable[Any]]:
    """Wait for an event that a function has seen."""

    async def find(name: str, kind: str, *, within: float = 8.0, at: Target | None = None) -> Any:
        asking = await connect((at or target).gateway)
        async with asyncio.timeout(within):
            while (found := await asking.ask({"action": "ask", "recall": [name, kind]})) is None:
                await asyncio.sleep(0.05)
        return found

    return find


async def connection_id(socket: Socket) -> str:
    """Ask a connection for its own id."""
    return str((await socket.ask({"action": "ask"}))["event"]["requestContext"]["connectionId"])
