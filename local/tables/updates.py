"""
Update expressions: from text to a function that makes the new item out of the old one.

Every operand is read from the item as it was before the update, as DynamoDB does, and the old item is left untouched.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from local.tables.errors import Refused
from local.tables.expressions import PARSED_TEXTS, Names, Path, Reader, Reading, Values, find, refuse_overlaps
from local.tables.values import Attributes, Value, add, kind_of, negate

if TYPE_CHECKING:
    from collections.abc import Callable

    Source = Callable[[Attributes, Values], Value | None]
    Action = Callable[[Attributes, Attributes, Values], None]

_SETS = frozenset({"SS", "NS", "BS"})
_ADDABLE = _SETS | {"N"}
_HUMAN = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
    "L": "LIST",
    "M": "MAP",
    "BOOL": "BOOLEAN",
    "NULL": "NULL",
}
_NO_ATTRIBUTE = "The provided expression refers to an attribute that does not exist in the item"
_WRONG_TYPE = "An operand in the update expression has an incorrect data type"
_BAD_PATH = "The document path provided in the update expression is invalid for update"


@dataclass(frozen=True, slots=True)
class Update:
    """
    A parsed UpdateExpression.

    ``written`` are the paths that it writes, ``shallow`` says that each of them is one name.
    """

    reading: Reading
    actions: tuple[Action, ...]
    sets: tuple[tuple[str, str], ...]
    written: tuple[Path, ...]
    shallow: bool

    def check(self, values: Values) -> None:
        """
        Check the values of one call.

        Raises:
            Refused: One is missing or has a type that its action does not take.
        """
        self.reading.check(values)
        for section, name in self.sets:
            kind = kind_of(values[name])
            if kind not in (_ADDABLE if section == "ADD" else _SETS):
                raise Refused(
                    "Invalid UpdateExpression: Incorrect operand type for operator or function; "
                    f"operator: {section}, operand type: {_HUMAN[kind]}, typeSet: ALLOWED_FOR_{section}_OPERAND"
                )

    def apply(self, old: Attributes, base: Attributes, values: Values) -> Attributes:
        """
        Return the updated item.

        Args:
            old: The item as it was; empty when there was none.
            base: What the new item starts from: the same, or the key of an item that is new.
            values: The call's values.

        Raises:
            Refused: An attribute that is needed is missing, or has the wrong type.
        """
        new = dict(base)
        for action in self.actions:
            action(old, new, values)
        return new


def _parent(new: Attributes, path: Path) -> tuple[Any, str | int]:
    """
    Make everything above a path's last step the new item's own, and return its container.

    The container is a dictionary of attributes or a list of values.
    """
    container: Any = new
    for step, following in pairwise(path):
        value = _at(container, step)
        kind = "M" if isinstance(following, str) else "L"
        if value is None or kind not in value:
            raise Refused(_BAD_PATH)
        copied = value[kind].copy()
        container[step] = {kind: copied}
        container = copied
    return container, path[-1]


def _at(container: Any, step: str | int) -> Value | None:  # noqa: ANN401 -- a dictionary or a list
    if isinstance(step, str):
        found: Value | None = container.get(step)
        return found
    return container[step] if step < len(container) else None


def _set(new: Attributes, path: Path, value: Value) -> None:
    if len(path) == 1:
        new[path[0]] = value  # type: ignore[index]  # the first step is always a name
        return
    container, step = _parent(new, path)
    if isinstance(step, int) and step >= len(container):
        container.append(value)
    else:
        container[step] = value


def _remove(new: Attributes, path: Path) -> None:
    container, step = _parent(new, path)
    if isinstance(step, str):
        container.pop(step, None)
    elif step < len(container):
        del container[step]


def _add(old: Attributes, new: Attributes, path: Path, value: Value) -> None:
    current = find(old, path)
    [(kind, raw)] = value.items()
    if current is None:
        _set(new, path, value)
    elif kind not in current:
        raise Refused(_WRONG_TYPE)
    elif kind == "N":
        _set(new, path, {"N": add(current["N"], raw)})
    else:
        known = set(current[kind])
        _set(new, path, {kind: [*current[kind], *(member for member in raw if member not in known)]})


def _delete(old: Attributes, new: Attributes, path: Path, value: Value) -> None:
    current = find(old, path)
    [(kind, raw)] = value.items()
    if current is None:
        _parent(new, path)  # refuses a path that leads nowhere
        return
    if kind not in current:
        raise Refused(_WRONG_TYPE)
    left = [member for member in current[kind] if member not in raw]
    if left:
        _set(new, path, {kind: left})
    else:
        _remove(new, path)


class _UpdateReader(Reader):
    """Reads SET, REMOVE, ADD and DELETE sections."""

    def __init__(self, text: str, names: Names) -> None:
        super().__init__("UpdateExpression", text, names)
        self.actions: list[Action] = []
        self.removals: list[Path] = []
        self.sets: list[tuple[str, str]] = []
        self.written: list[Path] = []

    def sections(self) -> None:
        seen = set()
        while self.peek().kind != "end":
            section = self.peek().text.upper()
            if self.peek().kind != "name" or section not in ("SET", "REMOVE", "ADD", "DELETE"):
                self.refuse_here()
            self.take()
            if section in seen:
                self.refuse(f'The "{section}" section can only be used once in an update expression;')
            seen.add(section)
            self.part(section)
            while self.accept(","):
                self.part(section)
        # From the end of a list to its beginning, so that an index means what it meant before the update.
        for path in sorted(self.removals, key=lambda path: [step for step in path if isinstance(step, int)])[::-1]:
            self.actions.append(_removing(path))

    def part(self, section: str) -> None:
        path = self.path()
        self.written.append(path)
        if section == "SET":
            self.expect("=")
            self.actions.append(_setting(path, self.source()))
        elif section == "REMOVE":
            self.removals.append(path)
        else:
            value = self.value()
            self.sets.append((section, value))
            self.actions.append(_changing(_add if section == "ADD" else _delete, path, value))

    def source(self) -> Source:
        left = self.operand()
        for sign in ("+", "-"):
            if self.accept(sign):
                return self.sum(left, sign)
        return left[0]

    def sum(self, left: tuple[Source, str | None], sign: str) -> Source:
        right = self.operand()
        for _, value in (left, right):
            if value is not None:
                self.demand(sign, value, frozenset({"N"}))
        one, two = left[0], right[0]

        def total(old: Attributes, values: Values) -> Value:
            a, b = one(old, values), two(old, values)
            if a is None or b is None:
                raise Refused(_NO_ATTRIBUTE)
            if "N" not in a or "N" not in b:
                raise Refused(_WRONG_TYPE)
            return {"N": add(a["N"], b["N"] if sign == "+" else negate(b["N"]))}

        return total

    def operand(self) -> tuple[Source, str | None]:
        """Take an operand; the second is the name of the call's value that it is, if it is one."""
        token = self.peek()
        if token.kind == "value":
            name = self.value()
            return (lambda _old, values: values[name]), name
        if token.kind == "name" and self.peek(1).text == "(":
            self.take()
            self.expect("(")
            if token.text == "if_not_exists":
                return self.if_not_exists(), None
            if token.text == "list_append":
                return self.list_append(), None
            self.refuse(f"Invalid function name; function: {token.text}")
        if self.accept("("):
            inner = self.source()
            self.expect(")")
            return inner, None
        path = self.path()
        return (lambda old, _values: find(old, path)), None

    def if_not_exists(self) -> Source:
        path = self.path()
        self.expect(",")
        fallback, _ = self.operand()
        self.expect(")")

        def choose(old: Attributes, values: Values) -> Value | None:
            found = find(old, path)
            return fallback(old, values) if found is None else found

        return choose

    def list_append(self) -> Source:
        head, head_value = self.operand()
        self.expect(",")
        tail, tail_value = self.operand()
        self.expect(")")
        for value in (head_value, tail_value):
            if value is not None:
                self.demand("list_append", value, frozenset({"L"}))

        def join(old: Attributes, values: Values) -> Value:
            a, b = head(old, values), tail(old, values)
            if a is None or b is None:
                raise Refused(_NO_ATTRIBUTE)
            if "L" not in a or "L" not in b:
                raise Refused(_WRONG_TYPE)
            return {"L": [*a["L"], *b["L"]]}

        return join


def _setting(path: Path, source: Source) -> Action:
    def action(old: Attributes, new: Attributes, values: Values) -> None:
        value = source(old, values)
        if value is None:
            raise Refused(_NO_ATTRIBUTE)
        _set(new, path, value)

    return action


def _removing(path: Path) -> Action:
    return lambda _old, new, _values: _remove(new, path)


def _changing(change: Callable[[Attributes, Attributes, Path, Value], None], path: Path, value: str) -> Action:
    return lambda old, new, values: change(old, new, path, values[value])


@lru_cache(maxsize=PARSED_TEXTS)
def parse_update(text: str, names: Names) -> Update:
    """
    Parse an update.

    Raises:
        Refused: It is no update, or writes overlapping paths.
    """
    reader = _UpdateReader(text, names)
    reader.sections()
    refuse_overlaps(reader, reader.written)
    return Update(
        reading=reader.reading(),
        actions=tuple(reader.actions),
        sets=tuple(reader.sets),
        written=tuple(reader.written),
        shallow=all(len(path) == 1 for path in reader.written),
    )
