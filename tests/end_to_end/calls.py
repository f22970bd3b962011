"""Calls of AWS's services from inside functions, and what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.end_to_end.clients import Client

if TYPE_CHECKING:
    import aiohttp

TEMPLATE = Path(__file__).parent / "calling" / "template.yaml"


class Caller(Client):
    """A client of the functions in ``calling``: each may do something else, and is named by its route."""

    @classmethod
    async def connect(cls, session: aiohttp.ClientSession, url: str) -> Self:
        return cls(await session.ws_connect(url, max_msg_size=0))

    async def call(
        self,
        who: str,
        service: str,
        operation: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        **arguments: Any,
    ) -> list[Any]:
        """Let a function make one call with boto3; returns the error's code and message, or ``ok`` and the status."""
        call = {"service": service, "operation": operation, "endpoint": endpoint, "region": region}
        return await self._outcome({"as": who, **call, "arguments": arguments})

    async def manage(self, who: str, operation: str, endpoint: str, **arguments: Any) -> list[Any]:
        """Let a function call the management API, by default about this very connection."""
        return await self.call(who, "apigatewaymanagementapi", operation, endpoint=endpoint, **arguments)

    async def fetch(self, url: str) -> list[Any]:
        """Let a function get a URL."""
        return await self._outcome({"as": "everything", "url": url})

    async def _outcome(self, request: dict[str, Any]) -> list[Any]:
        after = len(self.received)
        await self.send(request)
        answer = await self.find(lambda one: "outcome" in one or "message" in one, within=20, after=after)
        outcome: list[Any] = answer.get("outcome", answer)
        return outcome
