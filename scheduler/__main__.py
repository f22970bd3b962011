"""The scheduler as a process of its own: runs the ticks until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from scheduler.clock import epoch_ms
from scheduler.errors import SettingFault
from scheduler.settings import read_settings
from scheduler.streams import COMPOSERS
from scheduler.tick import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scheduler.settings import SchedulerSettings

PATIENCE_S: Final = 0.7
"""How long a stop waits for what is under way, in seconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM, or for ``--run-for`` seconds; returns the exit code, 2 for a missing setting."""
    parser = argparse.ArgumentParser(
        prog="python -m scheduler",
        description="Fetch, compose and broadcast at every tick, until stopped. Settings are environment variables "
        "TICKWIRE_…; several schedulers may run at the same time.",
    )
    parser.add_argument(
        "--streams",
        type=_streams,
        default=tuple(COMPOSERS),
        help=f"which streams, separated by commas; all by default ({','.join(COMPOSERS)})",
    )
    parser.add_argument(
        "--run-for", type=_seconds, metavar="S", help="begin no tick after S seconds; by default always"
    )
    parser.add_argument(
        "--push",
        action="store_true",
        help="hold Binance's and Kraken's WebSockets open, so that quotes are younger than a second (TICKWIRE_PUSH)",
    )
    chosen = parser.parse_args(arguments)
    try:
        settings = read_settings()
        if chosen.push:
            settings = settings.model_copy(update={"push": True})
        logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
        asyncio.run(_serve(settings, chosen.streams, run_for=chosen.run_for))
    except SettingFault as fault:
        print(f"scheduler: {fault}", file=sys.stderr)
        return 2
    return 0


async def _serve(settings: SchedulerSettings, streams: Sequence[str], *, run_for: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        # A call to DynamoDB that hangs cannot be cancelled in its thread, and would hold the process until it times
        # out. Nothing is lost with it: the next tick is whoever's claims it.
        loop.call_later(PATIENCE_S, os._exit, 0)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    until = None if run_for is None else epoch_ms() + int(run_for * 1000)
    await run(settings, streams, until=until, stop=stop)


def _streams(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(filter(None, text.split(","))))
    unknown = [stream for stream in chosen if stream not in COMPOSERS]
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(f"no such stream: {text!r}; there are {', '.join(COMPOSERS)}")
    return chosen


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"not a positive number of seconds: {text!r}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
