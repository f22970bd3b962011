"""The console script ``tickwire``: ``up``, ``watch``, and what other packages add by entry points."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_settings import CliApp
from pydantic_settings.exceptions import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.metadata import EntryPoint

#: Entry points of this group add subcommands; each is called with its arguments and returns an exit code.
GROUP = "tickwire.commands"
#: What a shell says of a command that Ctrl-C has ended.
_INTERRUPTED = 130


def up(arguments: Sequence[str]) -> int:
    """Run the WebSocket API that a template describes."""
    from local.settings import read_settings  # noqa: PLC0415 # every command imports only what it needs
    from local.up import REFUSALS, up  # noqa: PLC0415

    try:
        up(read_settings(arguments))
    except REFUSALS as refusal:
        print(f"tickwire up: {refusal}", file=sys.stderr)
        return 1
    return 0


def watch(arguments: Sequence[str]) -> int:
    """Watch one stream in the terminal."""
    from local.watch.command import WatchSettings, run  # noqa: PLC0415 # every command imports only what it needs

    return run(CliApp.run(WatchSettings, cli_args=list(arguments)))


_OWN: dict[str, Callable[[Sequence[str]], int]] = {"up": up, "watch": watch}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the first argument names, and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Asking every installed package takes 40 ms, which our own commands have no use for.
    added = {} if given and given[0] in _OWN else _added()
    if not given or given[0] in {"-h", "--help", "help"}:
        print(_usage(list(added)))
        return 0 if given else 2
    name, rest = given[0], given[1:]
    if name not in _OWN and name not in added:
        print(f"tickwire: there is no command {name!r}\n{_usage(list(added))}", file=sys.stderr)
        return 2
    command = _OWN[name] if name in _OWN else added[name].load()
    try:
        code = int(command(rest) or 0)
        sys.stdout.flush()
    except KeyboardInterrupt:
        # Ctrl-C while it still starts; once it runs, the command itself sees to that.
        code = _INTERRUPTED
    except BrokenPipeError:
        # Whoever read has enough (``| head``); what is left has nowhere to go, neither now nor when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except SettingsError as error:
        print(f"tickwire {name}: {error}", file=sys.stderr)
        code = 2
    except ValidationError as error:
        for fault in error.errors():
            option = "--" + "-".join(str(part) for part in fault["loc"]).replace("_", "-")
            # pydantic says of a sentence of ours whose it is.
            sentence = fault["msg"].removeprefix("Value error, ")
            print(f"tickwire {name}: {option}: {sentence} (it is {fault['input']!r})", file=sys.stderr)
        code = 2
    return code


def _added() -> dict[str, EntryPoint]:
    """Return the subcommands of other packages, not loaded yet."""
    from importlib.metadata import entry_points  # noqa: PLC0415 # every command imports only what it needs

    return {point.name: point for point in entry_points(group=GROUP)}


def _usage(added: list[str]) -> str:
    lines = ["usage: tickwire COMMAND [OPTION …]", ""]
    lines += [f"  {name:<10} {command.__doc__}" for name, command in _OWN.items()]
    lines += [f"  {name:<10} (see tickwire {name} --help)" for name in sorted(added)]
    return "\n".join([*lines, "", "tickwire COMMAND --help tells what each can be told."])


if __name__ == "__main__":
    sys.exit(main())
