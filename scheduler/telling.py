"""What one tick has to say, and how that travels to functions that say it to a part of the followers."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from handlers.hub.snapshots import Snapshot
from scheduler.composition import Status
from scheduler.messages import Messages, Notices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from handlers.hub.connections import Connection
    from handlers.hub.snapshots import SnapshotStore

PACKED_LIMIT: Final = 200_000
"""
The longest packed telling, in characters: an asynchronous event of Lambda may have 262,144 bytes in all.

(Lambda Developer Guide, "Lambda quotas", as it was for years; since October 2025 it may have 1 MB.)
"""


@dataclass(frozen=True, slots=True)
class Telling:
    """
    What one tick has to say to the followers of ``stream``.

    ``state`` is the snapshot that stands, None before the first; ``prev``, ``updates`` and ``now`` are those of
    ``Messages``, ``news`` and ``standing`` those of ``Notices``.
    """

    stream: str
    state: Snapshot | None
    prev: int | None
    updates: Mapping[str, bytes] | None
    now: int
    news: Sequence[Status] = ()
    standing: Sequence[Status] = ()

    def messages(self) -> Callable[[Connection], Sequence[bytes]]:
        """Give what leads from a connection to its messages; each different one is written once."""
        notices = Notices(self.stream, self.news, self.standing, now=self.now)
        if self.state is None:
            return notices.to
        return Messages(self.state, prev=self.prev, updates=self.updates, now=self.now, notices=notices).to


class _Packed(msgspec.Struct, omit_defaults=True):
    """
    A telling as JSON.

    Without ``data`` it is by reference: the table's snapshot of tick ``seq`` has the values, and ``changed`` names the
    symbols that were updated.
    """

    stream: str
    now: int
    prev: int | None = None
    seq: int | None = None
    ts: int = 0
    data: dict[str, msgspec.Raw] | None = None
    updates: dict[str, msgspec.Raw] | None = None
    changed: list[str] | None = None
    news: Sequence[Status] = ()
    standing: Sequence[Status] = ()


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Packed)


def pack(telling: Telling, *, limit: int = PACKED_LIMIT) -> str:
    """
    Write a telling as text, compressed; by reference to the table's snapshot when it would be longer than ``limit``.

    The snapshot's own state, which is the scheduler's, does not travel.
    """
    packed = _Packed(telling.stream, telling.now, telling.prev, news=telling.news, standing=telling.standing)
    if telling.state is not None:
        packed.seq, packed.ts = telling.state.seq, telling.state.ts
        packed.data = _raw(telling.state.data)
        packed.updates = None if telling.updates is None else _raw(telling.updates)
    text = _compress(packed)
    if len(text) > limit:
        packed.changed = None if telling.updates is None else list(telling.updates)
        packed.data = packed.updates = None
        text = _compress(packed)
    return text


def unpack(text: str, snapshots: SnapshotStore) -> Telling | None:
    """
    Read what ``pack`` wrote; None when it was by reference, and the table has another tick's snapshot by now.

    By reference, whatever has changed of a symbol comes with all the rest of its values, which says the same.
    """
    packed = _decoder.decode(zlib.decompress(b64decode(text)))
    state, updates = None, None
    if packed.seq is not None and packed.data is not None:
        state = Snapshot(packed.stream, packed.seq, packed.ts, _plain(packed.data), b"")
        updates = None if packed.updates is None else _plain(packed.updates)
    elif packed.seq is not None:
        state = snapshots.latest(packed.stream)
        if state is None or state.seq != packed.seq:
            return None
        updates = None if packed.changed is None else {symbol: state.data[symbol] for symbol in packed.changed}
    return Telling(packed.stream, state, packed.prev, updates, packed.now, packed.news, packed.standing)


def _compress(packed: _Packed) -> str:
    return b64encode(zlib.compress(_encoder.encode(packed))).decode()


def _raw(values: Mapping[str, bytes]) -> dict[str, msgspec.Raw]:
    return {symbol: msgspec.Raw(value) for symbol, value in values.items()}


def _plain(values: Mapping[str, msgspec.Raw]) -> dict[str, bytes]:
    return {symbol: bytes(value) for symbol, value in values.items()}
