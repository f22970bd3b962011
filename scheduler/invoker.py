"""Lambda's Invoke API: start another function and do not wait for it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Protocol
from urllib.parse import quote

from handlers.hub.service import Service

_ASYNCHRONOUS: Final = (("X-Amz-Invocation-Type", "Event"),)


class Invoker(Protocol):
    """Whoever can start a function. Synchronous: a caller in an event loop uses threads."""

    def start(self, event: bytes) -> None:
        """
        Hand over one event, at most 262,144 bytes of JSON.

        Raises:
            ServiceFault: It was not taken, or nobody said that it was.
        """
        ...


@lru_cache(maxsize=1)
def lambda_service() -> Service:
    """
    Make the one client of Lambda's API of this process; it may be used from many threads.

    Every call is one attempt, because a group that was not started is tried again by who started it.
    """
    return Service.from_environment("lambda", attempts=1)


class LambdaInvoker:
    """Starts ``function``, a name or an ARN, by asynchronous invocations."""

    def __init__(self, function: str) -> None:
        # Here and not at the first start, when all groups of a tick would make one each.
        self._client = lambda_service()
        self._path = f"/2015-03-31/functions/{quote(function, safe='')}/invocations"

    def start(self, event: bytes) -> None:
        """Invoke with the type Event: Lambda answers 202 once it has queued it."""
        self._client.call(self._path, _ASYNCHRONOUS, event)
