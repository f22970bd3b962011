"""infra/asyncapi.yaml agrees with itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.wire import contract, schema

if TYPE_CHECKING:
    from collections.abc import Iterator


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(reference: str) -> Any:
    node: Any = contract()
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def test_every_reference_leads_somewhere():
    found = set(references(contract()))
    assert len(found) > 50
    for reference in found:
        resolve(reference)


def test_every_schema_is_a_json_schema_and_is_used():
    schemas = contract()["components"]["schemas"]
    for one in schemas.values():
        jsonschema.Draft7Validator.check_schema(one)
    assert {f"#/components/schemas/{name}" for name in schemas} <= set(references(contract()))


def test_every_message_stands_in_every_channel_and_in_an_operation():
    messages = contract()["components"]["messages"]
    for channel in contract()["channels"].values():
        assert set(channel["messages"]) == set(messages)
    used = set(references(contract()["operations"]))
    assert {f"#/channels/stage/messages/{name}" for name in messages} <= used


@pytest.mark.parametrize("name", list(contract()["components"]["messages"]))
def test_every_example_fits_its_schema(name: str):
    for example in contract()["components"]["messages"][name].get("examples", []):
        schema(name).validate(example["payload"])


def test_the_addresses_are_the_public_ones():
    assert [channel["address"] for channel in contract()["channels"].values()] == [
        "/{stage}",
        "/ws/market/stream",
        "/ws/trading/signals/stream",
        "/ws/trading/binary/stream",
    ]
