"""What a call of one of moto's services is about: its operation, as policies spell it, and the resource's ARN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Operations that IAM knows under another name: a batch is allowed by what is allowed one by one.
_ALLOWED_BY = {
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sns:PublishBatch": "sns:Publish",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CopyObject": "s3:PutObject",
}


def read_call(headers: Mapping[str, str], query: str, body: bytes) -> tuple[str, dict[str, Any]]:
    """
    Give the operation and the members of a call in AWS's JSON or query protocol.

    The operation is empty for a REST service; unreadable members are none, as the service itself will say.
    """
    target = headers.get("x-amz-target")
    if target is not None:
        try:
            members = msgspec.json.decode(body or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError):
            members = {}
        return target.rpartition(".")[2], members if isinstance(members, dict) else {}
    pairs = dict(parse_qsl(query))
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        pairs |= dict(parse_qsl(body.decode(errors="replace")))
    return pairs.get("Action", ""), pairs


def action_of(iam: str, operation: str) -> str:
    """Give the action that policies must allow for an operation."""
    action = f"{iam}:{operation}"
    return _ALLOWED_BY.get(action, action)


def arn_of(iam: str, members: Mapping[str, Any], path: str, *, place: str, partition: str) -> str | None:
    """
    Give the ARN of what a call is about, or None where it names nothing that an ARN could be made of.

    Args:
        iam: The service, as policies spell it.
        members: The call's own.
        path: The request's, for S3.
        place: ``region:account`` of everything here.
        partition: Of every ARN here.
    """
    for name, member in members.items():
        if isinstance(member, str) and name.lower().endswith("arn") and member.startswith("arn:"):
            return member
    text = {name: member for name, member in members.items() if isinstance(member, str)}
    made = None
    if iam == "sqs" and (queue := text.get("QueueUrl") or text.get("QueueName")):
        made = f"{place}:{queue.rpartition('/')[2]}"
    elif iam == "sns" and "Name" in text:
        made = f"{place}:{text['Name']}"
    elif iam == "kinesis" and "StreamName" in text:
        made = f"{place}:stream/{text['StreamName']}"
    elif iam == "ssm" and "Name" in text:
        made = f"{place}:parameter/{text['Name'].lstrip('/')}"
    elif iam == "secretsmanager" and (secret := text.get("SecretId") or text.get("Name")):
        return secret if secret.startswith("arn:") else None  # its ARN ends in six letters that nobody here knows
    elif iam == "s3" and path.strip("/"):
        return f"arn:{partition}:s3:::{path.strip('/')}"
    return f"arn:{partition}:{iam}:{made}" if made else None
