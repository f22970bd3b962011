"""The wire's contract, infra/asyncapi.yaml, as a judge of messages."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT7

CONTRACT = Path(__file__).parents[1] / "infra" / "asyncapi.yaml"
_ROOT = "urn:tickwire:asyncapi"


@lru_cache(maxsize=1)
def contract() -> dict[str, Any]:
    """Read the AsyncAPI document."""
    document: dict[str, Any] = yaml.load(CONTRACT.read_bytes(), Loader=yaml.CSafeLoader)
    return document


@cache
def schema(name: str) -> jsonschema.Draft7Validator:
    """Make the validator of one schema of the document."""
    registry: Registry[Any] = Registry().with_resource(_ROOT, DRAFT7.create_resource(contract()))
    return jsonschema.Draft7Validator({"$ref": f"{_ROOT}#/components/schemas/{name}"}, registry=registry)


@lru_cache(maxsize=1)
def _by_word() -> dict[str, str]:
    """Lead from the ``type`` or ``action`` of a message to its schema."""
    found = {}
    for name in contract()["components"]["messages"]:
        members = contract()["components"]["schemas"][name].get("properties", {})
        for word in ("type", "action"):
            if "const" in members.get(word, {}):
                found[f"{word} {members[word]['const']}"] = name
    return found


def validate_message(message: bytes | str) -> Any:
    """
    Check what the server says, as bytes or text, against its schema and give it decoded.

    Raises:
        AssertionError: It is no message of this wire; the sentence says where and why.
    """
    return _validate(message, "type")


def validate_request(request: bytes | str) -> Any:
    """Check what a client asks for, in the same way."""
    if request in ("ping", b"ping"):
        schema("barePing").validate("ping")
        return "ping"
    return _validate(request, "action")


def _validate(text: bytes | str, word: str) -> Any:
    decoded = msgspec.json.decode(text)
    name = _by_word().get(f"{word} {decoded.get(word)}")
    if name is None:
        raise AssertionError(f"the contract has no {word} {decoded.get(word)!r}")
    for fault in sorted(schema(name).iter_errors(decoded), key=lambda fault: fault.json_path):
        raise AssertionError(f"{word} {decoded[word]}: {fault.json_path}: {fault.message}")
    return decoded
