"""
Read templates: text, references and directives.

A template becomes a function from its variables to text. What the language has here: references with members, methods
and indexes (``$a.b``, ``${a}``, ``$!a``), ``#set``, ``#if``, ``#elseif``, ``#else``, ``#foreach``, ``#break``,
``#stop`` and comments. A line that holds nothing but a directive leaves no trace. Macros and includes are not read.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

from local.velocity.expressions import Expressions, Reference, is_true
from local.velocity.values import as_text, iterate
from local.velocity.words import BadTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Variables = dict[str, Any]
    Block = Callable[[Variables, list[str]], None]

#: How often ``#foreach`` runs at most (API Gateway's limit).
_MOST_ROUNDS: Final = 1_000
_DIRECTIVE = re.compile(r"#(?:\{(else|end|stop|break)\}|(set|if|elseif|else|end|foreach|stop|break)\b)")
_UNREAD = re.compile(r"#(?:macro|include|parse|evaluate|define|return)\b")
_SIGN = re.compile(r"[$#\\]")
_INDENT = re.compile(r"[ \t]*\Z")
_LINE_END = re.compile(r"[ \t]*(?:\r?\n|\Z)")
_LOOP = re.compile(r"\(\s*\$\{?([A-Za-z][\w-]*)\}?\s+in\s")
_TARGET = re.compile(r"\(\s*\$!?\{?([A-Za-z][\w-]*(?:\.[A-Za-z][\w-]*)*)\}?\s*=(?!=)")


class _Break(Exception):
    """A ``#break``."""


class _Stop(Exception):
    """A ``#stop``."""


def compile_template(source: str) -> Callable[[Mapping[str, Any]], str]:
    """
    Make a function that fills a template.

    It takes the values of the variables by their names. A reference that leads nowhere stays as it was written, but
    for those below objects that know better (``local.velocity.variables``).

    Raises:
        BadTemplate: For what is no template, or uses more of the language than is read here.
    """
    reader = _Reader(source)
    block, end = reader.block(frozenset())
    if end is not None:
        raise BadTemplate(f"#{end} without a beginning")

    def fill(variables: Mapping[str, Any]) -> str:
        out: list[str] = []
        with contextlib.suppress(_Stop, _Break):
            block(dict(variables), out)
        return "".join(out)

    return fill


class _Reader(Expressions):
    """Reads a template from its beginning to its end."""

    _next_condition: Callable[[Variables], Any]

    def block(self, ends: frozenset[str]) -> tuple[Block, str | None]:
        """Read up to one of the directives ``ends``, or to the end of the template."""
        parts: list[Block] = []
        text: list[str] = []

        def flush() -> None:
            if text:
                parts.append(_constant("".join(text)))
                text.clear()

        while self.at < len(self.source):
            sign = self._next_sign()
            if sign > self.at:
                text.append(self.source[self.at : sign])
                self.at = sign
            elif not self._skip(text):
                word = self._word()
                if word in ends:
                    if word == "elseif":
                        self._next_condition = self._condition()
                    self._gobble(text, sign)
                    flush()
                    return _sequence(parts), word
                part = self._part(word, text, sign)
                if part is not None:
                    flush()
                    parts.append(part)
        if ends:
            raise BadTemplate("#end is missing")
        flush()
        return _sequence(parts), None

    def _skip(self, text: list[str]) -> bool:
        """Read what prints itself or nothing: an escaped sign, a comment."""
        source, at = self.source, self.at
        if source[at] == "\\" and source[at + 1 : at + 2] in {"$", "#"}:
            text.append(source[at + 1])
            self.at += 2
        elif source.startswith("##", at):
            end = source.find("\n", at)
            self.at = len(source) if end < 0 else end
            self._gobble(text, at)
        elif source.startswith("#*", at):
            end = source.find("*#", at)
            if end < 0:
                raise BadTemplate("a comment has no end")
            self.at = end + 2
        else:
            return False
        return True

    def _word(self) -> str | None:
        """Read the name of a directive, if one begins here."""
        found = _DIRECTIVE.match(self.source, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[1] or found[2]

    def _part(self, word: str | None, text: list[str], sign: int) -> Block | None:
        """Read a directive whose name was read, a reference, or a sign that stands for itself."""
        if word in {"end", "else", "elseif"}:
            raise BadTemplate(f"#{word} without a beginning")
        if word is not None:
            return self._directive(word, text, sign)
        if _UNREAD.match(self.source, sign):
            raise BadTemplate(f"{self.source[sign : sign + 12]!r}: this directive is not read")
        reference = self.reference()
        if reference is not None:
            return _printing(reference)
        text.append(self.source[sign])
        self.at = sign + 1
        return None

    def _next_sign(self) -> int:
        found = _SIGN.search(self.source, self.at)
        return found.start() if found is not None else len(self.source)

    def _gobble(self, text: list[str], start: int) -> None:
        """Leave out the rest of a line that holds a directive alone."""
        line = self.source.rfind("\n", 0, start) + 1
        if self.source[line:start].strip(" \t") or (rest := _LINE_END.match(self.source, self.at)) is None:
            return
        self.at = rest.end()
        if text:
            text[-1] = _INDENT.sub("", text[-1])

    def _directive(self, word: str, text: list[str], start: int) -> Block:
        if word == "set":
            part = self._assignment()
            self._gobble(text, start)
            return part
        if word == "foreach":
            return self._loop(text, start)
        if word == "if":
            return self._choice(text, start)
        self._gobble(text, start)
        return _raising(_Stop if word == "stop" else _Break)

    def _assignment(self) -> Block:
        self.skip()
        target = _TARGET.match(self.source, self.at)
        if target is None:
            raise BadTemplate(f"#set{self.source[self.at : self.at + 20]!r}: only variables and members can be set")
        *path, name = target[1].split(".")
        self.at = target.end()
        value = self.expression()
        self.take(")")

        def assign(variables: Variables, _: list[str]) -> None:
            place: Any = variables
            for step in path:
                within = place.get(step)
                if not isinstance(within, dict):
                    within = place[step] = {}
                place = within
            place[name] = value(variables)

        return assign

    def _condition(self) -> Callable[[Variables], Any]:
        self.skip()
        self.take("(")
        condition = self.expression()
        self.take(")")
        return condition

    def _choice(self, text: list[str], start: int) -> Block:
        ways: list[tuple[Callable[[Variables], Any], Block]] = []
        condition = self._condition()
        self._gobble(text, start)
        while True:
            block, end = self.block(frozenset({"elseif", "else", "end"}))
            ways.append((condition, block))
            if end == "end":
                break
            if end == "else":
                otherwise, _ = self.block(frozenset({"end"}))
                ways.append((lambda _: True, otherwise))
                break
            condition = self._next_condition

        def choose(variables: Variables, out: list[str]) -> None:
            for holds, block in ways:
                if is_true(holds(variables)):
                    block(variables, out)
                    return

        return choose

    def _loop(self, text: list[str], start: int) -> Block:
        self.skip()
        head = _LOOP.match(self.source, self.at)
        if head is None:
            raise BadTemplate(f"#foreach{self.source[self.at : self.at + 20]!r}: it wants ($name in …)")
        name = head[1]
        self.at = head.end()
        over = self.expression()
        self.take(")")
        self._gobble(text, start)
        block, _ = self.block(frozenset({"end"}))

        def loop(variables: Variables, out: list[str]) -> None:
            kept = {key: variables[key] for key in (name, "foreach", "velocityCount") if key in variables}
            items = iterate(over(variables))[:_MOST_ROUNDS]
            for index, item in enumerate(items):
                variables[name] = item
                variables["foreach"] = {
                    "index": index,
                    "count": index + 1,
                    "hasNext": index + 1 < len(items),
                    "first": index == 0,
                    "last": index + 1 == len(items),
                }
                variables["velocityCount"] = index + 1
                try:
                    block(variables, out)
                except _Break:
                    break
            for key in (name, "foreach", "velocityCount"):
                variables.pop(key, None)
            variables.update(kept)

        return loop


def _constant(text: str) -> Block:
    return lambda _, out: out.append(text)


def _raising(what: type[Exception]) -> Block:
    def leave(_: Variables, __: list[str]) -> None:
        raise what

    return leave


def _printing(reference: Reference) -> Block:
    def show(variables: Variables, out: list[str]) -> None:
        value = reference.value(variables)
        if value is None:
            out.append("" if reference.is_quiet else reference.source)
        else:
            out.append(as_text(value))

    return show


def _sequence(parts: list[Block]) -> Block:
    def run(variables: Variables, out: list[str]) -> None:
        for part in parts:
            part(variables, out)

    return run
