from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handlers import connect as route
from handlers.connect import connect
from handlers.events import ConnectEvent
from handlers.hub.connections import Connection, DynamoConnectionStore, Subscription
from tests.fakes import InMemoryConnectionStore
from tests.wire import validate_message

if TYPE_CHECKING:
    from handlers.hub.dynamodb import DynamoDB

OPENED = 1_795_000_000_123
NOW = 1_795_000_000_140


def opening(**query: str) -> ConnectEvent:
    return ConnectEvent(
        connection_id="HCH-GdrTIAMCKUQ=",
        connected_at=OPENED,
        request_id="HCH-GEk7IAMFimg=",
        domain_name="a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
        stage="live",
        query=query,
    )


def remembered(how: str = "batch", **subscriptions: Subscription) -> Connection:
    return Connection(
        id="HCH-GdrTIAMCKUQ=",
        connected_at=OPENED,
        expires_at=1_795_007_800,
        format=how,
        subscriptions=subscriptions,
    )


def test_a_connection_is_let_in_and_remembered():
    connections = InMemoryConnectionStore()
    assert connect(opening(), connections=connections, now=NOW) == {"statusCode": 200}
    assert connections.find("HCH-GdrTIAMCKUQ=") == remembered()


def test_a_public_address_subscribes_at_once_and_a_snapshot_is_owed():
    connections = InMemoryConnectionStore()
    connect(opening(stream="market"), connections=connections, now=NOW)
    owed = Subscription(symbols=None, subscribed_at=NOW, snapshot_owed=True)
    assert connections.find("HCH-GdrTIAMCKUQ=") == remembered(market=owed)


def test_an_address_may_name_streams_symbols_and_format():
    connections = InMemoryConnectionStore()
    query = {"stream": "market,signals", "symbols": "btc,ETH", "format": "single"}
    connect(opening(**query), connections=connections, now=NOW)
    owed = Subscription(symbols=frozenset({"BTC", "ETH"}), subscribed_at=NOW, snapshot_owed=True)
    assert connections.find("HCH-GdrTIAMCKUQ=") == remembered("single", market=owed, signals=owed)


@pytest.mark.parametrize(
    ("query", "code", "sentence"),
    [
        ({"stream": "weather"}, "unknown_stream", "no such stream: 'weather'; there are market, signals, binary"),
        ({"stream": "market", "symbols": "ABC"}, "unknown_symbol", "no such symbol: 'ABC'"),
        (
            {"stream": "market", "format": "xml"},
            "bad_request",
            "format: no such format: 'xml'; there are batch, single, compact",
        ),
    ],
)
def test_an_address_that_wants_what_there_is_not_is_refused_and_not_remembered(
    query: dict[str, str], code: str, sentence: str
):
    connections = InMemoryConnectionStore()
    answer = connect(opening(**query), connections=connections, now=NOW)
    assert (answer["statusCode"], answer["headers"]) == (400, {"Content-Type": "application/json"})
    said = validate_message(answer["body"])
    assert (said["id"], said["code"], said["message"], said["retryable"]) == (None, code, sentence, False)
    assert connections.connections == {}


def test_the_function_wires_it_to_the_table(deployed: str, db: DynamoDB):
    event: dict[str, Any] = json.loads((Path(__file__).parents[1] / "events" / "connect-query.json").read_text())
    assert route.handler(event, None) == {"statusCode": 200}
    found = DynamoConnectionStore(db, deployed, shards=4).find("HCIC_eb5IAMCcBw=")
    assert found is not None
    assert found.connected_at == 1_795_000_031_400
    assert found.subscriptions["market"].symbols == frozenset({"BTC", "ETH"})
    assert found.subscriptions["market"].snapshot_owed
    assert found.subscriptions["market"].subscribed_at > found.connected_at - 10**12
