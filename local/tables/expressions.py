"""
Read DynamoDB's expressions: what all kinds of them have in common, and projections.

Each text is parsed once. What comes out are plain functions over an item's attributes and the call's values. The names
of a call (``ExpressionAttributeNames``) are part of what is parsed, its values are not: the same text and names with
other values come from a cache. (The grammar: developer guide, Condition and filter expressions, operators, and
functions.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from local.tables.errors import Refused
from local.tables.values import Attributes, Value, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple[str | int, ...]
Names = tuple[tuple[str, str], ...]
Values = dict[str, Value]
# How many different texts are kept parsed, for each kind of expression.
PARSED_TEXTS = 2_048

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<alias>#[A-Za-z0-9_]+)|(?P<value>:[A-Za-z0-9_]+)"
    r"|(?P<index>[0-9]+)|(?P<sign><>|<=|>=|[=<>(),.\[\]+-])|(?P<end>\Z)|(?P<unknown>.))",
    re.DOTALL,
)


@lru_cache(maxsize=1)
def _reserved_words() -> frozenset[str]:
    """Return DynamoDB's reserved words, in capitals, from the list that moto has; moto itself is not loaded for it."""
    spec = find_spec("moto")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("moto is not installed; `python -m pip install 'moto[dynamodb]'` does it")
    words = FilePath(spec.origin).parent / "dynamodb" / "parsing" / "reserved_keywords.txt"
    return frozenset(words.read_text(encoding="utf-8").split())


class Token(NamedTuple):
    """A piece of an expression and where it stands in the text."""

    kind: str
    text: str
    start: int
    end: int


class Demand(NamedTuple):
    """An operator or function that takes only some types of value, checked for each call."""

    called: str
    value: str
    kinds: frozenset[str]


def find(attributes: Attributes, path: Path) -> Value | None:
    """Return the value at a path, or None."""
    value = attributes.get(path[0])  # type: ignore[arg-type]  # the first step is always a name
    for step in path[1:]:
        if value is None:
            return None
        if isinstance(step, str):
            value = value["M"].get(step) if "M" in value else None
        else:
            elements = value.get("L", ())
            value = elements[step] if step < len(elements) else None
    return value


class Reader:
    """
    Goes through one expression's tokens; what any of the four kinds of expression needs.

    ``what`` is the parameter's name, as error messages have it.
    """

    def __init__(self, what: str, text: str, names: Names) -> None:
        self.what = what
        self.text = text
        self.names = dict(names)
        self.names_used: set[str] = set()
        self.values_used: list[str] = []
        self.paths: set[Path] = set()
        self.demands: list[Demand] = []
        self.tokens: list[Token] = []
        self.position = 0
        if not text.strip():
            self.refuse("The expression can not be empty;")
        for match in _TOKEN.finditer(text):
            kind = str(match.lastgroup)
            self.tokens.append(Token(kind, match[kind] or "<EOF>", match.start(kind), match.end(kind)))
            if kind == "end":
                break

    def refuse(self, sentence: str) -> NoReturn:
        """Refuse the call, naming the expression."""
        raise Refused(f"Invalid {self.what}: {sentence}")

    def refuse_here(self) -> NoReturn:
        """Refuse the token at hand."""
        token = self.tokens[self.position]
        first = self.tokens[max(self.position - 1, 0)]
        last = self.tokens[min(self.position + 1, len(self.tokens) - 1)]
        near = self.text[first.start : last.end]
        self.refuse(f'Syntax error; token: "{token.text}", near: "{near}"')

    def peek(self, ahead: int = 0) -> Token:
        """Return a token without taking it."""
        return self.tokens[min(self.position + ahead, len(self.tokens) - 1)]

    def take(self) -> Token:
        """Take the next token."""
        token = self.tokens[self.position]
        self.position = min(self.position + 1, len(self.tokens) - 1)
        return token

    def accept(self, text: str) -> bool:
        """Take the next token if it is this sign."""
        if self.tokens[self.position].text == text:
            self.take()
            return True
        return False

    def expect(self, text: str) -> None:
        """Take this sign or refuse the expression."""
        if not self.accept(text):
            self.refuse_here()

    def is_word(self, word: str) -> bool:
        """Tell whether the next token is this keyword, in whatever case."""
        token = self.tokens[self.position]
        return token.kind == "name" and token.text.upper() == word

    def accept_word(self, word: str) -> bool:
        """Take the next token if it is this keyword."""
        if self.is_word(word):
            self.take()
            return True
        return False

    def end(self) -> None:
        """Refuse whatever is left over."""
        if self.peek().kind != "end":
            self.refuse_here()

    def name(self) -> str:
        """Take an attribute's name, or what stands for it."""
        token = self.peek()
        if token.kind == "name":
            self.take()
            if token.text.upper() in _reserved_words():
                self.refuse(f"Attribute name is a reserved keyword; reserved keyword: {token.text}")
            return token.text
        if token.kind != "alias":
            self.refuse_here()
        self.take()
        name = self.names.get(token.text)
        if name is None:
            self.refuse(
                f"An expression attribute name used in the document path is not defined; attribute name: {token.text}"
            )
        self.names_used.add(token.text)
        return name

    def path(self) -> Path:
        """Take a document path such as ``a.#b[2]``."""
        steps: list[str | int] = [self.name()]
        while True:
            if self.accept("."):
                steps.append(self.name())
            elif self.accept("["):
                if self.peek().kind != "index":
                    self.refuse_here()
                steps.append(int(self.take().text))
                self.expect("]")
            else:
                path = tuple(steps)
                self.paths.add(path)
                return path

    def value(self) -> str:
        """Take the name of one of the call's values, with its colon."""
        if self.peek().kind != "value":
            self.refuse_here()
        name = self.take().text
        self.values_used.append(name)
        return name

    def demand(self, called: str, value: str, kinds: frozenset[str]) -> None:
        """Remember that an operator takes only some types."""
        self.demands.append(Demand(called, value, kinds))

    def reading(self) -> Reading:
        """Return what every parsed expression knows about itself."""
        return Reading(
            what=self.what,
            names_used=frozenset(self.names_used),
            values_used=tuple(dict.fromkeys(self.values_used)),
            demands=tuple(self.demands),
            roots=frozenset(str(path[0]) for path in self.paths),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What an expression uses of its call. ``roots`` are the top-level attributes that it looks at."""

    what: str
    names_used: frozenset[str]
    values_used: tuple[str, ...]
    demands: tuple[Demand, ...]
    roots: frozenset[str]

    def check(self, values: Values) -> None:
        """
        Check the values of one call.

        Raises:
            Refused: One is missing or has a type that its operator does not take.
        """
        for name in self.values_used:
            if name not in values:
                raise Refused(
                    f"Invalid {self.what}: An expression attribute value used in expression is not defined; "
                    f"attribute value: {name}"
                )
        for called, name, kinds in self.demands:
            kind = kind_of(values[name])
            if kind not in kinds:
                raise Refused(
                    f"Invalid {self.what}: Incorrect operand type for operator or function; "
                    f"operator or function: {called}, operand type: {kind}"
                )


@dataclass(frozen=True, slots=True)
class Projection:
    """A parsed ProjectionExpression. ``flat`` are its attributes where every path is one name."""

    reading: Reading
    tree: Mapping[str, Any]
    flat: tuple[str, ...] | None

    def of(self, attributes: Attributes) -> Attributes:
        """Return the part of an item that was asked for; elements of a list move together."""
        if self.flat is not None:
            return {name: attributes[name] for name in self.flat if name in attributes}
        return _project_map(attributes, self.tree)


def _project(value: Value, tree: Mapping[Any, Any]) -> Value | None:
    if not tree:
        return value
    [(kind, raw)] = value.items()
    if kind == "M":
        members = _project_map(raw, tree)
        return {"M": members} if members else None
    if kind == "L":
        elements = [
            projected
            for index in sorted(step for step in tree if isinstance(step, int))
            if index < len(raw) and (projected := _project(raw[index], tree[index])) is not None
        ]
        return {"L": elements} if elements else None
    return None


def _project_map(members: Attributes, tree: Mapping[Any, Any]) -> Attributes:
    projected = {name: _project(members[name], below) for name, below in tree.items() if name in members}
    return {name: value for name, value in projected.items() if value is not None}


def refuse_overlaps(reader: Reader, paths: list[Path]) -> None:
    """Refuse paths of which one is the beginning of another, or the same."""
    for position, path in enumerate(paths):
        for other in paths[position + 1 :]:
            shorter, longer = sorted((path, other), key=len)
            if longer[: len(shorter)] == shorter:
                one, two = (", ".join(_shown(step) for step in steps) for steps in (path, other))
                reader.refuse(
                    "Two document paths overlap with each other; must remove or rewrite one of these paths; "
                    f"path one: [{one}], path two: [{two}]"
                )


def _shown(step: str | int) -> str:
    return step if isinstance(step, str) else f"[{step}]"


@lru_cache(maxsize=PARSED_TEXTS)
def parse_projection(text: str, names: Names) -> Projection:
    """
    Parse a projection.

    Raises:
        Refused: It is no list of paths, or two of them overlap.
    """
    reader = Reader("ProjectionExpression", text, names)
    paths = [reader.path()]
    while reader.accept(","):
        paths.append(reader.path())
    reader.end()
    refuse_overlaps(reader, paths)
    tree: dict[str | int, Any] = {}
    for path in paths:
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
    flat = tuple(str(path[0]) for path in paths) if all(len(path) == 1 for path in paths) else None
    return Projection(reading=reader.reading(), tree=tree, flat=flat)  # type: ignore[arg-type]  # roots are names
