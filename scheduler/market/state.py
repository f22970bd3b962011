"""What the market stream knows from one tick to the next beside what was sent: written down, and read back."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from scheduler.market import quotes
from scheduler.market.moves import Moves

if TYPE_CHECKING:
    from scheduler.composition import Known
    from scheduler.market.quotes import Quote

logger = logging.getLogger(__name__)


class Word(msgspec.Struct, array_like=True, frozen=True):
    """Which provider gave the value that holds, and when (epoch milliseconds)."""

    provider: str
    answered_at: int


class Standing(msgspec.Struct, frozen=True):
    """
    How a provider does.

    ``state`` is the wire's, ``since`` when it took it; ``heard_at`` is when the provider's last good answer came, or
    when it was first asked. Both are epoch milliseconds.
    """

    state: str
    since: int
    heard_at: int


class Reference(msgspec.Struct, frozen=True):
    """
    Daily reference prices: ``rates`` by symbol, of the day that began at ``dated_at``.

    ``due_at`` is when they are asked for again; 0 when they never were. Both are epoch milliseconds. ``is_heard`` says
    whether the last question was answered.
    """

    rates: dict[str, str] = {}
    dated_at: int = 0
    due_at: int = 0
    is_heard: bool = True


class State(msgspec.Struct):
    """
    All of it.

    ``held``, ``disputed`` and ``moves`` are by symbol; the second says when a primary was last found too far off its
    fallbacks, the third counts how prices move that sentiment may have to be made of.
    """

    held: dict[str, Word] = {}
    disputed: dict[str, int] = {}
    standings: dict[str, Standing] = {}
    reference: Reference = Reference()
    moves: dict[str, Moves] = {}

    def write(self) -> bytes:
        """Write it down for ``read``."""
        return msgspec.json.encode(self)


@dataclass(frozen=True, slots=True)
class Held:
    """The value that holds, and which provider gave it; an empty name is one that is not known any more."""

    quote: Quote
    provider: str


def read(known: Known) -> tuple[State, dict[str, Held]]:
    """
    Read the state and the last good values back.

    What another version has written otherwise counts as not known, and the next good answer takes its place; a value
    without its time counts as answered long ago.
    """
    try:
        state = msgspec.json.decode(known.state, type=State) if known.state else State()
    except msgspec.DecodeError as error:
        logger.warning("the market stream's state cannot be read: %s", error)
        state = State()
    held = {}
    for symbol, written in known.content.items():
        word = state.held.get(symbol, Word("", 0))
        try:
            quote = quotes.decode(symbol, written, answered_at=word.answered_at)
        except msgspec.DecodeError as error:
            logger.warning("the last value of %s cannot be read: %s", symbol, error)
        else:
            held[symbol] = Held(quote, word.provider)
    return state, held
