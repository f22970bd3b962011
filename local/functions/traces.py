"""A handler's stack trace as its author wants to read it: the own lines first, the way there left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRACE = "Traceback (most recent call last):"
_FRAME = re.compile(r'  File "(?P<file>[^"]+)", line \d+, in ')
#: What imports a handler and calls it: true of every trace, and news to nobody.
_THE_WAY_THERE = re.compile(r"<frozen importlib|/importlib/__init__\.py$|/awslambdaric/|/local/functions/")
_ELSEWHERE = "  in what those lines call:"


def own_lines_first(lines: Sequence[str], own: Sequence[str]) -> list[str]:
    """
    Put the frames of one stack trace that lie in the folders ``own`` before all others.

    A trace without such a frame stays as it is, but for the heading of one without any, and so do lines that are no
    trace.
    """
    if _TRACE not in lines:
        return list(lines)
    begin = lines.index(_TRACE) + 1
    frames: list[list[str]] = []
    end = begin
    while end < len(lines) and lines[end].startswith(" "):
        if _FRAME.match(lines[end]) or not frames:
            frames.append([])
        frames[-1].append(lines[end])
        end += 1
    if not frames:
        return [*lines[: begin - 1], *lines[end:]]
    sorts: dict[bool, list[str]] = {True: [], False: []}
    for frame in frames:
        found = _FRAME.match(frame[0])
        file = found["file"] if found else ""
        if not _THE_WAY_THERE.search(file):
            sorts[any(file.startswith(f"{folder.rstrip('/')}/") for folder in own)].extend(frame)
    if not sorts[True]:
        return list(lines)
    others = [_ELSEWHERE, *sorts[False]] if sorts[False] else []
    return [*lines[:begin], *sorts[True], *others, *lines[end:]]
