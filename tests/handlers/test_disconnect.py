from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handlers import disconnect as route
from handlers.disconnect import disconnect
from handlers.events import read_disconnect
from handlers.hub.connections import Connection, DynamoConnectionStore
from tests.fakes import InMemoryConnectionStore

if TYPE_CHECKING:
    from handlers.hub.dynamodb import DynamoDB

EVENT: dict[str, Any] = json.loads((Path(__file__).parents[1] / "events" / "disconnect-1005.json").read_text())
LEAVING = Connection(
    id="HCH-GdrTIAMCKUQ=", connected_at=1_795_000_000_123, expires_at=1_795_007_800, format="batch", subscriptions={}
)


def test_who_has_left_is_forgotten_and_a_second_disconnect_is_no_error(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    connections = InMemoryConnectionStore(LEAVING)
    event = read_disconnect(EVENT)
    assert disconnect(event, connections=connections) == {"statusCode": 200}
    assert connections.connections == {}
    assert disconnect(event, connections=connections) == {"statusCode": 200}
    first, second = caplog.messages
    assert first == "connection HCH-GdrTIAMCKUQ= ended with 1005 'Client-side close frame status not set'"
    assert second == first + ", forgotten before"


@pytest.mark.usefixtures("deployed")
def test_the_function_wires_it_to_the_table(table: str, db: DynamoDB):
    connections = DynamoConnectionStore(db, table, shards=4)
    connections.remember(LEAVING)
    assert route.handler(EVENT, None) == {"statusCode": 200}
    assert connections.find(LEAVING.id) is None
