"""What ``tickwire up`` prints."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.functions.invocations import LogLine
    from local.settings import UpSettings
    from local.stack import Stack

_PRICES = {
    "simulated": "simulated, and say so; --providers live asks the real hosts",
    "live": "from the real hosts; their terms apply to whoever runs this",
}


def print_start(settings: UpSettings, stack: Stack, origin: str) -> None:
    """Say what was started and where, and what of the template is not emulated."""
    own = stack.own
    lines = [f"tickwire {version('tickwire')}: {stack.path}", ""]
    taken: set[str] = set()
    for api in stack.apis:
        # The first of several with a stage of one name has the short path.
        path = f"{api.id}/{api.stage.name}" if api.stage.name in taken else api.stage.name
        taken.add(api.stage.name)
        lines.append(_row("WebSocket", f"ws://{origin}/{path}", f"{api.name}: {' '.join(api.routes)}"))
        lines.append(_row("Management", f"http://{origin}/{path}/@connections/{{id}}"))
    lines += [_row("Alias", host, api) for host, api in settings.alias.items()]
    if own is not None:
        lines += [_row(name.capitalize(), f"ws://{origin}{path}") for name, path in own.streams.items()]
        if own.page is not None:
            lines.append(_row("Page", f"http://{origin}/"))
    tables = ", ".join(table.name for table in stack.tables) or "no table"
    lines.append(_row("DynamoDB", f"http://{origin}", tables))
    lines.append(_row("Lambda", f"http://{origin}", f"{len(stack.functions)} functions"))
    lines += [_row("", function.name, function.handler) for function in stack.functions.values()]
    lines += [_row("Schedule", one.expression, stack.functions[one.function].name) for one in stack.schedules]
    if own is not None and own.providers:
        lines.append(_row("Prices", _PRICES.get(settings.providers, settings.providers)))
    lines.append(_row("Credentials", f"{settings.access_key_id} / {settings.secret_access_key}", settings.region))
    if settings.unsigned:
        lines.append(_row("Signatures", "are not checked"))
    if settings.no_iam or settings.runtime == "inline":
        lines.append(_row("Permissions", "are not checked: every function may do everything"))
    lines += ["", *(f"  ! {warning}" for warning in stack.warnings)]
    lines.append("  Ctrl-C stops all of it.")
    print("\n".join(lines), flush=True)


def _row(title: str, where: str, what: str = "") -> str:
    return f"  {title:<12} {where:<44} {what}".rstrip()


def print_line(line: LogLine) -> None:
    """Print a line of a function with its name and the beginning of its request id."""
    who = line.function if not line.request_id else f"{line.function} {line.request_id[:8]}"
    print(f"{who} | {line.text}", flush=True)
