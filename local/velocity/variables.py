"""What API Gateway's templates know: ``$input``, ``$context``, ``$stageVariables`` and ``$util``."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, unquote_plus

import msgspec

from local.rules.reading import NoJson, read_json
from local.velocity.values import Callables, Nothing, as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEP = re.compile(r"\.([\w-]+)|\[(-?\d+)\]|\[['\"]([^'\"]*)['\"]\]|(?:\.|)\[?(\*)\]?")
#: What escapeJavaScript writes with a backslash; what is not ASCII becomes ``\\uXXXX``.
_ESCAPES = {
    "\\": "\\\\",
    '"': '\\"',
    "'": "\\'",
    "/": "\\/",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}


def variables_of(*, context: Mapping[str, Any], stage: Mapping[str, str]) -> dict[str, Any]:
    """
    Return what the templates of one message share; ``context`` is ``requestContext`` as events have it.

    What a template sets in ``$context`` is there for the next one, and nowhere else.
    """
    return {"context": _Names(context), "stageVariables": _Names(stage), "util": _Util()}


def with_input(variables: Mapping[str, Any], payload: bytes | str) -> dict[str, Any]:
    """Return the variables of a template for a payload."""
    return {**variables, "input": _Input(payload if isinstance(payload, str) else payload.decode(errors="replace"))}


class _Names(dict[str, Any]):
    """A map in which what is missing is the empty string, so that it does not print as it is written."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        super().__init__({key: _Names(value) if isinstance(value, dict) else value for key, value in names.items()})

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401, ARG002 # the base class's
        return super().get(key, Nothing())


class _Input(Callables):
    """``$input``."""

    def __init__(self, body: str) -> None:
        self.body = body
        self._read: Any = None
        self._is_read = False

    def json(self, path: str) -> str:
        """Return what a JSON path leads to, as JSON."""
        found = self._find(path)
        return '""' if found is None else msgspec.json.encode(found).decode()

    def path(self, path: str) -> Any:  # noqa: ANN401 # any JSON value
        """Return what a JSON path leads to, as an object."""
        found = self._find(path)
        return "" if found is None else found

    def params(self, *_: str) -> str:
        """Return nothing: a message has no parameters."""
        return ""

    def _find(self, path: str) -> Any:  # noqa: ANN401 # any JSON value
        if not self._is_read:
            self._is_read = True
            try:
                self._read = read_json(self.body)
            except NoJson:
                # A payload that is no JSON is one text.
                self._read = self.body
        return _walk(self._read, path.removeprefix("$"))


class _Util(Callables):
    """``$util``."""

    def escapeJavaScript(self, text: Any) -> str:  # noqa: ANN401, N802 # AWS's name
        """Escape a text so that it can stand in a string of JavaScript."""
        units = as_text(text).encode("utf-16-be", "surrogatepass")
        out = []
        for high, low in zip(units[::2], units[1::2], strict=True):
            code = high << 8 | low
            character = chr(code)
            plain = " " <= character <= "~"
            out.append(_ESCAPES.get(character) or (character if plain else f"\\u{code:04X}"))
        return "".join(out)

    def parseJson(self, text: str) -> Any:  # noqa: ANN401, N802 # AWS's name, any JSON value
        """Read JSON."""
        return read_json(text)

    def urlEncode(self, text: Any) -> str:  # noqa: ANN401, N802 # AWS's name
        """Encode a text for a form."""
        return quote_plus(as_text(text), safe="*-._")

    def urlDecode(self, text: str) -> str:  # noqa: N802 # AWS's name
        """Decode what ``urlEncode`` made."""
        return unquote_plus(text)

    def base64Encode(self, text: Any) -> str:  # noqa: ANN401, N802 # AWS's name
        """Encode a text in base64."""
        return b64encode(as_text(text).encode()).decode()

    def base64Decode(self, text: str) -> str:  # noqa: N802 # AWS's name
        """Decode base64."""
        return b64decode(text).decode(errors="replace")


def _walk(value: Any, path: str) -> Any:  # noqa: ANN401 # any JSON value
    """Follow a JSON path; ``None`` where it leads nowhere."""
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or match.end() == at:
            return None
        at = match.end()
        if match[4] is not None:
            items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
            found = [_walk(item, path[at:]) for item in items]
            return [item for item in found if item is not None]
        if match[2] is not None:
            index = int(match[2])
            value = value[index] if isinstance(value, list) and -len(value) <= index < len(value) else None
        else:
            name = match[1] if match[1] is not None else match[3]
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            return None
    return value
