"""What ``Ref`` and ``Fn::GetAtt`` answer for a resource: names, ids and ARNs, the same at every start."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.regions import partition_of, suffix_of

if TYPE_CHECKING:
    from collections.abc import Callable

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"

#: The longest name that buckets take, in characters; functions, roles and schedules take 64.
_LONGEST_NAME = 63

#: The property in which a template may give a resource's physical name.
NAME_PROPERTIES = {
    "AWS::ApiGatewayV2::DomainName": "DomainName",
    "AWS::ApiGatewayV2::Stage": "StageName",
    "AWS::DynamoDB::GlobalTable": "TableName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Kinesis::Stream": "Name",
    "AWS::Lambda::Alias": "Name",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::Scheduler::ScheduleGroup": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}

#: The part of an ARN behind the account, where it is more than the name; the second word is the service's.
_ARNS = {
    "AWS::ApiGatewayV2::Api": ("apigateway", "/apis/{name}"),
    "AWS::Cognito::UserPool": ("cognito-idp", "userpool/{name}"),
    "AWS::DynamoDB::GlobalTable": ("dynamodb", "table/{name}"),
    "AWS::DynamoDB::Table": ("dynamodb", "table/{name}"),
    "AWS::Events::EventBus": ("events", "event-bus/{name}"),
    "AWS::Events::Rule": ("events", "rule/{name}"),
    "AWS::IAM::ManagedPolicy": ("iam", "policy/{name}"),
    "AWS::IAM::Role": ("iam", "role/{name}"),
    "AWS::Kinesis::Stream": ("kinesis", "stream/{name}"),
    "AWS::Lambda::Function": ("lambda", "function:{name}"),
    "AWS::Lambda::LayerVersion": ("lambda", "layer:{name}:1"),
    "AWS::Logs::LogGroup": ("logs", "log-group:{name}:*"),
    "AWS::SSM::Parameter": ("ssm", "parameter/{name}"),
    "AWS::Scheduler::Schedule": ("scheduler", "schedule/default/{name}"),
    "AWS::Scheduler::ScheduleGroup": ("scheduler", "schedule-group/{name}"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "secret:{name}"),
    "AWS::StepFunctions::StateMachine": ("states", "stateMachine:{name}"),
}

#: Types for which ``Ref`` gives the ARN.
_REF_IS_ARN = {
    "AWS::IAM::ManagedPolicy",
    "AWS::Lambda::LayerVersion",
    "AWS::SNS::Topic",
    "AWS::SecretsManager::Secret",
    "AWS::StepFunctions::StateMachine",
}

_GLOBAL_SERVICES = {"iam"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the stack pretends to be."""

    stack: str
    region: str
    account_id: str

    @property
    def partition(self) -> str:
        """The first part of every ARN: ``aws``, or another in China and for the government of the USA."""
        return partition_of(self.region)

    @property
    def url_suffix(self) -> str:
        """The domain of the region's endpoints."""
        return suffix_of(self.region)

    def pseudo_parameters(self) -> dict[str, str | list[str]]:
        """Values of ``AWS::Region`` and the like, all but ``AWS::NoValue``."""
        return {
            "AWS::AccountId": self.account_id,
            "AWS::NotificationARNs": [],
            "AWS::Partition": self.partition,
            "AWS::Region": self.region,
            "AWS::StackId": f"arn:{self.partition}:cloudformation:{self.region}:{self.account_id}:stack/{self.stack}/"
            f"{_identifier(self.stack, 12)}",
            "AWS::StackName": self.stack,
            "AWS::URLSuffix": self.url_suffix,
        }

    def name_of(self, kind: str, logical_id: str) -> str:
        """Make the physical name of a resource to which the template gives none."""
        if kind == "AWS::ApiGatewayV2::Api":
            return _identifier(f"{self.stack}/{logical_id}", 10)
        if kind.startswith("AWS::ApiGatewayV2::") and kind not in NAME_PROPERTIES:
            return _identifier(f"{self.stack}/{logical_id}", 7)
        name = f"{self.stack}-{logical_id}"
        if kind == "AWS::S3::Bucket":
            name = name.lower()
        return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 9]}-{_identifier(name, 8)}"

    def arn_of(self, kind: str, name: str) -> str:
        """Make a resource's ARN from its physical name."""
        if kind == "AWS::S3::Bucket":
            return f"arn:{self.partition}:s3:::{name}"
        service, form = _ARNS.get(kind, (kind.split("::")[1].lower() if "::" in kind else "custom", "{name}"))
        region = "" if service in _GLOBAL_SERVICES else self.region
        resource = form.format(name=name.removeprefix("/") if service == "ssm" else name)
        account = "" if kind == "AWS::ApiGatewayV2::Api" else self.account_id
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"

    def ref(self, kind: str, name: str) -> str:
        """Give what ``Ref`` answers for a resource of type ``kind`` with the physical name ``name``."""
        if kind == "AWS::SQS::Queue":
            return f"https://sqs.{self.region}.{self.url_suffix}/{self.account_id}/{name}"
        return self.arn_of(kind, name) if kind in _REF_IS_ARN else name

    def attribute(self, kind: str, name: str, attribute: str) -> str | None:
        """
        Give what ``Fn::GetAtt`` answers, or None for an attribute that the type has not.

        Only the types that the emulator runs are strict; for any other an unknown attribute is
        ``{name}.{attribute}``, so that one who meets it in a log sees where it comes from.
        """
        if attributes := _ATTRIBUTES.get(kind):
            make = attributes.get(attribute)
            return make(self, name) if make else None
        if attribute == "Arn" or (attribute.endswith("Arn") and kind in _REF_IS_ARN):
            return self.arn_of(kind, name)
        if (make := _COMMON_ATTRIBUTES.get((kind, attribute))) is not None:
            return make(self, name)
        return f"{name}.{attribute}"


def _identifier(seed: str, length: int) -> str:
    """Make ``length`` lower-case letters and digits of the seed, the first a letter as in AWS's ids of APIs."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest())
    characters = []
    for position in range(length):
        alphabet = _LETTERS[:26] if position == 0 else _LETTERS
        number, index = divmod(number, len(alphabet))
        characters.append(alphabet[index])
    return "".join(characters)


_ATTRIBUTES: dict[str, dict[str, Callable[[Place, str], str]]] = {
    "AWS::ApiGatewayV2::Api": {
        "ApiEndpoint": lambda place, name: f"wss://{name}.execute-api.{place.region}.{place.url_suffix}",
        "ApiId": lambda _, name: name,
    },
    "AWS::DynamoDB::Table": {
        "Arn": lambda place, name: place.arn_of("AWS::DynamoDB::Table", name),
        "StreamArn": lambda place, name: f"{place.arn_of('AWS::DynamoDB::Table', name)}/stream/2020-01-01T00:00:00.000",
    },
    "AWS::Lambda::Function": {
        "Arn": lambda place, name: place.arn_of("AWS::Lambda::Function", name),
    },
}

_COMMON_ATTRIBUTES: dict[tuple[str, str], Callable[[Place, str], str]] = {
    ("AWS::ApiGatewayV2::DomainName", "RegionalDomainName"): lambda place, name: (
        f"d-{_identifier(name, 10)}.execute-api.{place.region}.{place.url_suffix}"
    ),
    ("AWS::S3::Bucket", "DomainName"): lambda place, name: f"{name}.s3.{place.url_suffix}",
    ("AWS::S3::Bucket", "RegionalDomainName"): lambda place, name: f"{name}.s3.{place.region}.{place.url_suffix}",
    ("AWS::SNS::Topic", "TopicName"): lambda _, name: name,
    ("AWS::SQS::Queue", "QueueName"): lambda _, name: name,
    ("AWS::SQS::Queue", "QueueUrl"): lambda place, name: place.ref("AWS::SQS::Queue", name),
    ("AWS::StepFunctions::StateMachine", "Name"): lambda _, name: name,
}
