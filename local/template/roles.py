"""Read the roles that a template declares, with everything that allows or denies their functions something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.stack import Role
from local.template.errors import TemplateError, Trail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.template.declarations import Declarations

#: Resources that are policies of roles named elsewhere in them, and the property that names those.
_ATTACHED = {"AWS::IAM::ManagedPolicy": "Roles", "AWS::IAM::Policy": "Roles", "AWS::IAM::RolePolicy": "RoleName"}


def read_roles(declarations: Declarations) -> dict[str, Role]:
    """
    Give every ``AWS::IAM::Role`` by its ARN.

    A statement that cannot be evaluated outside of AWS is left out, with a warning.
    """
    managed = {
        declarations.arn(policy): _document(declarations, policy)
        for policy in declarations.of("AWS::IAM::ManagedPolicy")
    }
    attached = [
        (str(role), _document(declarations, policy))
        for kind, names_roles in _ATTACHED.items()
        for policy in declarations.of(kind)
        for role in declarations.items(policy, names_roles)
    ]
    roles = {}
    for logical_id in declarations.of("AWS::IAM::Role"):
        name = declarations.name(logical_id)
        policies = [*_inline(declarations, logical_id), *(document for role, document in attached if role == name)]
        elsewhere = []
        for arn in map(str, declarations.items(logical_id, "ManagedPolicyArns")):
            if arn in managed:
                policies.append(managed[arn])
            else:
                elsewhere.append(arn.rpartition("/")[2])
        boundary = declarations.text(logical_id, "PermissionsBoundary")
        if boundary is not None and boundary not in managed:
            declarations.warnings.append(
                f"The permissions boundary {boundary} of {logical_id} is not in the template, and is not looked at."
            )
        roles[declarations.arn(logical_id)] = Role(
            name, tuple(policies), tuple(elsewhere), managed.get(boundary) if boundary is not None else None
        )
    return roles


def _inline(declarations: Declarations, logical_id: str) -> Iterator[Mapping[str, Any]]:
    policies = _readable(declarations, declarations.raw(logical_id, "Policies"), logical_id)
    for policy in policies if isinstance(policies, list) else []:
        if isinstance(policy, dict) and isinstance(document := policy.get("PolicyDocument"), dict):
            yield document


def _document(declarations: Declarations, logical_id: str) -> Mapping[str, Any]:
    document = _readable(declarations, declarations.raw(logical_id, "PolicyDocument"), logical_id)
    return document if isinstance(document, dict) else {}


def _readable(declarations: Declarations, part: Any, logical_id: str) -> Any:  # noqa: ANN401 # any part of a policy
    """Resolve policies, without those of their statements that cannot be resolved."""
    trail: Trail = ("Resources", logical_id, "Properties")
    try:
        return declarations.resolve(part, trail)
    except TemplateError as error:
        if isinstance(part, list):
            kept = (_readable(declarations, item, logical_id) for item in part)
            return [item for item in kept if item is not None]
        if isinstance(part, dict) and (inner := {"PolicyDocument", "Statement"} & part.keys()):
            return {key: _readable(declarations, part[key], logical_id) for key in inner}
        declarations.warnings.append(f"A statement of {logical_id} counts as if it were not there: {error.sentence}.")
        return None
