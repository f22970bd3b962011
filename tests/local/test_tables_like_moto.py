"""Any sequence of calls has the same answers from our tables and from plain moto, as far as moto is right."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.tables.dynamodb import Tables
from tests.local.dynamo_clients import TABLE, PlainMoto, call, key

# One type for each attribute, because moto cannot compare two.
POOL: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "n": st.sampled_from([{"N": text} for text in ("0", "1", "2", "-1", "0.5", "10")]),
    "s": st.sampled_from([{"S": text} for text in ("", "a", "ab", "b", "é")]),
    "ss": st.sampled_from([{"SS": members} for members in (["a"], ["b", "a"], ["c"])]),
    "l": st.sampled_from([{"L": members} for members in ([], [{"N": "1"}], [{"S": "a"}, {"N": "2"}])]),
    "m": st.sampled_from([{"M": {}}, {"M": {"a": {"N": "1"}}}, {"M": {"a": {"N": "2"}, "b": {"S": "x"}}}]),
}
CONDITIONS = [
    "attribute_exists(n)",
    "attribute_not_exists(s)",
    "attribute_exists(m.a)",
    "n = :n",
    "n <> :n",
    "n < :n",
    "n >= :n OR s = :s",
    "s <= :s AND NOT n = :n",
    "s IN (:s) OR attribute_exists(ss)",
    "begins_with(s, :s)",
    "contains(s, :s)",
    "ss = :ss",
    "l = :l OR m = :m",
    "n BETWEEN :n AND :n",
    "(attribute_exists(l) AND size(l) >= :n) OR n > :n",
    "m.a = :n",
]
UPDATES = [
    "SET n = :n",
    "SET n = :n, s = :s, ss = :ss",
    "SET n = n + :n",
    "SET n = if_not_exists(n, :n) - :n",
    "SET l = list_append(l, :l)",
    "SET m.a = :n",
    "SET m = :m REMOVE s",
    "SET l[0] = :n",
    "REMOVE n, ss",
    "REMOVE m.a",
    "ADD n :n",
    "ADD ss :ss",
    "DELETE ss :ss",
    "ADD n :n, ss :ss SET s = :s",
]
RANGES = ["", " AND sk = :k", " AND sk < :k", " AND sk >= :k", " AND begins_with(sk, :k)", " AND sk BETWEEN :k AND :k"]

keys = st.builds(key, st.sampled_from(["1", "2", "21", "3"]), st.sampled_from(["a", "b"]))
items = st.fixed_dictionaries({}, optional=POOL)
values = st.fixed_dictionaries(POOL)


def used(values: dict[str, Any], *expressions: str) -> dict[str, Any]:
    """Return the values that expressions use, as a call's ExpressionAttributeValues."""
    words = set(" ".join(expressions).replace("(", " ").replace(")", " ").replace(",", " ").split())
    chosen = {f":{name}": value for name, value in values.items() if f":{name}" in words}
    return {"ExpressionAttributeValues": chosen} if chosen else {}


@st.composite
def writes(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    operation = draw(st.sampled_from(["PutItem", "UpdateItem", "DeleteItem"]))
    arguments: dict[str, Any] = {}
    expressions = []
    if operation == "PutItem":
        arguments["Item"] = draw(keys) | draw(items)
    else:
        arguments["Key"] = draw(keys)
    returned = ["NONE", "ALL_OLD"]
    if operation == "UpdateItem":
        expressions.append(draw(st.sampled_from(UPDATES)))
        arguments["UpdateExpression"] = expressions[0]
        returned.append("ALL_NEW")
    if draw(st.booleans()):
        expressions.append(draw(st.sampled_from(CONDITIONS)))
        arguments["ConditionExpression"] = expressions[-1]
        arguments["ReturnValuesOnConditionCheckFailure"] = draw(st.sampled_from(["NONE", "ALL_OLD"]))
    arguments |= used(draw(values), *expressions)
    if draw(st.integers(0, 9)) == 0:
        kind = {"PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete"}[operation]
        return "TransactWriteItems", {"TransactItems": [{kind: {"TableName": "things", **arguments}}]}
    arguments["ReturnValues"] = draw(st.sampled_from(returned))
    return operation, {"TableName": "things", **arguments}


@st.composite
def reads(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    arguments: dict[str, Any] = {"TableName": "things"}
    operation = draw(st.sampled_from(["GetItem", "Query", "Scan"]))
    if draw(st.booleans()):
        arguments["ProjectionExpression"] = "pk, sk, n, m.a"
    if operation == "GetItem":
        return operation, arguments | {"Key": draw(keys)}
    expressions = []
    partition = draw(keys)
    if operation == "Query":
        expressions.append("pk = :p" + draw(st.sampled_from(RANGES)))
        arguments["KeyConditionExpression"] = expressions[0]
        arguments["ScanIndexForward"] = draw(st.booleans())
    if draw(st.booleans()):
        expressions.append(draw(st.sampled_from(CONDITIONS)))
        arguments["FilterExpression"] = expressions[-1]
    if draw(st.booleans()):
        arguments["Limit"] = draw(st.integers(1, 3))
    if draw(st.booleans()):
        arguments["ExclusiveStartKey"] = draw(keys) | ({"pk": partition["pk"]} if operation == "Query" else {})
    known = draw(values) | {"p": partition["pk"], "k": draw(st.sampled_from([{"S": "2"}, {"S": "3"}]))}
    return operation, arguments | used(known, *expressions)


def comparable(answer: Any) -> Any:
    """Return an answer without what may differ: notations of numbers, orders of sets, sentences, capacity."""
    if isinstance(answer, list):
        return [comparable(element) for element in answer]
    if not isinstance(answer, dict):
        return answer
    if set(answer) == {"N"}:
        return Decimal(answer["N"])
    if set(answer) == {"SS"}:
        return set(answer["SS"])
    if "__type" in answer:
        answer = {"kind": answer["__type"].rpartition("#")[2], "Item": answer.get("Item")}
    return {
        name: comparable(member)
        for name, member in answer.items()
        if name not in ("ConsumedCapacity", "ItemCollectionMetrics", "LastEvaluatedKey")
    }


@settings(
    max_examples=10,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(st.one_of(writes(), writes(), reads()), min_size=5, max_size=14))
def test_any_sequence_of_calls_has_the_answers_of_moto(calls: list[tuple[str, dict[str, Any]]]) -> None:
    ours, moto = SHARED
    for operation, arguments in [*calls, ("Scan", {"TableName": "things"})]:
        try:
            expected_status, expected = call(moto, operation, **arguments)
        except (TypeError, ValueError, KeyError):
            continue  # moto has no answer; nothing was changed
        status, answer = call(ours, operation, **arguments)
        assert (status, comparable(answer)) == (expected_status, comparable(expected)), (operation, arguments)
        if "LastEvaluatedKey" in expected:
            assert answer["LastEvaluatedKey"] == expected["LastEvaluatedKey"]
    for item in call(ours, "Scan", TableName="things")[1]["Items"]:
        for tables in SHARED:
            call(tables, "DeleteItem", TableName="things", Key={"pk": item["pk"], "sk": item["sk"]})


SHARED: tuple[Any, Any] = (Tables(), PlainMoto())


@pytest.fixture(autouse=True, scope="module")
def _shared_tables() -> None:
    for tables in SHARED:
        call(tables, "CreateTable", TableName="things", **TABLE)
