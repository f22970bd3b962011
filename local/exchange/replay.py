r"""
Recordings of real answers, and playing them back as if they were answered now.

A recording is a folder with one file for each provider, ``{provider}.jsonl`` (``binance.jsonl``, ``kraken.jsonl``,
``gold-api.jsonl``): UTF-8, one JSON object a line, oldest first, each one answer that was received:

``at``       whole number, when the answer arrived, epoch milliseconds
``path``     the request's path on the provider's host, beginning with a slash: ``"/api/v3/ticker/24hr"``
``query``    its parameters, decoded, an object of texts: ``{"symbols": "[\"BTCUSDT\"]"}``
``status``   the HTTP status
``headers``  the answer's headers, an object of texts with lower-case names; those of the connection may be left out
``body``     the answer's body as text, exactly as received

Players ignore members that they do not know. Played back, an answer stays until the recording has the next one to
the same request, so that gaps stay gaps, and after the last one it begins again. Times in the bodies move along;
candles move by whole intervals, so that they begin where candles begin. Who asks for candles from a time on gets them
from an answer that reaches back as far, without those before; who asks for trades from a time on gets all that the
answers up to now have.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from local.exchange import replay_trades
from local.exchange.provider import JSON, Answer, Provider, Request, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_PLAUSIBLE_MS = 20 * 365 * 86_400_000  # a number within 20 years of the recording is a time, if it is as long as one
_WHILES = frozenset({"startTime", "endTime", "since", "fromId"})
_OF_THE_CONNECTION = frozenset(
    {
        *("connection", "content-encoding", "content-length", "date", "keep-alive", "transfer-encoding"),
        "x-tickwire-source",  # of what was recorded; whoever plays it back says so itself
    }
)
_MILLISECONDS = re.compile(r'(?<![\d."])\d{13}(?![\d."])')
_KRAKEN_TIMES = re.compile(r'(?<=\[)\d{10}(?=,")|(?<=",)\d{10}(?=(?:\.\d+)?,"[bs]")|(?<="unixtime":)\d{10}')
_KRAKEN_LAST = re.compile(r'(?<="last":)\d{10}(?=\D)|(?<="last":")\d{10}(?=\d{9}")')
_UPDATED = re.compile(r'(?<="updatedAt":")[^"]+')
_RFC1123 = re.compile(r'(?<="rfc1123":")[^"]+')
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "M": 86_400_000}


class Row(msgspec.Struct, frozen=True):
    """One line of a recording; the members are described in the module's docstring."""

    at: int
    path: str
    query: dict[str, str]
    status: int
    body: str
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class BadRecording(ValueError):
    """A recording that cannot be played; the text names file and line."""


def append(folder: Path, provider: str, rows: Iterable[Row]) -> None:
    """Add answers to a recording, which is begun if there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{provider}.jsonl").open("ab") as file:
        file.writelines(msgspec.json.encode(row) + b"\n" for row in rows)


def read(folder: Path) -> dict[str, list[Row]]:
    """Return the rows of every provider in ``folder``, oldest first; raise ``BadRecording``."""
    recordings = {}
    for path in sorted(folder.glob("*.jsonl")):
        rows = []
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                rows.append(msgspec.json.decode(line, type=Row))
            except msgspec.DecodeError as error:
                raise BadRecording(f"{path}, line {number}: {error}") from error
        if rows:
            recordings[path.stem] = sorted(rows, key=lambda row: row.at)
    if not recordings:
        raise BadRecording(f"there is no recording in {folder}: no {{provider}}.jsonl with a line in it")
    return recordings


class Replay:
    """
    One provider, played back.

    The first row is due at ``started_at``, epoch milliseconds; time runs ``speed`` times as fast as it did. The
    recording begins again a mean gap after its last row. Before its first row a request gets its last one, as if the
    recording had been running forever.
    """

    def __init__(self, rows: list[Row], *, started_at: int, speed: float = 1.0, real: Provider) -> None:
        self._first_at = rows[0].at
        self._started_at = started_at
        self._speed = speed
        self._real = real
        moments = sorted({row.at for row in rows})
        length = moments[-1] - moments[0]
        self._length = length + max(1000, length // max(1, len(moments) - 1))
        self._rows: dict[object, list[Row]] = defaultdict(list)
        for row in rows:
            self._rows[_key(row.path, row.query)].append(row)

    def answer(self, request: Request) -> Answer:
        """Answer with the recorded answer that is due; 404 and a sentence for a request that was not recorded."""
        rows = self._rows.get(_key(request.path, request.query))
        if not rows:
            text = f"the recording has no answer to {request.path} with {dict(request.query)}"
            return Answer(msgspec.json.encode({"error": text}), 404)
        elapsed = int((request.now - self._started_at) * self._speed)
        round_, place = divmod(elapsed, self._length)
        found = bisect_right(rows, self._first_at + place, key=lambda row: row.at) - 1
        row, due = self._due(rows, found, round_)
        start = _start(request.path, request.query)
        if start is not None or _is_of_candles(request.path):
            row, due = self._reaching(rows, found, round_, start)
        headers = {name: value for name, value in row.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        content_type = headers.pop("content-type", JSON)
        body = _moved(row, due - row.at)
        if (since := replay_trades.since(request.path, request.query)) is not None:
            body = replay_trades.joined(list(self._back_to(since, rows, found, round_)), since)
        if start is not None and row.status == 200:  # noqa: PLR2004 - the status
            body = _from(body, request.path, start)
        return Answer(body.encode(), row.status, content_type, headers)

    def _due(self, rows: Sequence[Row], place: int, round_: int) -> tuple[Row, int]:
        """Return the row at a place, which may lie before the first of this round, and when it was due."""
        earlier, place = divmod(place, len(rows))
        row = rows[place]
        at = row.at - self._first_at + (round_ + earlier) * self._length
        return row, self._started_at + int(at / self._speed)

    def _reaching(self, rows: Sequence[Row], place: int, round_: int, start: int | None) -> tuple[Row, int]:
        """Return the latest row whose candles begin as early as they are asked for; the latest if there is none."""
        for earlier in range(len(rows)):
            row, due = self._due(rows, place - earlier, round_)
            began = _start(row.path, row.query)
            if began is None or (start is not None and began + due - row.at <= start + _interval(row)):
                return row, due
        return self._due(rows, place, round_)

    def _back_to(self, since: int, rows: Sequence[Row], place: int, round_: int) -> Iterator[str]:
        """Return the bodies from the one that is due back to that which begins by ``since``, of one round."""
        for earlier in range(place % len(rows) + 1):
            row, due = self._due(rows, place - earlier, round_)
            body = _moved(row, due - row.at)
            yield body
            began = replay_trades.since(row.path, row.query) or 0
            if replay_trades.is_answer(body) and began + (due - row.at) * 1_000_000 <= since:
                return

    def refusal(self, status: int, request: Request, retry_after: int) -> Answer:
        """Fail as the provider does."""
        return self._real.refusal(status, request, retry_after)

    def error(self) -> bytes:
        """Return the provider's error object."""
        return self._real.error()

    def empty(self) -> bytes:
        """Return the provider's empty object."""
        return self._real.empty()

    def session(self, path: str, query: Mapping[str, str]) -> Session | None:
        """Return nothing: a recording has answers, and whoever would rather listen has to ask."""
        del path, query
        return None


def _key(path: str, query: Mapping[str, str]) -> object:
    """Return what two requests for the same thing have in common: no times, and symbols in any order."""
    return path, frozenset((name, _sorted(value)) for name, value in query.items() if name not in _WHILES)


def _sorted(value: str) -> str:
    return ",".join(sorted(value.removeprefix("[").removesuffix("]").split(",")))


def _is_of_candles(path: str) -> bool:
    return path.endswith(("/klines", "/OHLC"))


def _start(path: str, query: Mapping[str, str]) -> int | None:
    """Return from when on candles are asked for, epoch milliseconds; None for the latest, and for what is no candle."""
    text = query.get("startTime" if path.endswith("/klines") else "since", "")
    if not _is_of_candles(path) or not text.isdecimal():
        return None
    return int(text) * (1 if path.endswith("/klines") else 1000)


def _interval(row: Row) -> int:
    """Return how long the row's candles are, in milliseconds; 0 if it has none."""
    interval = row.query.get("interval", "")
    if row.path.endswith("/klines") and interval[-1:] in _UNITS_MS and interval[:-1].isdecimal():
        return int(interval[:-1]) * _UNITS_MS[interval[-1]]
    if row.path.endswith("/OHLC"):
        return (int(interval) if interval.isdecimal() else 1) * 60_000
    return 0


def _from(body: str, path: str, start: int) -> str:
    """Leave out the candles that opened before ``start``, epoch milliseconds; a body of none stays as it is."""
    try:
        if path.endswith("/klines"):
            return _joined(_later(msgspec.json.decode(body, type=list[msgspec.Raw]), start))
        result = msgspec.json.decode(body, type=_KrakenAnswer).result
        members = {
            name: raw
            if name == "last"
            else msgspec.Raw(_joined(_later(msgspec.json.decode(raw, type=list[msgspec.Raw]), start // 1000)).encode())
            for name, raw in result.items()
        }
    except msgspec.DecodeError:
        return body
    return msgspec.json.encode(_KrakenAnswer(error=[], result=members)).decode()


class _KrakenAnswer(msgspec.Struct):
    error: list[str]
    result: dict[str, msgspec.Raw]


class _Opened(msgspec.Struct, array_like=True):
    at: int


def _later(rows: Sequence[msgspec.Raw], start: int) -> list[msgspec.Raw]:
    return [row for row in rows if msgspec.json.decode(row, type=_Opened).at >= start]


def _joined(rows: Sequence[msgspec.Raw]) -> str:
    return f"[{','.join(bytes(row).decode() for row in rows)}]"


def _moved(row: Row, by: int) -> str:
    """Return the body with its times moved by so many milliseconds."""
    if interval := _interval(row):
        by = _whole_intervals(row.at, by, interval)
    if row.path.startswith("/0/public/"):
        body = _KRAKEN_TIMES.sub(_seconds(by), row.body)
        body = _KRAKEN_LAST.sub(_seconds(by), body)
        moment = datetime.fromtimestamp((row.at + by) // 1000, UTC)
        return _RFC1123.sub(moment.strftime("%a, %d %b %y %H:%M:%S +0000"), body)
    body = _MILLISECONDS.sub(
        lambda match: str(int(match[0]) + by) if abs(int(match[0]) - row.at) < _PLAUSIBLE_MS else match[0],
        row.body,
    )
    return _UPDATED.sub(lambda match: _iso(match[0], by), body)


def _whole_intervals(at: int, by: int, interval: int) -> int:
    """Return the move that takes the candle of ``at`` to the candle of ``at + by``."""
    return (at + by) // interval * interval - at // interval * interval


def _seconds(by: int) -> Callable[[re.Match[str]], str]:
    return lambda match: str(int(match[0]) + by // 1000)


def _iso(text: str, by: int) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    moved = datetime.fromtimestamp(moment.timestamp() + by // 1000, UTC)
    return moved.strftime("%Y-%m-%dT%H:%M:%SZ")
