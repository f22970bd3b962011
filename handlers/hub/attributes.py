"""Attribute values as DynamoDB has them on the wire (Amazon DynamoDB API Reference, "AttributeValue")."""

from __future__ import annotations

from typing import TypedDict


class AttributeValue(TypedDict, total=False):
    """A value; exactly one of the members is there and names its type."""

    S: str
    N: str
    B: bytes
    BOOL: bool
    NULL: bool
    M: dict[str, AttributeValue]
    L: list[AttributeValue]
    SS: list[str]
    NS: list[str]
    BS: list[bytes]


Attributes = dict[str, AttributeValue]
"""An item, a key, or what an expression's placeholders stand for."""
