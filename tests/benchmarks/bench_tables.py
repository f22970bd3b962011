"""
What one call of the emulator's tables costs in CPU, beside plain moto's dispatch of the same call in the same run.

Neither side has HTTP or a signature. ``python tests/benchmarks/bench_tables.py`` prints it; ``ratio`` is how many times
cheaper the tables are. The issue's limits: 20 µs for each item of a Query, 1,500 single-item writes a second.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from local.stack import Table
from local.tables.dynamodb import Tables
from tests.local.dynamo_clients import TABLE, PlainMoto

if TYPE_CHECKING:
    from collections.abc import Iterable

# As many connections as a shard of a busy gateway has, and as many as plain moto can be given in a few seconds.
PARTITIONS = 2
ITEMS = 1_000
CALLS = 1_000
MOTO_CALLS = 80
QUERIES = 100
MOTO_QUERIES = 1


def item(number: int) -> dict[str, Any]:
    """Return a row like the hub's of a connection."""
    return key(number) | {
        "format": {"S": "batch"},
        "connected_at": {"N": str(1_790_000_000_000 + number)},
        "expires_at": {"N": str(1_790_007_800 + number)},
        "streams": {"M": {"market": {"M": {"symbols": {"SS": ["BTC", "ETH", "SOL"]}, "at": {"N": "1790000000000"}}}}},
    }


def key(number: int) -> dict[str, Any]:
    return {"pk": {"S": f"SHARD#{number % PARTITIONS}"}, "sk": {"S": f"L0SM9cOFvHcCI{number:06}="}}


def put(number: int) -> dict[str, Any]:
    return {"Item": item(number)}


def conditional_put(number: int) -> dict[str, Any]:
    return put(number) | {
        "ConditionExpression": "attribute_not_exists(pk) OR connected_at <= :at",
        "ExpressionAttributeValues": {":at": {"N": "1790000999999"}},
    }


def update(number: int) -> dict[str, Any]:
    return {
        "Key": key(number),
        "UpdateExpression": "SET seq = :t, run = :r ADD fence :one",
        "ConditionExpression": "attribute_not_exists(seq) OR seq <= :t",
        "ExpressionAttributeValues": {":t": {"N": "358000000"}, ":r": {"S": "a1b2c3"}, ":one": {"N": "1"}},
    }


def one(number: int) -> dict[str, Any]:
    return {"Key": key(number)}


QUERY = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "SHARD#1"}}}
FILTERED = QUERY | {
    "FilterExpression": "expires_at > :now",
    "ExpressionAttributeValues": {":p": {"S": "SHARD#1"}, ":now": {"N": "1790000000"}},
}


def cost(tables: Any, operation: str, calls: Iterable[dict[str, Any]]) -> float:
    """Return the CPU of one call in µs, encoding the request left out."""
    target = f"DynamoDB_20120810.{operation}"
    bodies = [json.dumps({"TableName": "connections", **arguments}).encode() for arguments in calls]
    gc.collect()
    started = time.process_time()
    for body in bodies:
        status, _, answer = tables.answer(target, body, {})
        if status != 200:
            raise RuntimeError(f"{operation}: {answer!r}")
    return (time.process_time() - started) / len(bodies) * 1e6


def measure() -> list[dict[str, Any]]:
    """Measure both and return a row for each operation: in µs of CPU for a call or an item, the smaller the better."""
    tables, moto = Tables(), PlainMoto()
    tables.create(Table("Connections", "connections", TABLE))
    cost(moto, "CreateTable", [TABLE])
    cost(tables, "DescribeTable", [{}])
    rows = []

    def compare(name: str, operation: str, make: Any, *, calls: int, moto_calls: int, per: int = 1) -> None:
        value = cost(tables, operation, map(make, range(calls))) / per
        against = cost(moto, operation, map(make, range(moto_calls))) / per
        rows.append(
            {
                "name": f"tables: {name}",
                "value": round(value, 3),
                "unit": "µs of CPU for an item" if per > 1 else "µs of CPU",
                "against": f"plain moto, {against:.1f}",
                "ratio": round(against / value, 1),
            }
        )

    total = PARTITIONS * ITEMS
    compare("PutItem", "PutItem", put, calls=total, moto_calls=total)
    writes = {"calls": CALLS, "moto_calls": MOTO_CALLS}
    compare("PutItem with a condition", "PutItem", conditional_put, **writes)
    compare("GetItem", "GetItem", one, **writes)
    compare("UpdateItem SET, ADD with a condition", "UpdateItem", update, **writes)
    queries = {"calls": QUERIES, "moto_calls": MOTO_QUERIES, "per": ITEMS}
    compare("Query of 1,000 items", "Query", lambda _: QUERY, **queries)
    compare("Query of 1,000 items with a filter", "Query", lambda _: FILTERED, **queries)
    compare("DeleteItem", "DeleteItem", one, **writes)
    return rows


if __name__ == "__main__":
    for row in measure():
        sys.stdout.write("{name:45} {value:9.3f} {unit:22} against {against:20} x {ratio:,}\n".format(**row))
