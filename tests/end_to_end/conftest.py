"""Programs and client sessions of a test's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import aiohttp
import boto3
import pytest

from tests.end_to_end.running import Emulator, Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from botocore.client import BaseClient


#: Files that mostly wait for ticks, the longest first: begun first, they keep nobody waiting at the end.
PATIENT = (
    "test_two_schedulers",
    "test_stale_quotes",
    "test_market",
    "test_fanout",
    "test_failures",
    "test_lost_clients",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything beside this file runs real processes."""
    items.sort(key=lambda item: PATIENT.index(item.path.stem) if item.path.stem in PATIENT else len(PATIENT))
    here = os.path.dirname(__file__)  # noqa: PTH120 # compared as text
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.end_to_end)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """Start emulators of a test's own; they are stopped at its end."""
    running: list[Emulator] = []

    def start_one(*flags: str, **options: Path) -> Emulator:
        running.append(Emulator(tmp_path, *flags, **options))
        return running[-1]

    yield start_one
    for one in running:
        one.stop()


@pytest.fixture
def run() -> Iterator[Callable[..., Program]]:
    """Start other programs of a test's own; they are stopped at its end."""
    running: list[Program] = []

    def run_one(*arguments: str, **options: dict[str, str]) -> Program:
        running.append(Program(*arguments, **options))
        return running[-1]

    yield run_one
    for one in running:
        one.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as one:
        yield one


@pytest.fixture
def management(emulator: Emulator) -> BaseClient:
    return management_client(emulator)


def management_client(emulator: Emulator) -> BaseClient:
    keys = emulator.ready["credentials"]
    return boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=emulator.ready["management"],
        region_name=emulator.ready["region"],
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
    )
