"""
Lambda's Runtime API, for function processes that bring a client of their own.

Each process gets a port of its own on the loopback: AWS_LAMBDA_RUNTIME_API is no more than host and port, so the port
is what tells one process from another.
"""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import httptools
import msgspec

from local.functions.invocations import failure, too_large
from local.functions.process import FunctionProcess
from local.functions.runtime import RESULT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.functions.invocations import Invocation

_ROOT = "/2018-06-01/runtime"
_INVOCATION = f"{_ROOT}/invocation/"


class ApiProcess(FunctionProcess):
    """A process that asks for its events over HTTP."""

    _listener: socket.socket | None = None
    _serving: asyncio.Task[None] | None = None
    _server: asyncio.Server | None = None
    _poller: RuntimeConnection | None = None
    _undelivered: tuple[Invocation, int] | None = None
    _is_free = False

    def next_event(self, poller: RuntimeConnection) -> None:
        """Answer ``poller`` with the next event, as soon as there is one."""
        if self._invocation is not None and self._undelivered is None:
            poller.refuse(HTTPStatus.FORBIDDEN, "InvalidStateTransition", "An invocation has not been answered yet.")
            return
        self._poller = poller
        if self._undelivered is not None:
            self._hand_over()
        elif not self.is_ready:
            self._became_ready()
        elif not self._is_free:
            self._free()

    def hung_up(self, poller: RuntimeConnection) -> None:
        """Give ``poller`` no event: it is gone."""
        if poller is self._poller:
            self._poller = None

    def take_result(self, request_id: str, payload: bytes, *, error: str | None = None) -> bool:
        """Answer the running event; False when ``request_id`` is not its id."""
        if self._invocation is None or self._undelivered is not None or request_id != self._invocation.request_id:
            return False
        self._answer(payload, error)
        return True

    def take_init_error(self, payload: bytes) -> None:
        """Remember why the function cannot be loaded; the process exits by itself."""
        self._fail_init(payload)

    def _open_channel(self) -> str:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)  # noqa: FBT003  # takes no keyword
        self._connections: set[RuntimeConnection] = set()
        self._serving = self._loop.create_task(self._serve(self._listener))
        return "api"

    async def _serve(self, listener: socket.socket) -> None:
        self._server = await self._loop.create_server(lambda: RuntimeConnection(self, self._connections), sock=listener)

    def _process_environment(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        if self._listener is None:
            return environment
        host, port = self._listener.getsockname()
        return {**environment, "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}"}

    def _answered(self) -> None:
        """Wait until the process asks for more: one that was refused its answer ends instead."""

    def _free(self) -> None:
        self._is_free = True
        super()._free()

    def _deliver(self, invocation: Invocation, deadline: int) -> None:
        self._is_free = False
        self._undelivered = (invocation, deadline)
        self._hand_over()

    def _hand_over(self) -> None:
        if self._undelivered is None or self._poller is None:
            return
        (invocation, deadline), poller = self._undelivered, self._poller
        self._undelivered = self._poller = None
        poller.send_event(invocation, deadline)

    def _read_channel(self) -> None:
        """Nothing to do: whatever the process had to say it waited to see accepted."""

    def _close_channel(self) -> None:
        if self._serving is None or self._listener is None:
            return
        for connection in tuple(self._connections):
            connection.close()
        if self._server is not None:
            self._server.close()
        else:
            self._serving.cancel()
            self._listener.close()
        self._serving = self._listener = self._server = None


class RuntimeConnection(asyncio.Protocol):
    """One connection of a function's process: HTTP/1.1, one request at a time."""

    def __init__(self, process: ApiProcess, connections: set[RuntimeConnection]) -> None:
        self._process = process
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._path = ""
        self._body: list[bytes] = []
        self._size = 0

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.refuse(HTTPStatus.BAD_REQUEST, "InvalidRequest", "This is not HTTP.")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Be sure that no event goes here."""
        self._connections.discard(self)
        self._transport = None
        self._process.hung_up(self)

    # What the parser calls.

    def on_url(self, url: bytes) -> None:
        """Begin a request."""
        self._path = url.decode("latin-1")
        self._body = []
        self._size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Let a client that asks first send its body."""
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Collect the body, and only count what is beyond the limit."""
        self._size += len(body)
        if self._size <= RESULT_LIMIT:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer a request."""
        method, path, body = self._parser.get_method(), self._path, b"".join(self._body)
        if method == b"GET" and path == f"{_INVOCATION}next":
            self._process.next_event(self)
        elif method == b"POST" and path.startswith(_INVOCATION):
            request_id, _, kind = path.removeprefix(_INVOCATION).partition("/")
            self._take(request_id, kind, body)
        elif method == b"POST" and path == f"{_ROOT}/init/error":
            self._process.take_init_error(body)
            self._accept()
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "NotFound", f"There is no {method.decode()} {path} here.")

    # What is answered.

    def send_event(self, invocation: Invocation, deadline: int) -> None:
        """Answer a request for the next event; ``deadline`` in epoch ms."""
        headers = [
            "Content-Type: application/json",
            f"Lambda-Runtime-Aws-Request-Id: {invocation.request_id}",
            f"Lambda-Runtime-Deadline-Ms: {deadline}",
            f"Lambda-Runtime-Invoked-Function-Arn: {invocation.arn}",
            f"Lambda-Runtime-Trace-Id: {invocation.trace_id}",
        ]
        if invocation.client_context:
            headers.append(f"Lambda-Runtime-Client-Context: {invocation.client_context}")
        self._respond(HTTPStatus.OK, headers, invocation.event)

    def refuse(self, status: HTTPStatus, error_type: str, message: str) -> None:
        """Answer with an error of the API."""
        self._respond(status, ["Content-Type: application/json"], failure(error_type, message))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, request_id: str, kind: str, body: bytes) -> None:
        if kind not in ("response", "error"):
            self.refuse(HTTPStatus.NOT_FOUND, "NotFound", f"An invocation has no {kind!r}.")
            return
        if self._size > RESULT_LIMIT:
            payload = too_large(self._size, RESULT_LIMIT)
            taken = self._process.take_result(request_id, payload, error="Unhandled")
        else:
            taken = self._process.take_result(request_id, body, error="Unhandled" if kind == "error" else None)
        if not taken:
            self.refuse(HTTPStatus.BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
        elif self._size > RESULT_LIMIT:
            message = f"Exceeded maximum allowed payload size ({RESULT_LIMIT} bytes)."
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", message)
        else:
            self._accept()

    def _accept(self) -> None:
        status = msgspec.json.encode({"status": "OK"})
        self._respond(HTTPStatus.ACCEPTED, ["Content-Type: application/json"], status)

    def _respond(self, status: HTTPStatus, headers: list[str], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", *headers, f"Content-Length: {len(body)}", "", ""]
        self._write("\r\n".join(lines).encode("latin-1") + body)

    def _write(self, response: bytes) -> None:
        if self._transport is not None:
            self._transport.write(response)
