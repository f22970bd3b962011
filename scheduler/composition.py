"""What a stream's content is: what is known from tick to tick, what holds now, and what makes the one of the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Fetched = TypeVar("Fetched")


@dataclass(frozen=True, slots=True)
class Known:
    """
    What the ticks before have left: nothing at all before the first.

    ``content`` leads from a symbol to its full ``data`` as it was last sent, ``state`` is what ``Composition.state``
    was at the last tick, whether it sent anything or not.
    """

    content: Mapping[str, bytes] = field(default_factory=dict)
    state: bytes = b""


class Status(NamedTuple):
    """How a component, such as ``provider.kraken``, does since when (epoch milliseconds); the states are the wire's."""

    component: str
    state: str
    since: int


@dataclass(frozen=True, slots=True)
class Composition:
    """
    What holds now.

    ``updates`` is what a batch says: the ``data`` of every symbol that has changed, or of all when the tick is full.
    ``content`` is the full ``data`` of every symbol with a value, ``state`` whatever the next tick needs, and
    ``faults`` a sentence for each thing that went wrong on the way, for the log. ``news`` are the components
    that do otherwise than at the tick before, and ``standing`` all of them, for whoever was not there.
    """

    updates: Mapping[str, bytes]
    content: Mapping[str, bytes]
    state: bytes
    faults: Sequence[str] = ()
    news: Sequence[Status] = ()
    standing: Sequence[Status] = ()


class Composer(Protocol[Fetched]):
    """Makes the content of one stream. It keeps nothing between ticks that may not be lost."""

    async def fetch(self, *, within: float) -> Fetched:
        """Get from outside what a tick needs, in at most ``within`` seconds; what did not come is in the result."""
        ...

    def compose(self, fetched: Fetched, known: Known, *, now: int, full: bool) -> Composition:
        """Say what holds at ``now`` (epoch milliseconds); computes only."""
        ...

    async def close(self) -> None:
        """Close what is open; no fetch afterwards."""
        ...
