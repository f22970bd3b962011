"""``tickwire watch``: one stream as a live table in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from json import JSONDecodeError, dumps, loads
from random import uniform
from time import time
from typing import Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, CliPositionalArg, SettingsConfigDict
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidURI, WebSocketException

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0
#: Silence after which the connection is given up: three periods of the market stream.
_SILENCE = 15.0
_FLASH_FOR = 1.0


class WatchSettings(BaseSettings):
    """Watch one stream as a live table; it reconnects by itself, Ctrl-C ends it."""

    model_config = SettingsConfigDict(
        env_prefix="TICKWIRE_WATCH_", cli_prog_name="tickwire watch", cli_kebab_case=True, extra="ignore"
    )

    stream: CliPositionalArg[Literal["market"]] = Field(description="The stream.")
    symbols: str = Field(default="", description="Only these, such as BTC,ETH; all without it.")
    url: str = Field(
        default="ws://127.0.0.1:8000/ws/market/stream", description="Where the stream is, as tickwire up prints it."
    )


@dataclass(slots=True)
class Row:
    """One instrument as last heard of. ``ts`` is the source's time in ms, ``moved_at`` ours in s."""

    name: str = ""
    decimals: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    direction: int = 0
    moved_at: float = 0.0


@dataclass(slots=True)
class MarketBoard:
    """What is known of the market stream; ``take`` brings it up to date with one message."""

    rows: dict[str, Row] = field(default_factory=dict)
    seq: int = -1
    gaps: int = 0
    state: str = "connecting"

    def take(self, message: dict[str, Any], now: float) -> bool:
        """
        Take one message of the wire, at ``now`` in epoch seconds.

        Returns:
            Whether a tick is missing before this one, so that a snapshot should be asked for.
        """
        match message.get("type"):
            case "subscribed":
                stream = message["streams"].get("market", {})
                if "snapshot" in stream:
                    self._take_snapshot(stream["snapshot"], stream["seq"], now)
            case "snapshot":
                self._take_snapshot(message, message["seq"], now)
            case "market_batch":
                return self._take_batch(message, now)
            case "error":
                self.state = f"refused: {message['message']}"
        return False

    def _take_snapshot(self, snapshot: dict[str, Any], seq: int, now: float) -> None:
        if seq < self.seq:
            return
        self.seq = seq
        for instrument in snapshot.get("instruments", ()):
            row = self.rows.setdefault(instrument["symbol"], Row())
            row.name, row.decimals = instrument["name"], instrument["decimals"]
        for symbol, values in snapshot["data"].items():
            self._update(symbol, values, now)

    def _take_batch(self, batch: dict[str, Any], now: float) -> bool:
        if batch["seq"] <= self.seq:
            return False
        missed = self.seq >= 0 and batch["prev"] != self.seq
        self.gaps += missed
        self.seq = batch["seq"]
        for update in batch["updates"]:
            self._update(update["symbol"], update["data"], now)
        return missed

    def _update(self, symbol: str, values: dict[str, Any], now: float) -> None:
        row = self.rows.setdefault(symbol, Row())
        before, after = row.values.get("last"), values.get("last")
        row.values.update(values)
        if before is not None and after is not None and before != after:
            row.direction, row.moved_at = (1 if after > before else -1), now

    def render(self, now: float, *, url: str) -> Group:
        """Draw the table as it is at ``now``."""
        table = Table(expand=False, header_style="bold")
        table.add_column("symbol")
        for title in ("price", "24 h", "age"):
            table.add_column(title, justify="right")
        table.add_column("source")
        table.add_column("")
        for symbol, row in self.rows.items():
            table.add_row(symbol, *_cells(row, now))
        sources = {row.values.get("source") for row in self.rows.values()}
        notes = [f"{url}  {self.state}" + (f"  tick {self.seq}" if self.seq >= 0 else "")]
        if sources & {"simulated", "replay"}:
            notes.append("These prices are not the market's: they are " + " and ".join(sorted(map(str, sources))) + ".")
        return Group(table, Text("\n".join(notes), style="dim"))


def _cells(row: Row, now: float) -> tuple[Text, Text, Text, Text, Text]:
    values = row.values
    last, change, ts = values.get("last"), values.get("change_pct"), values.get("ts")
    flash = {1: "black on green", -1: "black on red", 0: ""}[row.direction] if now - row.moved_at < _FLASH_FOR else ""
    arrow = {1: "▲ ", -1: "▼ ", 0: "  "}[row.direction]
    price = "-" if last is None else arrow + _digits(last, row.decimals)
    age = "-" if ts is None else f"{max(0.0, now - ts / 1000):.0f} s"
    state = "stale" if values.get("stale") else "closed" if values.get("market") == "closed" else ""
    return (
        Text(price, style=flash),
        Text("-" if change is None else f"{change:+.2f} %", style="" if change is None else _colour(change)),
        Text(age, style="yellow" if state == "stale" else ""),
        Text(str(values.get("source", ""))),
        Text(state, style="yellow"),
    )


def _colour(change: Decimal | float) -> str:
    return "green" if change > 0 else "red" if change < 0 else ""


def _digits(value: Decimal | int, decimals: int | None) -> str:
    return f"{value:,}" if decimals is None else f"{value:,.{decimals}f}"


async def watch(settings: WatchSettings, console: Console) -> int:
    """Show the stream until cancelled; a lost connection is taken up again with growing, random waits."""
    board = MarketBoard()
    symbols = [symbol.strip().upper() for symbol in settings.symbols.split(",") if symbol.strip()]
    attempt = 0
    with Live(console=console, get_renderable=lambda: board.render(time(), url=settings.url), refresh_per_second=4):
        while True:
            try:
                async with connect(settings.url, ping_interval=None, open_timeout=5) as socket:
                    board.state = "live"
                    await _follow(socket, board, symbols)
                    attempt = 0
            except InvalidURI as error:
                sys.stderr.write(f"tickwire watch: {error}\n")
                return 2
            except (OSError, WebSocketException, TimeoutError, JSONDecodeError, KeyError) as error:
                board.state = f"not connected ({_why(error)})"
            wait = 0.25 + uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt))  # noqa: S311 # spreads clients
            attempt += 1
            board.state += f", next try in {wait:.1f} s"
            await asyncio.sleep(wait)


async def _follow(socket: Any, board: MarketBoard, symbols: list[str]) -> None:  # noqa: ANN401 # websockets' connection
    request: dict[str, Any] = {"action": "subscribe", "id": "watch", "streams": ["market"]}
    if symbols:
        request["symbols"] = symbols
    await socket.send(dumps(request))
    while True:
        text = await asyncio.wait_for(socket.recv(), _SILENCE)
        if board.take(loads(text, parse_float=Decimal), time()):
            await socket.send(dumps({"action": "snapshot", "id": "gap", "stream": "market"}))


def _why(error: Exception) -> str:
    return f"silent for {_SILENCE:.0f} s" if isinstance(error, TimeoutError) else str(error) or type(error).__name__


def run(settings: WatchSettings) -> int:
    """Run ``tickwire watch`` until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(watch(settings, Console()))
    return 0
