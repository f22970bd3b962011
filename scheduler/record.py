"""
The subcommand ``tickwire record``: keep what the real hosts answer, for ``tickwire up --providers replay:DIR``.

All three streams run here as they do anywhere, on the same providers and at the same pace, but nothing is stored or
sent: so what is recorded is what the system asks for. A recording is a folder with a file for each provider, one answer
a line; ``local/exchange/replay.py`` describes it.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from handlers.hub.instruments import instruments
from handlers.hub.protocol import PERIOD_MS
from scheduler import streams
from scheduler.addresses import add_addresses, settings_of
from scheduler.clock import Job, epoch_ms, follow_grid
from scheduler.composition import Known
from scheduler.errors import SettingFault
from scheduler.market import moves
from scheduler.market.moves import Moved
from scheduler.market.providers.shared import hosts

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from handlers.hub.candles import Candles, Votes
    from scheduler.composition import Composer
    from scheduler.market.providers.host import Heard
    from scheduler.settings import SchedulerSettings

FETCH_SHARE: Final = 0.75
"""The part of a stream's period in which its answers must have come, as in a tick."""

REPLAYED: Final = ("binance", "kraken", "gold-api")
"""The providers without which a replay has no prices for the instruments that are preferred there."""

_GOOD: Final = 200


class _Refusal(Exception):
    """There is nowhere to write to; the sentence says why."""


def main(arguments: Sequence[str]) -> int:
    """
    Record for some minutes, or until Ctrl-C; returns the exit code.

    It is 0 when every provider has given good answers, 1 when one has not (what there is stays), or nothing could be
    recorded at all.
    """
    chosen = _parser().parse_args(list(arguments))
    try:
        folder = _new_folder(chosen.to)
        settings = settings_of(chosen)
        recorder = asyncio.run(_record_until_stopped(settings, folder, seconds=60 * chosen.minutes))
    except (_Refusal, SettingFault) as refusal:
        print(f"tickwire record: {refusal}", file=sys.stderr)  # noqa: T201 - a command line program prints
        return 1
    print("\n".join(recorder.report()))  # noqa: T201 - likewise
    return 0 if recorder.is_whole else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tickwire record",
        description="Record what the market data hosts answer, to play it back with tickwire up --providers "
        "replay:DIR. Ctrl-C ends it earlier and keeps what there is. The hosts have terms of their own: look whether "
        "they let you keep, and pass on, what they say.",
    )
    parser.add_argument("--minutes", type=_minutes, default=5.0, help="for how long (5)")
    parser.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="a folder that is not there yet, or empty"
    )
    add_addresses(parser, REPLAYED)
    return parser


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0
    if not 0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"not a positive number of minutes: {text!r}")
    return minutes


def _new_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise _Refusal(f"there is something in {folder} already; a recording is never written over")
    except OSError as error:
        raise _Refusal(f"{folder} cannot be written to: {error.strerror}") from error
    return folder


async def _record_until_stopped(settings: SchedulerSettings, folder: Path, *, seconds: float) -> Recorder:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    print(f"recording into {folder}; Ctrl-C ends it and keeps what there is", flush=True)  # noqa: T201
    return await record(settings, folder, seconds=seconds, stop=stop)


class Recorder:
    """
    Writes answers down as they come, each at once, and counts them.

    Args:
        folder: Where the files go.
        expected: The providers without which it is not whole.
    """

    def __init__(self, folder: Path, expected: Sequence[str]) -> None:
        self._folder = folder
        self._expected = expected
        self._good: Counter[str] = Counter()
        self._refused: Counter[tuple[str, int]] = Counter()
        self._faults: Counter[str] = Counter()
        self._missing: dict[str, Sequence[str]] = {}

    @property
    def is_whole(self) -> bool:
        """Whether every provider has given a good answer, and every stream has something about every instrument."""
        return all(self._good[name] for name in self._expected) and not any(self._missing.values())

    def hear(self, heard: Heard) -> None:
        """Write one answer down; refusals too, because they are what the host answered."""
        if heard.status == _GOOD:
            self._good[heard.provider] += 1
        else:
            self._refused[heard.provider, heard.status] += 1
        row = {
            "at": heard.at,
            "path": heard.path,
            "query": heard.query,
            "status": heard.status,
            "headers": heard.headers,
            "body": heard.body,
        }
        with (self._folder / f"{heard.provider}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")

    def note(self, stream: str, *, faults: Sequence[str], missing: Sequence[str]) -> None:
        """Take note of what a tick of a stream lacked."""
        self._faults.update(faults)
        self._missing[stream] = missing

    def report(self) -> list[str]:
        """Say what there is, and what is not."""
        lines = []
        others = sorted({*self._good, *(name for name, _ in self._refused)} - {*self._expected})
        for name in (*self._expected, *others):
            refusals = [f"{count} with status {status}" for (of, status), count in self._refused.items() if of == name]
            lines.append(f"{name}: {self._good[name]} answers" + "".join(f", {one}" for one in refusals))
            if name in self._expected and not self._good[name]:
                lines.append(f"  ! no good answer: a replay will have nothing of {name}")
        for stream, missing in self._missing.items():
            if missing:
                lines.append(f"  ! {stream}: nothing about {', '.join(missing)}")
        for fault, count in self._faults.most_common():
            lines.append(f"  ! {'once' if count == 1 else f'{count} times'}: {fault}")
        return lines


class _Nowhere:
    """A ``CandleStore`` that keeps nothing."""

    def find_candles(self, symbol: str, timeframe: str) -> Candles | None:  # noqa: ARG002 - the port's
        return None

    def find_votes(self, symbol: str, timeframe: str) -> Votes | None:  # noqa: ARG002 - the port's
        return None

    def keep(self, items: Sequence[Candles | Votes]) -> Sequence[Candles | Votes]:  # noqa: ARG002 - the port's
        return ()


class _Moving:
    """The ``MoveSource`` of a process that runs the market stream itself."""

    def __init__(self) -> None:
        self.moved = Moved()

    async def latest(self) -> Moved:
        return self.moved


async def record(
    settings: SchedulerSettings,
    folder: Path,
    *,
    seconds: float,
    stop: asyncio.Event,
    periods: Mapping[str, int] = PERIOD_MS,
) -> Recorder:
    """
    Run the streams at once and then on the grid, and record every answer.

    Args:
        settings: Where the providers are, and which candles are wanted.
        folder: Where the recording goes; it is there.
        seconds: For how long.
        stop: Ends it earlier.
        periods: How often each stream asks, in milliseconds.
    """
    moving = _Moving()
    composers = _composers(settings, moving)
    asked = hosts(settings)
    recorder = Recorder(folder, [name for name in REPLAYED if any(host.name == name for host in asked)])
    for host in asked:
        host.watch(recorder.hear)
    known = dict.fromkeys(composers, Known())
    until = epoch_ms() + int(1000 * seconds)

    async def tick(stream: str) -> None:
        composer = composers[stream]
        fetched = await composer.fetch(within=FETCH_SHARE * periods[stream] / 1000)
        now = epoch_ms()
        composition = composer.compose(fetched, known[stream], now=now, full=False)
        known[stream] = Known(composition.content, composition.state)
        if stream == "market":
            moving.moved = moves.read(composition.content, composition.state, at=now)
        recorder.note(stream, faults=composition.faults, missing=_missing(composition.content))

    def job(stream: str) -> Job:
        async def run(seq: int) -> None:  # noqa: ARG001 - every tick is alike here
            await tick(stream)

        return Job(stream, periods[stream], run)

    try:
        await _unless(stop, *(tick(stream) for stream in composers))
        await follow_grid([job(stream) for stream in composers], until=until, stop=stop)
    finally:
        await asyncio.gather(*(composer.close() for composer in composers.values()))
    return recorder


def _composers(settings: SchedulerSettings, moving: _Moving) -> dict[str, Composer[Any]]:
    """Make the streams, without a table."""
    return {
        "market": streams.market(settings),
        "signals": streams.signals(settings, store=_Nowhere()),
        "binary": streams.binary(settings, moved=moving),
    }


async def _unless(stop: asyncio.Event, *work: Coroutine[Any, Any, None]) -> None:
    """Do all the work, or leave it when told to stop."""
    doing = {asyncio.ensure_future(one) for one in work}
    stopping = asyncio.ensure_future(stop.wait())
    left = set(doing)
    while left and not stopping.done():
        await asyncio.wait({stopping, *left}, return_when=asyncio.FIRST_COMPLETED)
        left = {one for one in left if not one.done()}
    for one in (stopping, *left):
        one.cancel()
    await asyncio.gather(*(doing - left))
    await asyncio.gather(stopping, *left, return_exceptions=True)


def _missing(content: Mapping[str, bytes]) -> list[str]:
    """List the instruments about which a stream has nothing."""
    return [symbol for symbol in instruments() if symbol not in content]
