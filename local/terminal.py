"""What ``tickwire up`` prints."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.functions.invocations import LogLine
    from local.settings import UpSettings
    from local.stack import Stack

#: How AWS's client introduces an error at import: that its own updates may be the cause. Here there are none.
_OF_AWS = "LAMBDA_WARNING: Unhandled exception."
#: How a line in CloudWatch's embedded metric format begins.
_OF_METRICS = '{"_aws":'
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
    names = {api.id: api.name for api in stack.apis}
    for mapped in stack.mappings:
        lines.append(
            _row("Domain", f"https://{mapped.host}/{mapped.key}", f"{names[mapped.api_id]}, for functions only")
        )
    if own is not None:
        lines += [_row(name.capitalize(), f"ws://{origin}{path}") for name, path in own.streams.items()]
        if own.page is not None:
            lines.append(_row("Page", f"http://{origin}/"))
    tables = ", ".join(table.name for table in stack.tables) or "no table"
    lines.append(_row("DynamoDB", f"http://{origin}", tables))
    count = len(stack.functions)
    lines.append(_row("Lambda", f"http://{origin}", f"{count} function{'' if count == 1 else 's'}"))
    lines += _functions(stack)
    lines += [_row("Schedule", one.expression, one.function) for one in stack.schedules]
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


def _functions(stack: Stack) -> list[str]:
    """List each function with its handler, the folder of its code, and what callers of Lambda know it by."""
    rows = []
    for function in stack.functions.values():
        shown = "this folder" if function.source in {".", "./"} else function.source
        where = shown.removeprefix("./") or "the template itself"
        rows.append((function.logical_id, f"{function.handler} in {where}", function.name))
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return [f"    {name:<{widths[0]}}  {code:<{widths[1]}}  {known}" for name, code, known in rows]


class LinePrinter:
    """
    Prints what functions print, each line with the function and the beginning of the request id.

    Args:
        functions: The logical ids by the names that lines carry; a name that SAM made says less.
    """

    def __init__(self, functions: Mapping[str, str]) -> None:
        self._functions = functions

    def __call__(self, line: LogLine) -> None:
        """Print one line."""
        if _OF_AWS in line.text:
            return
        text = _without_metrics(line.text) if line.text.startswith(_OF_METRICS) else line.text
        function = self._functions.get(line.function, line.function)
        who = f"{function} {line.request_id[:8]}" if line.request_id else function
        print(f"{who} | {text}", flush=True)


def _without_metrics(text: str) -> str:
    """Leave out which figures of a line are metrics: that is for CloudWatch, and half of the line."""
    try:
        members = json.loads(text)
    except ValueError:
        return text
    del members["_aws"]
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))
