"""
One of AWS's services, called from a thread that waits: signed, tried again where that helps, answered or refused.

What a call can meet is drawn in ``handlers.hub.errors``. DynamoDB and Lambda are called through this.
"""

from __future__ import annotations

import os
import re
import time
import zlib
from random import SystemRandom
from typing import TYPE_CHECKING, Final

import msgspec

from handlers.hub.blocking import BlockingPool
from handlers.hub.environment import credentials, endpoint, region
from handlers.hub.errors import CallRefused, ServiceFault, ServiceUnavailable
from handlers.hub.http1 import ExchangeFault
from handlers.hub.origin import proxy_for, read_endpoint
from handlers.hub.signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.hub.http1 import Answer

BODY_LIMIT: Final = 16_777_216
"""Bytes that an answer may have: a page of DynamoDB's is 1 MB of attributes, and several times that as JSON."""

PATIENCE_S: Final = 6.0
"""Seconds after the call's beginning from which no further attempt is made."""

FIRST_PAUSE_S: Final = 0.05
"""The longest pause before the second attempt; it doubles with each."""

_SUCCESS: Final = range(200, 300)
_FIRST_SERVER_ERROR: Final = 500
_REASON_LIMIT: Final = 500

# The services' codes for a request that would fail again: a bug or a wrong deployment, not an outage. The first is no
# fault at all where it is expected.
_REFUSALS: Final = frozenset(
    {
        "ConditionalCheckFailedException",
        "AccessDeniedException",
        "IncompleteSignatureException",
        "InvalidRequestContentException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "RequestTooLargeException",
        "ResourceNotFoundException",
        "SerializationException",
        "UnknownOperationException",
        "UnrecognizedClientException",
        "ValidationException",
    }
)
# Those for "later", whatever the status (AWS SDKs and Tools Reference Guide, "Retry behavior").
_LATER: Final = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_CHECKSUM: Final = re.compile(rb"\r\nx-amz-crc32:[ \t]*([0-9]{1,10})", re.IGNORECASE)
_jitter: Final = SystemRandom().random


class _Refusal(msgspec.Struct):
    type: str = msgspec.field(default="", name="__type")
    message: str | None = None
    Message: str | None = None


_REFUSAL: Final = msgspec.json.Decoder(_Refusal)


class Service:
    """
    A service at one endpoint; may be used from many threads.

    A call without an answer, with a broken one, with one that says that the service is at fault or that there are too
    many calls, is made up to ``attempts`` times, with pauses of random lengths up to 50 ms, 100 ms and so on, and not
    again when 6 s are over. So whatever a call writes may be written twice, and a call on a condition may be refused
    because it has succeeded before: whoever cares asks for the item and looks.

    Args:
        pool: Sockets to the endpoint's origin.
        path: The endpoint's own path, without a slash at its end.
        signer: Signs for that origin.
        attempts: At least 1.
        sleep: Waits for so many seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        pool: BlockingPool,
        path: str,
        signer: Signer,
        *,
        attempts: int = 3,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._path = path
        self._signer = signer
        self._attempts = attempts
        self._sleep = sleep
        self._clock = clock

    @classmethod
    def from_environment(cls, name: str, *, attempts: int = 3) -> Service:
        """
        Make the service of that name in the process's region, as ``handlers.hub.environment`` reads it.

        A socket opens within 1 s and an answer comes within 2 s, because the gateway waits 29 s at most and the next
        tick comes after 5.

        Raises:
            RegionUnknown: There is no region.
            CredentialsUnavailable: There are no credentials.
            ValueError: The endpoint or the proxy that is configured is none.
        """
        place = region()
        origin, path = read_endpoint(endpoint(name, place, os.environ))
        pool = BlockingPool(origin, body_limit=BODY_LIMIT, proxy=proxy_for(origin, os.environ))
        signer = Signer(credentials(), region=place, host=origin.authority, service=name)
        return cls(pool, path, signer, attempts=attempts)

    def call(self, path: str, headers: tuple[tuple[str, str], ...], body: bytes) -> bytes:
        """
        Post one request and give the answer's body.

        Args:
            path: Behind the endpoint's own, percent-encoded.
            headers: Names and values, which are signed.
            body: Sent as it is.

        Raises:
            CallRefused: The service will not do this.
            ServiceUnavailable: It cannot just now, or did not say.
            CredentialsUnavailable: There is nothing to sign with.
        """
        target = self._path + path
        began = self._clock()
        attempt = 1
        while True:
            lines = self._signer.sign("POST", target, body, headers=headers, is_kept=False)
            trouble: ServiceFault
            try:
                answer = self._pool.send("POST", target, lines, body)
            except ExchangeFault as fault:
                trouble, is_passing = ServiceUnavailable(type(fault).__name__, str(fault)), True
            else:
                if answer.status in _SUCCESS and _is_intact(answer):
                    return answer.body
                trouble, is_passing = _read_fault(answer)
            pause = FIRST_PAUSE_S * 2 ** (attempt - 1) * _jitter()
            if not is_passing or attempt >= self._attempts or self._clock() + pause - began > PATIENCE_S:
                raise trouble
            self._sleep(pause)
            attempt += 1


def _is_intact(answer: Answer) -> bool:
    """Check DynamoDB's checksum of what it sent, where there is one."""
    stated = _CHECKSUM.search(answer.head)
    return stated is None or int(stated[1]) == zlib.crc32(answer.body)


def _read_fault(answer: Answer) -> tuple[ServiceFault, bool]:
    """Name what an answer means that is no success, and say whether the same request may succeed in a moment."""
    if answer.status in _SUCCESS:
        return ServiceUnavailable("ChecksumMismatch", "the answer is not what was sent"), True
    try:
        read = _REFUSAL.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        read = _Refusal(message=answer.body.decode("utf-8", "replace").strip())
    # Lambda names it in a header, as in "ThrottlingException:http://…", DynamoDB in the body, behind a "#".
    named = answer.header(b"x-amzn-errortype").decode("latin-1") or read.type
    code = named.partition(":")[0].rpartition("#")[2]
    reason = (read.message or read.Message or "")[:_REASON_LIMIT]
    if answer.status < _FIRST_SERVER_ERROR and code in _REFUSALS:
        return CallRefused(code, reason, answer.body), False
    is_passing = answer.status >= _FIRST_SERVER_ERROR or code in _LATER
    return ServiceUnavailable(code or str(answer.status), reason), is_passing
