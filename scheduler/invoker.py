"""Lambda's Invoke API: start another function and do not wait for it."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Protocol

import boto3
from botocore.config import Config


class Invoker(Protocol):
    """Whoever can start a function. Synchronous: a caller in an event loop uses threads."""

    def start(self, event: bytes) -> None:
        """Hand over one event, at most 262,144 bytes of JSON; raises what botocore does when it was not taken."""
        ...


@lru_cache(maxsize=1)
def lambda_client() -> Any:  # noqa: ANN401 - its stubs would be a dependency for one call
    """
    Make the one Lambda client of this process; it may be used from many threads.

    No retries of botocore's own, because a group that was not started is tried again by who started it.
    """
    return boto3.client(
        "lambda",
        region_name=os.environ.get("AWS_REGION"),
        config=Config(
            connect_timeout=1,
            read_timeout=2,
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=32,
        ),
    )


class LambdaInvoker:
    """Starts ``function``, a name or an ARN, by asynchronous invocations."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._client: Any = None

    def start(self, event: bytes) -> None:
        """Invoke with ``InvocationType`` Event: Lambda answers 202 once it has queued it."""
        # Made for the first tick that needs it: loading the model of Lambda's API costs some 50 ms.
        self._client = self._client or lambda_client()
        self._client.invoke(FunctionName=self._function, InvocationType="Event", Payload=event)
