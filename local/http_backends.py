"""Calls to the HTTP backends of HTTP_PROXY integrations."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

    from local.rules.effects import Fetch


class BackendUnreachable(Exception):
    """An HTTP backend could not be reached, or broke off."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.url} cannot be reached: {self.reason}"


class HttpBackends:
    """One client for all backends of one gateway, made when the first is called."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def call(self, fetch: Fetch) -> tuple[int, bytes]:
        """
        Call a backend, and return its status and its body.

        Redirects are answers like any other.

        Raises:
            BackendUnreachable: When there is no answer.
        """
        import httpx  # noqa: PLC0415 # few templates have an HTTP backend, and it takes 100 ms

        # What a client sent was read as Latin-1, and goes on as the same bytes.
        headers = [
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in fetch.headers
        ]
        if self._client is None:
            self._client = httpx.AsyncClient()
        try:
            answer = await self._client.request(
                fetch.method, fetch.url, headers=headers, content=fetch.body, timeout=fetch.timeout + 1
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BackendUnreachable(fetch.url, str(error) or type(error).__name__) from error
        return answer.status_code, answer.content

    async def close(self) -> None:
        """Let go of all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
