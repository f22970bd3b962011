"""What the tests of handlers/ share: moto's DynamoDB with the one table, and the environment of a function."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from handlers.hub.dynamodb import dynamodb
from handlers.hub.settings import HubSettings, hub_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from handlers.hub.dynamodb import DynamoDB
    from tests.dynamo_server import DynamoServer

_numbers = count(1)


@pytest.fixture(scope="module")
def moto(dynamo: DynamoServer) -> Iterator[DynamoDBClient]:
    """Give boto3's client, to look at what the hub's has done."""
    from tests.local.dynamo_clients import make_client  # noqa: PLC0415

    client = make_client(dynamo.url)
    yield client
    client.close()


@pytest.fixture
def db(dynamo: DynamoServer) -> DynamoDB:
    return dynamo.client()


@pytest.fixture
def table(dynamo: DynamoServer) -> str:
    """Make a fresh table and give its name."""
    name = f"tickwire-{next(_numbers)}"
    dynamo.create_table(name)
    return name


@pytest.fixture
def settings() -> HubSettings:
    return HubSettings(table="tickwire", gateway="wss://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/live")


@pytest.fixture
def deployed(table: str, dynamo: DynamoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set the environment that the template sets, and give the table's name."""
    for name, value in {
        "TICKWIRE_TABLE": table,
        "TICKWIRE_SHARDS": "4",
        "TICKWIRE_GATEWAY": "wss://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/live",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL_DYNAMODB": dynamo.url,
    }.items():
        monkeypatch.setenv(name, value)
    hub_settings.cache_clear()
    dynamodb.cache_clear()
    yield table
    hub_settings.cache_clear()
    dynamodb.cache_clear()
