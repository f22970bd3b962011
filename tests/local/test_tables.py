"""
``local.tables.dynamodb`` against the contract of ``tables_contract``, and plain moto against the same.

Where plain moto 5.2 differs from DynamoDB, its test is in ``MOTO_DIFFERS`` and has to fail, so that a moto that has
learnt it is noticed:

==========================  =====================================================  ==================================
what                        DynamoDB, and our tables                               plain moto
==========================  =====================================================  ==================================
numbers                     come back in one notation, at most 38 digits           as written, of any length
a comparison of two types   false                                                  TypeError
a missing attribute         ``size()`` of it compares as false, two are not equal  an error, and equal
``begins_with``             of binary values too                                   of strings only
wrong expressions           ValidationException with AWS's sentence                sometimes KeyError or ValueError
wrong keys                  *does not match the schema*                            accepted, or another sentence
filter on a key, set with   refused                                                accepted
a member twice, Limit 0,
batch of 26, index key of
another type
UpdateItem without          makes the item                                         AttributeError
expression
``UPDATED_NEW``             what the expression names                              what changed
a full page                 has a LastEvaluatedKey, even if it is the last         none if nothing follows
a page by size              ends with the item that reaches 1 MB                   ends before it, at 1,000,000 bytes
capacity                    counted by size                                        always 1.0 or 0.5
projected list elements     stand alone in the order of the list                   other shapes
a local index               fetches what it does not hold                          does not
==========================  =====================================================  ==================================

Where our tables differ from DynamoDB, knowingly: every read is consistent and indexes are never late; nothing is
throttled; expired items stay; a scan goes in the order of the keys, not of their hashes; capacity is that of the item
and its table only (with an index, a transaction or a batch: moto's flat figures); the size of a number is the one that
the documentation calls approximate. Operations that moto runs (batches, transactions, PartiQL, writes to a table with
a stream, ``UPDATED_*`` of document paths, the parameters from before expressions) are as exact as moto.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from local.stack import Table
from local.tables.dynamodb import TableRefused, Tables

pytest.register_assert_rewrite("tests.local.tables_contract", "tests.local.dynamo_clients")

from tests.local.dynamo_clients import (  # noqa: E402 -- their assertions are rewritten first
    TABLE,
    DirectClient,
    PlainMoto,
    call,
    client_of,
    key,
    make_client,
    new_table,
    refused,
)
from tests.local.tables_contract import DynamoContract  # noqa: E402 -- its assertions are rewritten first

MOTO_DIFFERS = {
    "test_numbers_come_back_in_one_notation": "gives numbers back as they were written",
    "test_a_condition_holds_or_not[s < :v]": "raises TypeError for values of two types",
    "test_a_condition_holds_or_not[NOT s < :v]": "raises TypeError for values of two types",
    "test_a_condition_holds_or_not[begins_with(b, :v)]": "knows prefixes of strings only",
    "test_a_condition_holds_or_not[size(zz) > :v]": "refuses the size of a missing attribute",
    "test_a_condition_holds_or_not[yy = zz]": "takes two missing attributes for equal",
    "test_a_wrong_update_is_refused[SET z = s + :v]": "has another sentence",
    "test_a_wrong_update_is_refused[SET s = :w]": "has another sentence",
    "test_a_wrong_update_is_refused[SET #s = :v]": "raises KeyError",
    "test_a_wrong_update_is_refused[ADD s :v1]": "has another sentence",
    "test_a_wrong_update_is_refused[DELETE ss :v]": "has another sentence",
    "test_a_wrong_call_is_refused[another key]": "has another sentence",
    "test_a_wrong_call_is_refused[a key of another type]": "accepts it",
    "test_a_wrong_call_is_refused[an update of another key]": "has another sentence",
    "test_a_wrong_call_is_refused[a delete of another key]": "has another sentence",
    "test_a_wrong_call_is_refused[a put of an empty key]": "has another sentence",
    "test_a_wrong_call_is_refused[a set with a member twice]": "accepts it",
    "test_a_wrong_call_is_refused[a number of 39 digits]": "accepts it",
    "test_a_wrong_call_is_refused[a number too large]": "accepts the first numbers over the limit",
    "test_a_wrong_call_is_refused[a filter on a key]": "accepts it",
    "test_a_wrong_call_is_refused[a query with another type]": "accepts it",
    "test_a_wrong_call_is_refused[a projection of overlapping paths]": "accepts it",
    "test_a_wrong_call_is_refused[a value that is not defined]": "raises KeyError",
    "test_a_wrong_call_is_refused[bounds the wrong way round]": "accepts it",
    "test_a_wrong_call_is_refused[a prefix that is a number]": "accepts it",
    "test_a_wrong_call_is_refused[a condition that is none]": "raises ValueError",
    "test_a_wrong_call_is_refused[a page of nothing]": "raises IndexError",
    "test_an_update_without_an_expression_makes_the_item": "raises AttributeError",
    "test_an_update_returns_what_it_named_even_if_that_is_the_same": "returns what changed",
    "test_a_page_that_reaches_its_limit_ends_with_a_key_even_if_nothing_follows": "gives no key when nothing follows",
    "test_a_projection_of_two_elements_gives_both": "gives the last element only",
    "test_a_page_ends_with_the_item_that_reaches_a_megabyte": "ends a page before 1,000,000 bytes",
    "test_capacity_is_counted_by_size": "counts every call as 1.0 or 0.5",
    "test_a_local_index_fetches_the_rest_when_asked": "gives what the index holds",
    "test_an_index_key_of_another_type_is_refused": "accepts it",
    "test_a_batch_of_26_is_refused": "accepts it",
}


class TestOurTables(DynamoContract):
    @pytest.fixture(scope="class")
    @classmethod
    def client(cls) -> Any:
        return DirectClient(Tables().answer)


class TestPlainMoto(DynamoContract):
    @pytest.fixture(scope="class")
    @classmethod
    def client(cls) -> Any:
        return DirectClient(PlainMoto().answer)

    @pytest.fixture(autouse=True)
    def _expect_the_known_difference(self, request: pytest.FixtureRequest) -> None:
        """Turn a test around that is known to fail, as xfail does, but without the cost of its 37 tracebacks."""
        reason = MOTO_DIFFERS.get(request.node.name)
        if reason is None:
            return
        holds = request.node.obj

        def differs(**arguments: Any) -> None:
            try:
                holds(**arguments)
            except (Exception, pytest.fail.Exception):  # noqa: BLE001 -- however moto shows that it differs
                return
            pytest.fail(f"moto no longer {reason}: take it out of MOTO_DIFFERS")

        request.node.obj = differs


@pytest.fixture(scope="module")
def tables() -> Tables:
    tables = Tables()
    tables.create(Table("Table", "things", TABLE, "expires_at"))
    return tables


def test_making_tables_does_not_import_moto() -> None:
    program = (
        "import sys; from local.stack import Table; from local.tables.dynamodb import Tables;"
        "Tables().create(Table('T', 't', {})); sys.exit('moto' in sys.modules or 'boto3' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


async def test_loading_makes_the_tables_that_wait() -> None:
    tables = Tables(region="eu-central-1", account_id="123456789012")
    tables.create(Table("Table", "things", TABLE, "expires_at"))
    await tables.load()
    await tables.load()
    assert call(tables, "ListTables") == (200, {"TableNames": ["things"]})
    described = call(tables, "DescribeTable", TableName="things")[1]["Table"]
    assert described["TableArn"] == "arn:aws:dynamodb:eu-central-1:123456789012:table/things"
    expiry = call(tables, "DescribeTimeToLive", TableName="things")[1]["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


async def test_a_table_that_dynamodb_would_refuse_is_refused_by_name() -> None:
    tables = Tables()
    await tables.load()
    wrong = TABLE | {"AttributeDefinitions": TABLE["AttributeDefinitions"][:1]}
    with pytest.raises(TableRefused, match=r"table broken: .*KeySchema") as caught:
        tables.create(Table("Broken", "broken", wrong))
    assert caught.value.name == "broken"
    tables.create(Table("Table", "things", TABLE))
    with pytest.raises(TableRefused, match="Table already exists: things"):
        tables.create(Table("Table", "things", TABLE))


def test_an_answer_has_the_headers_that_sdks_check(tables: Tables) -> None:
    seen = set()
    for operation in ("ListTables", "PutItem", "Nonsense"):
        _, headers, body = tables.answer(f"DynamoDB_20120810.{operation}", b"{}", {})
        assert headers["content-type"] == "application/x-amz-json-1.0"
        assert headers["x-amz-crc32"] == str(zlib.crc32(body))
        assert len(headers["x-amzn-requestid"]) == 52
        seen.add(headers["x-amzn-requestid"])
    assert len(seen) == 3


def test_what_is_no_call_is_refused_as_aws_does(tables: Tables) -> None:
    def kind(target: str, body: bytes) -> str:
        status, _, answer = tables.answer(target, body, {})
        assert status == 400
        return str(json.loads(answer)["__type"])

    assert kind("DynamoDB_20120810.GetItem", b"{") == "com.amazon.coral.service#SerializationException"
    assert kind("DynamoDB_20120810.GetItem", b"[]") == "com.amazon.coral.service#SerializationException"
    assert kind("DynamoDB_20120810.Nonsense", b"{}") == "com.amazon.coral.service#UnknownOperationException"
    assert kind("Nonsense", b"{}") == "com.amazon.coral.service#UnknownOperationException"
    assert kind("DynamoDB_20120810.GetItem", b"{}") == "com.amazon.coral.validate#ValidationException"
    no_key = b'{"TableName":"things"}'
    assert kind("DynamoDB_20120810.GetItem", no_key) == "com.amazon.coral.validate#ValidationException"
    no_text = b'{"TableName":"things","Key":"a"}'
    assert kind("DynamoDB_20120810.GetItem", no_text) == "com.amazon.coral.service#SerializationException"
    number = b'{"TableName":"things","Item":{"pk":{"S":1},"sk":{"S":"1"}}}'
    assert kind("DynamoDB_20120810.PutItem", number) == "com.amazon.coral.service#SerializationException"
    nothing = b'{"TableName":"things","Item":{"pk":{},"sk":{"S":"1"}}}'
    assert kind("DynamoDB_20120810.PutItem", nothing) == "com.amazon.coral.validate#ValidationException"


async def test_a_bug_is_an_internal_error_and_logged(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> bytes:
        raise LookupError("oops")

    await tables.load()
    monkeypatch.setattr(tables._backend, "run", broken)
    status, answer = call(tables, "GetItem", TableName="things", Key=key())
    assert (status, answer["__type"]) == (500, "com.amazon.coral.service#InternalServerError")
    assert "oops" in caplog.text


def test_two_sets_of_tables_and_patched_moto_share_nothing(tables: Tables) -> None:
    call(tables, "PutItem", TableName="things", Item=key())
    other = Tables()
    other.create(Table("Table", "things", TABLE))
    with mock_aws():
        patched = make_client()
        assert patched.list_tables()["TableNames"] == []
        assert call(other, "Scan", TableName="things")[1]["Count"] == 0
        # PlainMoto stands for what mock_aws patches in, because it is faster: both are the same handler.
        patched.create_table(TableName="things", **TABLE)
        patched.put_item(TableName="things", Item=key() | {"n": {"N": "1.50"}})
        plain = DirectClient(PlainMoto().answer)
        plain.create_table(TableName="things", **TABLE)
        plain.put_item(TableName="things", Item=key() | {"n": {"N": "1.50"}})
        assert plain.scan(TableName="things")["Items"] == patched.scan(TableName="things")["Items"]
    assert call(tables, "GetItem", TableName="things", Key=key())[1]["Item"] == key()


def test_writes_to_a_table_with_a_stream_are_in_the_stream() -> None:
    tables = Tables()
    client = client_of(tables.answer)
    table = new_table(client, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    client.put_item(TableName=table, Item=key() | {"n": {"N": "1"}})
    client.update_item(
        TableName=table,
        Key=key(),
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    client.delete_item(TableName=table, Key=key())
    streams = client_of(tables.answer, "dynamodbstreams")
    arn = streams.list_streams(TableName=table)["Streams"][0]["StreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    assert records[1]["dynamodb"]["NewImage"]["n"] == {"N": "2"}


def test_a_transaction_that_fails_in_the_middle_of_an_update_changes_nothing(tables: Tables) -> None:
    client = client_of(tables.answer)
    table = new_table(client)
    client.put_item(TableName=table, Item=key() | {"ss": {"SS": ["a"]}, "s": {"S": "a"}})
    update = {
        "TableName": table,
        "Key": key(),
        "UpdateExpression": "ADD ss :more, s :one",
        "ExpressionAttributeValues": {":more": {"SS": ["b"]}, ":one": {"N": "1"}},
    }
    refused("ValidationException", client.transact_write_items, TransactItems=[{"Update": update}])
    refused("ValidationException", client.update_item, **update)
    assert client.get_item(TableName=table, Key=key())["Item"]["ss"] == {"SS": ["a"]}


def test_a_sdk_over_a_real_socket_finds_nothing_wrong(tables: Tables) -> None:
    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, headers, answer = tables.answer(self.headers["x-amz-target"], body, dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            client = make_client(f"http://127.0.0.1:{server.server_port}")
            client.put_item(TableName="things", Item=key("socket") | {"b": {"B": b"\x00\xff"}})
            found = client.query(
                TableName="things",
                KeyConditionExpression="pk = :p AND sk = :s",
                ExpressionAttributeValues={":p": {"S": "a"}, ":s": {"S": "socket"}},
            )
            assert found["Items"] == [key("socket") | {"b": {"B": b"\x00\xff"}}]
            refused("ResourceNotFoundException", client.get_item, TableName="nowhere", Key=key())
            client.close()
        finally:
            server.shutdown()
            thread.join()
