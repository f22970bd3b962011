"""The one list of what is traded: the hub checks symbols against it, the scheduler fetches what it names."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FILE = Path(__file__).with_name("instruments.toml")
"""The list that is shipped; ``TICKWIRE_INSTRUMENTS`` names another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """
    Something that is traded.

    ``symbol`` is its name on the wire, in capitals; ``kind`` is the wire's ``class`` (crypto, forex, metal);
    ``decimals`` is how many digits after the point a page shows. ``sources`` leads from a provider to the instrument's
    name there, the preferred provider first; those in ``proxies`` sell something else that goes with it (a token of
    gold for gold). ``reference`` is the currency pair ("EUR/USD") whose daily rate its price is compared with, if any.
    """

    symbol: str
    name: str
    kind: str
    decimals: int
    sources: Mapping[str, str]
    proxies: frozenset[str] = frozenset()
    reference: str | None = None


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the file."""

    name: str
    kind: Literal["crypto", "forex", "metal"]
    decimals: int
    sources: dict[str, str]
    proxies: frozenset[str] = frozenset()
    reference: str | None = None


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    instruments: dict[str, _Entry]


def instruments() -> Mapping[str, Instrument]:
    """
    Give every instrument by its symbol, in the order of the file.

    The file is read once for the life of a process; another one by ``TICKWIRE_INSTRUMENTS`` takes effect at once.

    Raises:
        ValueError: The file is no such list; the sentence names the file and the member.
    """
    return _read(Path(os.environ.get("TICKWIRE_INSTRUMENTS") or DEFAULT_FILE))


@lru_cache(maxsize=4)
def _read(path: Path) -> Mapping[str, Instrument]:
    try:
        catalogue = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Catalogue)
    except ValueError as error:  # msgspec's and tomllib's errors both are
        raise ValueError(f"{path}: {error}") from error
    for symbol, entry in catalogue.instruments.items():
        if symbol != symbol.upper():
            raise ValueError(f"{path}: the symbol {symbol!r} is not in capitals")
        if strange := entry.proxies - entry.sources.keys():
            raise ValueError(f"{path}: {symbol} has a proxy that is none of its sources: {min(strange)!r}")
    return MappingProxyType(
        {
            symbol: Instrument(
                symbol=symbol,
                name=entry.name,
                kind=entry.kind,
                decimals=entry.decimals,
                sources=entry.sources,
                proxies=entry.proxies,
                reference=entry.reference,
            )
            for symbol, entry in catalogue.instruments.items()
        }
    )
