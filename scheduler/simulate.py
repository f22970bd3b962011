"""The subcommand ``tickwire simulate``: how fast ticks would reach any number of clients, and what a month costs."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec

from handlers.hub.protocol import STREAMS
from scheduler.bill import bill, elsewhere
from scheduler.quota import BURST, POSTS_PER_SECOND
from scheduler.settings import SchedulerSettings
from scheduler.simulation import PERCENTILES, Result, Scenario, simulate

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_CLIENTS: Final = 10_000_000
MOST_SHARDS: Final = 1_024
FEWEST_SHARDS: Final = 4
"""The template's limit and its default."""

THRESHOLD: Final[int] = SchedulerSettings.model_fields["fanout_threshold"].default
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def main(arguments: Sequence[str]) -> int:
    """Simulate what is asked for and print it; returns the exit code."""
    chosen = _parser().parse_args(list(arguments))
    scenarios = [_scenario(chosen, clients) for clients in chosen.clients]
    results = [(scenario, simulate(scenario)) for scenario in scenarios]
    if chosen.json:
        _print(msgspec.json.encode([_members(*one) for one in results]).decode())
    elif chosen.table or len(results) > 1:
        _print(table(results))
    else:
        _print(_report(*results[0]))
    return 0


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tickwire simulate",
        description="Deliver ticks to any number of clients in virtual time, with the broadcast's own code, and price "
        "a month of it. All clients follow all the streams that are named, all the time.",
    )
    parser.add_argument(
        "--clients", type=_counts, required=True, metavar="N[,N…]", help="how many; several make a table"
    )
    parser.add_argument("--streams", type=_streams, default=["market"], metavar="S[,S…]", help="which streams (market)")
    parser.add_argument(
        "--post-latency", type=_duration, default=0.008, metavar="T", help="the gateway's median answer time (8ms)"
    )
    parser.add_argument(
        "--post-cpu", type=_duration, default=150e-6, metavar="T", help="what one post takes of a whole vCPU (150us)"
    )
    parser.add_argument(
        "--quota",
        type=_rate,
        default=POSTS_PER_SECOND,
        metavar="N",
        help="calls a second that the gateway allows the account (%(default)d)",
    )
    parser.add_argument("--burst", type=_rate, default=BURST, metavar="N", help="calls its bucket holds (%(default)d)")
    parser.add_argument(
        "--limit", type=_rate, metavar="N", help="posts a second that the scheduler allows itself; the quota by default"
    )
    parser.add_argument(
        "--threshold", type=_count, default=THRESHOLD, metavar="N", help="FanoutThreshold of the template (%(default)d)"
    )
    parser.add_argument(
        "--shards", type=_shards, metavar="N", help="Shards of the template; as many as there are functions by default"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed is another run (%(default)d)")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print a JSON array, one object for each number of clients")
    shape.add_argument("--table", action="store_true", help="print a table in Markdown")
    return parser


def _scenario(chosen: argparse.Namespace, clients: int) -> Scenario:
    needed = min(MOST_SHARDS, max(FEWEST_SHARDS, -(-clients // chosen.threshold)))
    return Scenario(
        clients=clients,
        streams=chosen.streams,
        post_latency=chosen.post_latency,
        quota=chosen.quota,
        burst=chosen.burst,
        limit=chosen.limit or chosen.quota,
        threshold=chosen.threshold,
        shards=chosen.shards or needed,
        post_cpu=chosen.post_cpu,
        seed=chosen.seed,
    )


def _members(scenario: Scenario, result: Result) -> dict[str, Any]:
    lines = bill(scenario, result)
    return {
        "clients": scenario.clients,
        "streams": list(scenario.streams),
        "functions": result.functions,
        "shards": scenario.shards,
        "seconds": result.seconds,
        "ticks": result.ticks,
        "posts": result.posts,
        "limited": result.limited,
        "dropped": result.dropped,
        "late": result.late,
        "delivered": round(_delivered(result), 4),
        "delivered_in": {f"p{part}": result.percentile(part) for part in PERCENTILES},
        "bill": {name: round(cost, 2) for name, cost in lines.items()},
        "total": round(sum(lines.values()), 2),
        "elsewhere": {name: round(cost, 2) for name, cost in elsewhere(scenario).items()},
    }


def _delivered(result: Result) -> float:
    wanted = result.posts + result.dropped + result.late
    return result.posts / wanted if wanted else 1.0


def _report(scenario: Scenario, result: Result) -> str:
    lines = bill(scenario, result)
    functions = f"{result.functions:,} besides the tick's own" if result.functions else "the tick's own"
    told = [
        f"{scenario.clients:,} clients of {', '.join(scenario.streams)}: {result.ticks} ticks in {result.seconds:g} s",
        "",
        f"{'functions':<26}{functions}, {scenario.shards} shards",
        f"{'posts':<26}{result.posts:,}, of which 429 at first or for good: {result.limited:,} answers",
        f"{'delivered':<26}{_percent(_delivered(result))}; {result.dropped:,} dropped, {result.late:,} out of time",
        f"{'delivered in':<26}{_times(result, labels=True)}",
        "",
        "a month, USD",
        *(f"  {name:<24}{_usd(cost):>14}" for name, cost in lines.items()),
        f"  {'all':<24}{_usd(sum(lines.values())):>14}",
        "every tick delivered by another engine, USD a month, egress included",
        *(f"  {name:<24}{_usd(cost):>14}" for name, cost in elsewhere(scenario).items()),
    ]
    if _delivered(result) < 1:
        told += ["", "Not everybody gets every tick: the quota, or the functions, are not enough for so many."]
    return "\n".join(told)


def table(results: Sequence[tuple[Scenario, Result]]) -> str:
    """Write one row of Markdown for each number of clients."""
    head = ["clients", "quota", "functions", "delivered", "in s: half / 99 % / all", "429", "USD a month"]
    head += elsewhere(results[0][0])
    rows = [
        [
            f"{scenario.clients:,}",
            f"{scenario.quota:,.0f}",
            f"{max(1, result.functions):,}",
            _percent(_delivered(result)),
            _times(result),
            f"{result.limited:,}",
            _usd(sum(bill(scenario, result).values())),
            *(_usd(cost) for cost in elsewhere(scenario).values()),
        ]
        for scenario, result in results
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _times(result: Result, *, labels: bool = False) -> str:
    parts = PERCENTILES if labels else (50, 99, 100)
    times = [(part, result.percentile(part)) for part in parts]
    if labels:
        return ", ".join(f"{time:.3f} s for {part} %" for part, time in times if time is not None) or "nothing"
    return " / ".join("-" if time is None else f"{time:.2f}" for _, time in times)


def _percent(part: float) -> str:
    # Rounded down: 100 % is everybody.
    return f"{int(part * 1000) / 10:g} %"


def _usd(cost: float) -> str:
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:,.2f}"  # noqa: PLR2004 - cents matter below


def _counts(text: str) -> list[int]:
    return [_count(part) for part in text.split(",")]


def _count(text: str) -> int:
    return int(_number(text, "a number of clients", most=MOST_CLIENTS, whole=True))


def _shards(text: str) -> int:
    return int(_number(text, "a number of shards", most=MOST_SHARDS, whole=True))


def _rate(text: str) -> float:
    return _number(text, "a rate", most=1e9)


def _number(text: str, what: str, *, most: float, whole: bool = False) -> float:
    if not re.fullmatch(r"[0-9_]+" if whole else r"[0-9_]+(\.[0-9]+)?", text) or not text.strip("_"):
        raise argparse.ArgumentTypeError(f"{text!r} is no {what.partition(' ')[2]}")
    number = float(text.replace("_", ""))
    if not 1 <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 1 and {most:,.0f}")
    return number


def _duration(text: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s)", text)
    if found is None or float(found[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration above 0 such as 8ms, 150us or 0.5s")
    return float(found[1]) * _UNITS[found[2]]


def _streams(text: str) -> list[str]:
    chosen = list(dict.fromkeys(filter(None, text.split(","))))
    unknown = [stream for stream in chosen if stream not in STREAMS]
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(f"no such stream: {text!r}; there are {', '.join(STREAMS)}")
    return chosen
