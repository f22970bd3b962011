"""Which of an instrument's sources is believed: the preferred one, unless it is down or contradicts the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Final

from scheduler.market import sessions
from scheduler.market.state import Held

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from handlers.hub.instruments import Instrument
    from scheduler.market.quotes import Quote

STALE_PERIODS: Final = 2
"""A value is stale when the last good answer is older than so many periods of its provider."""

SAMPLE_MS: Final = 60_000
"""Fallbacks are asked once in every so many milliseconds, and whenever the primary is in doubt."""

DISPUTED: Final = Decimal("0.005")
"""A primary is rejected when it is further than this off the median of its fallbacks, of which it is the part."""

ASTRAY: Final = Decimal("0.03")
"""A provider is degraded when a value of its is further than this off the daily reference."""


@dataclass(frozen=True, slots=True)
class Source:
    """One provider of an instrument, how often it may have a new value (milliseconds), whether it is a proxy."""

    provider: str
    period_ms: int
    is_proxy: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """
    What holds now.

    ``disputed_at`` is when the primary was last found too far off its fallbacks, None when it is believed;
    ``is_astray`` says that what holds is too far off the reference. ``is_in_doubt`` asks for the fallbacks at the next
    tick. ``faults`` are sentences about all this for the log.
    """

    held: Held | None
    disputed_at: int | None
    is_astray: bool
    is_in_doubt: bool
    faults: Sequence[str]

    @property
    def is_contested(self) -> bool:
        """Whether the primary is not believed, or what holds is stale."""
        return self.disputed_at is not None or (self.held is not None and self.held.quote.stale)

    def is_held_of(self, provider: str) -> bool:
        """Whether what holds is ``provider``'s word."""
        return self.held is not None and self.held.provider == provider


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known apart from quotes: the time (epoch milliseconds), and who may not be asked (``shut``)."""

    now: int
    shut: Collection[str] = ()


class Chooser:
    """
    Chooses for one instrument.

    A better source than the one that holds takes its place at once, and a worse one only when that is down: it may
    not be asked, or had no good answer for two of its periods. A primary that its fallbacks contradict is not heard
    until they agree or fall silent; meanwhile nobody takes its place, for nobody knows who is right. While the market
    is closed nothing is compared, nothing is stale, and no worse source takes a place.

    Args:
        instrument: Which.
        sources: Its providers, the preferred one first; at least one.
    """

    def __init__(self, instrument: Instrument, sources: Sequence[Source]) -> None:
        self.instrument = instrument
        self.sources = sources
        self._ranks = {source.provider: rank for rank, source in enumerate(sources)}
        self._may_be_proxy = any(source.is_proxy for source in sources)

    @property
    def primary(self) -> str:
        """The preferred provider."""
        return self.sources[0].provider

    def choose(
        self,
        old: Held | None,
        answers: Mapping[str, Quote],
        *,
        disputed_at: int | None,
        reference: str | None,
        moment: Moment,
    ) -> Choice:
        """
        Say what holds.

        Args:
            old: What held until now.
            answers: What the providers have just said, by their names; not all are asked each time.
            disputed_at: As the last choice said.
            reference: What the instrument cost by the daily reference.
            moment: When, and who may not be asked.
        """
        is_open = sessions.is_open(self.instrument.kind, moment.now)
        faults: list[str] = []
        disputed_at = self._dispute(answers, disputed_at, moment.now, faults) if is_open else None
        is_rejected = disputed_at is not None and self.primary in answers
        if is_rejected:
            answers = {provider: quote for provider, quote in answers.items() if provider != self.primary}
        held = self._take(old, answers, moment, is_open=is_open, is_rejected=is_rejected)
        if held is not None:
            # An answer of this very tick is good, however long its provider had kept it.
            is_stale = is_open and held is old and self._has_aged(held, moment.now)
            quote = replace(held.quote, stale=is_stale, market="open" if is_open else "closed")
            held = replace(held, quote=quote)
        is_astray = is_open and held is not None and self._is_astray(held, reference, faults)
        is_in_doubt = held is None or (is_open and (self.primary not in answers or held.provider != self.primary))
        return Choice(held, disputed_at, is_astray, is_in_doubt, faults)

    def _dispute(
        self, answers: Mapping[str, Quote], disputed_at: int | None, now: int, faults: list[str]
    ) -> int | None:
        """Compare the primary with its fallbacks if both have answered; else their last word counts for a while."""
        told = answers.get(self.primary)
        if told is None:
            return disputed_at
        distance = None
        if not self.sources[0].is_proxy:
            others = [
                answers[source.provider].last
                for source in self.sources[1:]
                if source.provider in answers
                and not source.is_proxy
                and _stand_in(answers[source.provider], source.provider) == _stand_in(told, self.primary)
            ]
            distance = _distance(told.last, others)
        if distance is None:
            is_over = disputed_at is None or now - disputed_at > STALE_PERIODS * SAMPLE_MS
            return None if is_over else disputed_at
        if distance <= DISPUTED:
            return None
        faults.append(f"{self.primary}: {self.instrument.symbol} at {told.last} is {distance:.2%} off its fallbacks")
        return now

    def _take(
        self, old: Held | None, answers: Mapping[str, Quote], moment: Moment, *, is_open: bool, is_rejected: bool
    ) -> Held | None:
        """Take the best answer that may take the place of what held, or leave that."""
        if old is None:
            worst = -1 if is_rejected else len(self.sources)
        elif is_open and not is_rejected and (old.provider in moment.shut or self._has_aged(old, moment.now)):
            worst = len(self.sources)
        else:
            worst = self._ranks.get(old.provider, len(self.sources))
        for rank, source in enumerate(self.sources):
            new = answers.get(source.provider)
            if rank > worst or new is None:
                continue
            # A source jitters backwards. Once its value is stale its clock was set back, and would lock it out.
            is_backwards = old is not None and old.provider == source.provider and new.ts < old.quote.ts
            if is_backwards and old is not None and not self._has_aged(old, moment.now):
                return old
            return Held(replace(new, proxy=source.is_proxy if self._may_be_proxy else None), source.provider)
        return old

    def _has_aged(self, held: Held, now: int) -> bool:
        period = self.sources[self._ranks.get(held.provider, 0)].period_ms
        return now - held.quote.answered_at > STALE_PERIODS * period

    def _is_astray(self, held: Held, reference: str | None, faults: list[str]) -> bool:
        """Compare a real value with the reference; a proxy has a premium of its own."""
        quote = held.quote
        if reference is None or quote.stale or quote.proxy or _stand_in(quote, held.provider):
            return False
        distance = _distance(quote.last, [reference])
        if distance is None or distance <= ASTRAY:
            return False
        faults.append(
            f"{held.provider}: {self.instrument.symbol} at {quote.last} is {distance:.2%} off the reference {reference}"
        )
        return True


def _stand_in(quote: Quote, provider: str) -> str:
    """Name what answered in the provider's place; nothing for the provider itself. Only like is compared with like."""
    return "" if quote.source == provider else quote.source


def _distance(price: str | None, others: Iterable[str | None]) -> Decimal | None:
    """Tell how far off the median of the others a price is, as a part of that; None if there is nothing to compare."""
    known = [Decimal(other) for other in others if other is not None]
    if price is None or not known:
        return None
    centre = median(known)
    return abs(Decimal(price) - centre) / centre
