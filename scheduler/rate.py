"""The subcommand ``tickwire rate``: how every indicator votes on one instrument, and what that comes to."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from talipp.ohlcv import OHLCV  # type: ignore[import-untyped]  # talipp publishes no types

from handlers.hub.instruments import instruments
from scheduler.addresses import add_addresses, settings_of
from scheduler.analysis.rating import MA_VOTES, METHOD, OSC_VOTES, rate
from scheduler.errors import ProviderFault, SettingFault
from scheduler.market import candles as wire
from scheduler.market.candles import TIMEFRAME_MS
from scheduler.market.providers.shared import charting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scheduler.analysis.rating import Rating
    from scheduler.market.candles import Candles

_WORDS = {1: "buy", 0: "neutral", -1: "sell", None: "n/a"}


class _Row(msgspec.Struct, array_like=True):
    """What is used of a kline in a file: numbers, or numbers as text."""

    opened_at: int
    open: float
    high: float
    low: float
    close: float
    volume: float | None

    def __post_init__(self) -> None:
        # msgspec adds where in the file it is.
        if self.low > self.high:
            raise ValueError("a candle's low is above its high")
        if self.volume is not None and self.volume < 0:
            raise ValueError("a candle's volume is negative")


class _Refusal(Exception):
    """There is nothing to rate; the sentence says why."""


def main(arguments: Sequence[str]) -> int:
    """Rate what is asked for and print it; returns the exit code, 1 when there is nothing to rate."""
    chosen = _parser().parse_args(list(arguments))
    try:
        series, origin = _from_file(chosen.candles) if chosen.candles else _from_provider(chosen)
    except (_Refusal, SettingFault) as refusal:
        print(f"tickwire rate: {refusal}", file=sys.stderr)  # noqa: T201 - a command line program prints
        return 1
    rating = rate(series)
    text = _as_json(rating) if chosen.json else _as_table(rating, f"{chosen.symbol} {chosen.timeframe}, {origin}")
    print(text)  # noqa: T201 - likewise
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tickwire rate",
        description=f"Rate one instrument by its closed candles ({METHOD}) and show all 26 votes. It is no advice.",
    )
    parser.add_argument("symbol", type=str.upper, help="such as BTC")
    parser.add_argument("--timeframe", choices=TIMEFRAME_MS, default="1h", help="how long a candle is (1h)")
    parser.add_argument(
        "--candles",
        type=Path,
        metavar="FILE",
        help="rate these: a JSON array of Binance klines, oldest first, all closed",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_addresses(parser, ("binance", "kraken"))
    return parser


def _from_file(path: Path) -> tuple[list[OHLCV], str]:
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[_Row], strict=False)
    except OSError as error:
        raise _Refusal(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # msgspec's errors are ValueErrors
        raise _Refusal(f"{path} is no JSON array of Binance klines: {error}") from error
    if not all(isfinite(number) for one in rows for number in msgspec.structs.astuple(one)[1:] if number is not None):
        raise _Refusal(f"{path} is no JSON array of Binance klines: not everything in it is a number")
    for number, (one, following) in enumerate(pairwise(rows), start=1):
        if following.opened_at < one.opened_at:
            raise _Refusal(f"{path} does not have the oldest first: candle {number + 1} opened before candle {number}")
        if following.opened_at == one.opened_at:
            raise _Refusal(f"{path} has a candle twice: candles {number} and {number + 1} opened at the same time")
    return [OHLCV(one.open, one.high, one.low, one.close, one.volume) for one in rows], f"{len(rows)} candles of {path}"


def _from_provider(chosen: argparse.Namespace) -> tuple[list[OHLCV], str]:
    instrument = instruments().get(chosen.symbol)
    if instrument is None:
        raise _Refusal(f"there is no instrument {chosen.symbol!r}; there are {', '.join(instruments())}")
    providers = {provider.name: provider for provider in charting(settings_of(chosen))}
    source = next((name for name in instrument.sources if name in providers), None)
    if source is None:
        raise _Refusal(f"{chosen.symbol} has no source of candles")
    provider = providers[source]

    async def ask() -> Candles:
        try:
            return await provider.candles(instrument, chosen.timeframe)
        finally:
            await provider.close()

    try:
        answer = asyncio.run(ask())
        figures = wire.read([wire.write(candle) for candle in answer.candles])
    except (ProviderFault, ValueError) as fault:
        raise _Refusal(str(fault)) from fault
    if not figures:
        raise _Refusal(f"{answer.source} has no candles of {chosen.symbol}")
    closed = datetime.fromtimestamp(answer.candles[-1].closed_at / 1000, UTC)
    origin = f"{len(figures)} candles of {answer.source} up to {closed:%Y-%m-%d %H:%M:%S} UTC"
    return [OHLCV(one.open, one.high, one.low, one.close, one.volume) for one in figures], origin


def _as_json(rating: Rating) -> str:
    members: dict[str, Any] = {
        "rating": rating.rating,
        "ratingMA": rating.ma,
        "ratingOsc": rating.osc,
        "label": rating.label,
        "votes": rating.votes,
    }
    return msgspec.json.encode(members).decode()


def _as_table(rating: Rating, title: str) -> str:
    lines = [title, f"{METHOD}; no advice", "", f"{'all':<16}{_figure(rating.rating)}  {rating.label or 'n/a'}"]
    for name, mean, voters in (("moving averages", rating.ma, MA_VOTES), ("oscillators", rating.osc, OSC_VOTES)):
        lines += ["", f"{name:<16}{_figure(mean)}"]
        lines += [f"  {voter:<14}{_WORDS[rating.votes[voter]]:>8}" for voter in voters]
    return "\n".join(lines)


def _figure(mean: float | None) -> str:
    return f"{'n/a':>8}" if mean is None else f"{mean:>+8.5f}"
