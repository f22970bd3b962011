"""
DynamoDB for the emulator: every operation that moto knows, and the hot ones at a speed that is no bottleneck.

``Tables.answer`` takes one call of DynamoDB's JSON protocol and returns the HTTP answer; there is no server and nothing
of botocore is patched. PutItem, GetItem, UpdateItem, DeleteItem, Query and Scan run on rows of our own
(``table_operations``, ``table_queries``); whatever is unusual about them, and all other operations, run on moto's
backend over the same rows (``table_backend``, which says what of moto it touches).

Expired items stay: at AWS too they may, for days, and whoever reads has to look at the attribute.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import threading
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from local.tables.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.stack import Table
    from local.tables.backend import Backend

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class TableRefused(ValueError):
    """A table's definition that DynamoDB does not take; ``str()`` says which table and why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"table {name}: {reason}")
        self.name = name
        self.reason = reason


class Tables:
    """
    The DynamoDB tables of one account and region, in memory.

    Making one costs nothing: moto, 0.3 s of import, is loaded in a thread from ``warm`` or ``load`` on, and the first
    call that needs it waits for it. ``create`` and ``answer`` are for one thread only, that of the event loop.
    """

    def __init__(self, *, region: str = "us-east-1", account_id: str = "000000000000") -> None:
        self._region = region
        self._account = account_id
        self._backend: Backend | None = None
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._waiting: list[Table] = []
        # AWS has 52 letters and digits; what counts is that no two answers share one.
        self._request_prefix = secrets.token_hex(16).upper()
        self._request_numbers = itertools.count(1)

    def warm(self) -> None:
        """Begin to load moto in a thread, and return at once. Repeating it changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._import, name="tables", daemon=True)
            self._thread.start()

    async def load(self) -> None:
        """
        Load moto without holding up the event loop, and make the tables that wait for it.

        Raises:
            TableRefused: One of them cannot be made.
        """
        self.warm()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._ready()

    def create(self, table: Table) -> None:
        """
        Make a table; before moto is loaded it is noted and made then.

        Raises:
            TableRefused: DynamoDB does not take its definition, or has a table of that name.
        """
        self._waiting.append(table)
        if self._backend is not None:
            self._ready()

    def answer(self, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """
        Answer one call.

        Args:
            target: The ``X-Amz-Target`` header, such as ``DynamoDB_20120810.PutItem``.
            body: The JSON of the request.
            headers: The request's other headers; none of them changes the answer.

        Returns:
            HTTP status, headers and body.
        """
        del headers
        status = 200
        try:
            service, _, operation = target.partition(".")
            payload = self._ready().run(service, operation, body)
        except Refused as refusal:
            status = refusal.status
            payload = _encode(refusal.members())
        except Exception:  # noqa: BLE001 -- the emulator goes on, as AWS would, and the log has the reason
            _log.exception("%s failed", target)
            status = 500
            payload = _encode(Refused("Internal error", kind="InternalServerError").members())
        return (
            status,
            {
                "content-type": "application/x-amz-json-1.0",
                "x-amz-crc32": str(zlib.crc32(payload)),
                "x-amzn-requestid": f"{self._request_prefix}{next(self._request_numbers):020d}",
            },
            payload,
        )

    def _import(self) -> None:
        try:
            from local.tables.backend import Backend  # noqa: PLC0415 -- imports moto, which is the point of the thread

            backend = Backend(region=self._region, account=self._account)
            # moto reads botocore's description of DynamoDB with its first call.
            backend.run("DynamoDB_20120810", "ListTables", b"{}")
            self._backend = backend
        except BaseException as error:  # noqa: BLE001 -- handed to whoever waits for the thread
            self._failure = error

    def _ready(self) -> Backend:
        """Return the backend, waiting for it if need be, with all tables made."""
        backend = self._backend
        if backend is None:
            self.warm()
            if self._thread is not None:
                self._thread.join()
            backend = self._backend
            if backend is None:
                raise RuntimeError("the tables could not be loaded") from self._failure
        while self._waiting:
            _create(backend, self._waiting.pop(0))
        return backend


def _create(backend: Backend, table: Table) -> None:
    definition: dict[str, Any] = {"TableName": table.name, **table.definition}
    try:
        backend.run("DynamoDB_20120810", "CreateTable", _encode(definition))
        if table.ttl_attribute is not None:
            specification = {"Enabled": True, "AttributeName": table.ttl_attribute}
            request = {"TableName": table.name, "TimeToLiveSpecification": specification}
            backend.run("DynamoDB_20120810", "UpdateTimeToLive", _encode(request))
    except Refused as refusal:
        raise TableRefused(table.name, refusal.message) from refusal
