"""Read what clients, functions and templates say is JSON."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

_decode = msgspec.json.Decoder().decode


class NoJson(ValueError):
    """A text that is no JSON, or is nested more deeply than anybody reads."""


def read_json(text: str | bytes) -> Any:  # noqa: ANN401 # any JSON value
    """
    Return the value that a text stands for; half of a surrogate pair in it, which no frame can carry, is read as ``?``.

    Raises:
        NoJson: It stands for none.
    """
    try:
        return _decode(text)
    except RecursionError as error:
        raise NoJson from error
    except (msgspec.DecodeError, UnicodeEncodeError):
        # Numbers beyond a float's range and halves of surrogate pairs are JSON too, if only by its grammar.
        try:
            return _whole(json.loads(text, parse_constant=_refuse))
        except (ValueError, RecursionError) as error:
            raise NoJson from error


def _whole(value: Any) -> Any:  # noqa: ANN401 # any JSON value
    """Return a value without halves of surrogate pairs."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_whole(element) for element in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(member) for name, member in value.items()}
    return value


def _refuse(constant: str) -> NoReturn:
    raise NoJson(constant)
