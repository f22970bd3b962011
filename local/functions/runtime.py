"""
The main of a function's process: the official runtime client's own loop.

Run by its path, with the interpreter that the function gets::

    runtime.py HANDLER CHANNEL LIFE CLIENT CODE LAYER...

``CHANNEL`` is the descriptor of a socketpair over which events come and answers go, or ``api`` for the Runtime API
over HTTP (the client is then entirely its authors'). ``LIFE`` is the read end of a pipe that the emulator holds
open for as long as it lives. ``CLIENT`` is a folder that has awslambdaric, for an interpreter that has not.
``sys.path`` begins with the folder ``CODE`` and the layers in the folders ``LAYER``.

Frames on the channel, all numbers in network order:

* to the function: length of the head, length of the event (4 bytes each), the head (request id, ARN, deadline in
  epoch ms, trace id and client context, a line each), the event.
* from the function: a length (4 bytes), a kind (1 byte), that many bytes. Kinds: ``R`` ready for events, ``K`` result,
  ``E`` error, ``I`` error while starting, ``T`` result too large (its size in decimal).

Only the standard library and awslambdaric are used, in a form that Python 3.9 understands: the interpreter may be any
that awslambdaric supports.
"""

# ruff: noqa: PTH100, PTH118, PTH119, PTH120  # pathlib would be loaded into every function's process for this alone

from __future__ import annotations

import fcntl
import importlib.machinery
import os
import runpy
import signal
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

EVENT = struct.Struct("!II")
ANSWER = struct.Struct("!IB")
READY, RESULT, ERROR, INIT_ERROR, TOO_LARGE = b"RKEIT"
# 6 MB and 100 bytes: MaxPayloadSize of AWS's own runtime interface emulator.
RESULT_LIMIT = 6 * 1024 * 1024 + 100

OWN_FOLDER = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
OWN_PACKAGES = frozenset({"handlers", "local", "scheduler"})
CLIENT_PACKAGES = frozenset({"awslambdaric", "simplejson", "snapshot_restore_py"})

# The folders that sys.path begins with, and where awslambdaric may be borrowed from.
front: list[str] = []
lent: list[str] = []


class FunctionPathFinder(importlib.machinery.PathFinder):
    """
    Python's finder, blind for the emulator's own installation.

    Other people's functions have a package ``handlers`` too, or expect that they have none. So those names are found in
    the function's code, its layers and whatever else is installed, but not in the folder that this file belongs to.
    """

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module as usual, except that our own packages are not there."""
        if path is None and fullname in OWN_PACKAGES:
            path = [entry for entry in sys.path if entry in front or os.path.realpath(entry) != OWN_FOLDER]
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if found is None and path is None and fullname in CLIENT_PACKAGES:
            found = importlib.machinery.PathFinder.find_spec(fullname, lent, target)
        return found


class BlindFinder:
    """Another finder (of editable installations), which does not find the emulator's own packages either."""

    def __init__(self, finder: Any) -> None:  # noqa: ANN401  # a finder is anything that has find_spec
        self._finder = finder

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever else the finder has
        return getattr(self._finder, name)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module as the other finder does, except that our own packages are not there."""
        found: ModuleSpec | None = self._finder.find_spec(fullname, path, target)
        if found is not None and fullname in OWN_PACKAGES:
            origin = os.path.realpath(found.origin or "")
            if origin.startswith(os.path.join(OWN_FOLDER, fullname, "")):
                return None
        return found


def search_folders(code: str, layers: list[str], runtime: str) -> list[str]:
    """
    Return what ``sys.path`` begins with: the function's code, then its layers, a later one first.

    Of a layer these are ``python/lib/pythonX.Y/site-packages`` and ``python``, as far as they exist; X.Y is this
    interpreter's version and the one of the template's ``runtime`` (``python3.13``).
    """
    versions = dict.fromkeys((f"python{sys.version_info[0]}.{sys.version_info[1]}", runtime))
    folders = []
    for layer in reversed(layers):
        folders += [os.path.join(layer, "python", "lib", version, "site-packages") for version in versions]
        folders.append(os.path.join(layer, "python"))
    return [code, *filter(os.path.isdir, folders)]


def prepare_path(client: str, folders: list[str]) -> None:
    """Make ``sys.path`` begin with ``folders`` and hold nothing of the emulator's own."""
    here = os.path.dirname(os.path.abspath(__file__))
    rest = [entry for entry in sys.path if os.path.realpath(entry) != os.path.realpath(here)]
    if os.path.basename(OWN_FOLDER) not in ("site-packages", "dist-packages"):
        # A checkout that an editable install put there. (An installed wheel shares its folder with everything else.)
        rest = [entry for entry in rest if os.path.realpath(entry) != OWN_FOLDER]
    front[:] = folders
    lent[:] = [client]
    sys.path[:] = [*folders, *(entry for entry in rest if entry not in folders)]
    known: dict[Any, Any] = {
        importlib.machinery.BuiltinImporter: importlib.machinery.BuiltinImporter,
        importlib.machinery.FrozenImporter: importlib.machinery.FrozenImporter,
        importlib.machinery.PathFinder: FunctionPathFinder,
    }
    sys.meta_path[:] = [known.get(finder) or BlindFinder(finder) for finder in sys.meta_path]


def die_with_emulator(life: int) -> None:
    """
    Have this process and its children killed as soon as the other end of the pipe ``life`` is closed.

    Linux alone sends a signal of our choice for that (F_SETSIG), also while a handler runs. Elsewhere the process
    notices when it asks for its next event.
    """
    if not hasattr(fcntl, "F_SETSIG"):
        return
    os.set_blocking(life, False)
    fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    try:
        os.read(life, 1)
    except BlockingIOError:
        return
    os._exit(1)  # it was closed before the signal was arranged


def serve(handler: str, channel: socket.socket) -> None:
    """Run ``handler`` for every event that arrives on ``channel``; does not return."""
    # Imported only here: in a function's process sys.path has to be prepared first.
    from awslambdaric import bootstrap, lambda_runtime_client, lambda_runtime_marshaller  # noqa: PLC0415

    def send(kind: int, content: bytes = b"") -> None:
        channel.sendall(ANSWER.pack(len(content), kind) + content)

    class ChannelClient(lambda_runtime_client.LambdaRuntimeClient):  # type: ignore[misc]  # awslambdaric has no types
        """The official client, with a socketpair in place of HTTP."""

        is_ready = False

        def wait_next_invocation(self) -> Any:  # noqa: ANN401  # awslambdaric has no types
            """Say so when the handler is loaded, then wait for an event."""
            if not self.is_ready:
                self.is_ready = True
                send(READY)
            head, event = receive(channel)
            request_id, arn, deadline, trace_id, client_context = head.decode().split("\n")
            return lambda_runtime_client.InvocationRequest(
                invoke_id=request_id,
                x_amzn_trace_id=trace_id or None,
                invoked_function_arn=arn,
                deadline_time_in_ms=int(deadline),
                client_context=client_context or None,
                cognito_identity=None,
                tenant_id=None,
                content_type="application/json",
                event_body=event,
                invocation_id=None,
            )

        def post_invocation_result(self, _id: str, result: str | bytes, *_type: object) -> None:
            """Answer with what the handler returned, unless Lambda would not carry it."""
            content = result if isinstance(result, bytes) else result.encode()
            if len(content) > RESULT_LIMIT:
                send(TOO_LARGE, b"%d" % len(content))
            else:
                send(RESULT, content)

        def post_invocation_error(self, _id: str, error: str, *_fault: object) -> None:
            """Answer with the error that the handler raised."""
            send(ERROR, error.encode())

        def post_init_error(self, error: dict[str, Any], *_type: object) -> None:
            """Say why the handler could not be loaded; the loop then exits."""
            send(INIT_ERROR, lambda_runtime_marshaller.to_json(error).encode())

    bootstrap.run(handler, ChannelClient(""))


def receive(channel: socket.socket) -> tuple[bytes, bytes]:
    """Wait for one event and return its head and body; ends the process when the emulator has hung up."""
    received = bytearray()
    while len(received) < EVENT.size:
        received += arrive(channel, 1 << 16)
    head, event = EVENT.unpack_from(received)
    start = EVENT.size + head
    while len(received) < start + event:
        received += arrive(channel, start + event - len(received))
    return bytes(received[EVENT.size : start]), bytes(received[start:])


def arrive(channel: socket.socket, at_most: int) -> bytes:
    """Return what has arrived on ``channel``; ends the process when the emulator has hung up."""
    arrived = channel.recv(at_most)
    if not arrived:
        os._exit(0)
    return arrived


def main(arguments: list[str]) -> None:
    """Prepare this process for the function, and serve it until the emulator goes away."""
    handler, channel, life, client, code, *layers = arguments
    for descriptor in (life, channel):
        if descriptor != "api":
            os.set_inheritable(int(descriptor), False)  # noqa: FBT003  # takes no keyword
    die_with_emulator(int(life))
    runtime = os.environ.get("AWS_EXECUTION_ENV", "").removeprefix("AWS_Lambda_")
    prepare_path(client, search_folders(code, layers, runtime))
    sys.argv[1:] = [handler]
    if channel == "api":
        runpy.run_module("awslambdaric", run_name="__main__")
    else:
        serve(handler, socket.socket(fileno=int(channel)))


if __name__ == "__main__":
    main(sys.argv[1:])
