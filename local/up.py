"""``tickwire up``: start everything that a template describes, say where it is, and stop all of it again."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import logging
import os
import shutil
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from local.access.callers import Access
from local.errors import CannotStart
from local.front.certificates import Certificates
from local.front.hosts import BadAlias, Hosts, read_aliases
from local.functions.code import cache_folder
from local.functions.missing import advice
from local.functions.service import Functions, InitFailed
from local.limits import Choices, Limits, UnknownLimit
from local.regions import suffix_of
from local.services.catalogue import hosts as hosts_of_services
from local.stack import Authorizer, LambdaIntegration, UnsupportedIntegration
from local.template.errors import TemplateError
from local.template.reader import read_template
from local.terminal import LinePrinter, print_start

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from local.front.server import Front
    from local.serving import Serving
    from local.settings import UpSettings
    from local.stack import Function, Stack

_HOST = "127.0.0.1"
_DEFAULT_NAMES = ("template.yaml", "template.yml", "template.json")
#: What Lambda calls a handler that is not there; any other failure at import may be the code's own business.
_NOT_IMPORTABLE = {"Runtime.ImportModuleError", "Runtime.HandlerNotFound", "Runtime.UserCodeSyntaxError"}
#: New objects between two collections of garbage; a connection consists of about 60.
_COLLECTED_AFTER = 2_500
_log = logging.getLogger("tickwire")


#: Why ``tickwire up`` does not start, or stops: each is one sentence for the user.
REFUSALS = (CannotStart, BadAlias, TemplateError, UnknownLimit)


def find_template(settings: UpSettings) -> Path:
    """
    Return the template to run: the one that was named, or the one that lies here.

    Raises:
        CannotStart: When there is none.
    """
    if settings.template is not None:
        if settings.template.is_file():
            return settings.template
        raise CannotStart(f"there is no template at {settings.template}; name one with --template PATH")
    for name in _DEFAULT_NAMES:
        if Path(name).is_file():
            return Path(name)
    near = [f"--template {path}" for name in _DEFAULT_NAMES for path in sorted(Path().glob(f"*/{name}"))]
    hint = f"; nearby there is {' or '.join(near[:3])}" if near else "; name a template with --template PATH"
    raise CannotStart(f"there is no {' or '.join(_DEFAULT_NAMES)} in this folder{hint}")


def listen(port: int) -> socket.socket:
    """
    Take the port.

    Raises:
        CannotStart: When somebody else has it, or this user may not have it.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise CannotStart(f"port {port} cannot be had: {error.strerror}; choose another with --port") from error
        raise CannotStart(f"port {port} is taken; choose another with --port, or --port 0 for a free one") from error
    listener.listen(2048)
    return listener


class Emulator:
    """Everything of one template, running on one port."""

    def __init__(self, settings: UpSettings, stack: Stack, origin: str, limits: Limits, choices: Choices) -> None:
        self.settings = settings
        self.stack = stack
        self.origin = origin
        self._limits = limits
        self._choices = choices
        self.environment = {
            "AWS_ACCESS_KEY_ID": settings.access_key_id,
            "AWS_SECRET_ACCESS_KEY": settings.secret_access_key,
            "AWS_REGION": settings.region,
            "AWS_DEFAULT_REGION": settings.region,
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://{origin}",
            "AWS_ENDPOINT_URL_LAMBDA": f"http://{origin}",
            "AWS_ENDPOINT_URL_SQS": f"http://{origin}",
        }
        self.described = self._at_our_addresses(stack.functions)
        aliases = read_aliases(settings.alias, _api_names(stack))
        suffix = suffix_of(settings.region)
        service_hosts = hosts_of_services(settings.region, suffix)
        self._hosts = Hosts(
            region=settings.region,
            api_ids=[api.id for api in stack.apis],
            aliases=aliases,
            mappings=stack.mappings,
            is_service=lambda host: service_hosts.fullmatch(host) is not None,
        )
        self._access = Access(
            administrator=(settings.access_key_id, settings.secret_access_key),
            functions=self.described.values(),
            region=settings.region,
            account_id=stack.account_id,
            signed=not settings.unsigned,
            limited=not settings.no_iam,
            other_regions=self._hosts.regions,
        )
        self._certificates = Certificates(cache_folder(os.environ) / "certificates", accepts=self._hosts.is_ours)
        # Functions in this very process share its environment, and so the administrator's keys.
        keys = {} if settings.runtime == "inline" else self._access.credentials()
        self._functions = Functions(
            [
                replace(one, environment={**keys.get(name, {}), **one.environment})
                for name, one in self.described.items()
            ],
            environment=self.environment | trust_and_proxy(self._certificates, origin),
            region=settings.region,
            runtime=settings.runtime,
            python=str(settings.python) if settings.python else None,
            concurrency=limits.concurrency,
            exhausted_is_an_error=choices.exhausted_is_an_error,
            log=LinePrinter({function.name: name for name, function in stack.functions.items()}),
        )
        self._work: set[asyncio.Task[None]] = set()
        self._failure: CannotStart | None = None

    def _at_our_addresses(self, functions: Mapping[str, Function]) -> dict[str, Function]:
        """Point the settings that the template names at the simulated exchange, and at the stage's address here."""
        own = self.stack.own
        if own is None:
            return dict(functions)
        providers = {} if self.settings.providers == "live" else own.providers

        def address(name: str, was: str) -> str:
            if name == own.gateway:
                return f"ws://{self.origin}/{self.stack.apis[0].stage.name}"
            if name not in providers:
                return was
            scheme = "ws" if was.startswith("ws") else "http"
            return f"{scheme}://{self.origin}/exchange/{providers[name]}"

        return {
            key: replace(function, environment={name: address(name, was) for name, was in function.environment.items()})
            for key, function in functions.items()
        }

    async def run(self, listener: socket.socket) -> None:
        """
        Serve until SIGINT or SIGTERM.

        Raises:
            CannotStart: When a function's handler cannot be imported.
        """
        await self._functions.start(first=self._opening())
        serving = None
        try:
            # What serves takes about as long to load as a function does; now both load at once.
            from local.serving import Serving  # noqa: PLC0415 # see above

            serving = Serving(
                self.stack,
                self.settings,
                limits=self._limits,
                choices=self._choices,
                functions=self._functions,
                access=self._access,
                hosts=self._hosts,
                tls=self._certificates.context,
            )
            await self._serve(serving, listener)
        finally:
            await self._functions.close()
            if serving is not None:
                await serving.close()
        if self._failure is not None:
            raise self._failure

    async def _serve(self, serving: Serving, listener: socket.socket) -> None:
        server = serving.front(
            started=lambda: self._begin(self._become_ready(server, serving)), stopping=lambda: self._stop(serving)
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _leave, server)
        await server.serve(sockets=[listener])

    def _opening(self) -> list[str]:
        """Name the functions that a client meets before it is connected, by their logical ids."""
        functions = []
        for api in self.stack.apis:
            route = api.routes.get("$connect")
            if route is not None and isinstance(route.authorizer, Authorizer):
                functions.append(route.authorizer.function)
            if route is not None and isinstance(route.integration, LambdaIntegration):
                functions.append(route.integration.function)
        return [name for name in functions if name in self.described]

    async def _become_ready(self, server: Front, serving: Serving) -> None:
        """Print where everything is, begin the schedules, and tell who waits for it."""
        try:
            await serving.make_tables()
            print_start(self.settings, self.stack, self.origin)
            # Until a first client could connect, nothing else takes the processors.
            for name in self._opening():
                await self._wait_for(name)
            self._functions.start_rest()
            for name in self.described:
                await self._wait_for(name)
            ready = self.ready()
            if self.settings.ready_file is not None:
                write_whole(self.settings.ready_file, json.dumps(ready, indent=2) + "\n")
        except CannotStart as failure:
            self._failure = failure
            server.should_exit = True
            return
        # What is loaded by now stays: no collection of garbage has to look at it again.
        gc.freeze()
        # Connections stay as well: at the usual thresholds opening them takes a tenth of its time in looking at them.
        gc.set_threshold(_COLLECTED_AFTER, 10, 10)
        serving.start_schedules()
        if ready["page"] is not None and not self.settings.no_browser:
            import webbrowser  # noqa: PLC0415 # not for those who look for themselves

            webbrowser.open(str(ready["page"]))

    async def _wait_for(self, function: str) -> None:
        """
        Wait until a function could take an event, or is known to fail.

        Raises:
            CannotStart: Its handler cannot be imported.
        """
        try:
            await self._functions.ready(function)
        except InitFailed as error:
            if error.error_type in _NOT_IMPORTABLE:
                hint = advice(error.function, error.message, python=str(self.settings.python or sys.executable))
                raise CannotStart(f"{error}; {hint}" if hint else str(error)) from error
            _log.warning("%s", error)

    def ready(self) -> dict[str, object]:
        """Return what ``--ready-file`` gets: every address, and what ``python -m scheduler`` needs beside us."""
        stage = self.stack.apis[0].stage.name
        own = self.stack.own
        scheduled = [self.described[schedule.function].environment for schedule in self.stack.schedules]
        return {
            "websocket": f"ws://{self.origin}/{stage}",
            "management": f"http://{self.origin}/{stage}",
            "dynamodb": f"http://{self.origin}",
            "lambda": f"http://{self.origin}",
            "region": self.settings.region,
            "credentials": {
                "access_key_id": self.settings.access_key_id,
                "secret_access_key": self.settings.secret_access_key,
            },
            "page": f"http://{self.origin}/" if own is not None and own.page is not None else None,
            "streams": None if own is None else {name: f"ws://{self.origin}{at}" for name, at in own.streams.items()},
            "environment": self.environment | dict(scheduled[0] if scheduled else {}),
        }

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the emulator itself failed", exc_info=error)

    def _stop(self, serving: Serving) -> None:
        serving.stop()
        # First of all, for functions that compute would slow down everything that is still to be done.
        self._functions.kill()
        for task in self._work:
            task.cancel()


def trust_and_proxy(certificates: Certificates, origin: str) -> dict[str, str]:
    """Return what makes a function's process reach AWS's hosts here, and believe that they are AWS's."""
    bundle = str(certificates.bundle())
    proxy = f"http://{origin}"
    return {
        "AWS_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def _api_names(stack: Stack) -> dict[str, str]:
    """Return the ids of the APIs by everything that one may call them."""
    return {name: api.id for api in stack.apis for name in (api.name, api.id, api.logical_id)}


def _leave(server: Front) -> None:
    if server.should_exit:
        server.force_exit = True
    server.should_exit = True


def write_whole(path: Path, text: str) -> None:
    """
    Write a file so that nobody ever reads half of it.

    Raises:
        CannotStart: It cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise CannotStart(f"the ready file {path} cannot be written: {error.strerror}") from error


def up(settings: UpSettings) -> None:
    """
    Run ``tickwire up`` to its end.

    Raises:
        REFUSALS: One sentence each.
    """
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr)
    path = find_template(settings)
    if settings.python is not None and shutil.which(settings.python) is None:
        raise CannotStart(f"--python {settings.python}: there is no such program")
    limits = Limits().with_account_quotas() if settings.quotas == "aws" else Limits()
    limits = limits.with_settings(settings.limit)
    choices = Choices().with_settings(settings.choice)
    with listen(settings.port) as listener:
        origin = f"{_HOST}:{listener.getsockname()[1]}"
        stack = read_template(path, parameters=settings.parameter, region=settings.region)
        if settings.strict:
            _refuse_unsupported(stack)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings, stack, origin, limits, choices, listener))


def _refuse_unsupported(stack: Stack) -> None:
    for api in stack.apis:
        for route in api.routes.values():
            if isinstance(route.integration, UnsupportedIntegration):
                raise CannotStart(f"--strict: the route {route.key} of {api.logical_id}: {route.integration.reason}")


async def _run(
    settings: UpSettings, stack: Stack, origin: str, limits: Limits, choices: Choices, listener: socket.socket
) -> None:
    await Emulator(settings, stack, origin, limits, choices).run(listener)
