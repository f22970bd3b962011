"""
DynamoDB for the emulator: every operation that moto knows, and the hot ones at a speed that is no bottleneck.

``Tables.answer`` takes one call of DynamoDB's JSON protocol and returns the HTTP answer; there is no server and nothing
of botocore is patched. PutItem, GetItem, UpdateItem, DeleteItem, Query and Scan run on rows of our own
(``operations``, ``queries``); whatever is unusual about them, and all other operations, run on moto's backend over the
same rows (``backend``, which says what of moto it touches). moto is loaded when the first of those comes.

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

from local.tables.errors import Refused, Unusual
from local.tables.hot import HOT, SERVICE, name_of_table, no_such_table, read_request
from local.tables.rows import Partitions
from local.tables.schema import is_plain, open_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local.stack import Table
    from local.tables.backend import Backend
    from local.tables.calls import OpenTable

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

    Making one costs nothing: moto, 0.4 s of import, is loaded in a thread by ``warm`` or ``load``, or by the first call
    that needs it. Until then tables whose definition is plain (``schema.is_plain``) are served without it.
    ``create``, ``serve`` and ``answer`` are for one thread only, that of the event loop.
    """

    def __init__(self, *, region: str = "us-east-1", account_id: str = "000000000000") -> None:
        self._region = region
        self._account = account_id
        self._backend: Backend | None = None
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        #: Tables that moto has still to be told of, in order; those of them that are plain are open without it.
        self._waiting: list[Table] = []
        self._open: dict[str, OpenTable] = {}
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

    async def settle(self) -> None:
        """
        Return when every table that was created is there; moto is loaded only if one needs it.

        Raises:
            TableRefused: One of them cannot be made.
        """
        if {table.name for table in self._waiting} != self._open.keys() or len(self._waiting) > len(self._open):
            await self.load()

    def create(self, table: Table) -> None:
        """
        Make a table; before moto is loaded one that is not plain is noted and made then.

        Raises:
            TableRefused: DynamoDB does not take its definition, or has a table of that name.
        """
        if self._backend is None and table.name not in self._open:
            definition = _definition(table)
            if is_plain(definition):
                self._open[table.name] = open_table(definition, Partitions(), name=table.name)
        self._waiting.append(table)
        if self._backend is not None:
            self._ready()

    async def serve(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer one call as ``answer`` does, without holding up the event loop while moto is loaded for it."""
        answered = self.at_once(target, body)
        if answered is None:
            await self.load()
            answered = self._answer(target, body, self._run)
        return answered

    def at_once(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        """Answer one call as ``answer`` does, or not at all (None) if moto had to be loaded for it."""
        try:
            return self._answer(target, body, self._run_at_once)
        except Unusual:
            return None

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
        return self._answer(target, body, self._run)

    def _answer(
        self, target: str, body: bytes, run: Callable[[str, str, bytes], bytes]
    ) -> tuple[int, dict[str, str], bytes]:
        status = 200
        try:
            service, _, operation = target.partition(".")
            payload = run(service, operation, body)
        except Refused as refusal:
            status = refusal.status
            payload = _encode(refusal.members())
        except Unusual:
            raise
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

    def _run(self, service: str, operation: str, body: bytes) -> bytes:
        try:
            return self._run_at_once(service, operation, body)
        except Unusual:
            return self._ready().run(service, operation, body)

    def _run_at_once(self, service: str, operation: str, body: bytes) -> bytes:
        """Run a call with what is loaded; raises Unusual where moto is needed and not there yet."""
        # Between the thread's end and ``_ready`` moto is there, and knows of no table yet.
        if self._backend is not None and not self._waiting:
            return self._backend.run(service, operation, body)
        if service != SERVICE or operation not in HOT:
            raise Unusual
        request = read_request(body)
        return HOT[operation](self._table(name_of_table(request)), request)

    def _table(self, name: str) -> OpenTable:
        """
        Return a table that is open without moto.

        Raises:
            Refused: There is no table of this name.
            Unusual: Only moto knows.
        """
        table = self._open.get(name)
        if table is None:
            if name.startswith("arn:") or any(waiting.name not in self._open for waiting in self._waiting):
                raise Unusual
            raise no_such_table()
        return table

    def _import(self) -> None:
        try:
            from local.tables.backend import Backend  # noqa: PLC0415 -- imports moto, which is the point of the thread

            backend = Backend(region=self._region, account=self._account)
            # moto reads botocore's description of DynamoDB with its first call.
            backend.run(SERVICE, "ListTables", b"{}")
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
            table = self._waiting.pop(0)
            _create(backend, table)
            if (opened := self._open.pop(table.name, None)) is not None:
                backend.take_over(table.name, opened.partitions)
        return backend


def _create(backend: Backend, table: Table) -> None:
    try:
        backend.run(SERVICE, "CreateTable", _encode(_definition(table)))
        if table.ttl_attribute is not None:
            specification = {"Enabled": True, "AttributeName": table.ttl_attribute}
            request = {"TableName": table.name, "TimeToLiveSpecification": specification}
            backend.run(SERVICE, "UpdateTimeToLive", _encode(request))
    except Refused as refusal:
        raise TableRefused(table.name, refusal.message) from refusal


def _definition(table: Table) -> dict[str, Any]:
    return {"TableName": table.name, **table.definition}
