"""
One instrument's bid, ask and last at one time: how it is kept, compared, written and read back.

Numbers stay the source's own text from the answer to the wire: ``"91776.00000000"`` becomes the JSON number
``91776.00000000``, and no float comes between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

# An exponent of three digits is no price's either, and would be written out in thousands of zeros.
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")
_ZERO = re.compile(r"-?0(?:\.0+)?(?:[eE][+-]?[0-9]+)?")
# Longer than any price or percentage: whoever sends more digits than this sends something else.
_MOST_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Quote:
    """
    What ``source`` said about ``symbol`` at ``ts``.

    ``last``, ``bid``, ``ask`` and ``change_pct`` (percent over 24 hours) are the source's digits, None where it
    has none. ``ts`` is the source's time and ``answered_at`` ours, when the latest good answer came, both in epoch
    milliseconds. ``market`` is "open" or "closed". A ``proxy`` is the price of something else that goes with it: a
    token of gold for gold; None where no source of the instrument is one.
    """

    symbol: str
    last: str | None
    bid: str | None
    ask: str | None
    change_pct: str | None
    ts: int
    source: str
    answered_at: int
    stale: bool = False
    market: str = "open"
    proxy: bool | None = None

    @property
    def origin(self) -> tuple[str, bool, str, bool | None]:
        """What goes to clients only in full, or when it has changed."""
        return self.source, self.stale, self.market, self.proxy

    def says_the_same_as(self, other: Quote) -> bool:
        """
        Whether nothing worth sending is different.

        A new ``ts`` alone is not, nor is a new ``change_pct``: the price of a day ago is another one every second,
        while that of now stands. Each twelfth tick, which is full, brings both up to date.
        """
        return (self.last, self.bid, self.ask, self.change_pct is None, self.origin) == (
            other.last,
            other.bid,
            other.ask,
            other.change_pct is None,
            other.origin,
        )


class _Wire(msgspec.Struct):
    """A full market ``data``; the numbers as they stand in the text."""

    last: msgspec.Raw
    bid: msgspec.Raw
    ask: msgspec.Raw
    change_pct: msgspec.Raw
    ts: int
    source: str
    stale: bool
    market: str
    proxy: bool | None = None


_decoder = msgspec.json.Decoder(_Wire)


def number(text: str) -> str:
    """
    Return ``text`` if it can stand as a JSON number as it is.

    Raises:
        ValueError: It cannot ("NaN", "", "+1", "1,000"), or has more than 40 characters or an exponent of three digits.
    """
    if len(text) > _MOST_DIGITS or not _JSON_NUMBER.fullmatch(text):
        raise ValueError(f"not a number: {text[:_MOST_DIGITS]!r}")
    return text


def price(text: str) -> str | None:
    """
    Return ``text`` if it is a price, None if it is zero: an empty side of a book is written as zero.

    Raises:
        ValueError: It is no number, or a negative one.
    """
    if _ZERO.fullmatch(number(text)):
        return None
    if text.startswith("-"):
        raise ValueError(f"a negative price: {text!r}")
    return text


def middle(prices: Iterable[str]) -> str:
    """
    Find the median of at least one price, exactly: half of two prices has one digit more than they have.

    The mean of a bid and an ask is the median of both.
    """
    return format(median(map(Decimal, prices)), "f")


def encode(quote: Quote, *, full: bool) -> bytes:
    """
    Write the wire's ``data`` of a quote.

    ``source``, ``stale`` and ``market`` only when ``full``, and ``proxy`` only then, where a source may be one. That it
    is none is said too: whoever lays an update over what was known would else take it for one for ever.
    """
    text = (
        f'{{"last":{quote.last or "null"},"bid":{quote.bid or "null"},"ask":{quote.ask or "null"},'
        f'"change_pct":{quote.change_pct or "null"},"ts":{quote.ts}'
    )
    if not full:
        return f"{text}}}".encode()
    source, market = msgspec.json.encode(quote.source).decode(), msgspec.json.encode(quote.market).decode()
    stale = "true" if quote.stale else "false"
    proxy = {None: "", False: ',"proxy":false', True: ',"proxy":true'}[quote.proxy]
    return f'{text},"source":{source},"stale":{stale},"market":{market}{proxy}}}'.encode()


def decode(symbol: str, written: bytes, *, answered_at: int) -> Quote:
    """
    Read a quote back from its full ``data``, digit for digit.

    Raises:
        msgspec.DecodeError: It was not written by ``encode`` of this version.
    """
    wire = _decoder.decode(written)
    return Quote(
        symbol,
        last=_text(wire.last),
        bid=_text(wire.bid),
        ask=_text(wire.ask),
        change_pct=_text(wire.change_pct),
        ts=wire.ts,
        source=wire.source,
        answered_at=answered_at,
        stale=wire.stale,
        market=wire.market,
        proxy=wire.proxy,
    )


def _text(raw: msgspec.Raw) -> str | None:
    text = bytes(raw).decode()
    return None if text == "null" else text
