"""What every provider of the simulated exchange is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

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
