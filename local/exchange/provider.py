"""What every provider of the simulated exchange is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

JSON = "application/json"
HTML = "text/html"


@dataclass(frozen=True, slots=True)
class Request:
    """
    One GET.

    ``path`` is the provider's own (``/api/v3/ping``), ``now`` epoch milliseconds. ``halted`` leads from the symbols
    that do not trade to the moment, epoch milliseconds, since when.
    """

    path: str
    query: Mapping[str, str]
    client: str
    now: int
    halted: Mapping[str, int] = field(default_factory=dict)

    def moment(self, symbol: str) -> int:
        """Return the last moment, epoch milliseconds, at which this symbol traded."""
        return min(self.now, self.halted.get(symbol, self.now))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; ``headers`` have lower-case names."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Hangup(Exception):
    """A WebSocket that the provider ends, with the close code and reason that it gives."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Session(Protocol):
    """One WebSocket of a provider's, without the socket; times are epoch milliseconds."""

    def opened(self, *, now: int) -> Sequence[str]:
        """Return what the provider says at once."""
        ...

    def received(self, text: str, *, now: int) -> Sequence[str]:
        """Return what it answers to a message; raise ``Hangup`` if it has had enough."""
        ...

    def due(self, *, now: int, halted: Collection[str]) -> Sequence[str]:
        """Return what it has to say by now; nothing about the ``halted`` symbols."""
        ...

    def due_at(self) -> int:
        """Return when it has something to say again."""
        ...

    def farewell(self, *, now: int) -> str:
        """Return how it announces that this connection will be ended."""
        ...


class Provider(Protocol):
    """One host that the exchange stands in for."""

    def answer(self, request: Request) -> Answer:
        """Answer as the real host would."""
        ...

    def refusal(self, status: int, request: Request, retry_after: int) -> Answer:
        """Answer with this status, in the form in which the real host fails; ``retry_after`` is seconds."""
        ...

    def error(self) -> bytes:
        """Return the provider's own error object, as it may stand under status 200."""
        ...

    def empty(self) -> bytes:
        """Return the provider's outer object with nothing in it."""
        ...

    def session(self, path: str, query: Mapping[str, str]) -> Session | None:
        """Return what serves a WebSocket at this path of the provider's, None where it has none."""
        ...


def page(status: int, title: str) -> Answer:
    """Return a web page where JSON is expected, as firewalls and load balancers do."""
    text = f"<html>\n<head><title>{status} {title}</title></head>\n<body><h1>{status} {title}</h1></body>\n</html>\n"
    return Answer(text.encode(), status, HTML)


def decimal(value: int, places: int, shown: int) -> str:
    """Write ``value`` / 10**``places`` with ``shown`` digits after the point; ``shown`` >= ``places``."""
    digits = str(abs(value)).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    whole = len(digits) - places
    text = f"{sign}{digits[:whole]}.{digits[whole:]}{'0' * (shown - places)}"
    return text.rstrip(".")


def phase(symbol: str) -> int:
    """
    Return at which millisecond of each second a symbol's state is pushed.

    It is in the second half, so that who looks when a second begins, as ticks do, always finds something young.
    """
    return 500 + crc32(symbol.encode()) % 450
