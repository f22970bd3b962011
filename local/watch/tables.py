"""How ``tickwire watch`` draws each stream."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from local.watch.boards import Board, Row

_FLASH_FOR = 1.0
_FLASH = {1: "black on green", -1: "black on red", 0: ""}
_ARROW = {1: "▲ ", -1: "▼ ", 0: "  "}
_RATING = {"STRONG_BUY": "bold green", "BUY": "green", "SELL": "red", "STRONG_SELL": "bold red"}
_SENTIMENT = {"STRONG_BULLISH": "bold green", "BULLISH": "green", "BEARISH": "red", "STRONG_BEARISH": "bold red"}
#: Sources that say themselves that they are no market, and what their figures are.
_UNREAL = {"simulated": "simulated", "replay": "replayed"}
_NOTES = {
    "signals": "Technical ratings of closed candles. They are not advice.",
    "binary": "The buyers' and the sellers' share of what was traded and offered. It is no forecast.",
}


def draw(board: Board, now: float, *, url: str) -> Group:
    """Draw a board as it is at ``now``, epoch seconds."""
    table = Table(expand=False, header_style="bold")
    {"market": _draw_market, "signals": _draw_signals, "binary": _draw_binary}[board.stream](table, board, now)
    notes = [f"{url}  {board.state}" + (f"  tick {board.seq}" if board.seq >= 0 else "")]
    unreal = {str(row.values.get("source")) for row in board.rows.values()} & _UNREAL.keys()
    if unreal:
        what = "prices" if board.stream == "market" else "figures"
        notes.append(
            f"These {what} are not the market's: they are {' and '.join(sorted(map(_UNREAL.__getitem__, unreal)))}."
        )
    if board.stream in _NOTES:
        notes.append(_NOTES[board.stream])
    return Group(table, Text("\n".join(notes), style="dim"))


def _draw_market(table: Table, board: Board, now: float) -> None:
    _add_columns(table, "symbol", ">price", ">24 h", ">age", "source", "")
    for symbol, row in board.rows.items():
        last, change, state = row.values.get("last"), row.values.get("change_pct"), _state(row.values)
        table.add_row(
            symbol,
            Text("-" if last is None else _ARROW[row.direction] + _digits(last, row.decimals), style=_flash(row, now)),
            Text("-" if change is None else f"{change:+.2f} %", style="" if change is None else _colour(change)),
            Text(_age(row.values.get("ts"), now), style="yellow" if state == "stale" else ""),
            str(row.values.get("source", "")),
            Text(state, style="yellow"),
        )


def _draw_signals(table: Table, board: Board, now: float) -> None:
    _add_columns(
        table, "symbol", "label", ">rating", ">averages", ">oscillators", "candles", ">closed", ">age", "source", ""
    )
    table.caption = "averages and oscillators: how many say buy / nothing / sell"
    for symbol, row in board.rows.items():
        for number, one in enumerate(_timeframes(row)):
            table.add_row("" if number else symbol, *_rating(one, row, now, is_first=not number))


def _timeframes(row: Row) -> Iterator[dict[str, Any]]:
    """Give the ratings of an instrument, the main timeframe's first; an empty one before it is known."""
    yield row.values
    yield from row.values.get("other_timeframes") or ()


def _rating(one: dict[str, Any], row: Row, now: float, *, is_first: bool) -> Iterator[Text]:
    label, rating, counts = one.get("label"), one.get("rating"), one.get("counts") or {}
    yield Text(_words(label or one.get("reason")), style=_RATING.get(label or "", "dim"))
    shown = "-" if rating is None else (_ARROW[row.direction] if is_first else "") + f"{rating:+.2f}"
    yield Text(shown, style=_flash(row, now) if is_first else "")
    for group in ("ma", "osc"):
        votes = counts.get(group)
        yield Text("-" if votes is None else f"{votes['buy']} / {votes['neutral']} / {votes['sell']}")
    closed_at = one.get("closed_at")
    yield Text(str(one.get("timeframe", "")))
    yield Text("-" if closed_at is None else f"{datetime.fromtimestamp(closed_at / 1000, UTC):%d %b %H:%M} UTC")
    yield Text(_age(closed_at, now))
    yield Text(str(one.get("source") or ""))
    yield Text(_state(one), style="yellow")


def _draw_binary(table: Table, board: Board, now: float) -> None:
    judged = {symbol: row.values for symbol, row in board.rows.items() if "horizons" in row.values}
    # Who has nothing to say may be late with the grid.
    told = [values["horizons"] for values in sorted(judged.values(), key=lambda values: "reason" in values)]
    heads: list[dict[str, Any]] = told[0] if told else []
    table.add_column("symbol")
    for head in heads:
        left = max(0.0, head["expiry"] / 1000 - now)
        table.add_column(f"{head['h']}, {left:.0f} s left", no_wrap=True)
    _add_columns(table, ">age", "source", "")
    table.caption = "call / put in per cent, label, trades (or ~ ticks of the price, where nothing was traded)"
    for symbol, values in judged.items():
        horizons = {one["h"]: one for one in values["horizons"]}
        why = [Text(_words(values["reason"]), style="dim")] if "reason" in values else []
        table.add_row(
            symbol,
            *(why + [Text("-")] * (len(heads) - 1) if why else (_sentiment(horizons.get(head["h"])) for head in heads)),
            Text(_age(values.get("ts"), now)),
            str(values.get("source") or "") + (" (proxy)" if values.get("proxy") else ""),
            Text("" if why else _state(values), style="yellow"),
        )
    if len(judged) < len(board.rows):
        table.caption += f"; none for {', '.join(symbol for symbol in board.rows if symbol not in judged)}"


def _sentiment(one: dict[str, Any] | None) -> Text:
    if one is None or one["call"] is None:
        return Text("-")
    n = f"{'~' if one.get('basis') == 'mids' else ''}{one['n']:,}"
    text = f"{100 * one['call']:4.1f} / {100 * one['put']:4.1f}  {_words(one['label']):<14} {n:>7}"
    return Text(text, style=_SENTIMENT.get(one["label"], ""))


def _add_columns(table: Table, *titles: str) -> None:
    """Add columns; a title that begins with > is of one of figures, set to the right."""
    for title in titles:
        table.add_column(title.removeprefix(">"), justify="right" if title.startswith(">") else "left", no_wrap=True)


def _flash(row: Row, now: float) -> str:
    return _FLASH[row.direction] if now - row.moved_at < _FLASH_FOR else ""


def _age(at: float | None, now: float) -> str:
    """Say how long ago an instant (epoch milliseconds) was."""
    if at is None:
        return "-"
    seconds = max(0.0, now - at / 1000)
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - ten minutes


def _state(values: dict[str, Any]) -> str:
    return "stale" if values.get("stale") else "closed" if values.get("market") == "closed" else ""


def _words(code: object) -> str:
    """Write a code of the wire for people: STRONG_BUY is "strong buy"."""
    return str(code or "-").replace("_", " ").lower()


def _colour(change: Decimal | float) -> str:
    return "green" if change > 0 else "red" if change < 0 else ""


def _digits(value: Decimal | int, decimals: int | None) -> str:
    return f"{value:,}" if decimals is None else f"{value:,.{decimals}f}"
