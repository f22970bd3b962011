"""Request models: JSON schemas that a message must obey before a non-proxy integration sees it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from local.rules.reading import NoJson, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema.protocols import Validator


def obeys(message: str, schema: Mapping[str, Any]) -> bool:
    """Say whether a message is JSON that a schema (draft 4, as API Gateway's models are) allows."""
    try:
        body = read_json(message)
    except NoJson:
        return False
    try:
        return _validator(msgspec.json.encode(schema)).is_valid(body)
    except RecursionError:
        # A schema that holds itself, and a message as deep as it can be read.
        return False


def fault_of(schema: object) -> str | None:
    """Say what is wrong with a schema, or ``None``."""
    from jsonschema import Draft4Validator  # noqa: PLC0415 # 60 ms, and few templates have models
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415

    if not isinstance(schema, dict):
        return "it is no mapping"
    try:
        Draft4Validator.check_schema(schema)
    except SchemaError as error:
        return error.message
    return None


@lru_cache(maxsize=64)
def _validator(schema: bytes) -> Validator:
    from jsonschema import Draft4Validator  # noqa: PLC0415 # as above

    return Draft4Validator(msgspec.json.decode(schema))
