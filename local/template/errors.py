"""
Why a template cannot be run; each says so in one sentence, with its place in the file where one is known.

::

    TemplateError
    ├── TemplateMissing      no such file, or one that cannot be read
    ├── TemplateMalformed    no YAML or JSON, or not of a template's shape
    ├── TransformFault       the SAM transform refuses it, for one or more causes
    ├── ParameterFault       a value is missing, unknown or not allowed
    ├── IntrinsicFault       a function (Fn::…) is used wrongly, gives no text where one must be, or is AWS's alone
    ├── ReferenceFault       a name that leads nowhere, or back to itself
    ├── ResourceFault        a resource lacks something, or names a function that is not there
    ├── CodeMissing          a function's or layer's files are not where the template says
    └── NoWebSocketApi       a template without the one thing the emulator is for
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

#: The way from a document's root to one of its values: mapping keys and list positions.
Trail = tuple[str | int, ...]


class TemplateError(Exception):
    """
    Root of everything that reading a template raises on purpose.

    ``line`` and ``column`` count from 1 and are None while the place is unknown.
    """

    def __init__(self, sentence: str, trail: Trail = (), *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.trail = trail
        self.path: Path | None = None
        self.line = line
        self.column = column

    def locate(self, path: Path, find: Callable[[Trail], tuple[int, int] | None]) -> None:
        """Note the file, and the place that ``find`` knows for the trail unless there is one already."""
        self.path = path
        if self.line is None and self.trail and (place := find(self.trail)):
            self.line, self.column = place

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.path, self.line, self.column) if part is not None)
        return f"{place}: {self.sentence}" if place else self.sentence


class TemplateMissing(TemplateError):
    """There is no such file, or it cannot be read."""


class TemplateMalformed(TemplateError):
    """The text is no YAML or JSON, or a part of it has not the shape that a template's has."""


class TransformFault(TemplateError):
    """The SAM transform refuses the template; ``causes`` are its reasons, each printed on its own line."""

    def __init__(self, causes: Sequence[TemplateError]) -> None:
        super().__init__("the SAM transform refuses this template")
        self.causes = tuple(causes)

    def locate(self, path: Path, find: Callable[[Trail], tuple[int, int] | None]) -> None:
        """Locate every cause."""
        super().locate(path, find)
        for cause in self.causes:
            cause.locate(path, find)

    def __str__(self) -> str:
        return "\n".join(str(cause) for cause in self.causes)


class ParameterFault(TemplateError):
    """A parameter has no value, is not one of the template's, or has a value that the template forbids."""


class IntrinsicFault(TemplateError):
    """A function has the wrong arguments, gives the wrong kind of value, or can be evaluated by AWS only."""


class ReferenceFault(TemplateError):
    """A name leads nowhere, or names lead to each other in a circle."""


class ResourceFault(TemplateError):
    """A resource lacks a property, or has one that cannot be understood."""


class CodeMissing(TemplateError):
    """The files of a function or a layer are not where the template says."""


class NoWebSocketApi(TemplateError):
    """The template describes no WebSocket API."""
