"""Request models: JSON schemas that a message must obey before a non-proxy integration sees it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from local.rules.reading import NoJson, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    for reference in _references(schema):
        if not _leads_somewhere(reference, schema):
            return f"{reference} leads nowhere in it, and nothing is fetched from elsewhere"
    return None


def _references(schema: object) -> Iterator[str]:
    """Give every ``$ref`` of a schema."""
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        schema = list(schema.values())
    for part in schema if isinstance(schema, list) else ():
        yield from _references(part)


def _leads_somewhere(reference: str, schema: Any) -> bool:  # noqa: ANN401 # JSON
    """Say whether a ``$ref`` is a pointer (RFC 6901) to a part of the schema itself."""
    start, *steps = reference.split("/")
    found = schema
    for step in steps:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return False
    return start == "#"


@lru_cache(maxsize=64)
def _validator(schema: bytes) -> Validator:
    from jsonschema import Draft4Validator  # noqa: PLC0415 # as above

    return Draft4Validator(msgspec.json.decode(schema))
