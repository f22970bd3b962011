"""
Recorded answers of Kraken's ``Trades``, joined for whoever asks for all that was traded since a moment.

A recording has what one client asked for: much at first, and then, every half a minute, what was new. Another one comes
at another time, or asks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from local.exchange.kraken import MOST_TRADES, since_in_ns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class _Answer(msgspec.Struct):
    error: list[str]
    result: dict[str, msgspec.Raw]


class _Trade(msgspec.Struct, array_like=True):
    """What is used of a trade: its time, epoch seconds."""

    price: str
    volume: str
    at: float


def since(path: str, query: Mapping[str, str]) -> int | None:
    """Return from when on trades are asked for, epoch nanoseconds; None if that is not what is asked for."""
    text = query.get("since", "")
    return since_in_ns(int(text)) if path.endswith("/Trades") and text.isdecimal() else None


def is_answer(body: str) -> bool:
    """Tell whether these are trades, and not a refusal."""
    return _read(body) is not None


def joined(bodies: Sequence[str], start: int) -> str:
    """
    Join answers about one pair, the latest first, to what ``Trades`` says of the time after ``start``.

    The latest as it is when it is a refusal; a refusal before it is passed over.
    """
    answers = [answer for answer in map(_read, bodies) if answer is not None]
    if not is_answer(bodies[0]):
        return bodies[0]
    (name,) = (member for member in answers[0].result if member != "last")
    trades = {
        bytes(row): msgspec.json.decode(row, type=_Trade).at
        for answer in reversed(answers)
        for row in msgspec.json.decode(answer.result.get(name, b"[]"), type=list[msgspec.Raw])
    }
    later = sorted((at, row) for row, at in trades.items() if at * 10**9 > start)
    told = later[:MOST_TRADES]
    last = int(msgspec.json.decode(answers[0].result["last"], type=str))
    if len(later) > len(told):
        last = int(told[-1][0] * 10**9)
    rows = b",".join(row for _, row in told).decode()
    return f'{{"error":[],"result":{{"{name}":[{rows}],"last":"{max(last, start)}"}}}}'


def _read(body: str) -> _Answer | None:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        msgspec.json.decode(answer.result["last"], type=str)
    except (msgspec.DecodeError, KeyError):
        return None
    return answer if len(answer.result) == 2 else None  # noqa: PLR2004 - a pair and the member last
