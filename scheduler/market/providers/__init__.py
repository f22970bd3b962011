"""One file for each place where market data comes from, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handlers.hub.instruments import Instrument
    from scheduler.errors import ProviderFault
    from scheduler.market.quotes import Quote

USER_AGENT: Final = "tickwire/0.1.0"
"""How every provider is told who asks; the version is the project's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a provider had to say: quotes by our symbols, and why the others are missing.

    A symbol in neither is halted, or the provider passed over it: there is no new value, and nothing is wrong.
    """

    quotes: Mapping[str, Quote] = field(default_factory=dict)
    faults: Sequence[ProviderFault] = ()


class Provider(Protocol):
    """
    A place where quotes come from.

    What one remembers between two fetches (a ban, a quarantine, the weight used) is about this process's address
    on the internet, and may be lost: the provider then says it again.
    """

    @property
    def name(self) -> str:
        """The word in ``Instrument.sources``, and a quote's ``source`` unless the answer names another."""

    @property
    def period_ms(self) -> int:
        """How often a new value may be expected; twice as much without one is stale."""

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> Answer:
        """
        Ask for quotes of ``instruments``, all of which have this provider among their sources.

        Returns after at most ``within`` seconds with what has come until then. Whatever the provider does is a
        fault in the answer; nothing is raised for it.
        """

    async def close(self) -> None:
        """Close what is open; a fetch afterwards opens it anew."""


@dataclass(frozen=True, slots=True)
class ReferenceAnswer:
    """
    What somebody who is no source of quotes says that things cost, for comparison: rates by our symbols.

    ``dated_at`` is the beginning of the day they are of, ``due_at`` from when on to ask again, in epoch milliseconds.
    Without rates, ``faults`` say why.
    """

    rates: Mapping[str, str]
    dated_at: int
    due_at: int
    faults: Sequence[ProviderFault] = ()


class ReferenceProvider(Protocol):
    """Whom to ask for reference prices; like a ``Provider`` in everything but what it says."""

    @property
    def name(self) -> str:
        """What it is called in ``status`` messages."""

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> ReferenceAnswer:
        """Ask for the reference prices of ``instruments``, all of which have a ``reference``."""

    async def close(self) -> None:
        """Close what is open; a fetch afterwards opens it anew."""
