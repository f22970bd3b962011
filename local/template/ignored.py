"""Name what a template has and the emulator has not, and what will not work for want of it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from local.template.declarations import Declarations, listed

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Read, or without any effect on a laptop.
_QUIET = {
    "AWS::ApiGateway::Account",
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Deployment",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::IntegrationResponse",
    "AWS::ApiGatewayV2::Model",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::RouteResponse",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CDK::Metadata",
    "AWS::CloudFormation::WaitConditionHandle",
    "AWS::DynamoDB::GlobalTable",
    "AWS::DynamoDB::Table",
    "AWS::Events::Rule",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::LayerVersionPermission",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::SSM::Parameter",
    "AWS::Scheduler::Schedule",
    "AWS::Scheduler::ScheduleGroup",
}
_QUIET_SERVICES = ("AWS::IAM::",)

#: What the public site of a template with a page of its own is made of: the emulator serves that itself.
_SITE = ("AWS::CloudFront::", "AWS::S3::")

_CONSEQUENCES = {
    "AWS::ApiGateway::RestApi": "the REST API is not served",
    "AWS::CloudFormation::CustomResource": "its function is not called, and its attributes are made up",
    "AWS::CloudFormation::Stack": "nothing of the nested stack runs",
    "AWS::CloudFront::Distribution": "only the emulator's own address is served",
    "AWS::CloudWatch::Alarm": "nothing is measured and nobody alarmed",
    "AWS::CloudWatch::Dashboard": "nothing is measured",
    "AWS::Cognito::UserPool": "nobody can sign in",
    "AWS::Events::EventBus": "events sent to it go nowhere",
    "AWS::Kinesis::Stream": "records put into it go nowhere",
    "AWS::Lambda::EventSourceMapping": "nothing is read from its source, and its function not invoked by it",
    "AWS::Lambda::Url": "the function has no URL",
    "AWS::SNS::Subscription": "messages are delivered to queues only",
    "AWS::SecretsManager::Secret": "no value can be read from there",
    "Custom::": "its function is not called, and its attributes are made up",
    "AWS::StepFunctions::StateMachine": "no execution can be started",
}


def name_ignored(declarations: Declarations, *, with_page: bool) -> Iterable[str]:
    """
    Make one sentence for each type of resource that the emulator ignores, and one for all types that it never heard of.

    Args:
        declarations: What the template declares.
        with_page: The template has a page of its own (``Metadata: Tickwire``), which stands in for its public site.
    """
    ignored: dict[str, list[str]] = {}
    for logical_id in declarations.resources:
        kind = declarations.kind(logical_id)
        quiet = (*_QUIET_SERVICES, *_SITE) if with_page else _QUIET_SERVICES
        if kind == "AWS::SNS::Subscription" and declarations.text(logical_id, "Protocol") == "sqs":
            continue
        if kind not in _QUIET and not kind.startswith(quiet) and not _is_part_of_rest(kind):
            ignored.setdefault(kind, []).append(logical_id)
    unknown: list[str] = []
    for kind, logical_ids in ignored.items():
        consequence = _CONSEQUENCES.get("Custom::" if kind.startswith("Custom::") else kind)
        if consequence is None:
            guess = likely_type(kind)
            meant = f": did you mean {guess}?" if guess else ""
            unknown.append(f"{listed(logical_ids)} ({kind}{meant})")
        else:
            yield f"{listed(logical_ids)} ({kind}) {_are(logical_ids)} ignored: {consequence}."
    if unknown:
        yield (
            f"{listed(unknown)} {_are(unknown)} ignored: the emulator has nothing like that, "
            "and whatever needs it will not work."
        )
    for logical_id in declarations.of("AWS::ApiGatewayV2::Api"):
        if declarations.text(logical_id, "ProtocolType") != "WEBSOCKET":
            yield f"{logical_id} (AWS::ApiGatewayV2::Api) is ignored: it is an HTTP API, and WebSocket APIs are served."


def likely_type(kind: str) -> str | None:
    """Give the type that a misspelt one was probably meant to be; None for one spelt right, or like no other."""
    known = (*_QUIET, *_CONSEQUENCES, "AWS::IAM::Role", "AWS::IAM::Policy")
    folded = {name.lower(): name for name in known}
    if kind in known:
        return None
    close = get_close_matches(kind.lower(), folded, n=1, cutoff=0.93)
    return folded[close[0]] if close else None


def is_known(kind: str) -> bool:
    """Tell whether the emulator has resources of a type, so that what it says of them is true of something."""
    return kind in _QUIET


def _is_part_of_rest(kind: str) -> bool:
    return kind.startswith("AWS::ApiGateway::") and kind != "AWS::ApiGateway::RestApi"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
