"""
What DynamoDB does, as tests that any DynamoDB endpoint can be held against.

``DynamoContract`` needs a fixture ``client``: boto3's DynamoDB client of an endpoint without tables, or what is called
as that is.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.dynamo_clients import INDEXED, TABLE, key, keyed, new_table, refused
from tests.local.tables_cases import CONDITIONS, ORDERED, RANGES, REFUSED_CALLS, REFUSED_UPDATES, SUBJECT, UPDATES


class DynamoContract:
    """What holds of DynamoDB; a subclass says whose."""

    @pytest.fixture
    def table(self, client: Any) -> str:
        return new_table(client)

    def test_an_item_comes_back_as_it_was_put(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=SUBJECT)
        assert client.get_item(TableName=table, Key=key(), ConsistentRead=True)["Item"] == SUBJECT

    def test_no_item_is_an_empty_answer(self, client: Any, table: str) -> None:
        assert "Item" not in client.get_item(TableName=table, Key=key())

    def test_a_put_replaces_the_whole_item(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=key() | {"a": {"S": "1"}})
        old = client.put_item(TableName=table, Item=key() | {"b": {"S": "2"}}, ReturnValues="ALL_OLD")
        assert old["Attributes"] == key() | {"a": {"S": "1"}}
        assert client.get_item(TableName=table, Key=key())["Item"] == key() | {"b": {"S": "2"}}

    def test_numbers_come_back_in_one_notation(self, client: Any, table: str) -> None:
        numbers = {"1.50": "1.5", "007": "7", "1e3": "1000", "-0": "0", "1E-3": "0.001", "+5": "5"}
        item = {f"n{number}": {"N": given} for number, given in enumerate(numbers)}
        client.put_item(TableName=table, Item=key() | item)
        found = client.get_item(TableName=table, Key=key())["Item"]
        assert {given: found[f"n{number}"]["N"] for number, given in enumerate(numbers)} == numbers

    def test_equal_numbers_are_one_key(self, client: Any) -> None:
        table = new_table(client, **keyed("N"))
        client.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": "1"}})
        client.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": "1.0"}, "again": {"BOOL": True}})
        assert client.scan(TableName=table)["Count"] == 1

    def test_a_delete_gives_back_what_it_took_and_a_second_one_is_no_error(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=SUBJECT)
        assert client.delete_item(TableName=table, Key=key(), ReturnValues="ALL_OLD")["Attributes"] == SUBJECT
        assert "Attributes" not in client.delete_item(TableName=table, Key=key(), ReturnValues="ALL_OLD")
        assert "Item" not in client.get_item(TableName=table, Key=key())

    def test_a_table_without_sort_key_holds_one_item_for_a_key(self, client: Any) -> None:
        table = new_table(
            client,
            KeySchema=TABLE["KeySchema"][:1],
            AttributeDefinitions=TABLE["AttributeDefinitions"][:1],
        )
        for value in ("1", "2"):
            client.put_item(TableName=table, Item={"pk": {"S": "a"}, "v": {"N": value}})
        found = client.query(
            TableName=table, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "a"}}
        )
        assert found["Items"] == [{"pk": {"S": "a"}, "v": {"N": "2"}}]
        client.delete_item(TableName=table, Key={"pk": {"S": "a"}})
        assert client.scan(TableName=table)["Count"] == 0

    def test_only_the_first_of_two_conditional_puts_wins(self, client: Any, table: str) -> None:
        put = {"TableName": table, "ConditionExpression": "attribute_not_exists(pk)"}
        client.put_item(Item=key() | {"run": {"S": "first"}}, **put)
        answer = refused(
            "ConditionalCheckFailedException",
            client.put_item,
            Item=key() | {"run": {"S": "second"}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **put,
        )
        assert answer["Error"]["Message"] == "The conditional request failed"
        assert answer["Item"] == key() | {"run": {"S": "first"}}
        assert "Item" not in refused("ConditionalCheckFailedException", client.put_item, Item=key(), **put)

    def test_a_failed_condition_changes_nothing(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=SUBJECT)
        never = {"TableName": table, "ConditionExpression": "attribute_exists(zz)"}
        refused("ConditionalCheckFailedException", client.delete_item, Key=key(), **never)
        refused("ConditionalCheckFailedException", client.update_item, Key=key(), UpdateExpression="REMOVE s", **never)
        assert client.get_item(TableName=table, Key=key())["Item"] == SUBJECT

    def test_of_two_claims_of_a_tick_one_wins_and_the_fence_rises(self, client: Any, table: str) -> None:
        claim = {
            "TableName": table,
            "Key": key("latest", "TICK#market"),
            "UpdateExpression": "SET seq = :t, run = :r ADD fence :one",
            "ConditionExpression": "attribute_not_exists(seq) OR seq < :t",
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

        def values(seq: int, run: str) -> dict[str, Any]:
            return {":t": {"N": str(seq)}, ":r": {"S": run}, ":one": {"N": "1"}}

        first = client.update_item(ExpressionAttributeValues=values(7, "a"), **claim)
        assert first["Attributes"]["fence"] == {"N": "1"}
        lost = refused(
            "ConditionalCheckFailedException",
            client.update_item,
            ExpressionAttributeValues=values(7, "b"),
            **claim,
        )
        assert lost["Item"]["run"] == {"S": "a"}
        assert client.update_item(ExpressionAttributeValues=values(8, "b"), **claim)["Attributes"]["fence"] == {
            "N": "2"
        }

    @pytest.mark.parametrize(("expression", "values", "holds"), CONDITIONS, ids=[row[0] for row in CONDITIONS])
    def test_a_condition_holds_or_not(
        self, client: Any, subject: str, expression: str, values: Any, holds: Any
    ) -> None:
        wanted = {"ExpressionAttributeValues": values} if values else {}
        found = client.scan(TableName=subject, FilterExpression=expression, **wanted)
        assert found["ScannedCount"] == 1
        assert found["Count"] == int(holds)

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, client: Any) -> str:
        name = new_table(client)
        client.put_item(TableName=name, Item=SUBJECT)
        return name

    @pytest.mark.parametrize(("expression", "values", "changes"), UPDATES, ids=[row[0] for row in UPDATES])
    def test_an_update_changes_what_it_names(
        self, client: Any, subject: str, expression: str, values: Any, changes: dict[str, Any]
    ) -> None:
        client.put_item(TableName=subject, Item=SUBJECT)
        wanted = {"ExpressionAttributeValues": values} if values else {}
        answer = client.update_item(
            TableName=subject, Key=key(), UpdateExpression=expression, ReturnValues="ALL_NEW", **wanted
        )
        client.put_item(TableName=subject, Item=SUBJECT)
        expected = {name: value for name, value in (SUBJECT | changes).items() if value is not None}
        assert answer["Attributes"] == expected

    @pytest.mark.parametrize(
        ("expression", "values", "sentence"), REFUSED_UPDATES, ids=[row[0] for row in REFUSED_UPDATES]
    )
    def test_a_wrong_update_is_refused(
        self, client: Any, subject: str, expression: str, values: Any, sentence: str
    ) -> None:
        wanted = {"ExpressionAttributeValues": values} if values else {}
        answer = refused(
            "ValidationException",
            client.update_item,
            TableName=subject,
            Key=key(),
            UpdateExpression=expression,
            **wanted,
        )
        assert sentence in answer["Error"]["Message"]
        assert client.get_item(TableName=subject, Key=key())["Item"] == SUBJECT

    @pytest.mark.parametrize(
        ("operation", "arguments", "sentence"),
        [row[1:] for row in REFUSED_CALLS],
        ids=[row[0] for row in REFUSED_CALLS],
    )
    def test_a_wrong_call_is_refused(
        self, client: Any, subject: str, operation: str, arguments: dict[str, Any], sentence: str
    ) -> None:
        answer = refused("ValidationException", getattr(client, operation), TableName=subject, **arguments)
        assert sentence in answer["Error"]["Message"]

    def test_a_table_that_does_not_exist_is_not_found(self, client: Any) -> None:
        for call, arguments in (
            (client.get_item, {"Key": key()}),
            (client.put_item, {"Item": key()}),
            (client.scan, {}),
            (client.describe_table, {}),
        ):
            answer = refused("ResourceNotFoundException", call, TableName="nowhere", **arguments)
            assert "Requested resource not found" in answer["Error"]["Message"]

    def test_an_update_within_a_document_leaves_the_old_one_as_it_was(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=SUBJECT)
        answer = client.update_item(
            TableName=table,
            Key=key(),
            UpdateExpression="SET m.b.c = :v, l[2].deep = :v REMOVE l[0]",
            ExpressionAttributeValues={":v": {"S": "new"}},
            ReturnValues="ALL_OLD",
        )
        assert answer["Attributes"] == SUBJECT
        found = client.get_item(TableName=table, Key=key())["Item"]
        assert found["l"] == {"L": [{"S": "two"}, {"M": {"deep": {"S": "new"}}}]}

    def test_an_update_without_an_expression_makes_the_item(self, client: Any, table: str) -> None:
        client.update_item(TableName=table, Key=key())
        assert client.get_item(TableName=table, Key=key())["Item"] == key()

    def test_an_update_returns_what_is_asked_for(self, client: Any, table: str) -> None:
        def update(returned: str) -> Any:
            client.put_item(TableName=table, Item=key() | {"a": {"N": "1"}, "b": {"S": "b"}})
            return client.update_item(
                TableName=table,
                Key=key(),
                UpdateExpression="SET a = a + :one, c = :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
                ReturnValues=returned,
            ).get("Attributes")

        assert update("NONE") is None
        assert update("ALL_OLD") == key() | {"a": {"N": "1"}, "b": {"S": "b"}}
        assert update("ALL_NEW") == key() | {"a": {"N": "2"}, "b": {"S": "b"}, "c": {"N": "1"}}
        assert update("UPDATED_OLD") == {"a": {"N": "1"}}
        assert update("UPDATED_NEW") == {"a": {"N": "2"}, "c": {"N": "1"}}

    def test_an_update_returns_what_it_named_even_if_that_is_the_same(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=key() | {"a": {"N": "1"}})
        answer = client.update_item(
            TableName=table,
            Key=key(),
            UpdateExpression="SET a = :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnValues="UPDATED_NEW",
        )
        assert answer["Attributes"] == {"a": {"N": "1"}}

    def test_the_legacy_parameters_go_on_working(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=key() | {"a": {"N": "1"}})
        client.update_item(TableName=table, Key=key(), AttributeUpdates={"a": {"Action": "ADD", "Value": {"N": "2"}}})
        found = client.query(
            TableName=table,
            KeyConditions={"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}},
        )
        assert found["Items"] == [key() | {"a": {"N": "3"}}]
        again = client.query(
            TableName=table, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "a"}}
        )
        assert again["Items"] == found["Items"]

    @pytest.fixture(scope="class")
    @classmethod
    def range_table(cls, client: Any) -> str:
        name = new_table(client)
        for sk in reversed(ORDERED):
            client.put_item(TableName=name, Item=key(sk) | {"n": {"N": str(len(sk))}})
        client.put_item(TableName=name, Item=key("a", pk="other"))
        return name

    @pytest.mark.parametrize(("expression", "values", "expected"), RANGES, ids=[row[0] for row in RANGES])
    def test_a_query_gives_a_range_in_order(
        self, client: Any, range_table: str, expression: str, values: Any, expected: list[str]
    ) -> None:
        query = {
            "TableName": range_table,
            "KeyConditionExpression": expression,
            "ExpressionAttributeValues": {":p": {"S": "a"}} | values,
        }
        for forward in (True, False):
            found = client.query(ScanIndexForward=forward, **query)
            assert [item["sk"]["S"] for item in found["Items"]] == (expected if forward else expected[::-1])
            assert found["Count"] == found["ScannedCount"] == len(expected)

    @pytest.mark.parametrize("forward", [True, False])
    def test_pages_by_limit_join_to_the_whole(self, client: Any, range_table: str, forward: bool) -> None:  # noqa: FBT001 -- a parameter
        query = {
            "TableName": range_table,
            "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": {":p": {"S": "a"}},
            "ScanIndexForward": forward,
            "Limit": 3,
        }
        found, pages = [], 0
        answer = client.query(**query)
        while True:
            pages += 1
            assert answer["Count"] <= 3
            found += [item["sk"]["S"] for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                break
            assert answer["LastEvaluatedKey"] == key(found[-1])
            answer = client.query(ExclusiveStartKey=answer["LastEvaluatedKey"], **query)
        assert found == (ORDERED if forward else ORDERED[::-1])
        assert pages == 3

    def test_a_page_that_reaches_its_limit_ends_with_a_key_even_if_nothing_follows(
        self, client: Any, range_table: str
    ) -> None:
        answer = client.scan(TableName=range_table, Limit=len(ORDERED) + 1)
        assert answer["Count"] == len(ORDERED) + 1
        last = answer["LastEvaluatedKey"]
        assert client.scan(TableName=range_table, ExclusiveStartKey=last)["Items"] == []

    def test_a_starting_key_need_not_exist(self, client: Any, range_table: str) -> None:
        found = client.query(
            TableName=range_table,
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": "a"}},
            ExclusiveStartKey=key("aaa"),
        )
        assert [item["sk"]["S"] for item in found["Items"]] == ["ab", "b", "é", "\U0001f600"]

    def test_a_filter_counts_what_it_read_and_what_it_kept(self, client: Any, range_table: str) -> None:
        found = client.query(
            TableName=range_table,
            KeyConditionExpression="pk = :p",
            FilterExpression="#n = :n",
            ExpressionAttributeNames={"#n": "n"},
            ExpressionAttributeValues={":p": {"S": "a"}, ":n": {"N": "2"}},
            Limit=4,
        )
        assert [item["sk"]["S"] for item in found["Items"]] == ["aa", "ab"]
        assert (found["Count"], found["ScannedCount"]) == (2, 4)

    def test_a_count_has_no_items(self, client: Any, range_table: str) -> None:
        found = client.query(
            TableName=range_table,
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": "a"}},
            Select="COUNT",
        )
        assert found["Count"] == len(ORDERED)
        assert "Items" not in found

    def test_a_projection_gives_the_paths_that_exist(self, client: Any, subject: str) -> None:
        def get(expression: str, **names: str) -> Any:
            more = {"ExpressionAttributeNames": {f"#{name}": value for name, value in names.items()}} if names else {}
            return client.get_item(TableName=subject, Key=key(), ProjectionExpression=expression, **more).get("Item")

        client.put_item(TableName=subject, Item=SUBJECT)
        assert get("s, zz, #number", number="n") == {"s": {"S": "hello"}, "n": {"N": "10"}}
        assert get("m.b.c") == {"m": {"M": {"b": {"M": {"c": {"S": "d"}}}}}}
        assert get("m.b, m.a") == {"m": SUBJECT["m"]}
        assert get("l[1]") == {"l": {"L": [{"S": "two"}]}}

    def test_a_projection_of_two_elements_gives_both(self, client: Any, subject: str) -> None:
        client.put_item(TableName=subject, Item=SUBJECT)
        found = client.get_item(TableName=subject, Key=key(), ProjectionExpression="l[2].deep, l[0]")
        assert found["Item"] == {"l": {"L": [{"N": "1"}, {"M": {"deep": {"S": "er"}}}]}}

    def test_numbers_sort_as_numbers(self, client: Any) -> None:
        table = new_table(client, **keyed("N"))
        for sk in ("10", "9", "-1", "0.5", "1e2"):
            client.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": sk}})
        found = client.query(
            TableName=table,
            KeyConditionExpression="pk = :p AND sk > :v",
            ExpressionAttributeValues={":p": {"S": "a"}, ":v": {"N": "-1.0"}},
        )
        assert [float(item["sk"]["N"]) for item in found["Items"]] == [0.5, 9, 10, 100]

    def test_binary_keys_sort_by_their_bytes(self, client: Any) -> None:
        table = new_table(client, **keyed("B"))
        keys = [b"\x00", b"\x01\x00", b"\x7f", b"\x80", b"\xfb\xef", b"\xff"]
        for sk in reversed(keys):
            client.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"B": sk}})
        query = {"TableName": table, "ExpressionAttributeValues": {":p": {"S": "a"}, ":v": {"B": b"\x7f"}}}
        found = client.query(KeyConditionExpression="pk = :p AND sk >= :v", **query)
        assert [item["sk"]["B"] for item in found["Items"]] == keys[2:]

    def test_a_page_ends_with_the_item_that_reaches_a_megabyte(self, client: Any, table: str) -> None:
        for number in range(12):
            client.put_item(TableName=table, Item=key(f"{number:02}") | {"x": {"S": "x" * 99_990}})
        query = {
            "TableName": table,
            "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": {":p": {"S": "a"}},
        }
        found = client.query(ReturnConsumedCapacity="TOTAL", **query)
        assert found["Count"] == 11
        assert found["LastEvaluatedKey"] == key("10")
        assert found["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 134.5}
        assert client.query(ExclusiveStartKey=found["LastEvaluatedKey"], **query)["Count"] == 1

    def test_capacity_is_counted_by_size(self, client: Any, table: str) -> None:
        item = key() | {"x": {"S": "x" * 5_000}}
        written = client.put_item(TableName=table, Item=item, ReturnConsumedCapacity="TOTAL")
        assert written["ConsumedCapacity"]["CapacityUnits"] == 5.0
        read = client.get_item(TableName=table, Key=key(), ConsistentRead=True, ReturnConsumedCapacity="INDEXES")
        assert read["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 2.0, "Table": {"CapacityUnits": 2.0}}
        eventual = client.get_item(TableName=table, Key=key(), ReturnConsumedCapacity="TOTAL")
        assert eventual["ConsumedCapacity"]["CapacityUnits"] == 1.0

    @pytest.fixture(scope="class")
    @classmethod
    def indexed(cls, client: Any) -> str:
        name = new_table(client, **INDEXED)
        for number in range(6):
            item = key(str(number)) | {"name": {"S": f"n{number}"}, "other": {"S": "-"}}
            if number != 5:
                item |= {"gp": {"S": "odd" if number % 2 else "even"}, "gs": {"N": str(10 - number)}}
            client.put_item(TableName=name, Item=item)
        return name

    def test_a_global_index_has_the_items_with_its_keys_in_its_order(self, client: Any, indexed: str) -> None:
        query = {
            "TableName": indexed,
            "IndexName": "by-group",
            "KeyConditionExpression": "gp = :g AND gs > :n",
            "ExpressionAttributeValues": {":g": {"S": "even"}, ":n": {"N": "6"}},
        }
        assert [item["gs"]["N"] for item in client.query(**query)["Items"]] == ["8", "10"]
        back = client.query(ScanIndexForward=False, **query)
        assert [item["gs"]["N"] for item in back["Items"]] == ["10", "8"]
        assert back["Items"][0].keys() == {"pk", "sk", "gp", "gs", "name"}

    def test_pages_of_an_index_join_to_the_whole(self, client: Any, indexed: str) -> None:
        query = {
            "TableName": indexed,
            "IndexName": "by-group",
            "KeyConditionExpression": "gp = :g",
            "ExpressionAttributeValues": {":g": {"S": "even"}},
        }
        first = client.query(Limit=2, **query)
        assert first["LastEvaluatedKey"].keys() == {"pk", "sk", "gp", "gs"}
        rest = client.query(ExclusiveStartKey=first["LastEvaluatedKey"], **query)
        assert first["Items"] + rest["Items"] == client.query(**query)["Items"]

    def test_a_scan_of_an_index_leaves_out_what_has_no_key(self, client: Any, indexed: str) -> None:
        assert client.scan(TableName=indexed, IndexName="by-group")["Count"] == 5

    def test_a_local_index_sorts_by_its_own_key(self, client: Any, indexed: str) -> None:
        query = {
            "TableName": indexed,
            "IndexName": "by-size",
            "KeyConditionExpression": "pk = :p AND gs BETWEEN :a AND :b",
            "ExpressionAttributeValues": {":p": {"S": "a"}, ":a": {"N": "7"}, ":b": {"N": "9"}},
        }
        found = client.query(**query)["Items"]
        assert [item["gs"]["N"] for item in found] == ["7", "8", "9"]
        assert found[0].keys() == {"pk", "sk", "gs"}

    def test_a_local_index_fetches_the_rest_when_asked(self, client: Any, indexed: str) -> None:
        found = client.query(
            TableName=indexed,
            IndexName="by-size",
            KeyConditionExpression="pk = :p AND gs = :a",
            ExpressionAttributeValues={":p": {"S": "a"}, ":a": {"N": "7"}},
            Select="ALL_ATTRIBUTES",
        )
        assert found["Items"][0]["other"] == {"S": "-"}

    def test_a_global_index_is_never_read_consistently(self, client: Any, indexed: str) -> None:
        answer = refused(
            "ValidationException",
            client.query,
            TableName=indexed,
            IndexName="by-group",
            KeyConditionExpression="gp = :g",
            ExpressionAttributeValues={":g": {"S": "even"}},
            ConsistentRead=True,
        )
        assert "Consistent reads are not supported on global secondary indexes" in answer["Error"]["Message"]

    def test_an_index_key_of_another_type_is_refused(self, client: Any, indexed: str) -> None:
        answer = refused("ValidationException", client.put_item, TableName=indexed, Item=key("9") | {"gs": {"S": "1"}})
        assert "Type mismatch for Index Key gs Expected: N Actual: S" in answer["Error"]["Message"]

    def test_a_batch_is_seen_by_queries(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=key("0"))
        requests = [{"PutRequest": {"Item": key(str(number)) | {"n": {"N": "1.0"}}}} for number in range(1, 5)]
        requests.append({"DeleteRequest": {"Key": key("0")}})
        assert client.batch_write_item(RequestItems={table: requests})["UnprocessedItems"] == {}
        query = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}}
        assert client.query(TableName=table, **query)["Count"] == 4
        keys = [key("1"), key("0"), key("4")]
        found = client.batch_get_item(RequestItems={table: {"Keys": keys}})["Responses"][table]
        assert sorted(item["sk"]["S"] for item in found) == ["1", "4"]

    def test_a_batch_of_26_is_refused(self, client: Any, table: str) -> None:
        requests = [{"PutRequest": {"Item": key(str(number))}} for number in range(26)]
        refused("ValidationException", client.batch_write_item, RequestItems={table: requests})

    def test_a_transaction_changes_everything(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=key("1") | {"n": {"N": "1"}, "ss": {"SS": ["a"]}})
        client.put_item(TableName=table, Item=key("2"))
        update = "SET n = n + :one ADD ss :more"
        values = {":one": {"N": "1"}, ":more": {"SS": ["b"]}}
        client.transact_write_items(
            TransactItems=[
                {
                    "Update": {
                        "TableName": table,
                        "Key": key("1"),
                        "UpdateExpression": update,
                        "ExpressionAttributeValues": values,
                    }
                },
                {"Delete": {"TableName": table, "Key": key("2")}},
                {"Put": {"TableName": table, "Item": key("3")}},
            ]
        )
        found = client.scan(TableName=table)["Items"]
        assert found == [key("1") | {"n": {"N": "2"}, "ss": {"SS": ["a", "b"]}}, key("3")]

    def test_a_cancelled_transaction_changes_nothing_and_says_why(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=key("1") | {"n": {"N": "1"}})
        answer = refused(
            "TransactionCanceledException",
            client.transact_write_items,
            TransactItems=[
                {
                    "Update": {
                        "TableName": table,
                        "Key": key("1"),
                        "UpdateExpression": "SET n = :two",
                        "ExpressionAttributeValues": {":two": {"N": "2"}},
                    }
                },
                {"Put": {"TableName": table, "Item": key("2")}},
                {
                    "ConditionCheck": {
                        "TableName": table,
                        "Key": key("3"),
                        "ConditionExpression": "attribute_exists(pk)",
                    }
                },
            ],
        )
        assert [reason["Code"] for reason in answer["CancellationReasons"]] == [
            "None",
            "None",
            "ConditionalCheckFailed",
        ]
        assert client.scan(TableName=table)["Items"] == [key("1") | {"n": {"N": "1"}}]
        client.put_item(TableName=table, Item=key("1") | {"n": {"N": "5"}})
        assert client.get_item(TableName=table, Key=key("1"))["Item"]["n"] == {"N": "5"}

    def test_statements_see_and_change_the_same_items(self, client: Any) -> None:
        client.create_table(TableName="statements", **TABLE)
        client.put_item(TableName="statements", Item=key("1") | {"n": {"N": "1"}})
        client.execute_statement(Statement="UPDATE \"statements\" SET s='5' WHERE pk='a' AND sk='1'")
        assert client.get_item(TableName="statements", Key=key("1"))["Item"]["s"] == {"S": "5"}
        found = client.execute_statement(Statement="SELECT * FROM \"statements\" WHERE pk = 'a'")
        assert found["Items"] == [key("1") | {"n": {"N": "1"}, "s": {"S": "5"}}]
        client.delete_table(TableName="statements")

    def test_a_table_described_counts_its_items(self, client: Any, table: str) -> None:
        for sk in ("1", "2", "2"):
            client.put_item(TableName=table, Item=key(sk))
        assert client.describe_table(TableName=table)["Table"]["ItemCount"] == 2

    def test_a_table_deleted_and_made_again_is_empty(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=key())
        client.delete_table(TableName=table)
        client.create_table(TableName=table, **TABLE)
        assert client.scan(TableName=table)["Count"] == 0

    def test_a_backup_keeps_what_there_was(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=key())
        backup = client.create_backup(TableName=table, BackupName="before")["BackupDetails"]["BackupArn"]
        client.delete_item(TableName=table, Key=key())
        client.restore_table_from_backup(TargetTableName=f"{table}-restored", BackupArn=backup)
        assert client.scan(TableName=f"{table}-restored")["Items"] == [key()]
        client.put_item(TableName=f"{table}-restored", Item=key("2"))
        assert client.scan(TableName=table)["Count"] == 0

    def test_an_index_added_later_has_the_items_of_before(self, client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=key() | {"gp": {"S": "g"}})
        client.update_table(
            TableName=table,
            AttributeDefinitions=[*TABLE["AttributeDefinitions"], {"AttributeName": "gp", "AttributeType": "S"}],
            GlobalSecondaryIndexUpdates=[
                {
                    "Create": {
                        "IndexName": "later",
                        "KeySchema": [{"AttributeName": "gp", "KeyType": "HASH"}],
                        "Projection": {"ProjectionType": "ALL"},
                    }
                }
            ],
        )
        found = client.query(
            TableName=table,
            IndexName="later",
            KeyConditionExpression="gp = :g",
            ExpressionAttributeValues={":g": {"S": "g"}},
        )
        assert found["Items"] == [key() | {"gp": {"S": "g"}}]

    def test_an_expired_item_stays(self, client: Any, table: str) -> None:
        client.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        )
        client.put_item(TableName=table, Item=key() | {"expires_at": {"N": "1"}})
        assert client.scan(TableName=table)["Count"] == 1

    def test_an_arn_names_a_table_too(self, client: Any, table: str) -> None:
        arn = client.describe_table(TableName=table)["Table"]["TableArn"]
        client.put_item(TableName=arn, Item=key())
        assert client.get_item(TableName=table, Key=key())["Item"] == key()

    def test_segments_of_a_scan_are_parts_of_the_whole(self, client: Any, table: str) -> None:
        for number in range(8):
            client.put_item(TableName=table, Item=key("1", pk=str(number)))
        parts = [
            {item["pk"]["S"] for item in client.scan(TableName=table, Segment=part, TotalSegments=3)["Items"]}
            for part in range(3)
        ]
        assert sum(map(len, parts)) == 8
        assert set.union(*parts) == {str(number) for number in range(8)}
