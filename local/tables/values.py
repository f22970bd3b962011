# ruff: noqa: ANN401 -- a value holds whatever the JSON held until it is accepted
"""
Attribute values as DynamoDB's JSON carries them: checked, measured, normalised, compared.

A value is a dictionary with one member, its type: ``{"S": "a"}``, ``{"N": "1.5"}``, ``{"L": [{"BOOL": true}]}``. Once
accepted, its numbers are in DynamoDB's own notation (no exponent, no leading or trailing zero), so that equal numbers
are equal texts. Accepted values are never changed in place: rows, snapshots and answers share them.
"""

from __future__ import annotations

import base64
import binascii
import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import TYPE_CHECKING, Any, Final, NoReturn

from local.tables.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

Value = dict[str, Any]
Attributes = dict[str, Value]
Key = str | Decimal | bytes

# "Maximum item size in DynamoDB is 400 KB, which includes both attribute name binary length (UTF-8) and attribute
# value lengths" (DynamoDB developer guide, Constraints).
ITEM_LIMIT: Final = 400 * 1024
# "DynamoDB supports nested attributes up to 32 levels deep" (the same page).
DEPTH_LIMIT: Final = 32

# Numbers that already are in DynamoDB's notation, with at most 38 digits: nearly all.
_PLAIN = re.compile(r"(?!-0\Z)-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{0,18}[1-9])?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# Wide enough for the sum of the largest and the smallest number there is, 1E+126 and 1E-130.
_WIDE = Context(prec=1_000, Emax=MAX_EMAX, Emin=MIN_EMIN)

_SETS = {"SS": "string", "NS": "number", "BS": "binary"}
_ORDERED = frozenset({"S", "N", "B"})


def number(text: str) -> str:
    """
    Write a number as DynamoDB gives it back, or refuse it.

    At most 38 significant digits, magnitude from 1E-130 to 9.99E+125 (developer guide, Supported data types).
    """
    if _PLAIN.fullmatch(text):
        return text
    if not _NUMBER.fullmatch(text):
        raise Refused(f"The parameter cannot be converted to a numeric value: {text}")
    try:
        value = _WIDE.normalize(Decimal(text))
    except ArithmeticError as error:  # an exponent beyond what Python's decimals hold
        raise Refused(
            "Number overflow. Attempting to store a number with magnitude larger than supported range"
        ) from error
    if not value:
        return "0"
    if len(value.as_tuple().digits) > 38:  # noqa: PLR2004 -- the documented limit, in the docstring
        raise Refused("Attempting to store more than 38 significant digits in a Number")
    if value.adjusted() > 125:  # noqa: PLR2004 -- the documented limit, in the docstring
        raise Refused("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if value.adjusted() < -130:  # noqa: PLR2004 -- the documented limit, in the docstring
        raise Refused("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    return format(value, "f")


def add(left: str, right: str) -> str:
    """Add two accepted numbers, exactly."""
    if "." not in left and "." not in right:
        return number(str(int(left) + int(right)))
    return number(format(_WIDE.add(Decimal(left), Decimal(right)), "f"))


def negate(text: str) -> str:
    """Change the sign of an accepted number."""
    if text == "0":
        return text
    return text[1:] if text[0] == "-" else f"-{text}"


def key_of(kind: str, raw: str) -> Key:
    """Return a string, number or binary value as something that sorts as DynamoDB sorts it."""
    if kind == "S":
        return raw  # code points compare as their UTF-8 bytes do
    if kind == "N":
        return Decimal(raw)
    return base64.b64decode(raw)


def kind_of(value: Value) -> str:
    """Return a value's type, such as ``S``."""
    return next(iter(value))


def _binary_size(raw: str) -> int:
    try:
        return len(base64.b64decode(raw, validate=True))
    except (binascii.Error, ValueError) as error:
        raise Refused("Invalid Base64 content in a binary value", kind="SerializationException") from error


def _number_size(text: str) -> int:
    # "1 byte per two significant digits, plus 1 byte" (developer guide, Item sizes and formats); a sign takes one more.
    digits = len(text.lstrip("-").replace(".", "").strip("0"))
    return (digits + 1) // 2 + 1 + (text[0] == "-")


def _expect(raw: object, wanted: type, called: str) -> None:
    if type(raw) is wanted:
        return
    found = {str: "STRING_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE", bool: "TRUE_VALUE"}.get(type(raw))
    if found is None:
        raise Refused("Start of structure or map found where not expected", kind="SerializationException")
    raise Refused(f"{found} cannot be converted to {called}", kind="SerializationException")


def _accept_set(value: Value, raw: Any, _depth: int) -> int:
    kind = kind_of(value)
    _expect(raw, list, "List")
    called = _SETS[kind]
    if not raw:
        empty = "Binary sets should not be empty" if kind == "BS" else f"An {called} set  may not be empty"
        raise Refused(f"One or more parameter values were invalid: {empty}")
    for member in raw:
        _expect(member, str, "String")
    if kind == "NS":
        raw = value[kind] = [number(member) for member in raw]
    if len(set(raw)) != len(raw):
        listed = ", ".join(raw)
        raise Refused(f"One or more parameter values were invalid: Input collection [{listed}] contains duplicates.")
    if kind == "SS":
        return sum(len(member.encode()) for member in raw)
    return sum(map(_number_size if kind == "NS" else _binary_size, raw))


def _accept_string(_value: Value, raw: Any, _depth: int) -> int:
    _expect(raw, str, "String")
    return len(raw) if raw.isascii() else len(raw.encode())


def _accept_number(value: Value, raw: Any, _depth: int) -> int:
    _expect(raw, str, "String")
    text = number(raw)
    if text is not raw:
        value["N"] = text
    return _number_size(text)


def _accept_binary(_value: Value, raw: Any, _depth: int) -> int:
    _expect(raw, str, "Blob")
    return _binary_size(raw)


def _accept_boolean(_value: Value, raw: Any, _depth: int) -> int:
    _expect(raw, bool, "Boolean")
    return 1


def _accept_null(_value: Value, raw: Any, _depth: int) -> int:
    if raw is not True:
        raise Refused(
            "One or more parameter values were invalid: Null attribute value types must have the value of true"
        )
    return 1


def _accept_list(_value: Value, raw: Any, depth: int) -> int:
    _expect(raw, list, "List")
    return 3 + sum(1 + accept_value(element, depth + 1) for element in raw)


def _accept_map(_value: Value, raw: Any, depth: int) -> int:
    _expect(raw, dict, "Map")
    return 3 + sum(1 + len(name.encode()) + accept_value(member, depth + 1) for name, member in raw.items())


_ACCEPT: dict[str, Callable[[Value, Any, int], int]] = {
    "S": _accept_string,
    "N": _accept_number,
    "B": _accept_binary,
    "BOOL": _accept_boolean,
    "NULL": _accept_null,
    "SS": _accept_set,
    "NS": _accept_set,
    "BS": _accept_set,
    "L": _accept_list,
    "M": _accept_map,
}


def accept_value(value: Value, depth: int = 0) -> int:
    """
    Check one value and write its numbers in DynamoDB's notation, in place.

    Returns:
        Its size in bytes as DynamoDB counts it (developer guide, Item sizes and formats: a list or map takes 3 and
        each of its elements 1 beside its content).
    """
    if type(value) is not dict or len(value) != 1:
        _refuse_shape(value)
    [(kind, raw)] = value.items()
    check = _ACCEPT.get(kind)
    if check is None:
        _refuse_shape({})
    if depth > DEPTH_LIMIT:
        raise Refused("Nesting Levels have exceeded supported limits: Attributes can be nested up to 32 levels deep")
    return check(value, raw, depth)


def _refuse_shape(value: object) -> NoReturn:
    if not isinstance(value, dict):
        raise Refused("Unexpected value type in payload", kind="SerializationException")
    many = "has more than one datatypes set" if value else "is empty"
    raise Refused(f"Supplied AttributeValue {many}, must contain exactly one of the supported datatypes")


def accept(attributes: Attributes) -> int:
    """
    Check every attribute, write the numbers in DynamoDB's notation in place, and return the item's size in bytes.

    Accepting twice changes nothing, so this is also how an accepted item is measured.

    Raises:
        Refused: With DynamoDB's sentence for the first attribute that is wrong.
    """
    size = 0
    for name, value in attributes.items():
        size += accept_value(value) + (len(name) if name.isascii() else len(name.encode()))
    return size


def same(left: Value, right: Value) -> bool:
    """Tell whether two accepted values are equal: the order of a set's members does not count."""
    if left == right:
        return True
    [(kind, a)] = left.items()
    [(other, b)] = right.items()
    if kind != other:
        return False
    alike = _ALIKE.get(kind)
    return alike is not None and alike(a, b)


# Equal although not the same JSON; for all other types the JSON decides.
_ALIKE: dict[str, Callable[[Any, Any], bool]] = {
    "B": lambda a, b: base64.b64decode(a) == base64.b64decode(b),
    "L": lambda a, b: len(a) == len(b) and all(map(same, a, b)),
    "M": lambda a, b: a.keys() == b.keys() and all(same(a[name], b[name]) for name in a),
    "SS": lambda a, b: set(a) == set(b),
    "NS": lambda a, b: set(a) == set(b),
    "BS": lambda a, b: set(a) == set(b),
}


def ordered(left: Value, right: Value) -> tuple[Any, Any] | None:
    """Return both values as things that compare, or None where DynamoDB knows no order between them."""
    [kind] = left
    if kind not in _ORDERED or kind not in right:
        return None
    return key_of(kind, left[kind]), key_of(kind, right[kind])
