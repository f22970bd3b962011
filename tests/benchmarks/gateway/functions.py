"""The handler that the gateway's benchmarks measure; it runs on the emulator and on its peers alike."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

import boto3


@functools.cache
def management(endpoint: str) -> Any:
    return boto3.client("apigatewaymanagementapi", endpoint_url=endpoint)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Log a connection, post a message back by boto3, tell a connection its id, or return what was sent."""
    if "LOG_EVENTS" in os.environ:
        print("event", file=sys.stderr, flush=True)  # noqa: T201 # MiniStack waits 50 ms for a line
    at = event["requestContext"]
    if at["routeKey"] == "$connect":
        print(at["connectionId"])  # noqa: T201 # a line in the log is all that it does
        return {"statusCode": 200}
    body = event.get("body") or ""
    if at["routeKey"] == "post":
        endpoint = os.environ.get("MANAGEMENT") or f"http://{at['domainName']}/{at['stage']}"
        management(endpoint).post_to_connection(ConnectionId=at["connectionId"], Data=body.encode())
        return {"statusCode": 200}
    return {"statusCode": 200, "body": at["connectionId"] if body == '{"ask":"id"}' else body}
