"""Tables that are served before moto is loaded, and what becomes of them when it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.stack import Table
from local.tables.backend import Backend
from local.tables.dynamodb import TableRefused, Tables
from local.tables.schema import is_plain, open_table

pytest.register_assert_rewrite("tests.local.dynamo_clients")

from tests.local.dynamo_clients import TABLE, key  # noqa: E402 -- its assertions are rewritten first

HASH = {"AttributeName": "pk", "KeyType": "HASH"}
RANGE = {"AttributeName": "sk", "KeyType": "RANGE"}
PK, SK, OWNER, AT = (
    {"AttributeName": name, "AttributeType": kind} for name, kind in (("pk", "S"), ("sk", "N"), ("o", "S"), ("at", "B"))
)
ALL = {"ProjectionType": "ALL"}
BY_OWNER = {"IndexName": "by-owner", "KeySchema": [{"AttributeName": "o", "KeyType": "HASH"}, RANGE], "Projection": ALL}
BY_TIME = {
    "IndexName": "by-time",
    "KeySchema": [HASH, {"AttributeName": "at", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["name"]},
}
ONE_KEY = {
    "TableName": "things",
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [HASH],
    "AttributeDefinitions": [PK],
}
TWO_KEYS = ONE_KEY | {"KeySchema": [HASH, RANGE], "AttributeDefinitions": [PK, SK]}
INDEXED = TWO_KEYS | {
    "AttributeDefinitions": [PK, SK, OWNER, AT],
    "GlobalSecondaryIndexes": [
        BY_OWNER,
        BY_OWNER | {"IndexName": "keys", "Projection": {"ProjectionType": "KEYS_ONLY"}},
    ],
    "LocalSecondaryIndexes": [BY_TIME],
}
NOT_PLAIN = {
    "a stream": ONE_KEY | {"StreamSpecification": {"StreamEnabled": True}},
    "provisioned capacity": ONE_KEY | {"BillingMode": "PROVISIONED"},
    "no billing mode": {member: value for member, value in ONE_KEY.items() if member != "BillingMode"},
    "an attribute that is no key": ONE_KEY | {"AttributeDefinitions": [PK, SK]},
    "a key that is not defined": TWO_KEYS | {"AttributeDefinitions": [PK]},
    "an attribute defined twice": ONE_KEY | {"AttributeDefinitions": [PK, PK]},
    "a key of an odd type": ONE_KEY | {"AttributeDefinitions": [PK | {"AttributeType": "BOOL"}]},
    "a sort key alone": ONE_KEY | {"KeySchema": [HASH | {"KeyType": "RANGE"}]},
    "keys in the wrong order": TWO_KEYS | {"KeySchema": [RANGE, HASH]},
    "one attribute as both keys": ONE_KEY | {"KeySchema": [HASH, HASH | {"KeyType": "RANGE"}]},
    "a name with a space": ONE_KEY | {"TableName": "my things"},
    "a name of two letters": ONE_KEY | {"TableName": "my"},
    "an empty list of indexes": ONE_KEY | {"GlobalSecondaryIndexes": []},
    "six local indexes": INDEXED
    | {"LocalSecondaryIndexes": [BY_TIME | {"IndexName": f"by-time-{number}"} for number in range(6)]},
    "two indexes of one name": INDEXED | {"GlobalSecondaryIndexes": [BY_OWNER, BY_OWNER]},
    "an index without a projection": INDEXED
    | {"GlobalSecondaryIndexes": [{member: BY_OWNER[member] for member in ("IndexName", "KeySchema")}]},
    "a projection of nothing": INDEXED | {"GlobalSecondaryIndexes": [BY_OWNER | {"Projection": {}}]},
    "an odd projection": INDEXED | {"GlobalSecondaryIndexes": [BY_OWNER | {"Projection": {"ProjectionType": "SOME"}}]},
    "a local index of another partition key": INDEXED
    | {"LocalSecondaryIndexes": [BY_TIME | {"KeySchema": BY_OWNER["KeySchema"]}]},
    "no keys": {member: value for member, value in ONE_KEY.items() if member != "KeySchema"},
    "keys that are no list": ONE_KEY | {"KeySchema": 1},
}


def call(tables: Tables, operation: str, **request: Any) -> tuple[int, Any]:
    status, _, body = tables.answer(f"DynamoDB_20120810.{operation}", json.dumps(request).encode(), {})
    return status, json.loads(body)


@pytest.fixture
def tables() -> Tables:
    tables = Tables()
    tables.create(Table("Table", "things", TABLE, "expires_at"))
    return tables


@pytest.mark.parametrize("definition", [ONE_KEY, TWO_KEYS, INDEXED], ids=["one key", "two keys", "indexes"])
def test_a_plain_table_is_what_moto_makes_of_its_definition(definition: dict[str, Any]) -> None:
    assert is_plain(definition)
    backend = Backend(region="us-east-1", account="000000000000")
    backend.run("DynamoDB_20120810", "CreateTable", json.dumps(definition).encode())
    of_moto = backend.table("things")
    assert open_table(definition, of_moto.partitions, name="things") == of_moto


@pytest.mark.parametrize("definition", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_whatever_is_odd_about_a_table_is_left_to_moto(definition: dict[str, Any]) -> None:
    assert not is_plain(definition)


def test_the_hot_operations_on_a_plain_table_need_no_moto(tables: Tables) -> None:
    assert call(tables, "PutItem", TableName="things", Item=key("1")) == (200, {})
    assert call(tables, "GetItem", TableName="things", Key=key("1")) == (200, {"Item": key("1")})
    assert call(tables, "Scan", TableName="things")[1]["Count"] == 1
    assert tables._backend is None


def test_a_table_that_is_not_there_needs_no_moto(tables: Tables) -> None:
    status, answer = call(tables, "GetItem", TableName="others", Key=key("1"))
    assert (status, answer["__type"]) == (400, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException")
    assert tables._backend is None


async def test_what_only_moto_knows_is_answered_over_the_same_rows(tables: Tables) -> None:
    call(tables, "PutItem", TableName="things", Item=key("1"))
    status, _, body = await tables.serve("DynamoDB_20120810.DescribeTable", b'{"TableName":"things"}')
    assert status == 200
    assert json.loads(body)["Table"]["ItemCount"] == 1
    assert tables._backend is not None
    call(tables, "PutItem", TableName="things", Item=key("2"))
    batch = {"RequestItems": {"things": {"Keys": [key("1"), key("2")]}}}
    assert call(tables, "BatchGetItem", **batch)[1]["Responses"]["things"] == [key("1"), key("2")]
    assert call(tables, "Scan", TableName="things")[1]["Count"] == 2
    expiry = call(tables, "DescribeTimeToLive", TableName="things")[1]["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


async def test_an_unusual_call_of_a_hot_operation_waits_for_moto(tables: Tables) -> None:
    call(tables, "PutItem", TableName="things", Item=key("1"))
    legacy = {"TableName": "things", "Key": key("1"), "AttributesToGet": ["sk"]}
    assert tables.at_once("DynamoDB_20120810.GetItem", json.dumps(legacy).encode()) is None
    status, _, body = await tables.serve("DynamoDB_20120810.GetItem", json.dumps(legacy).encode())
    assert (status, json.loads(body)["Item"]["sk"]) == (200, key("1")["sk"])
    assert tables._backend is not None


async def test_only_a_table_that_is_not_plain_makes_the_start_wait_for_moto(tables: Tables) -> None:
    await tables.settle()
    assert tables._backend is None
    tables.create(Table("Other", "others", TABLE | {"StreamSpecification": {"StreamEnabled": False}}))
    call(tables, "PutItem", TableName="things", Item=key("1"))
    assert tables._backend is None
    assert call(tables, "PutItem", TableName="others", Item=key("1")) == (200, {})
    assert tables._backend is not None
    assert call(tables, "Scan", TableName="things")[1]["Count"] == 1


async def test_a_table_of_a_name_that_is_taken_is_refused() -> None:
    tables = Tables()
    tables.create(Table("Table", "things", TABLE))
    tables.create(Table("Again", "things", TABLE))
    with pytest.raises(TableRefused, match="Table already exists: things"):
        await tables.settle()


async def test_between_the_load_of_moto_and_its_hearing_of_the_tables_they_are_there(tables: Tables) -> None:
    call(tables, "PutItem", TableName="things", Item=key("1"))
    tables._import()  # what the thread does, which has ended before anybody has waited for it
    status, _, body = await tables.serve(
        "DynamoDB_20120810.GetItem", json.dumps({"TableName": "things", "Key": key("1")}).encode()
    )
    assert (status, json.loads(body)) == (200, {"Item": key("1")})
    status, _, body = await tables.serve("DynamoDB_20120810.DescribeTable", b'{"TableName":"things"}')
    assert (status, json.loads(body)["Table"]["ItemCount"]) == (200, 1)
