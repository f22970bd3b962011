"""
Conditions, filters and key conditions: from text to plain functions.

Where DynamoDB knows no answer (a missing attribute, values of two types) a comparison is false and ``<>`` is true.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from local.tables.errors import Refused
from local.tables.expressions import PARSED_TEXTS, Names, Reader, Reading, Values, find
from local.tables.values import Attributes, Value, kind_of, ordered, same

if TYPE_CHECKING:
    from collections.abc import Callable

    Test = Callable[[Attributes, Values], bool]
    Operand = Callable[[Attributes, Values], Value | None]

_COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_COMPARABLE = frozenset({"S", "N", "B"})
_TYPES = frozenset({"S", "SS", "N", "NS", "B", "BS", "BOOL", "NULL", "L", "M"})


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed ConditionExpression or FilterExpression. ``holds`` takes an item's attributes and the call's values."""

    reading: Reading
    holds: Test
    ranges: tuple[tuple[str, str], ...]

    def check(self, values: Values) -> None:
        """
        Check the values of one call.

        Raises:
            Refused: One is missing, has a wrong type, or a BETWEEN's bounds are the wrong way round.
        """
        self.reading.check(values)
        for low, high in self.ranges:
            check_bounds(self.reading.what, values[low], values[high])


def check_bounds(what: str, low: Value, high: Value) -> None:
    """Refuse the bounds of a BETWEEN that differ in type or stand the wrong way round."""
    pair = ordered(low, high)
    one, two = (f"AttributeValue: {{{kind}:{raw}}}" for value in (low, high) for kind, raw in value.items())
    shown = f"; lower bound operand: {one}, upper bound operand: {two}"
    if pair is None:
        raise Refused(f"Invalid {what}: The BETWEEN operator requires same data type for lower and upper bounds{shown}")
    if pair[0] > pair[1]:
        raise Refused(
            f"Invalid {what}: The BETWEEN operator requires upper bound to be greater than or equal to lower "
            f"bound{shown}"
        )


class _ConditionReader(Reader):
    """Reads conditions; every method returns a function over an item's attributes and the call's values."""

    def __init__(self, what: str, text: str, names: Names) -> None:
        super().__init__(what, text, names)
        self.ranges: list[tuple[str, str]] = []
        self.closes: dict[int, int] = {}

    def condition(self) -> Test:
        tests = [self.conjunction()]
        while self.accept_word("OR"):
            tests.append(self.conjunction())
        if len(tests) == 1:
            return tests[0]
        return lambda item, values: any(test(item, values) for test in tests)

    def conjunction(self) -> Test:
        tests = [self.negation()]
        while self.accept_word("AND"):
            tests.append(self.negation())
        if len(tests) == 1:
            return tests[0]
        return lambda item, values: all(test(item, values) for test in tests)

    def negation(self) -> Test:
        if self.accept_word("NOT"):
            test = self.negation()
            return lambda item, values: not test(item, values)
        if self.peek().text == "(":
            return self.parenthesised()
        if self.peek().kind == "name" and self.peek(1).text == "(" and self.peek().text != "size":
            return self.function()
        return self.comparison()

    def parenthesised(self) -> Test:
        opened = self.position
        self.expect("(")
        inner = self.position
        test = self.condition()
        if self.closes.get(inner) == self.position - 1:
            self.refuse("The expression has redundant parentheses;")
        self.closes[opened] = self.position
        self.expect(")")
        return test

    def operand(self) -> tuple[Operand, str | None]:
        """Take an operand; the second is the name of the call's value that it is, if it is one."""
        token = self.peek()
        if token.kind == "value":
            name = self.value()
            return (lambda _item, values: values[name]), name
        if token.text == "size" and self.peek(1).text == "(":
            self.take()
            self.expect("(")
            measured = self.path()
            self.expect(")")
            return (lambda item, _values: _measure(find(item, measured))), None
        path = self.path()
        if len(path) == 1:
            root = str(path[0])
            return (lambda item, _values: item.get(root)), None
        return (lambda item, _values: find(item, path)), None

    def comparison(self) -> Test:
        left, left_value = self.operand()
        token = self.peek()
        if token.text in _COMPARATORS:
            self.take()
            right, right_value = self.operand()
            if token.text not in ("=", "<>"):
                for value in (left_value, right_value):
                    if value is not None:
                        self.demand(token.text, value, _COMPARABLE)
            return _compare(token.text, left, right)
        if self.accept_word("BETWEEN"):
            return self.between(left, left_value)
        if not self.accept_word("IN"):
            self.refuse_here()
        self.expect("(")
        tests = [_compare("=", left, self.operand()[0])]
        while self.accept(","):
            tests.append(_compare("=", left, self.operand()[0]))
        self.expect(")")
        return lambda item, values: any(test(item, values) for test in tests)

    def between(self, subject: Operand, subject_value: str | None) -> Test:
        low, low_value = self.operand()
        if not self.accept_word("AND"):
            self.refuse_here()
        high, high_value = self.operand()
        for value in (subject_value, low_value, high_value):
            if value is not None:
                self.demand("BETWEEN", value, _COMPARABLE)
        if low_value is not None and high_value is not None:
            self.ranges.append((low_value, high_value))
        above, below = _compare(">=", subject, low), _compare("<=", subject, high)
        return lambda item, values: above(item, values) and below(item, values)

    def function(self) -> Test:
        called = self.take().text
        self.expect("(")
        if called in ("attribute_exists", "attribute_not_exists"):
            path = self.path()
            self.expect(")")
            if called == "attribute_exists":
                return lambda item, _values: find(item, path) is not None
            return lambda item, _values: find(item, path) is None
        if called not in ("attribute_type", "begins_with", "contains"):
            self.refuse(f"Invalid function name; function: {called}")
        subject, subject_value = self.operand()
        self.expect(",")
        argument, value = self.operand()
        self.expect(")")
        if called == "contains":
            return lambda item, values: _contains(subject(item, values), argument(item, values))
        if called == "begins_with":
            for name in (subject_value, value):
                if name is not None:
                    self.demand(called, name, frozenset({"S", "B"}))
            return lambda item, values: _begins(subject(item, values), argument(item, values))
        if value is None:
            self.refuse_here()
        self.demand(called, value, frozenset({"S"}))
        return lambda item, values: _is_of_type(subject(item, values), values[value]["S"])


def _compare(
    sign: str,
    left: Operand,
    right: Operand,
) -> Test:
    if sign == "=":
        return lambda item, values: _equal(left(item, values), right(item, values))
    if sign == "<>":
        return lambda item, values: not _equal(left(item, values), right(item, values))
    holds: Callable[[Any, Any], bool] = {
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }[sign]

    def test(item: Attributes, values: Values) -> bool:
        a, b = left(item, values), right(item, values)
        if a is None or b is None:
            return False
        pair = ordered(a, b)
        return pair is not None and holds(*pair)

    return test


def _equal(left: Value | None, right: Value | None) -> bool:
    return left is not None and right is not None and same(left, right)


def _measure(value: Value | None) -> Value | None:
    """Return what size() says: characters, bytes or members; nothing for a number, a boolean or null."""
    if value is None:
        return None
    [(kind, raw)] = value.items()
    if kind in ("N", "BOOL", "NULL"):
        return None
    if kind == "B":
        return {"N": str(len(raw) // 4 * 3 - raw[-2:].count("="))}
    return {"N": str(len(raw))}


def _begins(value: Value | None, prefix: Value | None) -> bool:
    if value is None or prefix is None:
        return False
    pair = ordered(value, prefix)
    return pair is not None and kind_of(value) != "N" and pair[0].startswith(pair[1])


def _contains(value: Value | None, wanted: Value | None) -> bool:
    if value is None or wanted is None:
        return False
    [(kind, raw)] = value.items()
    if kind == "L":
        return any(same(element, wanted) for element in raw)
    [(other, sought)] = wanted.items()
    if kind in ("S", "B"):
        pair = ordered(value, wanted)
        return pair is not None and pair[1] in pair[0]
    return kind == f"{other}S" and sought in raw


def _is_of_type(value: Value | None, kind: str) -> bool:
    if kind not in _TYPES:
        raise Refused(
            "Invalid ConditionExpression: Invalid attribute type name found; type: "
            f"{kind}, valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}"
        )
    return value is not None and kind_of(value) == kind


@lru_cache(maxsize=PARSED_TEXTS)
def parse_condition(what: str, text: str, names: Names) -> Condition:
    """
    Parse a condition or a filter.

    Raises:
        Refused: It is no condition, or uses a reserved word or an undefined name.
    """
    reader = _ConditionReader(what, text, names)
    test = reader.condition()
    reader.end()
    return Condition(reading=reader.reading(), holds=test, ranges=tuple(reader.ranges))


@dataclass(frozen=True, slots=True)
class KeyCondition:
    """
    A parsed KeyConditionExpression for one schema.

    ``partition`` names the call's value for the partition key. ``sign`` is a comparator, ``BETWEEN`` or
    ``begins_with`` on the sort key, with the names of its values in ``bounds``; empty without such a condition.
    """

    reading: Reading
    partition: str
    sign: str
    bounds: tuple[str, ...]


class _KeyReader(Reader):
    """Reads key conditions: comparisons joined by AND, each in parentheses or not."""

    def __init__(self, text: str, names: Names) -> None:
        super().__init__("KeyConditionExpression", text, names)
        self.terms: list[tuple[str, str, tuple[str, ...]]] = []

    def conjunction(self) -> None:
        self.term()
        while self.accept_word("AND"):
            self.term()

    def term(self) -> None:
        if self.accept("("):
            self.conjunction()
            self.expect(")")
            return
        if self.peek().kind == "name" and self.peek(1).text == "(":
            called = self.take().text
            if called != "begins_with":
                self.refuse(f"Invalid function name; function: {called}")
            self.expect("(")
            key = self.key()
            self.expect(",")
            prefix = self.value()
            self.expect(")")
            self.demand(called, prefix, frozenset({"S", "B"}))
            self.terms.append((key, called, (prefix,)))
            return
        key = self.key()
        token = self.take()
        if token.text in _COMPARATORS:
            self.terms.append((key, token.text, (self.value(),)))
        elif token.text.upper() == "BETWEEN":
            low = self.value()
            if not self.accept_word("AND"):
                self.refuse_here()
            self.terms.append((key, "BETWEEN", (low, self.value())))
        else:
            self.position -= 1
            self.refuse_here()

    def key(self) -> str:
        path = self.path()
        if len(path) > 1:
            self.refuse("KeyConditionExpressions cannot have conditions on nested attributes")
        return str(path[0])


@lru_cache(maxsize=PARSED_TEXTS)
def parse_key_condition(text: str, names: Names, partition_name: str, sort_name: str | None) -> KeyCondition:
    """
    Parse a key condition for a table or an index with these key attributes.

    Raises:
        Refused: It is no key condition, or not one for this schema.
    """
    reader = _KeyReader(text, names)
    reader.conjunction()
    reader.end()
    keys = [key for key, _, _ in reader.terms]
    if partition_name not in keys:
        raise Refused(f"Query condition missed key schema element: {partition_name}")
    if len(set(keys)) < len(keys):
        reader.refuse("KeyConditionExpressions must only contain one condition per key")
    for key in keys:
        if key not in (partition_name, sort_name):
            if sort_name is not None and sort_name not in keys:
                raise Refused(f"Query condition missed key schema element: {sort_name}")
            raise Refused("Query key condition not supported")
    by_key = {key: (sign, bounds) for key, sign, bounds in reader.terms}
    partition_sign, partition_values = by_key[partition_name]
    sign, bounds = by_key.get(sort_name or "", ("", ()))
    if partition_sign != "=" or sign == "<>":
        raise Refused("Query key condition not supported")
    return KeyCondition(reading=reader.reading(), partition=partition_values[0], sign=sign, bounds=bounds)
