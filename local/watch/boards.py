"""What ``tickwire watch`` knows of one stream, brought up to date by the messages that arrive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BATCHES = {"market": "market_batch", "signals": "signal_batch", "binary": "binary_batch"}
"""The streams, and the message that each of their ticks is."""

_MOVING = {"market": "last", "signals": "rating"}


@dataclass(slots=True)
class Row:
    """One instrument as last heard of. ``direction`` is where its figure moved last, ``moved_at`` when, in s."""

    name: str = ""
    decimals: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    direction: int = 0
    moved_at: float = 0.0


@dataclass(slots=True)
class Board:
    """What is known of ``stream``; ``take`` brings it up to date with one message, ``listed`` once by a snapshot."""

    stream: str
    rows: dict[str, Row] = field(default_factory=dict)
    seq: int = -1
    gaps: int = 0
    listed: bool = False
    state: str = "connecting"

    def take(self, message: dict[str, Any], now: float) -> bool:
        """
        Take one message of the wire, at ``now`` in epoch seconds; those of other streams mean nothing here.

        Returns:
            Whether a snapshot should be asked for: a tick is missing before this one, or there never was a snapshot,
            and so no list of the instruments.
        """
        kind = message.get("type")
        if kind == "subscribed":
            stream = message["streams"].get(self.stream, {})
            if "snapshot" in stream:
                self._take_snapshot(stream["snapshot"], stream["seq"], now)
        elif kind == "snapshot" and message["stream"] == self.stream:
            self._take_snapshot(message, message["seq"], now)
        elif kind == BATCHES[self.stream]:
            return self._take_batch(message, now)
        elif kind == "error":
            self.state = f"refused: {message['message']}"
        return False

    def _take_snapshot(self, snapshot: dict[str, Any], seq: int, now: float) -> None:
        if seq < self.seq:
            return
        self.seq, self.listed = seq, True
        for instrument in snapshot.get("instruments", ()):
            row = self.rows.setdefault(instrument["symbol"], Row())
            row.name, row.decimals = instrument["name"], instrument["decimals"]
        for symbol, values in snapshot["data"].items():
            self._update(symbol, values, now)

    def _take_batch(self, batch: dict[str, Any], now: float) -> bool:
        goes_on = "part" in batch and batch["seq"] == self.seq
        if batch["seq"] <= self.seq and not goes_on:
            return False
        missed = self.seq >= 0 and not goes_on and batch["prev"] != self.seq
        self.gaps += missed
        self.seq = batch["seq"]
        for update in batch["updates"]:
            self._update(update["symbol"], update["data"], now)
        return missed or not self.listed

    def _update(self, symbol: str, values: dict[str, Any], now: float) -> None:
        row = self.rows.setdefault(symbol, Row())
        moving = _MOVING.get(self.stream, "")
        before, after = row.values.get(moving), values.get(moving)
        # Only the market's updates leave out what has not changed.
        row.values = row.values | values if self.stream == "market" else values
        if before is not None and after is not None and before != after:
            row.direction, row.moved_at = (1 if after > before else -1), now
