"""
Lambda REQUEST authorizers: whether one has anything to decide by, and what its answer means.

The rules are the developer guide's for WebSocket APIs and, where it is silent, those of REST APIs. Nothing here waits
or asks: events go out and answers come in through ``local.gateway``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from local.access.permissions import wildcards
from local.limits import LARGEST_POLICY
from local.rules.reading import NoJson, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from local.events import Handshake

_ACTION = "execute-api:Invoke"
#: Where an identity source may be read (the model of CreateAuthorizer).
SOURCE = re.compile(r"(route\.request\.header|route\.request\.querystring|stageVariables|context)\.(.+)")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The client may connect; ``context`` is what later events show, ``api_key`` the key it counts against."""

    context: dict[str, str]
    api_key: str | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The policy denies, or allows nothing that matches."""

    explicitly: bool


@dataclass(frozen=True, slots=True)
class Malformed:
    """The answer is none that the gateway can use."""

    reason: str


def missing_source(
    sources: Iterable[str], handshake: Handshake, *, variables: Mapping[str, str], context: Mapping[str, Any]
) -> str | None:
    """Return the first identity source that is missing or empty; the client is then refused without an invocation."""
    for source in sources:
        match = SOURCE.fullmatch(source)
        if match is None:
            return source
        kind, name = match.groups()
        if kind == "route.request.header":
            value: Any = handshake.header(name)
        elif kind == "route.request.querystring":
            value = handshake.parameter(name)
        elif kind == "stageVariables":
            value = variables.get(name)
        else:
            value = context
            for step in name.split("."):
                value = value.get(step) if isinstance(value, dict) else None
        if not value:
            return source
    return None


def read_policy(payload: bytes, method_arn: str) -> Allowed | Denied | Malformed:
    """
    Decide by what an authorizer returned whether ``method_arn`` may be invoked.

    An explicit Deny wins; without a matching Allow nothing is allowed. ``*`` stands for any characters, slashes
    included, so ``…/stage/*/*`` does not match ``…/stage/$connect``: there is one slash too few in it.
    """
    if len(payload) > LARGEST_POLICY:
        return Malformed(f"it has {len(payload)} bytes, and at most {LARGEST_POLICY} are taken")
    answer = _read(payload)
    statements = _statements(answer)
    if answer is None or not isinstance(answer.get("principalId"), str) or statements is None:
        return Malformed(
            "it needs a principalId, and a policyDocument whose Statement has an Effect, an Action and a Resource"
        )
    context = answer.get("context") or {}
    if not isinstance(context, dict) or not all(isinstance(value, str | int | float) for value in context.values()):
        return Malformed("its context may hold strings, numbers and truth values only")
    effects = {statement["Effect"] for statement in statements if _applies(statement, method_arn)}
    if "Deny" in effects or "Allow" not in effects:
        return Denied(explicitly="Deny" in effects)
    shown = {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode() for key, value in context.items()
    }
    key = answer.get("usageIdentifierKey")
    return Allowed({**shown, "principalId": answer["principalId"]}, key if isinstance(key, str) else None)


def _read(payload: bytes) -> dict[str, Any] | None:
    try:
        answer = read_json(payload)
    except NoJson:
        return None
    return answer if isinstance(answer, dict) else None


def _statements(answer: Mapping[str, Any] | None) -> list[dict[str, Any]] | None:
    policy = (answer or {}).get("policyDocument")
    found = policy.get("Statement") if isinstance(policy, dict) else None
    found = [found] if isinstance(found, dict) else found
    return found if isinstance(found, list) and all(map(_is_statement, found)) else None


def _is_statement(statement: object) -> bool:
    if not isinstance(statement, dict) or statement.get("Effect") not in {"Allow", "Deny"}:
        return False
    return all(_texts(statement.get(name, statement.get(f"Not{name}"))) for name in ("Action", "Resource"))


def _applies(statement: dict[str, Any], method_arn: str) -> bool:
    # A condition would need the request's keys. Not knowing, an Allow is not believed and a Deny is.
    if statement.get("Condition") and statement["Effect"] == "Allow":
        return False
    for name, wanted in (("Action", _ACTION), ("Resource", method_arn)):
        flags = re.IGNORECASE if name == "Action" else 0
        if name in statement:
            if not any(_matches(pattern, wanted, flags) for pattern in _texts(statement[name])):
                return False
        elif any(_matches(pattern, wanted, flags) for pattern in _texts(statement[f"Not{name}"])):
            return False
    return True


def _matches(pattern: str, text: str, flags: int) -> bool:
    return re.fullmatch(wildcards(pattern), text, flags | re.DOTALL) is not None


def _texts(value: object) -> list[str]:
    """Return one text or a list of them as a list; anything else, and no text at all, as an empty one."""
    texts = value if isinstance(value, list) else [value]
    found = [text for text in texts if isinstance(text, str)]
    return found if len(found) == len(texts) else []
