"""What kind each test is of, and one running system for all tests that leave it as they found it."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.running import Emulator

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from tests.dynamo_server import DynamoServer

#: Suites that hold one real thing (DynamoDB as moto has it, a socket, TLS, a server) to what its port promises.
CONTRACT = {
    "test_blocking",
    "test_candles",
    "test_certificates",
    "test_claims",
    "test_clock",
    "test_cold_start",
    "test_connect",
    "test_connections",
    "test_dynamodb",
    "test_exchange_control",
    "test_exchange_sockets",
    "test_groups",
    "test_hosts",
    "test_plain_tables",
    "test_pool",
    "test_push_keeper",
    "test_push_over_sockets",
    "test_services",
    "test_snapshots",
    "test_tables",
    "test_tables_like_moto",
    "test_transport",
    "test_unread",
}


#: So many lines of a program are shown with a test that has failed.
_SHOWN = 60


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave suites alone that are not wanted as a whole: loading them, and moto with them, would take seconds."""
    unwanted = "not contract" in config.getoption("markexpr") and collection_path.stem in CONTRACT
    return True if unwanted else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark contract and property tests: what is left is a unit test, without socket, clock or AWS."""
    for item in items:
        if item.path.stem in CONTRACT or "dynamo" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.contract)
        called = getattr(item, "obj", None)
        if hasattr(called, "hypothesis") or "hypothesis" in type(getattr(called, "__self__", None)).__module__:
            item.add_marker(pytest.mark.property)


def pytest_collection_finish() -> None:
    """Keep thousands of tests and all that they have loaded out of every garbage collection."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show, with a test that has failed, what the emulator it ran on had said last."""
    report = yield
    running = getattr(item, "funcargs", {}).get("emulator")
    if report.failed and running is not None:
        report.sections.append(("what the emulator has printed", "\n".join(running.lines[-_SHOWN:])))
    return report


@pytest.fixture(scope="module")
def dynamo() -> Iterator[DynamoServer]:
    """Serve moto's DynamoDB, without a table."""
    # With moto it takes longer to load than all unit tests of handlers/ to run.
    from tests.dynamo_server import DynamoServer  # noqa: PLC0415
    from tests.local.dynamo_clients import PlainMoto  # noqa: PLC0415

    with DynamoServer(PlainMoto().answer) as serving:
        yield serving


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    running = Emulator(tmp_path_factory.mktemp("emulator"))
    yield running
    running.stop()
