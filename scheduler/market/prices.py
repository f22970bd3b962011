"""The content of the market stream: one quote an instrument, of the best of its sources that can be believed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from scheduler.clock import epoch_ms
from scheduler.composition import Composition
from scheduler.errors import UnknownInstrument
from scheduler.market import moves, quotes, sessions, standings
from scheduler.market.choice import SAMPLE_MS, Chooser, Moment, Source
from scheduler.market.standings import Findings
from scheduler.market.state import Reference, State, Word, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from handlers.hub.instruments import Instrument
    from scheduler.composition import Known
    from scheduler.errors import ProviderFault
    from scheduler.market.choice import Choice
    from scheduler.market.providers import Answer, Provider, ReferenceAnswer, ReferenceProvider
    from scheduler.market.quotes import Quote
    from scheduler.market.state import Held, Standing

REFERENCE_MS: Final = 7 * 86_400_000
"""Reference prices of a day longer ago than this, in milliseconds, say nothing; a week spans any holidays."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the providers have said, by their names; ``reference`` is None when it was not asked for."""

    answers: Mapping[str, Answer]
    reference: ReferenceAnswer | None = None

    @property
    def faults(self) -> Sequence[ProviderFault]:
        """Everything that went wrong."""
        found = [fault for answer in self.answers.values() for fault in answer.faults]
        return [*found, *self.reference.faults] if self.reference else found


class Prices:
    """
    The ``Composer`` of the market stream.

    Each instrument is asked of the first of its sources that is among ``providers``, and of the others once a minute
    or while the first is in doubt. All that is known of the last good values, and of how the providers do, comes from
    ``Known``; so ticks may be run by different processes in turn. What this keeps itself (whom to ask at the next
    tick) may be lost: a new process asks everybody.

    Args:
        instruments: What is traded.
        providers: Whom to ask.
        reference: Whom to ask for daily reference prices, if anybody.
        now: Epoch milliseconds.

    Raises:
        ValueError: An instrument has none of the providers among its sources.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        providers: Iterable[Provider],
        *,
        reference: ReferenceProvider | None = None,
        now: Callable[[], int] = epoch_ms,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._reference = reference
        self._now = now
        self._choosers = [self._chooser(instrument) for instrument in instruments]
        # Whatever is traded thinly, if at all, where its trades can be had.
        self._counted = [one.instrument.symbol for one in self._choosers if one.instrument.kind in sessions.WEEKLY]
        self._preferred_for: dict[str, list[Instrument]] = {name: [] for name in self._providers}
        self._fallback_for: dict[str, list[Instrument]] = {name: [] for name in self._providers}
        for chooser in self._choosers:
            self._preferred_for[chooser.primary].append(chooser.instrument)
            for source in chooser.sources[1:]:
                self._fallback_for[source.provider].append(chooser.instrument)
        self._sampled_in = -1
        self._in_doubt: frozenset[str] = frozenset()
        self._is_reference_due = False

    def _chooser(self, instrument: Instrument) -> Chooser:
        sources = [
            Source(name, self._providers[name].period_ms, is_proxy=name in instrument.proxies)
            for name in instrument.sources
            if name in self._providers
        ]
        if not sources:
            raise ValueError(
                f"{instrument.symbol} has no source among the providers; there are {', '.join(self._providers)}"
            )
        return Chooser(instrument, sources)

    async def fetch(self, *, within: float) -> Fetched:
        """Ask every provider at once for what is to be asked of it now."""
        minute = self._now() // SAMPLE_MS
        is_sampling, self._sampled_in = minute != self._sampled_in, minute
        asked = {
            name: [
                *self._preferred_for[name],
                *(one for one in self._fallback_for[name] if is_sampling or one.symbol in self._in_doubt),
            ]
            for name in self._providers
        }
        async with asyncio.TaskGroup() as group:
            answering = {
                name: group.create_task(self._providers[name].fetch(instruments, within=within))
                for name, instruments in asked.items()
                if instruments
            }
            referring = group.create_task(self._ask_for_reference(within))
        return Fetched({name: task.result() for name, task in answering.items()}, referring.result())

    async def _ask_for_reference(self, within: float) -> ReferenceAnswer | None:
        if self._reference is None or not self._is_reference_due:
            return None
        referred = [chooser.instrument for chooser in self._choosers if chooser.instrument.reference]
        return await self._reference.fetch(referred, within=within)

    def compose(self, fetched: Fetched, known: Known, *, now: int, full: bool) -> Composition:
        """Write down the quotes that hold and those of them that say something new, and who does well or not."""
        before, last = read(known)
        reference = _refer(before.reference, fetched.reference)
        rates = reference.rates if now - reference.dated_at <= REFERENCE_MS else {}
        moment = Moment(now, {name for name, answer in fetched.answers.items() if _is_shut(answer)})
        choices = {
            chooser.instrument.symbol: chooser.choose(
                last.get(chooser.instrument.symbol),
                _said_about(chooser.instrument.symbol, fetched.answers),
                disputed_at=before.disputed.get(chooser.instrument.symbol),
                reference=rates.get(chooser.instrument.symbol),
                moment=moment,
            )
            for chooser in self._choosers
        }
        held = {symbol: choice.held for symbol, choice in choices.items() if choice.held}
        self._in_doubt = frozenset(symbol for symbol, choice in choices.items() if choice.is_in_doubt)
        self._is_reference_due = self._wants_reference(held) and now >= reference.due_at
        after = State(
            held={symbol: Word(one.provider, one.quote.answered_at) for symbol, one in held.items()},
            disputed={symbol: choice.disputed_at for symbol, choice in choices.items() if choice.disputed_at},
            standings=self._judge(before.standings, fetched, choices, reference, now=now),
            reference=reference,
            moves={
                symbol: moves.count(before.moves.get(symbol, moves.Moves()), _quote(last, symbol), held[symbol].quote)
                for symbol in self._counted
                if symbol in held
            },
        )
        content = {symbol: quotes.encode(one.quote, full=True) for symbol, one in held.items()}
        return Composition(
            _updates(held, last, content, full=full),
            content,
            after.write(),
            [
                *dict.fromkeys(map(str, fetched.faults)),
                *(fault for choice in choices.values() for fault in choice.faults),
            ],
            standings.changes(before.standings, after.standings),
            standings.statuses(after.standings),
        )

    def _judge(
        self,
        before: Mapping[str, Standing],
        fetched: Fetched,
        choices: Mapping[str, Choice],
        reference: Reference,
        *,
        now: int,
    ) -> dict[str, Standing]:
        """Say how every provider does that is asked at all."""
        after = {}
        for name, provider in self._providers.items():
            preferred, fallback = self._preferred_for[name], self._fallback_for[name]
            if not preferred and not fallback:
                continue
            old, answer = before.get(name), fetched.answers.get(name)
            period = provider.period_ms if preferred else max(provider.period_ms, SAMPLE_MS)
            traded = {one.symbol for one in preferred if sessions.is_open(one.kind, now)}
            found = Findings(
                heard_at=max((quote.answered_at for quote in answer.quotes.values()), default=None) if answer else None,
                period_ms=period,
                # One that was not asked does as it did.
                is_shut=_is_shut(answer) if answer else old is not None and old.state == "down",
                is_resting=not any(sessions.is_open(one.kind, now) for one in preferred or fallback),
                is_faulty=any(choice.is_astray and choice.is_held_of(name) for choice in choices.values())
                or any(choices[symbol].is_contested for symbol in traded)
                or (
                    # What is missing may be a single slip, and at the start all is.
                    standings.is_settled(old, period, now=now)
                    and not all(choices[symbol].is_held_of(name) for symbol in traded)
                ),
            )
            after[name] = standings.judge(old, found, now=now)
        if self._reference is not None and reference.due_at:
            name = self._reference.name
            found = Findings(reference.due_at, period_ms=SAMPLE_MS, is_shut=not reference.is_heard)
            after[name] = standings.judge(before.get(name), found, now=now)
        return after

    def _wants_reference(self, held: Mapping[str, Held]) -> bool:
        """Whether there is a real value to compare: nobody asks the world about a simulated one."""
        if self._reference is None:
            return False
        referred = {chooser.instrument.symbol for chooser in self._choosers if chooser.instrument.reference}
        return any(one.quote.source == one.provider for symbol, one in held.items() if symbol in referred)

    async def close(self) -> None:
        """Close the providers."""
        closing = [provider.close() for provider in self._providers.values()]
        if self._reference is not None:
            closing.append(self._reference.close())
        await asyncio.gather(*closing)


def _said_about(symbol: str, answers: Mapping[str, Answer]) -> dict[str, Quote]:
    return {name: answer.quotes[symbol] for name, answer in answers.items() if symbol in answer.quotes}


def _quote(last: Mapping[str, Held], symbol: str) -> Quote | None:
    return last[symbol].quote if symbol in last else None


def _is_shut(answer: Answer) -> bool:
    """Whether the provider may not be asked for a while; a symbol that it does not know is no such thing."""
    return any(fault.retry_at is not None and not isinstance(fault, UnknownInstrument) for fault in answer.faults)


def _refer(before: Reference, answer: ReferenceAnswer | None) -> Reference:
    """Take new reference prices in place of the old ones, if there are any."""
    if answer is None:
        return before
    if not answer.rates:
        return Reference(before.rates, before.dated_at, answer.due_at, is_heard=False)
    return Reference(dict(answer.rates), answer.dated_at, answer.due_at)


def _updates(
    held: Mapping[str, Held], last: Mapping[str, Held], content: Mapping[str, bytes], *, full: bool
) -> dict[str, bytes]:
    """Choose what is new, of each quote; a full tick has them all, and an origin that has not changed in none."""
    updates = {}
    for symbol, one in held.items():
        old = last.get(symbol)
        if old is None or one.quote.origin != old.quote.origin:
            updates[symbol] = content[symbol]
        elif full or not one.quote.says_the_same_as(old.quote):
            updates[symbol] = quotes.encode(one.quote, full=False)
    return updates
