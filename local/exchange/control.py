"""
Telling the simulated exchange to fail.

``PUT /control/{provider}`` takes a JSON object with any of the members of ``Trouble`` and answers with what it
understood; each PUT replaces the one before. ``GET`` shows it, ``DELETE`` ends it. ``GET /control`` shows all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection

RETRY_AFTER = {418: 120, 429: 30}
"""Seconds for the ``Retry-After`` of these statuses, where the trouble does not give any."""

Manner = Literal["truncated", "html", "drip", "wrong_length", "reset", "error", "empty_error"]
"""
How a body goes wrong.

``truncated``: its first half, properly framed. ``html``: a web page under status 200. ``drip``: the whole body, a
byte at a time, ``delay_s`` (or half a second) between them. ``wrong_length``: ``Content-Length`` promises more than
comes. ``reset``: the connection ends after the headers and half of the body. ``error``: the provider's own error
object under status 200. ``empty_error``: its outer object with nothing in it under status 200, for Kraken
``{"error":[]}``.
"""


Interruption = Literal["drop", "silence", "shutdown", "malformed"]
"""
How a WebSocket goes wrong.

``drop``: it is closed, and so is every new one. ``silence``: it stays open, and nothing is said. ``shutdown``: those
that are open are told that they will be ended, and are, ``delay_s`` (or five) seconds later; new ones are served.
``malformed``: every message ends in its middle.
"""


class Trouble(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    What is wrong with one provider.

    ``status`` answers everything with that status in the provider's own form, ``retry_after`` seconds being its
    header; new WebSockets are refused with it. ``delay_s`` seconds pass before each answer. ``body`` spoils the body,
    ``push`` the WebSockets. ``symbols`` are halted: their prices stay as they were when the trouble began. ``for_s``
    seconds later all of it is over; without it, at DELETE.
    """

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    retry_after: Annotated[int, msgspec.Meta(ge=0)] | None = None
    for_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    delay_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    body: Manner | None = None
    push: Interruption | None = None
    symbols: tuple[str, ...] = ()


NO_TROUBLE = Trouble()


class BadTrouble(ValueError):
    """A PUT that says nothing understandable; the text says where."""


class Control:
    """What is wrong with each provider, by the clock of the exchange."""

    def __init__(self, providers: Collection[str]) -> None:
        self._providers = providers
        self._troubles: dict[str, tuple[Trouble, int]] = {}

    def set(self, provider: str, body: bytes, *, now: int) -> Trouble:
        """Read a PUT's body; ``now`` is epoch milliseconds."""
        try:
            trouble = msgspec.json.decode(body, type=Trouble)
        except msgspec.DecodeError as error:
            raise BadTrouble(str(error)) from error
        self._troubles[provider] = (trouble, now)
        return trouble

    def clear(self, provider: str) -> None:
        """End the trouble; none is no error."""
        self._troubles.pop(provider, None)

    def trouble(self, provider: str, *, now: int) -> tuple[Trouble, int]:
        """Return what is wrong now, and since when, epoch milliseconds."""
        trouble, since = self._troubles.get(provider, (NO_TROUBLE, now))
        if trouble.for_s is not None and now >= since + trouble.for_s * 1000:
            self.clear(provider)
            return NO_TROUBLE, now
        return trouble, since

    def shown(self, provider: str | None, *, now: int) -> bytes:
        """Write one provider's trouble as JSON, or everybody's."""
        if provider is not None:
            return msgspec.json.encode(self.trouble(provider, now=now)[0])
        return msgspec.json.encode({name: self.trouble(name, now=now)[0] for name in self._providers})
