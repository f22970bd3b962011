"""The values of templates: Java's, by the methods that people call on them."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


class Nothing(str):
    """What is not there, of something whose missing parts print as nothing."""

    __slots__ = ()


class Callables:
    """An object of the gateway's own: its public methods can be called from a template, its attributes be read."""


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def number(text: str) -> int | float:
    """Read a number."""
    return float(text) if "." in text else int(text)


def as_text(value: Any) -> str:  # noqa: ANN401 # any value of a template
    """Print a value as Java does: maps and lists have neither quotes nor colons."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    if isinstance(value, list):
        return "[" + ", ".join(map(as_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={as_text(one)}" for key, one in value.items()) + "}"
    return ""


def iterate(value: Any) -> list[Any]:  # noqa: ANN401 # any value of a template
    """Return what ``#foreach`` goes through: a list's items, a map's values."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def compare(sign: str, left: Any, right: Any) -> Any:  # noqa: ANN401, PLR0911 # any values; one return for each kind
    """Apply a binary operator; where it makes no sense the outcome is null."""
    if sign in {"==", "!="}:
        both_numbers = isinstance(left, int | float) and isinstance(right, int | float)
        # Velocity compares values of different kinds as texts.
        same = left == right if both_numbers or type(left) is type(right) else as_text(left) == as_text(right)
        return same if sign == "==" else not same
    if sign == "+" and (isinstance(left, str) or isinstance(right, str)):
        return as_text(left) + as_text(right)
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return None
    if sign in _COMPARISONS:
        return _COMPARISONS[sign](left, right)
    if sign in {"/", "%"} and right == 0:
        return None
    if sign == "/":
        both_whole = isinstance(left, int) and isinstance(right, int)
        return int(left / right) if both_whole else left / right
    return {"+": operator.add, "-": operator.sub, "*": operator.mul, "%": operator.mod}[sign](left, right)


def member(value: Any, key: Any) -> Any:  # noqa: ANN401 # any values of a template; one return for each kind
    """Return what a value has under a name or an index; null where there is nothing."""
    if isinstance(value, Nothing):
        return value
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int):
        return value[key] if -len(value) <= key < len(value) else None
    if isinstance(value, Callables) and isinstance(key, str) and not key.startswith("_"):
        found = getattr(value, key, None)
        return None if callable(found) else found
    if key == "empty" and isinstance(value, str | list):
        return not value
    return None


def call(value: Any, name: str, given: list[Any]) -> Any:  # noqa: ANN401 # any values of a template
    """Call a method; null where there is none of that name, or it cannot take what it is given."""
    if isinstance(value, Callables):
        method = None if name.startswith("_") else getattr(value, name, None)
    else:
        kind = next((kind for kind in _METHODS if isinstance(value, kind)), None)
        known = _METHODS[kind].get(name) if kind is not None else None
        method = None if known is None else (lambda *arguments: known(value, *arguments))
    if name == "toString" and value is not None and not given:
        return as_text(value)
    if not callable(method):
        return None
    try:
        return method(*given)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, re.error):
        return None


def _put(value: dict[str, Any], key: str, item: object) -> Any:  # noqa: ANN401 # what was there before
    before = value.get(key)
    value[key] = item
    return before


def _add(value: list[Any], item: object) -> bool:
    value.append(item)
    return True


_METHODS: dict[type, dict[str, Callable[..., Any]]] = {
    str: {
        "length": len,
        "isEmpty": lambda text: not text,
        "equals": operator.eq,
        "equalsIgnoreCase": lambda text, other: text.casefold() == other.casefold(),
        "contains": lambda text, part: part in text,
        "startsWith": str.startswith,
        "endsWith": str.endswith,
        "indexOf": str.find,
        "concat": lambda text, more: text + as_text(more),
        "replace": str.replace,
        "replaceAll": lambda text, pattern, by: re.sub(pattern, re.sub(r"\$(\d)", r"\\\1", by), text),
        "matches": lambda text, pattern: re.fullmatch(pattern, text) is not None,
        "split": lambda text, pattern: re.split(pattern, text),
        "substring": lambda text, start, end=None: text[start:end],
        "toLowerCase": str.lower,
        "toUpperCase": str.upper,
        "trim": str.strip,
    },
    list: {
        "size": len,
        "isEmpty": lambda items: not items,
        "get": lambda items, index: items[index],
        "contains": lambda items, item: item in items,
        "add": _add,
    },
    dict: {
        "size": len,
        "isEmpty": lambda items: not items,
        "get": dict.get,
        "put": _put,
        "containsKey": lambda items, key: key in items,
        "keySet": list,
        "values": lambda items: list(items.values()),
        "entrySet": lambda items: [{"key": key, "value": value} for key, value in items.items()],
    },
}
