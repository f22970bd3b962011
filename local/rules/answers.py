"""What the gateway itself says, to the byte: error frames, bodies of refusals, answers of the management API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from local.rules.effects import Answer
from local.rules.ids import is_connection_id

if TYPE_CHECKING:
    from local.events import Caller

SERVER_ERROR: Final = "Internal server error"
TIMED_OUT: Final = "Endpoint request timed out"
FORBIDDEN: Final = "Forbidden"
_SERVER_FAULT: Final = 500
#: What is said of an integration that failed: alone of all bodies these have a blank behind the colon.
_SPACED: Final = frozenset({SERVER_ERROR, TIMED_OUT})


def body(message: str, member: str = "message") -> bytes:
    """Return the JSON body that says ``message``, in the gateway's own spacing."""
    blank = b" " if message in _SPACED else b""
    return b'{"%b":%b%b}' % (member.encode(), blank, msgspec.json.encode(message))


POSTED: Final = Answer(200)
DELETED: Final = Answer(204)
TOO_LARGE: Final = Answer(413, body("Payload Too Large"), "PayloadTooLargeException")
LIMITED: Final = Answer(429, body("Limit Exceeded"), "LimitExceededException")
_GONE: Final = Answer(410, b"", "GoneException")


def absent(connection_id: str) -> Answer:
    """Answer a call about a connection that is not there."""
    if is_connection_id(connection_id):
        return _GONE
    return Answer(400, body(f"Invalid connectionId: {connection_id}"), "BadRequestException")


def view(caller: Caller, last_active_at: float) -> Answer:
    """Answer a GET of ``@connections``; the instant is epoch seconds."""
    identity = caller.identity
    seen = {
        "connectedAt": _iso_time(caller.connected_at),
        "identity": {"sourceIp": identity["sourceIp"], "userAgent": identity.get("userAgent")},
        "lastActiveAt": _iso_time(last_active_at),
    }
    return Answer(200, msgspec.json.encode(seen))


def error_frame(message: str, connection_id: str, request_id: str) -> bytes:
    """Return an error frame, whose spacing is the gateway's own: one blank after the first colon, none after others."""
    said = msgspec.json.encode(message).decode()
    return f'{{"message": {said}, "connectionId":"{connection_id}", "requestId":"{request_id}"}}'.encode()


def bad_request_frame(connection_id: str, message_id: str) -> bytes:
    """Return what a message that breaks its model gets; spacing and id are others, and so in the developer guide."""
    text = f'{{"message" : "Bad request body", "connectionId": "{connection_id}", "messageId": "{message_id}"}}'
    return text.encode()


def refusal_text(status: int) -> str:
    """Return what a refusal says whose status a function chose."""
    if status == 401:  # noqa: PLR2004 # Unauthorized
        return "Unauthorized"
    return SERVER_ERROR if status >= _SERVER_FAULT else FORBIDDEN


def _iso_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
