"""How a message that would be too long is divided into parts that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIMIT_BYTES: Final = 30_000
"""No message is longer, in bytes: the gateway's frames are 32 KB, and it bills by them."""

_MOST_PARTS: Final = {"part": 9_999, "parts": 9_999}
"""Stands in for the real numbers while room is being measured."""

Entry = TypeVar("Entry")
encode = msgspec.json.Encoder().encode


def room_beside(message: dict[str, Any]) -> int:
    """Measure how many bytes of entries a part has room for beside its empty ``message``."""
    return LIMIT_BYTES - len(encode(message | _MOST_PARTS))


def chunks(entries: Iterable[tuple[Entry, int]], room: int) -> list[list[Entry]]:
    """Fill one chunk after the other, in order, with entries of the given sizes; at least one chunk."""
    filled: list[list[Entry]] = [[]]
    left = room
    for entry, size in entries:
        if size > left and filled[-1]:
            filled.append([])
            left = room
        filled[-1].append(entry)
        left -= size
    return filled


def tick(head: dict[str, Any], updates: Sequence[Any]) -> list[bytes]:
    """
    Compose the message of one tick.

    Only when it would pass 30,000 bytes it is several, with the same ``head``, that count themselves by ``part`` and
    ``parts``; one update is never divided.
    """
    whole = encode(head | {"updates": updates})
    if len(whole) <= LIMIT_BYTES:
        return [whole]
    sized = [(update, len(encode(update)) + 1) for update in updates]
    divided = chunks(sized, room_beside(head | {"updates": []}))
    return [
        encode(head | {"part": number, "parts": len(divided), "updates": chunk})
        for number, chunk in enumerate(divided, start=1)
    ]
