"""
Permissions: what the role of a function allows, by IAM's rules for identity-based policies.

An explicit Deny wins; otherwise one Allow is enough; otherwise the answer is no (IAM User Guide, "Policy evaluation
logic"). What a role says is read once: its patterns are compiled, its conditions decided, for nothing that conditions
may ask about changes from one request of a function to the next. So an answer is kept, and giving it again is a
look-up.

Errors::

    PermissionDenied    the role does not allow it; says what AWS says
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from local.access.conditions import conditions_hold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from local.stack import Role

_MOST_ANSWERS: Final = 20_000


class PermissionDenied(Exception):
    """``user`` may not do ``action`` on ``resource``; ``is_explicit`` says that a Deny forbids it."""

    kind = "AccessDeniedException"

    def __init__(self, user: str, action: str, resource: str, *, is_explicit: bool) -> None:
        super().__init__(user, action, resource)
        self.user = user
        self.action = action
        self.resource = resource
        self.is_explicit = is_explicit

    def __str__(self) -> str:
        refused = f"User: {self.user} is not authorized to perform: {self.action} on resource: {self.resource}"
        if self.is_explicit:
            return f"{refused} with an explicit deny in an identity-based policy"
        return f"{refused} because no identity-based policy allows the {self.action} action"


@dataclass(frozen=True, slots=True)
class _Statement:
    """One statement whose condition holds: two patterns, each of what it names or (Not…) of what it does not."""

    is_deny: bool
    actions: re.Pattern[str]
    but_actions: bool
    resources: re.Pattern[str]
    but_resources: bool

    def covers(self, action: str, resource: str | None) -> bool:
        if (self.actions.fullmatch(action) is None) is not self.but_actions:
            return False
        if resource is None and not self.is_deny:
            return True
        return (self.resources.fullmatch(resource or "*") is None) is self.but_resources


class Permissions:
    """
    What one function may do.

    Args:
        role: Its role in the template.
        user: The ARN that refusals name.
        context: What conditions may ask about, by condition key in lower case.
        find_policy: Gives the document of one of AWS's own policies by its name, or None where nobody here has it.
        warn: Gets a sentence for each thing that cannot be evaluated.
    """

    def __init__(
        self,
        role: Role,
        *,
        user: str,
        context: Mapping[str, str],
        find_policy: Callable[[str], Mapping[str, Any] | None],
        warn: Callable[[str], None],
    ) -> None:
        self.user = user
        self._role = role
        self._context = context
        self._find_policy = find_policy
        self._warn = warn
        self._statements: list[_Statement] | None = None
        self._boundary: list[_Statement] | None = None
        self._allows_all = False
        self._answers: dict[tuple[str, str | None], bool | None] = {}

    def check(self, action: str, resource: str | None) -> None:
        """
        Return if the role allows ``action`` (such as ``dynamodb:GetItem``) on ``resource`` (an ARN or ``*``).

        Where the resource is not known (None), an Allow for any is enough, and only a Deny for all counts.

        Raises:
            PermissionDenied: It does not.
        """
        key = (action, resource)
        try:
            answer = self._answers[key]
        except KeyError:
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers.clear()
            answer = self._answers[key] = self._decide(action, resource)
        if not answer:
            raise PermissionDenied(self.user, action, resource or "*", is_explicit=answer is None)

    def _decide(self, action: str, resource: str | None) -> bool | None:
        """Tell whether it is allowed; None where it is denied by name."""
        if self._statements is None:
            self._statements = self._read_all()
        answer = _evaluate(self._statements, action, resource)
        if answer is False and self._allows_all:
            answer = True
        if answer and self._boundary is not None:
            answer = _evaluate(self._boundary, action, resource)
        return answer

    def _read_all(self) -> list[_Statement]:
        documents: list[Mapping[str, Any]] = list(self._role.policies)
        for name in self._role.managed:
            document = self._find_policy(name)
            if document is None:
                self._allows_all = True
                self._warn(f"nobody here knows what the policy {name} of {self._role.name} says: it allows everything")
            else:
                documents.append(document)
        if self._role.boundary is not None:
            self._boundary = self._read([self._role.boundary])
        return self._read(documents)

    def _read(self, documents: Iterable[Mapping[str, Any]]) -> list[_Statement]:
        statements = (statement for document in documents for statement in _listed(document.get("Statement")))
        return [read for one in statements if isinstance(one, dict) and (read := self._read_statement(one)) is not None]

    def _read_statement(self, statement: Mapping[str, Any]) -> _Statement | None:
        """Read one statement; None where its condition does not hold, or is one that cannot be evaluated."""
        unknown: list[str] = []
        holds = conditions_hold(statement.get("Condition") or {}, self._context, unknown)
        if unknown:
            self._warn(
                f"a condition in {self._role.name} cannot be evaluated here ({', '.join(unknown)}): "
                "its statement counts as if it were not there"
            )
        if unknown or not holds:
            return None
        but_actions, but_resources = "NotAction" in statement, "NotResource" in statement
        actions = _listed(statement.get("NotAction" if but_actions else "Action"))
        resources = _listed(statement.get("NotResource" if but_resources else "Resource"))
        return _Statement(
            statement.get("Effect") == "Deny",
            _pattern(actions, re.IGNORECASE),
            but_actions,
            _pattern(resources),
            but_resources,
        )


def _evaluate(statements: Sequence[_Statement], action: str, resource: str | None) -> bool | None:
    """Tell whether an action is allowed; None where it is denied by name."""
    allowed = False
    for statement in statements:
        if (statement.is_deny or not allowed) and statement.covers(action, resource):
            if statement.is_deny:
                return None
            allowed = True
    return allowed


def _pattern(texts: Iterable[str], flags: int = 0) -> re.Pattern[str]:
    """Compile IAM's patterns into one, in which ``*`` stands for anything and ``?`` for one character."""
    return re.compile("|".join(map(wildcards, texts)) or r"(?!)", flags | re.DOTALL)


def wildcards(text: str) -> str:
    """Write an IAM pattern as a regular expression; ``${*}``, ``${?}`` and ``${$}`` stand for the characters."""
    parts = re.split(r"(\$\{[*?$]\}|[*?])", text)
    return "".join({"*": ".*", "?": "."}.get(part, re.escape(_literal(part))) for part in parts)


def _literal(part: str) -> str:
    return part[2] if re.fullmatch(r"\$\{[*?$]\}", part) else part


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 # any part of a policy
    return value if isinstance(value, list) else [] if value is None else [value]
