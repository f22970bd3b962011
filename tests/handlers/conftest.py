"""What the tests of handlers/ share: moto's DynamoDB with the one table, and the environment of a function."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from handlers.hub.connections import dynamodb
from handlers.hub.settings import HubSettings, hub_settings
from tests.fakes import create_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb.client import DynamoDBClient

_numbers = count(1)


@pytest.fixture(scope="module")
def moto() -> Iterator[DynamoDBClient]:
    import boto3  # noqa: PLC0415 - with moto it takes longer to load than all unit tests of handlers/ to run
    from moto import mock_aws  # noqa: PLC0415 - likewise

    with mock_aws():
        yield boto3.client("dynamodb", region_name="us-east-1")


@pytest.fixture
def table(moto: DynamoDBClient) -> str:
    """Make a fresh table and give its name."""
    name = f"tickwire-{next(_numbers)}"
    create_table(moto, name)
    return name


@pytest.fixture
def settings() -> HubSettings:
    return HubSettings(table="tickwire", gateway="wss://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/live")


@pytest.fixture
def deployed(table: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set the environment that the template sets, and give the table's name."""
    for name, value in {
        "TICKWIRE_TABLE": table,
        "TICKWIRE_SHARDS": "4",
        "TICKWIRE_GATEWAY": "wss://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/live",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    hub_settings.cache_clear()
    dynamodb.cache_clear()
    yield table
    hub_settings.cache_clear()
    dynamodb.cache_clear()
