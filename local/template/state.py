"""Read what a template declares that keeps something, or starts something: tables, queues and the like, schedules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from local.stack import Resource, Schedule, Table
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

#: Of a queue, what CreateQueue takes under the same name.
_QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DelaySeconds",
    "FifoQueue",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "VisibilityTimeout",
)


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


def read_resources(declarations: Declarations) -> tuple[Resource, ...]:
    """Read queues, topics with the queues that are subscribed, buckets and parameters as calls that make them."""
    found: list[Resource] = []
    for logical_id in declarations.of("AWS::SQS::Queue"):
        given = {name: declarations.value(logical_id, name) for name in _QUEUE_ATTRIBUTES}
        attributes = {name: _plain(value) for name, value in given.items() if value is not None}
        members = {"QueueName": declarations.name(logical_id), "Attributes": attributes}
        found.append(Resource(logical_id, "sqs", "CreateQueue", members))
    # A queue for what failed must be there before those that name it.
    found.sort(key=lambda queue: "RedrivePolicy" in queue.members["Attributes"])
    for logical_id in declarations.of("AWS::SNS::Topic"):
        topic = {"Name": declarations.name(logical_id)}
        if declarations.flag(logical_id, "FifoTopic"):
            topic |= {"Attributes.entry.1.key": "FifoTopic", "Attributes.entry.1.value": "true"}
        found.append(Resource(logical_id, "sns", "CreateTopic", topic))
        for subscription in declarations.items(logical_id, "Subscription"):
            if isinstance(subscription, dict):
                found += _subscribed(logical_id, declarations.arn(logical_id), subscription)
    for logical_id in declarations.of("AWS::SNS::Subscription"):
        subscription = {name: declarations.value(logical_id, name) for name in ("Protocol", "Endpoint")}
        found += _subscribed(logical_id, declarations.text(logical_id, "TopicArn") or "", subscription)
    for logical_id in declarations.of("AWS::S3::Bucket"):
        found.append(Resource(logical_id, "s3", "CreateBucket", {"Bucket": declarations.name(logical_id)}))
    for logical_id in declarations.of("AWS::SSM::Parameter"):
        members = {
            "Name": declarations.name(logical_id),
            "Type": declarations.text(logical_id, "Type") or "String",
            "Value": declarations.text(logical_id, "Value") or "",
        }
        found.append(Resource(logical_id, "ssm", "PutParameter", members))
    return tuple(found)


def _subscribed(logical_id: str, topic: str, subscription: Mapping[str, Any]) -> list[Resource]:
    """Give the call that subscribes a queue; nobody else is told of messages here."""
    if subscription.get("Protocol") != "sqs":
        return []
    members = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": str(subscription.get("Endpoint"))}
    return [Resource(logical_id, "sns", "Subscribe", members)]


def _plain(value: Any) -> str:  # noqa: ANN401 - any value of a template
    """Write an attribute as SQS takes it: as text."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


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
