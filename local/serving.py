"""
What serves a stack on one port: sockets, management API, tables, schedules, exchange and page.

Importing this takes as long as a function takes to load; so ``local.up`` starts the functions first.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, cast

from local.access.guards import guard_invoke
from local.app import create_app
from local.errors import CannotStart
from local.exchange.replay import BadRecording
from local.front.http_protocol import HttpProtocol
from local.front.server import Front
from local.front.socket_protocol import SocketProtocol
from local.functions.invoke_api import invoke_api
from local.gateway import Gateway
from local.regions import suffix_of
from local.rules.selection import BadExpression
from local.rules.throttling import Account
from local.services.application import Services
from local.sockets import Sockets
from local.tables.dynamodb import TableRefused, Tables

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from litestar.types import ASGIApp

    from local.access.callers import Access
    from local.exchange.application import Exchange
    from local.front.hosts import Hosts
    from local.functions.service import Functions
    from local.limits import Choices, Limits
    from local.schedules import Schedules
    from local.settings import UpSettings
    from local.stack import Stack


class Serving:
    """
    Everything of one stack but its functions.

    Args:
        access: Decides about calls.
        hosts: Which hosts lead here.
        tls: Makes the server's side of TLS when the first client wants it.

    Raises:
        CannotStart: An expression or a schedule of the template cannot be followed, there are no recordings, or a stage
            has a name whose path is the emulator's own.
    """

    def __init__(
        self,
        stack: Stack,
        settings: UpSettings,
        *,
        limits: Limits,
        choices: Choices,
        functions: Functions,
        access: Access,
        hosts: Hosts,
        tls: Callable[[], ssl.SSLContext],
    ) -> None:
        self._stack = stack
        self._functions = functions
        self._access = access
        self._hosts = hosts
        self._tls = tls
        self._tables = Tables(region=settings.region, account_id=stack.account_id)
        suffix = suffix_of(settings.region)
        self._services = Services(
            access, region=settings.region, suffix=suffix, account_id=stack.account_id, resources=stack.resources
        )
        # Seeded by the system. The ids that come of it are no secrets, and each message has several.
        random = Random()  # noqa: S311 # see above
        account = Account(limits)
        try:
            self._exchange = exchange_for(settings, stack)
            check_stages(
                stack, {"2015-03-31": "Lambda's API"} | ({"exchange": "the exchange"} if self._exchange else {})
            )
            self._sockets = [
                Sockets(
                    Gateway(
                        api,
                        region=settings.region,
                        account_id=stack.account_id,
                        random=random,
                        limits=limits,
                        choices=choices,
                        verify=access.verify_upgrade,
                        account=account,
                    ),
                    functions,
                )
                for api in stack.apis
            ]
        except (BadExpression, BadRecording) as error:
            raise CannotStart(str(error)) from error
        self._schedules = schedules_for(stack, functions)
        # One process serves one set of limits, so they may stand on the class.
        SocketProtocol.configure(
            frame=limits.frame,
            message=limits.message,
            backlog=limits.backlog,
            compression=choices.compression,
            refusal_reason=choices.refusal_reason,
        )
        HttpProtocol.long_url_status = choices.long_url_status

    def front(self, *, started: Callable[[], None], stopping: Callable[[], None]) -> Front:
        """Return the server; ``started`` and ``stopping`` as in ``Front``."""
        app = create_app(
            sockets=self._sockets,
            tables=self._tables,
            invoke_api=guard_invoke(cast("ASGIApp", invoke_api(self._functions)), self._access, self._functions.arn_of),
            exchange=cast("ASGIApp | None", self._exchange),
            own=self._stack.own,
            access=self._access,
            services=self._services,
            hosts=self._hosts.apis,
            mappings=self._stack.mappings,
        )
        return Front(app, hosts=self._hosts, tls=self._tls, started=started, stopping=stopping, direct=app.direct)

    async def make_tables(self) -> None:
        """
        Make the tables of the stack.

        Raises:
            CannotStart: DynamoDB would not take one.
        """
        try:
            for table in self._stack.tables:
                self._tables.create(table)
            await self._tables.settle()
        except TableRefused as error:
            raise CannotStart(str(error)) from error

    def start_schedules(self) -> None:
        """Let the schedules fire from now on."""
        if self._schedules is not None:
            self._schedules.start()

    def stop(self) -> None:
        """Let nothing begin any more: no schedule, no alarm of the gateway."""
        if self._schedules is not None:
            self._schedules.close()
        for sockets in self._sockets:
            sockets.stop()

    async def close(self) -> None:
        """Let go of connections to others."""
        for sockets in self._sockets:
            await sockets.close()


def check_stages(stack: Stack, taken: Mapping[str, str]) -> None:
    """
    Refuse a stage at a path that is something else here; ``taken`` says what, by the path's first part.

    Raises:
        CannotStart: There is one.
    """
    for api in stack.apis:
        if (what := taken.get(api.stage.name)) is not None:
            raise CannotStart(
                f"{api.name}: a stage cannot be named {api.stage.name} here, for /{api.stage.name} is {what}; "
                "give it another name"
            )


def exchange_for(settings: UpSettings, stack: Stack) -> Exchange | None:
    """
    Return the simulated exchange, or ``None`` where real hosts are asked, or nobody asks.

    Raises:
        CannotStart: When a folder of recordings is not there, or has something else.
    """
    if stack.own is None or not stack.own.providers or settings.providers == "live":
        return None
    from local.exchange.application import exchange  # noqa: PLC0415 # only such a stack has use for it
    from local.exchange.replay import BadRecording  # noqa: PLC0415 # likewise

    if settings.providers == "simulated":
        return exchange(seed=settings.seed) if settings.seed else exchange()
    folder = Path(settings.providers.removeprefix("replay:"))
    if not folder.is_dir():
        raise CannotStart(f"--providers replay:{folder}: there is no such folder of recordings")
    try:
        return exchange(recordings=folder)
    except BadRecording as fault:
        raise CannotStart(f"--providers replay:{folder}: {fault}") from fault


def schedules_for(stack: Stack, functions: Functions) -> Schedules | None:
    """
    Return what fires the schedules of a stack, or ``None`` where it has none.

    Raises:
        CannotStart: When one cannot be followed.
    """
    if not stack.schedules:
        return None
    from local.schedules import BadSchedule, Schedules  # noqa: PLC0415 # only such a stack has use for it

    try:
        return Schedules(stack.schedules, functions.invoke_later)
    except BadSchedule as error:
        raise CannotStart(str(error)) from error
