"""
How the tables refuse a call, in the shapes of AWS.

    Exception
    ├── Refused            the caller's fault; the answer has this type and sentence
    └── Unusual            nobody's: the fast path has no opinion, moto decides
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMESPACES = {
    "ValidationException": "com.amazon.coral.validate",
    "SerializationException": "com.amazon.coral.service",
    "UnknownOperationException": "com.amazon.coral.service",
    "InternalServerError": "com.amazon.coral.service",
}


class Refused(Exception):
    """
    A call that DynamoDB answers with an error.

    ``kind`` is the exception's name at AWS; ``more`` are further members of the answer, such as the ``Item`` that
    failed a condition.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str = "ValidationException",
        status: int = 400,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.status = status
        self.more = more or {}

    def members(self) -> dict[str, Any]:
        """Return what the JSON body says."""
        namespace = _NAMESPACES.get(self.kind, "com.amazonaws.dynamodb.v20120810")
        return {"__type": f"{namespace}#{self.kind}", "message": self.message, **self.more}


class Unusual(Exception):
    """A call, correct or not, that only moto knows how to answer. Raised before anything was changed."""
