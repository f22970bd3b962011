"""What clients may ask for: text in, a validated request out, or a fault of the client's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar

import msgspec

from handlers.hub.errors import (
    BadJson,
    BadRequest,
    ClientFault,
    TooManySymbols,
    UnknownAction,
    UnknownStream,
    UnknownSymbol,
)
from handlers.hub.instruments import instruments

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

STREAMS: Final = ("market", "signals", "binary")
"""What a connection may subscribe to."""

FORMATS: Final = ("batch", "single", "compact")
"""How a connection may have its ticks: one message for all instruments, one for each, or one in fewer bytes."""

DEFAULT_FORMAT: Final = "batch"

ACTIONS: Final = ("subscribe", "unsubscribe", "snapshot", "candles", "votes", "ping")
"""What a client may ask for."""

TIMEFRAMES: Final = ("1m", "15m", "1h", "4h", "1d")
"""Of which candles there can be signals; which there are, is the deployment's choice."""

MAX_SYMBOLS: Final = 500
"""At most so many symbols in one subscribe, as sent."""

_QUOTED: Final = 40
"""At most so many characters of what a client sent stand in the sentence of an error."""

RequestId: TypeAlias = (
    Annotated[int, msgspec.Meta(ge=-(2**53) + 1, le=2**53 - 1)] | Annotated[str, msgspec.Meta(max_length=128)] | None
)
"""What a client may name its request: an integer that every JSON reader keeps, or at most 128 characters of text."""


class Subscribe(msgspec.Struct, frozen=True, kw_only=True):
    """
    A request to follow ``streams``, in the order asked for and without repetition.

    ``symbols`` None is every instrument; ``format`` None keeps what the connection has. ``since`` holds the last
    ``seq`` that the client has seen of a stream.
    """

    streams: tuple[str, ...]
    symbols: frozenset[str] | None = None
    since: dict[str, int | None] = {}
    format: str | None = None
    id: RequestId = None


class Unsubscribe(msgspec.Struct, frozen=True, kw_only=True):
    """A request to follow ``streams`` no more."""

    streams: tuple[str, ...]
    id: RequestId = None


class SnapshotRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the full state of one stream."""

    stream: str
    id: RequestId = None


class CandlesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the latest closed candles of one instrument."""

    symbol: str
    timeframe: str
    id: RequestId = None


class VotesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for how every indicator votes on one instrument."""

    symbol: str
    timeframe: str
    id: RequestId = None


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of life that wants one in return."""

    id: RequestId = None


Request: TypeAlias = Subscribe | Unsubscribe | SnapshotRequest | CandlesRequest | VotesRequest | Ping


class _Envelope(msgspec.Struct):
    """What leads to the kind of a request."""

    action: Any = None


class _Named(msgspec.Struct):
    """The one member of a request that its answer repeats."""

    id: RequestId = None


class _Subscribe(msgspec.Struct, kw_only=True):
    """A subscribe as it was sent: counted and checked before anything is collapsed."""

    streams: tuple[str, ...]
    symbols: tuple[str, ...] | None = None
    since: dict[str, int | None] | None = None
    format: str | None = None
    id: RequestId = None


_Shape = TypeVar("_Shape", bound=msgspec.Struct)


def parse_request(text: str, *, known: Container[str] | None = None) -> Request:
    """
    Read what a client sent, at most 131,072 bytes (the gateway's limit).

    Members that no request has are ignored. ``known`` are the symbols there are; without it, those of the list of
    instruments.

    Raises:
        BadJson: It is no JSON object, nor the bare text ``ping``.
        BadRequest: A member is missing or of the wrong kind; the sentence names it.
        UnknownAction, UnknownStream, UnknownSymbol, TooManySymbols: as they say.
    """
    if text.strip() == "ping":
        return Ping()
    action = _decode(text, _Envelope).action
    match action:
        case "subscribe":
            sent = _decode(text, _Subscribe)
            return Subscribe(
                streams=_streams(sent.streams),
                symbols=None if sent.symbols is None else _symbols(sent.symbols, known),
                since=sent.since or {},
                format=_format(sent.format),
                id=sent.id,
            )
        case "unsubscribe":
            unsubscribe = _decode(text, Unsubscribe)
            return msgspec.structs.replace(unsubscribe, streams=_streams(unsubscribe.streams))
        case "snapshot":
            request = _decode(text, SnapshotRequest)
            _streams((request.stream,))
            return request
        case "candles" | "votes":
            kind: type[CandlesRequest | VotesRequest] = CandlesRequest if action == "candles" else VotesRequest
            return _about_one(_decode(text, kind), known)
        case "ping":
            return _decode(text, Ping)
        case None:
            raise BadRequest("action is missing")
        case str():
            raise UnknownAction(_clip(action), ACTIONS)
        case _:
            raise BadRequest(f"action: expected str, got {type(action).__name__}")


def parse_query(query: Mapping[str, str], *, known: Container[str] | None = None) -> Subscribe:
    """
    Read the subscription that came with the address: ``?stream=market,signals&symbols=BTC,ETH&format=single``.

    Without ``stream`` there is none, and ``streams`` is empty. ``symbols`` without a value is every instrument.
    Raises what ``parse_request`` raises.
    """
    streams = _streams(_listed(query["stream"], "stream")) if "stream" in query else ()
    symbols = query.get("symbols")
    return Subscribe(
        streams=streams,
        symbols=_symbols(_listed(symbols, "symbols"), known) if symbols else None,
        format=_format(query.get("format")),
    )


def id_of(text: str) -> RequestId:
    """Read the ``id`` of a request that may be wrong in any other way; None when it has none that can be repeated."""
    try:
        return msgspec.json.decode(text, type=_Named).id
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None


def _decode(text: str, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.ValidationError as fault:
        raise _wrong_member(str(fault)) from fault
    except UnicodeEncodeError as fault:
        raise BadJson("a request is a JSON object: this text has half a surrogate pair") from fault
    except RecursionError as fault:
        raise BadJson("a request is a JSON object: this one is nested too deep") from fault
    except msgspec.DecodeError as fault:
        raise BadJson(f"a request is a JSON object: {fault}") from fault


def _wrong_member(fault: str) -> ClientFault:
    """Turn msgspec's sentence, "Expected `array`, got `str` - at `$.streams`", into one that begins with the member."""
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", fault):
        return BadRequest(f"{missing[1]} is missing")
    what, _, where = fault.replace("`", "").partition(" - at $.")
    if not where:
        return BadJson(f"a request is a JSON object: {what}")
    return BadRequest(f"{where}: {what[0].lower()}{what[1:]}")


def _streams(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        raise BadRequest("streams: names none")
    for name in names:
        if name not in STREAMS:
            raise UnknownStream(_clip(name), STREAMS)
    return tuple(dict.fromkeys(names))


def _symbols(names: Sequence[str], known: Container[str] | None) -> frozenset[str]:
    if len(names) > MAX_SYMBOLS:
        raise TooManySymbols(len(names), MAX_SYMBOLS)
    there_are = instruments() if known is None else known
    symbols = [name.upper() for name in names]
    for symbol in symbols:
        if symbol not in there_are:
            raise UnknownSymbol(_clip(symbol))
    return frozenset(symbols)


def _about_one(asked: CandlesRequest | VotesRequest, known: Container[str] | None) -> CandlesRequest | VotesRequest:
    (symbol,) = _symbols((asked.symbol,), known)
    if asked.timeframe not in TIMEFRAMES:
        there_are = ", ".join(TIMEFRAMES)
        raise BadRequest(f"timeframe: no such timeframe: {_clip(asked.timeframe)!r}; there are {there_are}")
    return msgspec.structs.replace(asked, symbol=symbol)


def _format(name: str | None) -> str | None:
    if name is not None and name not in FORMATS:
        raise BadRequest(f"format: no such format: {_clip(name)!r}; there are {', '.join(FORMATS)}")
    return name


def _listed(value: str, member: str) -> list[str]:
    """Read a comma list from an address."""
    names = [name for part in value.split(",") if (name := part.strip())]
    if not names:
        raise BadRequest(f"{member}: names none")
    return names


def _clip(text: str) -> str:
    """Keep an error's sentence short, whatever the client sent."""
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "…"
