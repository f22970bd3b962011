"""
How the middle prices of forex and metals moved from one tick of the market stream to the next, counted for sentiment.

Where nothing is traded, sentiment is made of this. The counts rise for ever: the market stream writes two small numbers
for each symbol, and whoever reads them later and later tells by the difference what happened between.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handlers.hub.snapshots import SnapshotStore
    from scheduler.market.quotes import Quote

UP, LEVEL, DOWN = 2, 1, 0
"""What a tick counts, in halves."""

GAP_MS: Final = 90_000
"""Of counts that are further apart than this, in milliseconds, nobody can say in which minute what happened."""

logger = logging.getLogger(__name__)


class Moves(msgspec.Struct, frozen=True, array_like=True):
    """So many ticks, and what they count in halves: two for a rise of the middle price, one for no move."""

    halves: int = 0
    ticks: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """
    The counts as they stood ``at``, epoch milliseconds, by symbol, and who gave the prices.

    ``at`` is 0 when the market stream has said nothing yet.
    """

    at: int = 0
    moves: Mapping[str, Moves] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)


class MoveSource(Protocol):
    """Where the counts are read."""

    async def latest(self) -> Moved:
        """Give the counts as they were written last."""
        ...


class _State(msgspec.Struct):
    """What is used of the market stream's state."""

    moves: dict[str, Moves] = {}


class _Data(msgspec.Struct):
    """What is used of a market ``data``."""

    source: str


_state = msgspec.json.Decoder(_State)
_data = msgspec.json.Decoder(_Data)


class SnapshotMoves:
    """The ``MoveSource`` on the market stream's snapshot; what a tick has left that sent nothing is not in it."""

    def __init__(self, snapshots: SnapshotStore) -> None:
        self._snapshots = snapshots

    async def latest(self) -> Moved:
        """Read the snapshot; errors of the table are raised as they are."""
        snapshot = await asyncio.to_thread(self._snapshots.latest, "market")
        return Moved() if snapshot is None else read(snapshot.data, snapshot.state, at=snapshot.ts)


def read(content: Mapping[str, bytes], state: bytes, *, at: int) -> Moved:
    """Read the counts out of the market stream's content and state; what another version wrote counts as nothing."""
    try:
        moves = _state.decode(state).moves if state else {}
        sources = {symbol: _data.decode(content[symbol]).source for symbol in moves if symbol in content}
    except msgspec.DecodeError as error:
        logger.warning("the market stream's counts cannot be read: %s", error)
        return Moved()
    return Moved(at, moves, sources)


def count(before: Moves, old: Quote | None, new: Quote) -> Moves:
    """
    Count one tick more, if there are two prices that can be compared: of one source, and neither stale nor closed.

    Another source's price is no move: a token of gold has a premium over gold.
    """
    if old is None or old.origin != new.origin or old.last is None or new.last is None:
        return before
    was, now = old.last, new.last
    if new.stale or new.market != "open":
        return before
    if was == now:
        counts = LEVEL
    else:
        rise = Decimal(now) - Decimal(was)
        counts = UP if rise > 0 else LEVEL if not rise else DOWN
    return Moves(before.halves + counts, before.ticks + 1)


def between(before: Moved, after: Moved) -> dict[str, Moves]:
    """
    Say what was counted from ``before`` to ``after``.

    Nothing for a symbol that is new or whose count has begun anew, nor when the two are too far apart.
    """
    if not 0 < after.at - before.at <= GAP_MS:
        return {}
    gained = {}
    for symbol, now in after.moves.items():
        was = before.moves.get(symbol)
        if was is not None and now.ticks > was.ticks and now.halves >= was.halves:
            more = Moves(now.halves - was.halves, now.ticks - was.ticks)
            if more.halves <= UP * more.ticks:
                gained[symbol] = more
    return gained
