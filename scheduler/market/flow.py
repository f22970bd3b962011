"""Order flow: what was traded and offered of each instrument, and what brings it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handlers.hub.instruments import Instrument
    from scheduler.analysis.sentiment import TradedMinute
    from scheduler.errors import ProviderFault

# More digits than any quantity has, and no exponent: what comes is added up exactly.
_QUANTITY: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,8})?")


@dataclass(frozen=True, slots=True)
class Flow:
    """
    What a provider had to say when it was asked at ``asked_at`` (our clock, epoch milliseconds), by our symbols.

    ``traded`` holds the last 15 full minutes and the one under way as far as there are any, ``book`` the bid's share
    of what is offered at the best prices, in millionths, and ``sources`` who said what was traded. A symbol may be in
    one and not the other; why one is missing is in ``faults``, unless nobody offers it.
    """

    asked_at: int
    traded: Mapping[str, Sequence[TradedMinute]] = field(default_factory=dict)
    book: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    faults: Sequence[ProviderFault] = ()


class FlowProvider(Protocol):
    """A place where order flow comes from; what it remembers between two fetches may be lost, as a ``Provider``'s."""

    @property
    def name(self) -> str:
        """The word in ``Instrument.sources``."""

    @property
    def period_ms(self) -> int:
        """How often a new value may be expected; twice as much without one is stale."""

    @property
    def is_paced(self) -> bool:
        """Whether a fetch waits for its turn between calls, and so takes seconds: to be ``Prefetched``."""

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> Flow:
        """
        Ask for the flow of ``instruments``, all of which have this provider among their sources.

        Returns after at most ``within`` seconds with what has come until then; nothing is raised for what the
        provider does.
        """

    async def close(self) -> None:
        """Close what is open; no fetch afterwards."""


def quantity(text: str) -> Decimal:
    """
    Read how much of something there is.

    Raises:
        ValueError: It is no plain decimal number, a negative one, or has more digits than a quantity has.
    """
    if not _QUANTITY.fullmatch(text):
        raise ValueError(f"not a quantity: {text[:40]!r}")
    return Decimal(text)
