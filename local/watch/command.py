"""``tickwire watch``: one stream as a live table in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from decimal import Decimal
from json import JSONDecodeError, dumps, loads
from random import uniform
from time import time
from typing import Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, CliPositionalArg, SettingsConfigDict
from rich.console import Console
from rich.live import Live
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidURI, WebSocketException

from local.watch.boards import Board
from local.watch.tables import draw

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0
#: Silence in s after which a ping is sent, and then the connection given up: three periods of the market stream.
_SILENCE = 15.0
#: Where ``tickwire up`` has the streams unless it is told otherwise.
_HERE = {
    "market": "ws://127.0.0.1:8000/ws/market/stream",
    "signals": "ws://127.0.0.1:8000/ws/trading/signals/stream",
    "binary": "ws://127.0.0.1:8000/ws/trading/binary/stream",
}


class WatchSettings(BaseSettings):
    """Watch one stream as a live table; it reconnects by itself, Ctrl-C ends it."""

    model_config = SettingsConfigDict(
        env_prefix="TICKWIRE_WATCH_", cli_prog_name="tickwire watch", cli_kebab_case=True, extra="ignore"
    )

    stream: CliPositionalArg[Literal["market", "signals", "binary"]] = Field(description="The stream.")
    symbols: str = Field(default="", description="Only these, such as BTC,ETH; all without it.")
    url: str = Field(
        default="", description="Where the stream is, as tickwire up prints it; on 127.0.0.1:8000 without it."
    )

    @property
    def address(self) -> str:
        """Where to connect to."""
        return self.url or _HERE[self.stream]


async def watch(settings: WatchSettings, console: Console) -> int:
    """Show the stream until cancelled; a lost connection is taken up again with growing, random waits."""
    board, url = Board(settings.stream), settings.address
    symbols = [symbol.strip().upper() for symbol in settings.symbols.split(",") if symbol.strip()]
    attempt = 0
    with Live(console=console, get_renderable=lambda: draw(board, time(), url=url), refresh_per_second=4):
        while True:
            try:
                async with connect(url, ping_interval=None, open_timeout=5) as socket:
                    board.state, attempt = "live", 0
                    await _follow(socket, board, symbols)
            except InvalidURI as error:
                sys.stderr.write(f"tickwire watch: {error}\n")
                return 2
            except (OSError, WebSocketException, TimeoutError, JSONDecodeError, KeyError) as error:
                board.state = f"not connected ({_why(error)})"
            wait = 0.25 + uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt))  # noqa: S311 # spreads clients
            attempt += 1
            board.state += f", next try in {wait:.1f} s"
            await asyncio.sleep(wait)


async def _follow(socket: Any, board: Board, symbols: list[str]) -> None:  # noqa: ANN401 # websockets' connection
    """Take what comes until the connection ends; TimeoutError when even a ping is not answered."""
    request: dict[str, Any] = {"action": "subscribe", "id": "watch", "streams": [board.stream]}
    if symbols:
        request["symbols"] = symbols
    await socket.send(dumps(request))
    while True:
        try:
            text = await asyncio.wait_for(socket.recv(), _SILENCE)
        except TimeoutError:
            # Nothing may have changed for minutes; only a sign of life that does not come means a broken connection.
            await socket.send(dumps({"action": "ping", "id": "watch"}))
            text = await asyncio.wait_for(socket.recv(), _SILENCE)
        if board.take(loads(text, parse_float=Decimal), time()):
            await socket.send(dumps({"action": "snapshot", "id": "gap", "stream": board.stream}))


def _why(error: Exception) -> str:
    silence = f"silent for {2 * _SILENCE:.0f} s" if isinstance(error, TimeoutError) else ""
    return str(error) or silence or type(error).__name__


def run(settings: WatchSettings) -> int:
    """Run ``tickwire watch`` until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(watch(settings, Console()))
    return 0
