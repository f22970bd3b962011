"""
What can go wrong in the hub, by whose fault it is.

::

    HubError
    ├── ClientFault                 the client gets an ``error`` message with ``code``; nothing is retried
    │   ├── BadJson                 bad_json
    │   ├── BadRequest              bad_request
    │   ├── UnknownAction           unknown_action
    │   ├── UnknownStream           unknown_stream
    │   ├── UnknownSymbol           unknown_symbol
    │   └── TooManySymbols          too_many_symbols
    ├── GatewayFault                what a post, a look or a close through the management API met
    │   ├── ConnectionGone          410: forget this connection
    │   ├── LimitExceeded           429: too many calls, or this client reads too slowly
    │   ├── PayloadTooLarge         413: more than 131,072 bytes
    │   ├── AccessDenied            403: signature or permission
    │   ├── BadConnectionId         400: not an id of this gateway
    │   └── GatewayUnavailable      no answer, a broken one, or a 5xx
    └── ServiceFault                what a call of DynamoDB or Lambda met
        ├── CallRefused             it would be refused again: a bug or a wrong deployment
        │   └── ConditionFailed     the item is not as the write wants it
        └── ServiceUnavailable      no answer, a broken one, a 5xx, or too many calls: it may succeed later
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from handlers.hub.attributes import Attributes


class HubError(Exception):
    """Root of everything the hub raises on purpose."""


class ClientFault(HubError):
    """A client's request cannot be served; ``code`` is its word in the wire's vocabulary."""

    code: ClassVar[str] = "bad_request"


class BadJson(ClientFault):
    """The request is no JSON object."""

    code = "bad_json"


class BadRequest(ClientFault):
    """The request is JSON, but a member of it is missing or of the wrong kind."""

    code = "bad_request"


class UnknownAction(ClientFault):
    """The request's ``action`` is none of ours."""

    code = "unknown_action"

    def __init__(self, action: str, known: tuple[str, ...]) -> None:
        super().__init__(action)
        self.action = action
        self.known = known

    def __str__(self) -> str:
        return f"no such action: {self.action!r}; there are {', '.join(self.known)}"


class UnknownStream(ClientFault):
    """A stream that nobody broadcasts."""

    code = "unknown_stream"

    def __init__(self, stream: str, known: tuple[str, ...]) -> None:
        super().__init__(stream)
        self.stream = stream
        self.known = known

    def __str__(self) -> str:
        return f"no such stream: {self.stream!r}; there are {', '.join(self.known)}"


class UnknownSymbol(ClientFault):
    """A symbol that no instrument has."""

    code = "unknown_symbol"

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self.symbol = symbol

    def __str__(self) -> str:
        return f"no such symbol: {self.symbol!r}"


class TooManySymbols(ClientFault):
    """More symbols in one subscribe than are allowed."""

    code = "too_many_symbols"

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(count, limit)
        self.count = count
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.count} symbols in one request; at most {self.limit} are allowed, and none at all means every one"


class GatewayFault(HubError):
    """The gateway's management API did not do what it was asked for ``connection_id``."""

    def __init__(self, connection_id: str, reason: str = "") -> None:
        super().__init__(connection_id, reason)
        self.connection_id = connection_id
        self.reason = reason

    def __str__(self) -> str:
        return f"connection {self.connection_id}: {self.reason or type(self).__doc__}"


class ConnectionGone(GatewayFault):
    """The connection is closed, or not open yet."""


class LimitExceeded(GatewayFault):
    """Too many calls, or this client reads too slowly."""


class PayloadTooLarge(GatewayFault):
    """The message is longer than 131,072 bytes."""


class AccessDenied(GatewayFault):
    """The signature or the caller's permissions do not cover this call."""


class BadConnectionId(GatewayFault):
    """No connection id of this gateway."""


class GatewayUnavailable(GatewayFault):
    """No answer, a broken one, or one that says the fault is the gateway's."""


class ServiceFault(HubError):
    """A service of AWS's did not do what it was asked; ``code`` is its word for why, or ours for an answer missing."""

    def __init__(self, code: str, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason or type(self).__doc__}"


class CallRefused(ServiceFault):
    """The call would be refused again; ``body`` is all that the service answered."""

    def __init__(self, code: str, reason: str = "", body: bytes = b"") -> None:
        super().__init__(code, reason)
        self.body = body


class ConditionFailed(CallRefused):
    """The item is not as the write wants it; ``item`` is what it is, where the write asked for it and it is there."""

    def __init__(self, reason: str = "", item: Attributes | None = None) -> None:
        super().__init__("ConditionalCheckFailedException", reason)
        self.item = item


class ServiceUnavailable(ServiceFault):
    """The same call may succeed later."""
