"""
The wire: what clients and server may say to each other.

Requests are read by ``handlers.hub.requests``, whose names stand here too. Messages are composed here and leave as
bytes. Every ``data`` goes through as the bytes it was given, so a price keeps its source's own digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from handlers.hub import compact
from handlers.hub.instruments import instruments as traded
from handlers.hub.parts import LIMIT_BYTES, chunks, encode, room_beside, tick
from handlers.hub.requests import (
    ACTIONS,
    DEFAULT_FORMAT,
    FORMATS,
    MAX_SYMBOLS,
    STREAMS,
    CandlesRequest,
    Ping,
    Request,
    RequestId,
    SnapshotRequest,
    Subscribe,
    Unsubscribe,
    VotesRequest,
    id_of,
    parse_query,
    parse_request,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from handlers.hub.candles import Candles, Votes
    from handlers.hub.errors import ClientFault
    from handlers.hub.instruments import Instrument
    from handlers.hub.snapshots import Snapshot

__all__ = [
    "ACTIONS",
    "BATCH_TYPE",
    "COMPACT_TYPE",
    "DEFAULT_FORMAT",
    "ERROR_CODES",
    "FORMATS",
    "FULL_EVERY",
    "LIMIT_BYTES",
    "MAX_SYMBOLS",
    "PERIOD_MS",
    "RETRY_AFTER_MS",
    "STREAMS",
    "UPDATE_TYPE",
    "VERSION",
    "CandlesRequest",
    "Ping",
    "Request",
    "RequestId",
    "SnapshotRequest",
    "Subscribe",
    "Unsubscribe",
    "VotesRequest",
    "batch",
    "candles",
    "compact_batch",
    "error",
    "id_of",
    "parse_query",
    "parse_request",
    "pong",
    "single",
    "snapshot",
    "status",
    "subscribed",
    "unavailable",
    "unsubscribed",
    "votes",
]

VERSION: Final = 1
"""Version of this wire; every ``subscribed`` says it."""

PERIOD_MS: Final[Mapping[str, int]] = {"market": 5_000, "signals": 30_000, "binary": 30_000}
"""How far apart the ticks of a stream are, in milliseconds."""

FULL_EVERY: Final = 12
"""Every twelfth tick is full and always sent, so that no healthy connection meets the gateway's idle limit."""

BATCH_TYPE: Final[Mapping[str, str]] = {"market": "market_batch", "signals": "signal_batch", "binary": "binary_batch"}
"""What the message of one tick is called."""

COMPACT_TYPE: Final[Mapping[str, str]] = {"market": "market_compact"}
"""
What it is called for connections of the format ``compact``.

The other streams have no such form, and send these connections their batches: what they say is mostly words.
"""

UPDATE_TYPE: Final[Mapping[str, str]] = {
    "market": "market_update",
    "signals": "signal_update",
    "binary": "binary_update",
}
"""What the message of one instrument is called, for connections of the format ``single``."""

ERROR_CODES: Final = (
    "bad_json",
    "bad_request",
    "unknown_action",
    "unknown_stream",
    "unknown_symbol",
    "too_many_symbols",
    "rate_limited",
    "unauthorized",
    "forbidden",
    "payload_too_large",
    "internal",
    "unavailable",
)
"""The vocabulary of errors; no code is ever renamed."""

RETRY_AFTER_MS: Final = 1_000
"""When to try again after ``unavailable``, in milliseconds, unless a better time is known."""


def subscribed(
    request_id: RequestId,
    latest: Mapping[str, Snapshot | None],
    *,
    server_time: int,
    max_age_ms: int,
    ping_after_ms: int,
    only: frozenset[str] | None = None,
    since: Mapping[str, int | None] | None = None,
    instruments: Mapping[str, Instrument] | None = None,
) -> list[bytes]:
    """
    Compose the answer to a subscribe, with the snapshot of each stream in ``latest``.

    Args:
        request_id: The request's.
        latest: The streams asked for; None where there is no snapshot yet.
        server_time: Epoch milliseconds.
        max_age_ms: When the client should open a new socket.
        ping_after_ms: After how much silence it should ping.
        only: The symbols asked for; None for all.
        since: What the client has seen already: a snapshot of that very ``seq`` is left out.
        instruments: What is traded; without it, the list of instruments.

    Returns:
        One message; or, when that would pass 30,000 bytes, the answer without snapshots and then the snapshots, to
        be posted in this order.
    """
    answer: dict[str, Any] = {
        "type": "subscribed",
        "id": request_id,
        "v": VERSION,
        "server_time": server_time,
        "max_age_ms": max_age_ms,
        "ping_after_ms": ping_after_ms,
    }
    states: dict[str, dict[str, Any]] = {}
    parts: dict[str, list[dict[str, Any]]] = {}
    for stream, state in latest.items():
        states[stream] = {"seq": state and state.seq, "period_ms": PERIOD_MS[stream]}
        if state and (since or {}).get(stream) != state.seq:
            parts[stream] = _parts(state, request_id, only=only, instruments=instruments)
    if all(len(several) == 1 for several in parts.values()):
        whole = encode(
            answer
            | {
                "streams": {
                    stream: state | ({"snapshot": parts[stream][0]} if stream in parts else {})
                    for stream, state in states.items()
                }
            }
        )
        if len(whole) <= LIMIT_BYTES:
            return [whole]
    return [
        encode(answer | {"streams": states}),
        *(encode({"type": "snapshot"} | part) for several in parts.values() for part in several),
    ]


def unsubscribed(request_id: RequestId, streams: Iterable[str]) -> bytes:
    """Compose the answer to an unsubscribe; ``streams`` are those that the connection still follows."""
    return encode({"type": "unsubscribed", "id": request_id, "streams": list(streams)})


def snapshot(
    latest: Snapshot,
    *,
    request_id: RequestId = None,
    only: frozenset[str] | None = None,
    instruments: Mapping[str, Instrument] | None = None,
) -> list[bytes]:
    """
    Compose the full state of a stream for somebody who follows the symbols in ``only`` (None: all).

    Returns:
        One message, or several parts of at most 30,000 bytes each (one instrument is never divided). Every
        instrument asked for is listed, also one that has no data yet.
    """
    return [
        encode({"type": "snapshot"} | part) for part in _parts(latest, request_id, only=only, instruments=instruments)
    ]


def batch(
    stream: str,
    *,
    seq: int,
    prev: int | None,
    ts: int,
    updates: Mapping[str, bytes],
    only: frozenset[str] | None = None,
) -> list[bytes]:
    """
    Compose the message of one tick: what has changed of the symbols in ``only`` (None: all), perhaps nothing.

    Args:
        stream: Which stream.
        seq: The tick's number.
        prev: The tick sent before it; None for the very first.
        ts: When it was composed, epoch milliseconds.
        updates: ``data`` by symbol, encoded.
        only: The symbols a connection follows.

    Returns:
        One message. Only when it would pass 30,000 bytes, several with the same ``seq`` and ``prev`` that count
        themselves by ``part`` and ``parts`` (one instrument is never divided).
    """
    head = {"type": BATCH_TYPE[stream], "seq": seq, "prev": prev, "ts": ts}
    entries = [
        {"symbol": symbol, "data": msgspec.Raw(data)}
        for symbol, data in updates.items()
        if only is None or symbol in only
    ]
    return tick(head, entries)


def compact_batch(
    stream: str,
    *,
    seq: int,
    prev: int | None,
    ts: int,
    values: Mapping[str, bytes],
    only: frozenset[str] | None = None,
    instruments: Mapping[str, Instrument] | None = None,
) -> list[bytes]:
    """
    Compose the same as ``batch`` for a connection of the format ``compact``, of a stream that has this form.

    Args:
        stream: Which stream; one of ``COMPACT_TYPE``.
        seq: The tick's number.
        prev: The tick sent before it; None for the very first.
        ts: When it was composed, epoch milliseconds.
        values: What ``compact.values`` made of the ``data`` of each symbol; who is not listed has no number, and is
            left out.
        only: The symbols a connection follows.
        instruments: What is traded; without it, the list of instruments.
    """
    listed = traded() if instruments is None else instruments
    numbered = [symbol for symbol in listed if only is None or symbol in only]
    head = {
        "type": COMPACT_TYPE[stream],
        "seq": seq,
        "prev": prev,
        "ts": ts,
        "list": compact.list_of(numbered),
    }
    return tick(
        head,
        [
            msgspec.Raw(b"[%d%b]" % (number, values[symbol]))
            for number, symbol in enumerate(numbered)
            if symbol in values
        ],
    )


def single(stream: str, symbol: str, data: bytes) -> bytes:
    """Compose the message of one instrument for a connection of the format ``single``; ``data`` is its full state."""
    return encode({"type": UPDATE_TYPE[stream], "symbol": symbol, "data": msgspec.Raw(data)})


def candles(request_id: RequestId, latest: Candles) -> bytes:
    """Compose the latest candles of one instrument, oldest first: as many as 30,000 bytes have room for."""
    head = {"type": "candles", "id": request_id} | _about(latest)
    room = LIMIT_BYTES - len(encode(head | {"candles": []}))
    fitting: list[msgspec.Raw] = []
    for candle in reversed(msgspec.json.decode(latest.payload, type=list[msgspec.Raw])):
        room -= len(bytes(candle)) + 1
        if room < 0:
            break
        fitting.append(candle)
    return encode(head | {"candles": fitting[::-1]})


def votes(request_id: RequestId, latest: Votes) -> bytes:
    """Compose how every indicator votes on one instrument, and what that comes to."""
    said = msgspec.json.decode(latest.payload, type=dict[str, msgspec.Raw])
    return encode({"type": "votes", "id": request_id} | _about(latest) | said)


def pong(request_id: RequestId, ts: int) -> bytes:
    """Compose the answer to a ping; ``ts`` is epoch milliseconds."""
    return encode({"type": "pong", "id": request_id, "ts": ts})


def status(component: str, state: str, since: int) -> bytes:
    """
    Compose the news that ``component`` (such as ``provider.kraken``) has changed its state.

    ``state`` is ``ok``, ``degraded``, ``down`` or ``closed``; ``since`` is epoch milliseconds.
    """
    return encode({"type": "status", "component": component, "state": state, "since": since})


def error(fault: ClientFault, request_id: RequestId) -> bytes:
    """Compose what a client is told about its own fault: to send the same again is of no use."""
    return _error(request_id, code=fault.code, message=str(fault), retry_after_ms=None)


def unavailable(request_id: RequestId, message: str, *, retry_after_ms: int = RETRY_AFTER_MS) -> bytes:
    """Compose what a client is told when it did nothing wrong and may try again after ``retry_after_ms``."""
    return _error(request_id, code="unavailable", message=message, retry_after_ms=retry_after_ms)


def _error(request_id: RequestId, *, code: str, message: str, retry_after_ms: int | None) -> bytes:
    return encode(
        {
            "type": "error",
            "id": request_id,
            "code": code,
            "message": message,
            "retryable": retry_after_ms is not None,
            "retry_after_ms": retry_after_ms,
        }
    )


def _about(latest: Candles | Votes) -> dict[str, Any]:
    return {
        "symbol": latest.symbol,
        "timeframe": latest.timeframe,
        "source": latest.source,
        "closed_at": latest.closed_at,
    }


def _parts(
    latest: Snapshot,
    request_id: RequestId,
    *,
    only: frozenset[str] | None,
    instruments: Mapping[str, Instrument] | None,
) -> list[dict[str, Any]]:
    """Divide a snapshot into bodies that each stay under the limit with their ``type``."""
    listed = traded() if instruments is None else instruments
    entries = [
        (symbol, _listing(listed[symbol]) if symbol in listed else None)
        for symbol in dict.fromkeys((*listed, *latest.data))
        if only is None or symbol in only
    ]
    head = {"id": request_id, "stream": latest.stream, "seq": latest.seq, "ts": latest.ts}
    room = room_beside({"type": "snapshot"} | head | {"instruments": [], "data": {}})
    divided = chunks(
        [
            (
                (symbol, instrument),
                len(instrument or b"") + len(encode(symbol)) + len(latest.data.get(symbol, b"")) + 3,
            )
            for symbol, instrument in entries
        ],
        room,
    )
    return [
        head
        | {
            "part": number,
            "parts": len(divided),
            "instruments": [msgspec.Raw(listing) for _, listing in chunk if listing],
            "data": {symbol: msgspec.Raw(latest.data[symbol]) for symbol, _ in chunk if symbol in latest.data},
        }
        for number, chunk in enumerate(divided, start=1)
    ]


def _listing(instrument: Instrument) -> bytes:
    return encode(
        {
            "symbol": instrument.symbol,
            "name": instrument.name,
            "class": instrument.kind,
            "decimals": instrument.decimals,
        }
    )
