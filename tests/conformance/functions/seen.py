"""What the functions saw: each event in the table, under the connection it was about."""

import json
import os
import time

import boto3

_client = boto3.client("dynamodb")
_table = os.environ["SEEN"]


def remember(identifier, kind, event):
    """Keep an event for an hour."""
    _client.put_item(
        TableName=_table,
        Item={
            "id": {"S": identifier},
            "kind": {"S": kind},
            "event": {"S": json.dumps(event)},
            "expires_at": {"N": str(int(time.time()) + 3600)},
        },
    )


def recall(identifier, kind):
    """Return an event that was kept, or None."""
    found = _client.get_item(
        TableName=_table, Key={"id": {"S": identifier}, "kind": {"S": kind}}, ConsistentRead=True
    ).get("Item")
    return None if found is None else json.loads(found["event"]["S"])
