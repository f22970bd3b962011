"""The candles that signals were computed from, and the votes they came to: the port, and DynamoDB behind it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from handlers.hub.dynamodb import dynamodb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.hub.attributes import Attributes
    from handlers.hub.dynamodb import DynamoDB
    from handlers.hub.settings import HubSettings

MOST_AT_ONCE: Final = 25
"""Items in one BatchWriteItem, at most (DynamoDB's API reference); together they may have 16 MB."""

ATTEMPTS: Final = 3
"""How often is tried to write what DynamoDB leaves out of a batch when it is busy."""


@dataclass(frozen=True, slots=True)
class Candles:
    """
    The latest closed candles of one instrument in one timeframe.

    ``payload`` is a JSON array of ``[opened_at, open, high, low, close, volume]``, oldest first, in the digits of
    ``source``. ``closed_at`` is the last millisecond of the last one, epoch milliseconds.
    """

    symbol: str
    timeframe: str
    closed_at: int
    source: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Votes:
    """
    How the indicators voted when the candle of ``closed_at`` (epoch milliseconds) had closed.

    ``payload`` is a JSON object: the members that a ``votes`` message has beside these.
    """

    symbol: str
    timeframe: str
    closed_at: int
    source: str
    payload: bytes


class CandleStore(Protocol):
    """Keeps the latest candles and votes of each instrument and timeframe. Synchronous, like the connection store."""

    def find_candles(self, symbol: str, timeframe: str) -> Candles | None:
        """Give what was kept last, or a moment before; None when there never was anything."""
        ...

    def find_votes(self, symbol: str, timeframe: str) -> Votes | None:
        """Give what was kept last, or a moment before; None when there never was anything."""
        ...

    def keep(self, items: Sequence[Candles | Votes]) -> Sequence[Candles | Votes]:
        """
        Put ``items``, each of another instrument, timeframe or kind, in place of the ones before.

        Returns those that could not be kept just now; the others have been.
        """
        ...


def candle_store(settings: HubSettings) -> DynamoCandleStore:
    """Make the store of a deployment, on the process's client."""
    return DynamoCandleStore(dynamodb(), settings.table)


class DynamoCandleStore:
    """
    Candles and votes in the one table: ``pk`` is ``CANDLES#{symbol}`` or ``VOTES#{symbol}``, ``sk`` the timeframe.

    ``payload`` is compressed: 500 candles are 44 KB before and 14 KB after, and DynamoDB takes 400 KB an item.
    """

    def __init__(self, client: DynamoDB, table: str) -> None:
        self._client = client
        self._table = table

    def find_candles(self, symbol: str, timeframe: str) -> Candles | None:
        """Read the item in one GetItem, which need not see what was written a moment ago."""
        item = self._client.get_item(TableName=self._table, Key=_key("CANDLES", symbol, timeframe))
        return Candles(symbol, timeframe, *_members(item)) if item is not None else None

    def find_votes(self, symbol: str, timeframe: str) -> Votes | None:
        """Read the item in one GetItem, which need not see what was written a moment ago."""
        item = self._client.get_item(TableName=self._table, Key=_key("VOTES", symbol, timeframe))
        return Votes(symbol, timeframe, *_members(item)) if item is not None else None

    def keep(self, items: Sequence[Candles | Votes]) -> Sequence[Candles | Votes]:
        """Write 25 items with each BatchWriteItem, and those that DynamoDB leaves out again, up to three times."""
        left: list[Candles | Votes] = []
        for start in range(0, len(items), MOST_AT_ONCE):
            batch = items[start : start + MOST_AT_ONCE]
            for _ in range(ATTEMPTS):
                missed = self._client.batch_write_item(self._table, [_item(item) for item in batch])
                keys = [{"pk": item["pk"], "sk": item["sk"]} for item in missed]
                batch = [item for item in batch if _key_of(item) in keys]
                if not batch:
                    break
            left += batch
        return left


def _key(kind: str, symbol: str, timeframe: str) -> Attributes:
    return {"pk": {"S": f"{kind}#{symbol}"}, "sk": {"S": timeframe}}


def _key_of(item: Candles | Votes) -> Attributes:
    return _key("CANDLES" if isinstance(item, Candles) else "VOTES", item.symbol, item.timeframe)


def _item(item: Candles | Votes) -> Attributes:
    return {
        **_key_of(item),
        "closed_at": {"N": str(item.closed_at)},
        "source": {"S": item.source},
        # Fast rather than small: it is a quarter of the CPU time for a quarter more.
        "payload": {"B": zlib.compress(item.payload, level=1)},
    }


def _members(item: Attributes) -> tuple[int, str, bytes]:
    return int(item["closed_at"]["N"]), item["source"]["S"], zlib.decompress(item["payload"]["B"])
