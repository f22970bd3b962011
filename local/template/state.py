"""Read the tables and schedules that a template declares."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from local.stack import Schedule, Table
from local.template.errors import ResourceFault, Trail
from local.template.intrinsics import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.template.declarations import Declarations
    from local.template.functions import DeclaredFunctions

_TABLES = ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")
#: What CreateTable takes as the template gives it; streams, tags and encryption change nothing here.
_TABLE_MEMBERS = {
    "AttributeDefinitions": ("AttributeName", "AttributeType"),
    "KeySchema": ("AttributeName", "KeyType"),
    "GlobalSecondaryIndexes": ("IndexName", "KeySchema", "Projection"),
    "LocalSecondaryIndexes": ("IndexName", "KeySchema", "Projection"),
}


def read_tables(declarations: Declarations) -> tuple[Table, ...]:
    """
    Read every table as the arguments of CreateTable, billed on demand, for nothing here has a capacity.

    Raises:
        ResourceFault: A table has no key.
    """
    tables = []
    for logical_id in declarations.of(*_TABLES):
        definition: dict[str, Any] = {"TableName": declarations.name(logical_id), "BillingMode": "PAY_PER_REQUEST"}
        for member, parts in _TABLE_MEMBERS.items():
            if items := declarations.items(logical_id, member):
                trail: Trail = ("Resources", logical_id, "Properties", member)
                definition[member] = [_only(parts, item, trail) for item in items]
        if not definition.get("KeySchema") or not definition.get("AttributeDefinitions"):
            raise ResourceFault(
                f"the table {logical_id} lacks KeySchema or AttributeDefinitions", ("Resources", logical_id)
            )
        expires = declarations.flag(logical_id, "TimeToLiveSpecification", "Enabled")
        tables.append(
            Table(
                logical_id=logical_id,
                name=definition["TableName"],
                definition=definition,
                ttl_attribute=declarations.text(logical_id, "TimeToLiveSpecification", "AttributeName")
                if expires
                else None,
            )
        )
    return tuple(tables)


def read_schedules(declarations: Declarations, functions: DeclaredFunctions) -> tuple[Schedule, ...]:
    """Read EventBridge Scheduler's schedules and EventBridge's rules that have one and lead to a function."""
    return (*_read_scheduler(declarations, functions), *_read_rules(declarations, functions))


def _read_scheduler(declarations: Declarations, functions: DeclaredFunctions) -> Iterator[Schedule]:
    for logical_id in declarations.of("AWS::Scheduler::Schedule"):
        expression = declarations.text(logical_id, "ScheduleExpression")
        if expression is None:
            raise ResourceFault(f"the schedule {logical_id} has no ScheduleExpression", ("Resources", logical_id))
        function = _target(declarations, functions, logical_id, declarations.mapping(logical_id, "Target"))
        if function is not None:
            yield Schedule(
                logical_id=logical_id,
                name=declarations.name(logical_id),
                arn=_scheduler_arn(declarations, logical_id),
                kind="scheduler",
                expression=expression,
                timezone=declarations.text(logical_id, "ScheduleExpressionTimezone") or "UTC",
                function=function,
                enabled=declarations.text(logical_id, "State") != "DISABLED",
                **_delivery(declarations.mapping(logical_id, "Target"), ("Resources", logical_id)),
            )


def _read_rules(declarations: Declarations, functions: DeclaredFunctions) -> Iterator[Schedule]:
    for logical_id in declarations.of("AWS::Events::Rule"):
        expression = declarations.text(logical_id, "ScheduleExpression")
        if expression is None:
            declarations.warnings.append(
                f"The rule {logical_id} waits for events that nothing here sends, so it never fires."
            )
            continue
        kind: Literal["rule"] = "rule"
        for position, target in enumerate(declarations.items(logical_id, "Targets")):
            function = _target(declarations, functions, logical_id, target if isinstance(target, dict) else {})
            if function is None:
                continue
            if "InputPath" in target or "InputTransformer" in target:
                declarations.warnings.append(
                    f"The rule {logical_id} changes the event for {function}; here the whole event is sent."
                )
            yield Schedule(
                logical_id=f"{logical_id}.{target.get('Id', position)}" if position else logical_id,
                name=declarations.name(logical_id),
                arn=declarations.arn(logical_id),
                kind=kind,
                expression=expression,
                function=function,
                enabled=declarations.text(logical_id, "State") != "DISABLED",
                **_delivery(target, ("Resources", logical_id)),
            )


def _target(
    declarations: Declarations, functions: DeclaredFunctions, logical_id: str, target: Mapping[str, Any]
) -> str | None:
    """Give the function that a target names, or None, with a warning, when nothing here can be invoked by it."""
    arn = text_of(target.get("Arn"), f"the target of {logical_id}", ("Resources", logical_id))
    function = functions.named(arn)
    if function in functions.runnable:
        return function
    if function is None:  # of a function that cannot run, its own warning tells
        declarations.warnings.append(f"{logical_id} never fires: its target {arn} is no function of this template.")
    return None


def _delivery(target: Mapping[str, Any], trail: Trail) -> dict[str, Any]:
    """Give what a target says of its input, and of how often and for how many seconds delivery is tried again."""
    given = target.get("Input")
    policy = target.get("RetryPolicy") or {}
    try:
        return {
            "input": given if given is None or isinstance(given, str) else json.dumps(given),
            "retries": int(policy.get("MaximumRetryAttempts", 185)),
            "max_age": float(policy.get("MaximumEventAgeInSeconds", 86_400)),
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise ResourceFault("RetryPolicy wants two numbers", trail) from error


def _scheduler_arn(declarations: Declarations, logical_id: str) -> str:
    group = declarations.text(logical_id, "GroupName") or "default"
    return declarations.arn(logical_id).replace(":schedule/default/", f":schedule/{group}/")


def _only(parts: tuple[str, ...], item: object, trail: Trail) -> dict[str, Any]:
    """Take the parts that CreateTable takes; a capacity, for example, means nothing here."""
    if not isinstance(item, dict) or not item.keys() >= set(parts):
        raise ResourceFault(f"each of {trail[-1]} wants {', '.join(parts)}", trail)
    return {part: item[part] for part in parts}
