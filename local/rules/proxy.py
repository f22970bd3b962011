"""What a function may return to a proxy integration, and how it is read."""

from __future__ import annotations

from typing import Any

from local.rules.reading import NoJson, read_json

#: The members that an answer may have; any other makes it malformed.
_MEMBERS = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"})


def read_answer(payload: bytes) -> dict[str, Any] | None:
    """Read a function's answer as a proxy integration does; ``None`` is a malformed one."""
    try:
        answer = read_json(payload)
    except NoJson:
        return None
    if not isinstance(answer, dict) or not _MEMBERS.issuperset(answer):
        return None
    if "statusCode" in answer:
        status = answer["statusCode"]
        # Functions in the wild return "200"; the gateway takes it.
        if isinstance(status, str) and status.isdecimal():
            status = int(status)
        if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status < 600:  # noqa: PLR2004 # HTTP's range
            return None
        answer["statusCode"] = status
    if not isinstance(answer.get("body", ""), str | None):
        return None
    return answer


def subprotocol_of(answer: dict[str, Any]) -> str | None:
    """Return the one sub-protocol that a ``$connect`` function chose; the gateway drops its other headers."""
    for member in ("headers", "multiValueHeaders"):
        for key, value in (answer.get(member) or {}).items():
            if key.lower() == "sec-websocket-protocol":
                return str(value[0] if isinstance(value, list) else value)
    return None
