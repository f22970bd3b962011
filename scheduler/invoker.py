"""Lambda's Invoke API: start another function and do not wait for it."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import Any, Protocol

from botocore.config import Config
from botocore.session import Session


class Invoker(Protocol):
    """Whoever can start a function. Synchronous: a caller in an event loop uses threads."""

    def start(self, event: bytes) -> None:
        """Hand over one event, at most 262,144 bytes of JSON; raises what botocore does when it was not taken."""
        ...


@lru_cache(maxsize=1)
def lambda_client() -> Any:  # noqa: ANN401 - its stubs would be a dependency for one call
    """
    Make the one Lambda client of this process; it may be used from many threads, but is made by one at a time.

    No retries of botocore's own, because a group that was not started is tried again by who started it.
    """
    # botocore's own client is what boto3's is, without boto3.
    return Session().create_client(
        "lambda",
        region_name=os.environ.get("AWS_REGION"),
        config=Config(
            connect_timeout=1,
            read_timeout=2,
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=32,
        ),
    )


# The groups of a tick are started by as many threads, and the cache alone would let each make a client.
_making = threading.Lock()


class LambdaInvoker:
    """Starts ``function``, a name or an ARN, by asynchronous invocations."""

    def __init__(self, function: str) -> None:
        self._function = function

    def start(self, event: bytes) -> None:
        """Invoke with ``InvocationType`` Event: Lambda answers 202 once it has queued it."""
        # Made for the first tick that needs it: loading the model of Lambda's API costs some 50 ms.
        with _making:
            client = lambda_client()
        client.invoke(FunctionName=self._function, InvocationType="Event", Payload=event)
