"""What one tick says to each kind of follower, serialised once for all who are told the same."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from handlers.hub import compact, protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handlers.hub.connections import Connection, Subscription
    from handlers.hub.snapshots import Snapshot
    from scheduler.composition import Status

NEW_FOR_MS: Final = 10_000
"""
How much longer than its stream's first period a connection is new, in milliseconds.

A new one on a public path is sent snapshots, and every new one how the components do: with each tick, because one may
fail, or may not find who has only just subscribed.
"""


class Notices:
    """
    What a tick tells of the components (``status`` messages), before its content.

    Args:
        stream: Whose followers are told.
        news: What everybody is told.
        standing: How all components do. Whoever is new is told of those that are not ok.
        now: Epoch milliseconds.
    """

    def __init__(self, stream: str, news: Sequence[Status], standing: Sequence[Status], *, now: int) -> None:
        self._stream = stream
        self._now = now
        self._news = [protocol.status(*one) for one in news]
        troubled = [protocol.status(*one) for one in standing if one.state != "ok"]
        self._all = list(dict.fromkeys([*self._news, *troubled]))

    def to(self, connection: Connection) -> Sequence[bytes]:
        """Give what this connection is to be told."""
        return self.told(is_new=is_new(connection.subscriptions[self._stream], self._stream, now=self._now))

    def told(self, *, is_new: bool) -> Sequence[bytes]:
        """Give what those who are new, or those who are not, are to be told."""
        return self._all if is_new else self._news


def is_new(subscription: Subscription, stream: str, *, now: int) -> bool:
    """Whether a subscription has begun so lately that what was told before it has to be told again."""
    return now < subscription.subscribed_at + protocol.PERIOD_MS[stream] + NEW_FOR_MS


class Messages:
    """
    The messages of one tick.

    A connection that is owed a snapshot gets it with every tick, also with one on which nothing has changed; the
    others get the updates of what they follow, perhaps an empty batch, so that ``prev`` fits at the next one.

    Args:
        state: The snapshot that this tick has written; on a quiet tick the one that stands.
        prev: The tick sent before this one; None for the very first.
        updates: ``data`` by symbol, encoded; None on a quiet tick, on which only owed snapshots are sent.
        now: Epoch milliseconds; whether a snapshot is still owed is judged by it.
        notices: What goes before what the tick has for each; on a quiet tick too.
    """

    def __init__(
        self,
        state: Snapshot,
        *,
        prev: int | None,
        updates: Mapping[str, bytes] | None,
        now: int,
        notices: Notices | None = None,
    ) -> None:
        self._state = state
        self._prev = prev
        self._updates = updates
        self._now = now
        self._notices = notices or Notices(state.stream, (), (), now=now)
        self._composed: dict[tuple[frozenset[str] | None, str, bool, bool], Sequence[bytes]] = {}

    def to(self, connection: Connection) -> Sequence[bytes]:
        """Give what this connection is to be sent, in order; nothing if this tick has nothing for it."""
        subscription = connection.subscriptions[self._state.stream]
        new = is_new(subscription, self._state.stream, now=self._now)
        asked = (subscription.symbols, self._how(connection.format), new and subscription.snapshot_owed)
        if (*asked, new) not in self._composed:
            self._composed[*asked, new] = [*self._notices.told(is_new=new), *self._compose(*asked)]
        return self._composed[*asked, new]

    def _how(self, how: str) -> str:
        """Give the format that counts: a stream without a compact form has the same batches for both."""
        return "batch" if how == "compact" and self._state.stream not in protocol.COMPACT_TYPE else how

    @cached_property
    def _values(self) -> dict[str, bytes]:
        return {symbol: compact.values(data, ts=self._state.ts) for symbol, data in (self._updates or {}).items()}

    def _compose(self, symbols: frozenset[str] | None, how: str, owed: bool) -> Sequence[bytes]:  # noqa: FBT001 - a key's part
        state = self._state
        if owed:
            return protocol.snapshot(state, only=symbols)
        if self._updates is None:
            return ()
        if how == "single":
            return [
                protocol.single(state.stream, symbol, state.data[symbol])
                for symbol in self._updates
                if symbols is None or symbol in symbols
            ]
        if how == "compact":
            return protocol.compact_batch(
                state.stream, seq=state.seq, prev=self._prev, ts=state.ts, values=self._values, only=symbols
            )
        return protocol.batch(
            state.stream, seq=state.seq, prev=self._prev, ts=state.ts, updates=self._updates, only=symbols
        )
