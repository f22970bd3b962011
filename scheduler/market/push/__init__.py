"""Quotes that providers push through a WebSocket held open, beside those that they are asked for; here is the port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.hub.instruments import Instrument
    from scheduler.errors import ProviderFault
    from scheduler.market.quotes import Quote


class Listener(Protocol):
    """
    What one connection has said; each connection has one of its own, so that nothing old is left of the one before.

    It computes only: frames go in, quotes come out.
    """

    @property
    def address(self) -> str:
        """Where to connect: path and query behind the provider's address."""

    @property
    def greeting(self) -> Sequence[str]:
        """The messages to send once the connection is open."""

    @property
    def is_heard(self) -> bool:
        """Whether there has been anything about a price."""

    @property
    def is_leaving(self) -> bool:
        """Whether the provider has announced that it will end this connection."""

    def hear(self, frame: bytes, *, now: int) -> None:
        """
        Take one message in; ``now`` is when it arrived, epoch milliseconds.

        Raises:
            ProviderFault: It is not what the provider documents, or comes far too late: the connection is of no use.
        """

    def quote(self, instrument: Instrument, *, source: str) -> Quote | None:
        """
        Give the latest word about an instrument, with the time of its arrival as ``answered_at``.

        Args:
            instrument: One of those listened for.
            source: Who is at the other end.

        Returns:
            None when nothing is known for sure.

        Raises:
            ProviderFault: Its latest word cannot be read.
        """

    def take_faults(self) -> list[ProviderFault]:
        """Give what the provider has refused since the last time."""


class Listening(Protocol):
    """How to begin to listen to a provider."""

    async def listen(self, instruments: Sequence[Instrument]) -> Listener:
        """
        Make the listener of a new connection.

        Raises:
            ProviderFault: The provider does not say what it calls the instruments.
        """
