"""
List prices of us-east-1 in USD, each with where it stands; free tiers are left out.

They change: look at the pages before you decide. What is marked with a date was last compared then.
"""

from __future__ import annotations

from typing import Final

MESSAGES: Final = ((1_000_000_000, 1.00e-6), (float("inf"), 0.80e-6))
"""API Gateway, WebSocket messages of up to 32 KB: each of the first billion a month, and each beyond.

https://aws.amazon.com/api-gateway/pricing/ (May 2025)
"""

CONNECTION_MINUTE: Final = 0.25e-6
"""API Gateway, one connection open for one minute; the same page."""

LAMBDA_REQUEST: Final = 0.20e-6
LAMBDA_GB_SECOND: Final = 0.0000133334
"""Lambda on arm64. https://aws.amazon.com/lambda/pricing/ (March 2026)"""

WRITE_UNIT: Final = 0.625e-6
READ_UNIT: Final = 0.125e-6
"""DynamoDB on demand: 1 KB written; 4 KB read, strongly consistent.

https://aws.amazon.com/dynamodb/pricing/on-demand/ (November 2024)
"""

SCHEDULE: Final = 1.00e-6
"""EventBridge Scheduler, one invocation. https://aws.amazon.com/eventbridge/pricing/ (March 2026)"""

METRIC: Final = 0.30
LOG_GB: Final = 0.50
"""CloudWatch: one metric of our own for a month; 1 GB of logs taken in. https://aws.amazon.com/cloudwatch/pricing/"""

EGRESS_GB: Final = 0.09
"""1 GB to the internet. https://aws.amazon.com/ec2/pricing/on-demand/ (first 10 TB)"""

APPSYNC_OPERATION: Final = 1.00e-6
APPSYNC_MINUTE: Final = 0.08e-6
"""AppSync Events: one message published or delivered, in units of 5 KB; one connection for a minute.

https://aws.amazon.com/appsync/pricing/
"""

IOT_MESSAGE: Final = 1.00e-6
IOT_MINUTE: Final = 0.08e-6
"""IoT Core: one message of up to 5 KB, of the first billion; one connection for a minute.

https://aws.amazon.com/iot-core/pricing/
"""

FARGATE_VCPU_HOUR: Final = 0.03238
FARGATE_GB_HOUR: Final = 0.00356
PUBLIC_IPV4_HOUR: Final = 0.005
BALANCER_HOUR: Final = 0.0225
"""Fargate on arm64, a public address, and a network load balancer without its capacity units.

https://aws.amazon.com/fargate/pricing/, https://aws.amazon.com/vpc/pricing/,
https://aws.amazon.com/elasticloadbalancing/pricing/
"""
