"""The hub's DynamoDB client over real sockets: against the emulator's tables, against moto, and a server of no use."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from handlers.hub.dynamodb import DynamoDB, dynamodb, read_items
from handlers.hub.errors import CallRefused, ConditionFailed, ServiceUnavailable
from handlers.hub.rows import read_rows
from tests.dynamo_server import DynamoServer
from tests.misbehaving import CLOSE, Misbehaving, TunnelProxy, answer, make_authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = {"pk": {"S": "a"}, "sk": {"S": "1"}}
EVERY_TYPE: dict[str, Any] = {
    "s": {"S": 'ä"\n\U0001f600'},
    "n": {"N": "1.50E-7"},
    "b": {"B": b"\x00\xff"},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "m": {"M": {"deep": {"L": [{"N": "1"}, {"B": b""}, {"M": {}}]}}},
    "l": {"L": []},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]},
    "bs": {"BS": [b"\x01", b"\x02"]},
}


@pytest.fixture(scope="module", params=["the emulator's tables", "moto"])
def server(request: pytest.FixtureRequest) -> Iterator[DynamoServer]:
    if request.param == "moto":
        yield request.getfixturevalue("dynamo")
        return
    from local.tables.dynamodb import Tables  # noqa: PLC0415 - only where contracts are held

    with DynamoServer(Tables().answer) as serving:
        yield serving


@pytest.fixture
def table(server: DynamoServer, request: pytest.FixtureRequest) -> str:
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[-200:]
    server.create_table(name)
    return name


@pytest.fixture
def db(server: DynamoServer) -> DynamoDB:
    return server.client()


def normal(item: dict[str, Any] | None) -> dict[str, Any] | None:
    """DynamoDB writes numbers in one notation, and sets in no order."""
    return item and {
        name: {kind: sorted(value) if kind in {"SS", "NS", "BS"} else float(value) if kind == "N" else value}
        for name, attribute in item.items()
        for kind, value in attribute.items()
    }


def test_every_type_of_value_comes_back_as_it_went(db: DynamoDB, table: str):
    db.put_item(TableName=table, Item=KEY | EVERY_TYPE)
    assert normal(db.get_item(TableName=table, Key=KEY, ConsistentRead=True)) == normal(KEY | EVERY_TYPE)


def test_an_item_that_is_not_there_is_none(db: DynamoDB, table: str):
    assert db.get_item(TableName=table, Key=KEY) is None
    assert db.delete_item(TableName=table, Key=KEY, ReturnValues="ALL_OLD") == {}


def test_a_write_gives_what_it_was_asked_for(db: DynamoDB, table: str):
    change = {
        "TableName": table,
        "Key": KEY,
        "UpdateExpression": "SET #n = :n",
        "ExpressionAttributeNames": {"#n": "n"},
        "ExpressionAttributeValues": {":n": {"N": "7"}},
    }
    assert db.update_item(**change) == {}
    assert db.update_item(**change, ReturnValues="ALL_NEW") == KEY | {"n": {"N": "7"}}
    assert db.delete_item(TableName=table, Key=KEY) == {}
    db.update_item(**change)
    assert db.delete_item(TableName=table, Key=KEY, ReturnValues="ALL_OLD") == KEY | {"n": {"N": "7"}}


def test_a_condition_that_fails_says_what_is_there_to_who_asks(db: DynamoDB, table: str):
    put = {"TableName": table, "ConditionExpression": "attribute_not_exists(pk)"}
    db.put_item(**put, Item=KEY | EVERY_TYPE)
    with pytest.raises(ConditionFailed) as caught:
        db.put_item(**put, Item=KEY, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert normal(caught.value.item) == normal(KEY | EVERY_TYPE)
    assert str(caught.value).startswith("ConditionalCheckFailedException: ")
    with pytest.raises(ConditionFailed) as caught:
        db.put_item(**put, Item=KEY)
    assert caught.value.item is None


def test_a_query_asks_for_each_page_when_it_is_wanted(db: DynamoDB, server: DynamoServer, table: str):
    assert not db.batch_write_item(table, [{"pk": {"S": "a"}, "sk": {"S": str(number)}} for number in range(5)])
    server.asked.clear()
    pages = db.query(
        read_items,
        TableName=table,
        ConsistentRead=True,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "a"}},
        Limit=2,
    )
    assert [item["sk"]["S"] for item in next(pages).Items] == ["0", "1"]
    assert len(server.asked) == 1
    assert [item["sk"]["S"] for page in pages for item in page.Items] == ["2", "3", "4"]
    assert len(server.asked) == 3


def test_a_query_that_finds_nothing_is_one_empty_page(db: DynamoDB, table: str):
    values = {":pk": {"S": "nobody"}}
    question = {"TableName": table, "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": values}
    assert [page.Items for page in db.query(read_items, **question)] == [[]]


def test_a_table_that_is_not_there_is_a_refusal(db: DynamoDB):
    with pytest.raises(CallRefused, match=r"^ResourceNotFoundException: "):
        db.get_item(TableName="nowhere", Key=KEY)


def test_what_a_busy_table_leaves_out_of_a_batch_is_given_back():
    items = [KEY | EVERY_TYPE, KEY]
    left = {"UnprocessedItems": {"t": [{"PutRequest": {"Item": KEY | {"b": {"B": "AP8="}}}}]}}
    client = DynamoDB(lambda _path, _headers, _body: json.dumps(left).encode())
    assert client.batch_write_item("t", items) == [KEY | {"b": {"B": b"\x00\xff"}}]


@pytest.mark.parametrize("body", [b"<html>", b'{"Item":[]}', b"", b'{"Item":{"a":{"B":"%"}}}'])
def test_an_answer_that_cannot_be_read_is_an_outage(body: bytes):
    with pytest.raises(ServiceUnavailable, match="AnswerUnreadable"):
        DynamoDB(lambda _path, _headers, _body: body).get_item(TableName="t", Key=KEY)


@pytest.mark.parametrize("read", [read_items, read_rows])
@pytest.mark.parametrize("body", [b"<html>", b'{"Items":{}}', b"\xff", b""])
def test_a_page_that_cannot_be_read_is_an_outage(read: Callable[[bytes], Any], body: bytes):
    pages = DynamoDB(lambda _path, _headers, _body: body).query(read, TableName="t", KeyConditionExpression="pk = :pk")
    with pytest.raises(ServiceUnavailable, match="AnswerUnreadable"):
        next(pages)


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of a function."""
    for name, value in {"REGION": "eu-central-1", "ACCESS_KEY_ID": "AKID", "SECRET_ACCESS_KEY": "s"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    dynamodb.cache_clear()
    yield monkeypatch
    dynamodb.cache_clear()


async def test_the_processs_client_is_one_and_goes_where_the_environment_says(function: pytest.MonkeyPatch):
    ok = answer(body=b"{}")
    async with Misbehaving([[ok], [ok], [CLOSE]], [[answer(503)], [ok]]) as server:
        function.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{server.port}/tables/")
        assert dynamodb() is dynamodb()
        for _ in range(3):
            await asyncio.to_thread(dynamodb().put_item, TableName="t", Item=KEY)
    # The third found its kept socket closed, then a table that could not be used, and then was served.
    assert [request.socket for request in server.requests] == [0, 0, 0, 1, 1]
    for request in server.requests:
        assert request.target == "/tables/"
        assert json.loads(request.body) == {"TableName": "t", "Item": KEY}
        assert request.headers["x-amz-target"] == "DynamoDB_20120810.PutItem"
        assert request.headers["content-type"] == "application/x-amz-json-1.0"
        assert request.headers["x-amz-security-token"] == "token"
        assert "/eu-central-1/dynamodb/aws4_request" in request.headers["authorization"]
        signed = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
        assert f"SignedHeaders={signed}, " in request.headers["authorization"]


async def test_the_environments_proxy_and_bundle_are_used(function: pytest.MonkeyPatch, tmp_path: Path):
    authority = make_authority(tmp_path)
    function.setenv("AWS_CA_BUNDLE", str(authority.certificate))
    async with TunnelProxy() as proxy, Misbehaving([[answer(body=b"{}")]], tls=authority.server()) as server:
        function.setenv("AWS_ENDPOINT_URL", f"https://localhost:{server.port}")
        function.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        for _ in range(2):
            await asyncio.to_thread(dynamodb().put_item, TableName="t", Item=KEY)
        dynamodb.cache_clear()
        assert [request.target for request in proxy.requests] == [f"localhost:{server.port}"]
        assert len(server.requests) == 2
