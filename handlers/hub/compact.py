"""
Market updates as arrays of numbers, for the format ``compact``: about a quarter of a batch's bytes.

An update is ``[number, last, bid, ask, change_pct, {…}]``. It begins with the instrument's number in the snapshot's
``instruments``, counted from 0 over all its parts. Prices are exact, without zeros at the end. A bid or ask of 0 is the
same as ``last``, because no price is zero; what is missing at the end is null. The object is there when the quote has
more to say: ``source``, ``stale`` and ``market`` (with ``proxy`` where it may be one) when one of them has changed, and
``ts`` when the source's time is more than a period away from the batch's.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

NEAR_MS: Final = 5_000
"""How far a quote's time may be from its batch's without being said, in milliseconds: a period of the stream."""


class _Quote(msgspec.Struct):
    """A market ``data``, full or not; the numbers as they stand in the text."""

    last: msgspec.Raw
    bid: msgspec.Raw
    ask: msgspec.Raw
    change_pct: msgspec.Raw
    ts: int
    source: str | None = None
    stale: bool = False
    market: str = "open"
    proxy: bool | None = None


_quote = msgspec.json.Decoder(_Quote)
_encode = msgspec.json.Encoder().encode


def values(data: bytes, *, ts: int) -> bytes:
    """
    Write what an update says after the instrument's number, with a comma before each value.

    Args:
        data: The market ``data`` of a batch.
        ts: The batch's own, epoch milliseconds.
    """
    quote = _quote.decode(data)
    last = _short(quote.last)
    prices = [last, *(b"0" if side == last != b"null" else side for side in map(_short, (quote.bid, quote.ask)))]
    said = [*prices, _short(quote.change_pct)]
    if more := _more(quote, ts):
        said.append(_encode(more))
    while said and said[-1] == b"null":
        said.pop()
    return b"".join(b"," + one for one in said)


def list_of(symbols: Iterable[str]) -> int:
    """
    Compute the number of a list of instruments: the CRC-32 of their symbols in order, with commas between.

    A batch says it, so that nobody takes the numbers of a newer list for those of the one it has.
    """
    return zlib.crc32(",".join(symbols).encode())


def _short(number: msgspec.Raw) -> bytes:
    """Leave out the zeros at the end of a decimal fraction: the same number, digit for digit."""
    text = bytes(number)
    return text.rstrip(b"0").rstrip(b".") if b"." in text and b"e" not in text.lower() else text


def _more(quote: _Quote, ts: int) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if quote.source is not None:
        more = {"source": quote.source, "stale": quote.stale, "market": quote.market}
        if quote.proxy is not None:
            more["proxy"] = quote.proxy
    if abs(ts - quote.ts) > NEAR_MS:
        more["ts"] = quote.ts
    return more
