"""What to do about a handler that cannot be imported: the line that installs a package, or the file to look for."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from local.stack import Function

_MISSING = re.compile(r"No module named '(?P<module>[^']+)'")


def advice(function: Function, message: str, *, python: str) -> str:
    """
    Give a sentence on how to get what is missing, or nothing where ``message`` tells of no missing module.

    Args:
        function: The one that cannot be imported.
        message: The error's.
        python: The interpreter that runs it.
    """
    found = _MISSING.search(message)
    if found is None:
        return ""
    package = found["module"].partition(".")[0]
    module = function.handler.rpartition(".")[0].replace(".", "/")
    if module.partition("/")[0] == package:
        return f"there is no {module}.py in {function.code}"
    listed = _requirements([function.code, *function.layers], package)
    what = f"-r {shlex.quote(str(listed))}" if listed is not None else package
    return f"install it by {shlex.quote(python)} -m pip install {what}"


def _requirements(folders: Iterable[Path], package: str) -> Path | None:
    """Find the list beside a function's code or layers, or in the folder above them, that names a package."""
    wanted = re.compile(rf"^\s*{re.escape(package)}\b", re.IGNORECASE | re.MULTILINE)
    for folder in [place for one in folders for place in (one, one.parent)]:
        path = folder / "requirements.txt"
        try:
            if wanted.search(path.read_text(encoding="utf-8").replace("-", "_")):
                return path
        except (OSError, UnicodeDecodeError):
            continue
    return None
