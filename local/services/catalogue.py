"""
Which services moto answers for here, by the names that their hosts begin with.

Only those are listed that keep what they are sent and give it back. Of the others moto has canned answers (models,
speech, translations), or starts what never ends (state machines): a refusal is the better answer there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """
    One service.

    ``module`` is moto's package, ``extra`` what ``pip install 'moto[…]'`` calls it; ``target`` stands before the
    operation's name in ``X-Amz-Target`` (empty for those without); ``iam`` before it in policies. ``note`` says what
    it does not do here; ``is_public`` that some of its operations are not signed at all.
    """

    module: str
    iam: str
    target: str = ""
    extra: str = ""
    note: str = ""
    is_public: bool = False


SERVICES = {
    "cognito-identity": Service("cognitoidentity", "cognito-identity", "AWSCognitoIdentityService", is_public=True),
    "cognito-idp": Service("cognitoidp", "cognito-idp", "AWSCognitoIdentityProviderService", is_public=True),
    "email": Service("ses", "ses", note="no mail leaves this machine"),
    "events": Service("events", "events", "AWSEvents", note="no rule hears of an event"),
    "kinesis": Service("kinesis", "kinesis", "Kinesis_20131202", note="no function reads from a stream"),
    "kms": Service("kms", "kms", "TrentService"),
    "logs": Service("logs", "logs", "Logs_20140328"),
    "monitoring": Service("cloudwatch", "cloudwatch", "GraniteServiceVersion20100801", note="nobody is alarmed"),
    "s3": Service("s3", "s3", note="no function hears of an object"),
    "secretsmanager": Service("secretsmanager", "secretsmanager", "secretsmanager"),
    "sns": Service("sns", "sns", note="messages reach queues that are subscribed, and nobody else"),
    "sqs": Service("sqs", "sqs", "AmazonSQS", note="no function reads from a queue"),
    "ssm": Service("ssm", "ssm", "AmazonSSM"),
    "sts": Service("sts", "sts", is_public=True),
}

#: The names under which services sign, where their hosts begin otherwise.
_SIGNS_AS = {"ses": "email"}
_WITHOUT_REGION = {"s3", "sts"}


def signing(name: str) -> str | None:
    """Give the service that requests are signed for under ``name``, or None for one that is not here."""
    name = _SIGNS_AS.get(name, name)
    return name if name in SERVICES else None


def hosts(region: str, suffix: str) -> re.Pattern[str]:
    """
    Make the pattern of all hosts of these services in a region; its group ``service`` is the service.

    S3's buckets stand before its name, and older clients of SQS call it ``queue``.
    """
    regional = "|".join(map(re.escape, SERVICES))
    everywhere = "|".join(sorted(_WITHOUT_REGION))
    at, end = re.escape(region), re.escape(suffix)
    return re.compile(
        rf"(?P<service>{regional})\.{at}\.{end}"
        rf"|(?P<everywhere>{everywhere})\.{end}"
        rf"|(?P<queue>(?:{at}\.)?queue)\.{end}"
        rf"|[a-z0-9.-]+\.(?P<bucket>s3)(?:[.-]{at})?\.{end}"
    )


def service_of(found: re.Match[str]) -> str:
    """Give the service that a host of ``hosts`` belongs to."""
    if found["queue"]:
        return "sqs"
    return found["service"] or found["everywhere"] or found["bucket"]
