"""
Ids as API Gateway makes them.

Sixteen characters: eleven bytes in URL-safe base64 with the one ``=`` kept. From the most significant bit down, as
read off captured events of eight years: 30 bits of time in steps of 100 ms, 4 bits that tell the kind, 15 random
bits, 15 bits that are constant in a region, 8 bits of role, 14 bits that stay the same for a connection and its
messages, and two zeros.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

#: The region's 15 bits, where captures show them; elsewhere a hash of the region's name stands in.
REGIONS = {
    "us-east-1": 0x2003,
    "us-east-2": 0x0987,
    "us-west-2": 0x3C77,
    "ap-northeast-1": 0x3633,
    "ap-southeast-1": 0x490D,
}
_EPOCH_TICKS = 115_262_492
_WRAP = 2**29 - 1
_CONNECTION_KIND, _CONNECTION_ROLE = 0b0111, 0x02
_REQUEST_KIND, _REQUEST_ROLE = 0b0001, 0x05


class Ids:
    """
    A source of ids for one region; no connection id is given twice by one source.

    Instants are epoch seconds.
    """

    def __init__(self, region: str, random: Random) -> None:
        self._region = REGIONS.get(region, int.from_bytes(sha256(region.encode()).digest()[:2], "big") & 0x7FFF)
        self._random = random
        self._tick = -1
        self._given: set[str] = set()

    def connection(self, now: float) -> tuple[str, int]:
        """Return a new connection id and the 14 bits that its messages' ids share with it."""
        tick = int(now * 10)
        if tick != self._tick:
            self._tick = tick
            self._given.clear()
        while True:
            host = self._random.getrandbits(14)
            made = self._make(now, _CONNECTION_KIND, _CONNECTION_ROLE, host)
            if made not in self._given:
                self._given.add(made)
                return made, host

    def message(self, now: float, host: int) -> str:
        """Return a message id for a connection whose shared bits are ``host``."""
        return self._make(now, _CONNECTION_KIND, _CONNECTION_ROLE, host)

    def request(self, now: float) -> str:
        """Return a request id."""
        return self._make(now, _REQUEST_KIND, _REQUEST_ROLE, self._random.getrandbits(14))

    def _make(self, now: float, kind: int, role: int, host: int) -> str:
        bits = (int(now * 10) - _EPOCH_TICKS) % _WRAP
        for value, width in ((kind, 4), (self._random.getrandbits(15), 15), (self._region, 15), (role, 8), (host, 14)):
            bits = bits << width | value
        return urlsafe_b64encode((bits << 2).to_bytes(11, "big")).decode("ascii")


def is_connection_id(text: str) -> bool:
    """Say whether ``text`` has the form of an id: sixteen characters of base64 for URLs, the last one ``=``."""
    return len(text) == 16 and text[-1] == "=" and text[:-1].replace("-", "a").replace("_", "a").isalnum()  # noqa: PLR2004 # the length is the form
