r"""
Route selection expressions: which route key a message asks for.

The language is the developer guide's: ``$request.body.path``, ``${request.body.path}`` among static text, ``\$`` for
a dollar sign, evaluated once. A path that leads nowhere is the empty string inside braces and no choice without them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from local.rules.reading import NoJson, read_json

if TYPE_CHECKING:
    from collections.abc import Callable

_VARIABLE = re.compile(
    r"\\\$|\$\{request\.body((?:[.\[][^}]*)?)\}|\$request\.body((?:\.[\w-]+|\[[^\]]+\]|[.\[](?!\$))*)"
)
_STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]|\[['\"]([^'\"]+)['\"]\]")
_MISSING = object()


class BadExpression(ValueError):
    """A route selection expression that API Gateway would not take."""


def compile_selection(expression: str, *, numbers_select: bool = True) -> Callable[[str], str | None]:
    """
    Make a function from a message's text to the route key that it selects.

    The function returns ``None`` where nothing can be selected (the text is no JSON, or a lone variable leads
    nowhere), which means ``$default``. Without ``numbers_select`` a number or truth value leads nowhere, too.

    Raises:
        BadExpression: When ``expression`` is empty or names anything but ``request.body``.
    """
    if not expression:
        raise BadExpression("a WebSocket API needs a route selection expression, such as $request.body.action")
    parts: list[str | list[str | int]] = []
    at = 0
    for match in _VARIABLE.finditer(expression):
        parts.append(expression[at : match.start()])
        parts.append("$" if match[0] == r"\$" else _path(match[1] or match[2] or "", expression))
        at = match.end()
    parts.append(expression[at:])
    if any("$" in part for part in parts[::2] if isinstance(part, str)):
        raise BadExpression(f"route selection expression {expression!r}: only request.body can select a route")
    parts = [part for part in parts if part != ""]
    paths = [part for part in parts if not isinstance(part, str)]
    if not paths:
        constant = "".join(part for part in parts if isinstance(part, str))
        return lambda _: constant

    def select(text: str) -> str | None:
        try:
            body = read_json(text)
        except NoJson:
            return None
        if not isinstance(body, dict | list):
            return None
        found = [_walk(body, part) if not isinstance(part, str) else part for part in parts]
        if not numbers_select:
            found = [_MISSING if isinstance(value, int | float) else value for value in found]
        if len(found) == 1 and found[0] is _MISSING:
            return None
        return "".join("" if value is _MISSING else _as_text(value) for value in found)

    return select


def _path(text: str, expression: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise BadExpression(f"route selection expression {expression!r}: cannot read the path {text!r}")
        steps.append(int(match[2]) if match[2] is not None else match[1] or match[3])
        at = match.end()
    return steps


def _walk(value: Any, path: list[str | int]) -> Any:  # noqa: ANN401 # any JSON value
    for step in path:
        if isinstance(step, str) and isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return _MISSING
    return _MISSING if value is None else value


def _as_text(value: Any) -> str:  # noqa: ANN401 # any JSON value
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "[" + ", ".join(_as_text(item) for item in value) + "]"
    return msgspec.json.encode(value).decode()
