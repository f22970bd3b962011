"""Read what stands in references and directives: values, operators, members, methods and indexes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.velocity.values import Nothing, as_text, call, compare, member, number
from local.velocity.words import BadTemplate

if TYPE_CHECKING:
    from collections.abc import Callable

    Variables = dict[str, Any]
    Value = Callable[[Variables], Any]

_NAME = re.compile(r"[A-Za-z][\w-]*")
_MEMBER = re.compile(r"\.([A-Za-z][\w-]*)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"(true|false|null)\b")
_SPACE = re.compile(r"\s*")
#: Binary operators from the weakest to the strongest; words stand for signs.
_LEVELS = (
    re.compile(r"\|\||or\b"),
    re.compile(r"&&|and\b"),
    re.compile(r"==|!=|<=|>=|<|>|(?:eq|ne|lt|gt|le|ge)\b"),
    re.compile(r"\+|-"),
    re.compile(r"\*|/|%"),
)
_SIGNS = {"or": "||", "and": "&&", "eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">="}


@dataclass(frozen=True, slots=True)
class Reference:
    """``$name`` with what follows it; ``source`` is how it was written, and a quiet one (``$!name``) prints nothing."""

    source: str
    value: Value
    is_quiet: bool


def is_true(value: object) -> bool:
    """Say whether a condition holds: everything does but false and null, the empty string too."""
    return value is not None and value is not False and not isinstance(value, Nothing)


class Expressions:
    """Reads expressions of ``source`` from ``at`` on."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def skip(self) -> None:
        """Go on behind blanks."""
        found = _SPACE.match(self.source, self.at)
        if found is not None:
            self.at = found.end()

    def take(self, sign: str) -> None:
        """Read a sign that must be there."""
        if not self.takes(sign):
            raise BadTemplate(f"{sign!r} is missing before {self.source[self.at : self.at + 20]!r}")

    def takes(self, sign: str) -> bool:
        """Read a sign if it is there."""
        self.skip()
        if self.source.startswith(sign, self.at):
            self.at += len(sign)
            return True
        return False

    def expression(self, level: int = 0) -> Value:
        """Read an expression whose operators are at least as strong as ``level``."""
        if level == len(_LEVELS):
            return self._unary()
        left = self.expression(level + 1)
        while True:
            self.skip()
            found = _LEVELS[level].match(self.source, self.at)
            if found is None:
                return left
            self.at = found.end()
            left = _binary(_SIGNS.get(found[0], found[0]), left, self.expression(level + 1))

    def _unary(self) -> Value:
        self.skip()
        word = re.compile(r"!|not\b").match(self.source, self.at)
        if word is not None:
            self.at = word.end()
            inside = self._unary()
            return lambda variables: not is_true(inside(variables))
        if self.takes("("):
            inside = self.expression()
            self.take(")")
            return inside
        return self._value()

    def _value(self) -> Value:
        source, at = self.source, self.at
        if (found := _NUMBER.match(source, at)) is not None:
            self.at = found.end()
            value = number(found[0])
            return lambda _: value
        if (found := _WORD.match(source, at)) is not None:
            self.at = found.end()
            constant = {"true": True, "false": False, "null": None}[found[1]]
            return lambda _: constant
        if source.startswith(("'", '"'), at):
            return self._text()
        if self.takes("["):
            return self._list()
        if self.takes("{"):
            return self._map()
        reference = self.reference()
        if reference is None:
            raise BadTemplate(f"no value at {source[at : at + 20]!r}")
        return reference.value

    def _text(self) -> Value:
        quote = self.source[self.at]
        end = self.source.find(quote, self.at + 1)
        # A quote is written twice inside its own kind.
        while end >= 0 and self.source.startswith(quote * 2, end):
            end = self.source.find(quote, end + 2)
        if end < 0:
            raise BadTemplate(f"a text has no end: {self.source[self.at : self.at + 20]!r}")
        text = self.source[self.at + 1 : end].replace(quote * 2, quote)
        self.at = end + 1
        if quote == "'" or not ("$" in text or "#" in text):
            return lambda _: text
        from local.velocity.language import compile_template  # noqa: PLC0415 # texts in double quotes are templates

        return compile_template(text)

    def _list(self) -> Value:
        items: list[Value] = []
        while not self.takes("]"):
            if items and self.takes(".."):
                first, last = items[0], self.expression()
                self.take("]")
                return lambda variables: _range(first(variables), last(variables))
            if items:
                self.take(",")
            items.append(self.expression())
        return lambda variables: [item(variables) for item in items]

    def _map(self) -> Value:
        pairs: list[tuple[Value, Value]] = []
        while not self.takes("}"):
            if pairs:
                self.take(",")
            key = self.expression()
            self.take(":")
            pairs.append((key, self.expression()))
        return lambda variables: {as_text(key(variables)): value(variables) for key, value in pairs}

    def reference(self) -> Reference | None:
        """Read a reference; ``None``, and nothing read, where there is only a dollar sign."""
        start = self.at
        if not self.source.startswith("$", start):
            return None
        at = start + 1
        is_quiet = self.source.startswith("!", at)
        at += is_quiet
        has_braces = self.source.startswith("{", at)
        at += has_braces
        name = _NAME.match(self.source, at)
        if name is None:
            return None
        self.at = name.end()
        value = self._steps(_variable(name[0]))
        if has_braces:
            self.take("}")
        return Reference(self.source[start : self.at], value, is_quiet)

    def _steps(self, value: Value) -> Value:
        while True:
            found = _MEMBER.match(self.source, self.at)
            if found is not None:
                self.at = found.end()
                if self.source.startswith("(", self.at):
                    self.at += 1
                    value = _method(value, found[1], self._arguments())
                else:
                    value = _member(value, found[1])
            elif self.source.startswith("[", self.at):
                self.at += 1
                key = self.expression()
                self.take("]")
                value = _index(value, key)
            else:
                return value

    def _arguments(self) -> list[Value]:
        given: list[Value] = []
        while not self.takes(")"):
            if given:
                self.take(",")
            given.append(self.expression())
        return given


def _variable(name: str) -> Value:
    return lambda variables: variables.get(name)


def _member(value: Value, name: str) -> Value:
    return lambda variables: member(value(variables), name)


def _index(value: Value, key: Value) -> Value:
    return lambda variables: member(value(variables), key(variables))


def _method(value: Value, name: str, given: list[Value]) -> Value:
    return lambda variables: call(value(variables), name, [one(variables) for one in given])


def _range(first: object, last: object) -> list[int]:
    if not isinstance(first, int) or not isinstance(last, int):
        return []
    # More are never looked at: #foreach runs a thousand times at most.
    step = 1 if first <= last else -1
    return list(range(first, last + step, step)[:1_000])


def _binary(sign: str, left: Value, right: Value) -> Value:
    if sign == "||":
        return lambda variables: is_true(left(variables)) or is_true(right(variables))
    if sign == "&&":
        return lambda variables: is_true(left(variables)) and is_true(right(variables))
    return lambda variables: compare(sign, left(variables), right(variables))
