"""What the gateway's rules want done: the vocabulary between ``local.gateway`` and the sockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Invoke:
    """Run ``function`` (a logical id) with ``event``; report ``answered`` or ``failed`` with ``invocation``."""

    invocation: int
    function: str
    event: bytes
    route_key: str
    connection_id: str


@dataclass(frozen=True, slots=True)
class Accept:
    """Answer the upgrade with 101."""

    connection_id: str
    subprotocol: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    Why nobody is let in: an HTTP status, what the body says, and the value of ``x-amzn-ErrorType`` if it has one.

    ``member`` is the name under which the body says it.
    """

    status: int
    message: str
    error: str | None = None
    member: str = "message"


@dataclass(frozen=True, slots=True)
class Refuse:
    """
    Answer the upgrade with an HTTP status and a JSON body.

    ``error`` is the value of ``x-amzn-ErrorType`` (none where a function refused), ``request_id`` that of
    ``x-amz-apigw-id``.
    """

    connection_id: str
    status: int
    body: bytes
    error: str | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Call an HTTP backend; report ``fetched`` or ``failed`` with ``invocation``."""

    invocation: int
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timeout: float
    route_key: str
    connection_id: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text message."""

    connection_id: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Send a close frame; the gateway has already forgotten the connection."""

    connection_id: str
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Log:
    """Tell the developer something that AWS would write into the API's execution log."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer a call of the management API. ``error`` is the value of ``x-amzn-ErrorType``."""

    status: int
    body: bytes = b""
    error: str | None = None


Effect = Invoke | Fetch | Accept | Refuse | Send | Close | Log
#: Why there is no answer: the function raised or ended, could not be run, or took too long.
Fault = Literal["error", "missing", "timeout"]
