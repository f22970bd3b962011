"""What a function may return to a proxy integration, and how it is read."""

from __future__ import annotations

import re
from itertools import chain
from typing import Any

from local.rules.reading import NoJson, read_json

#: What a header's value may be, and what a sub-protocol is made of (RFC 9110, 5.6.2).
_SCALAR = str | int | float | None
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
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
        elif isinstance(status, float) and status.is_integer():
            status = int(status)
        if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status < 600:  # noqa: PLR2004 # HTTP's range
            return None
        answer["statusCode"] = status
    if not isinstance(answer.get("body", ""), str | None) or not _has_headers(answer):
        return None
    return answer


def _has_headers(answer: dict[str, Any]) -> bool:
    single, multi = answer.get("headers"), answer.get("multiValueHeaders")
    if single is None and multi is None:
        return True
    if not isinstance(single, dict | None) or not isinstance(multi, dict | None):
        return False
    lists = list((multi or {}).values())
    if not all(isinstance(values, list) for values in lists):
        return False
    return all(isinstance(value, _SCALAR) for value in [*(single or {}).values(), *chain.from_iterable(lists)])


def subprotocol_of(answer: dict[str, Any]) -> str | None:
    """
    Return the one sub-protocol that a ``$connect`` function chose; the gateway drops its other headers.

    Raises:
        ValueError: What it chose can be no sub-protocol.
    """
    single, multi = answer.get("headers") or {}, answer.get("multiValueHeaders") or {}
    for key, value in [*single.items(), *((key, values[0]) for key, values in multi.items() if values)]:
        if key.lower() == "sec-websocket-protocol" and value not in {None, ""}:
            if _TOKEN.fullmatch(str(value)) is None:
                raise ValueError(f"{value!r} can be no sub-protocol")
            return str(value)
    return None
