"""Conditions of policy statements: IAM's operators, as far as what they ask about is known of a function here."""

from __future__ import annotations

import operator
import re
from fnmatch import translate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _equal_texts(value: str, wanted: str) -> bool:
    return value == wanted


def _equal_in_any_case(value: str, wanted: str) -> bool:
    return value.casefold() == wanted.casefold()


def _like(value: str, wanted: str) -> bool:
    # IAM has no sets of characters in brackets.
    return re.match(translate(wanted.replace("[", "[[]")), value) is not None


def _like_arn(value: str, wanted: str) -> bool:
    """Compare ARNs part by part: a wildcard never reaches over a colon of the first five."""
    parts, patterns = value.split(":", 5), wanted.split(":", 5)
    return len(parts) == len(patterns) and all(map(_like, parts, patterns))


def _equal_truths(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


def _compared(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def numbers(value: str, wanted: str) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return numbers


#: Each operator's comparison, and whether it is the opposite that counts.
_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (_equal_texts, False),
    "StringNotEquals": (_equal_texts, True),
    "StringEqualsIgnoreCase": (_equal_in_any_case, False),
    "StringNotEqualsIgnoreCase": (_equal_in_any_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_like_arn, False),
    "ArnLike": (_like_arn, False),
    "ArnNotEquals": (_like_arn, True),
    "ArnNotLike": (_like_arn, True),
    "Bool": (_equal_truths, False),
    "NumericEquals": (_compared(operator.eq), False),
    "NumericNotEquals": (_compared(operator.eq), True),
    "NumericLessThan": (_compared(operator.lt), False),
    "NumericLessThanEquals": (_compared(operator.le), False),
    "NumericGreaterThan": (_compared(operator.gt), False),
    "NumericGreaterThanEquals": (_compared(operator.ge), False),
}
_SETS = ("ForAnyValue:", "ForAllValues:")


def conditions_hold(block: object, context: Mapping[str, str], unknown: list[str]) -> bool:
    """
    Tell whether every condition of a statement holds.

    Args:
        block: The statement's ``Condition``.
        context: What is known, by condition key in lower case.
        unknown: Gets the operators and keys that mean nothing here; the answer says nothing then.
    """
    if not isinstance(block, dict):
        unknown.append("Condition")
        return False
    holds = True
    for named, tests in block.items():
        for key, wanted in (tests if isinstance(tests, dict) else {named: None}).items():
            if key.lower() not in context:
                unknown.append(f"{named} {key}")
            elif named == "Null":
                # Whatever is known is there.
                holds = holds and _texts(wanted) == ["false"]
            elif (found := _OPERATORS.get(_plain(named))) is None:
                unknown.append(named)
            else:
                compare, is_opposite = found
                value = context[key.lower()]
                holds = holds and any(compare(value, text) for text in _texts(wanted)) is not is_opposite
    return holds


def _plain(named: str) -> str:
    """Strip an operator of what makes no difference to single values that are there."""
    for prefix in _SETS:
        named = named.removeprefix(prefix)
    return named.removesuffix("IfExists")


def _texts(wanted: Any) -> list[str]:  # noqa: ANN401 # any part of a policy
    values = wanted if isinstance(wanted, list) else [wanted]
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
