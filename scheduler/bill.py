"""What a month of a simulated deployment costs, line by line, and what other engines would cost instead."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from handlers.hub.protocol import PERIOD_MS
from scheduler import list_prices as price
from scheduler.report import METRICS

if TYPE_CHECKING:
    from scheduler.simulation import Result, Scenario

HOURS: Final = 730
"""Hours of a month."""

MINUTES: Final = HOURS * 60
SECONDS: Final = MINUTES * 60

MESSAGE_BYTES: Final = {"market": 2_750, "signals": 3_000, "binary": 16_000}
"""The mean message of a tick to who follows everything: the market's as ``bench_wire`` has it, the others' about."""

ROTATION_MINUTES: Final = 115
"""How long a connection lasts: ``ConnectionMaxAgeMs``."""

ROW_BYTES: Final = 200
SNAPSHOT_KB: Final = {"market": 4, "signals": 12, "binary": 8}
"""What a connection and a snapshot take in the table, about."""

RUN_S: Final = 71
TICK_GB: Final = 0.5
FANOUT_GB: Final = 1_769 / 1_024
ROUTE_GB_S: Final = 0.25 * 0.02
"""The template's functions: the minute's run, a group's, and about 20 ms of 256 MB for a connect, message or leave."""

LOG_LINE_KB: Final = 1.0

CLIENTS_OF_A_TASK: Final = 20_000
"""How many followers one task of 1 vCPU and 2 GB is given here: a fifth of a core for 4,000 messages a second."""


def bill(scenario: Scenario, result: Result) -> dict[str, float]:
    """
    Compute the month's lines, in USD, for clients that are always connected.

    What was not delivered in the simulation is not billed. Costs of the page, of alarms and of a person's mails are
    left out.
    """
    often = SECONDS / result.seconds
    ticks = {stream: SECONDS * 1000 / PERIOD_MS[stream] for stream in scenario.streams}
    all_ticks = sum(ticks.values())
    groups = result.functions // len(scenario.streams)
    rotations = scenario.clients * MINUTES / ROTATION_MINUTES
    messages = result.posts * often + 2 * rotations  # each new socket subscribes, and is answered
    routes = 3 * rotations  # connect, subscribe, disconnect
    mean_bytes = sum(MESSAGE_BYTES[one] * count for one, count in ticks.items()) / all_ticks
    reads_a_tick = max(scenario.shards, scenario.clients * ROW_BYTES / 4_096)
    # A claim and a commit, the snapshot, and for each group a turn, a sign of life and a tally.
    writes = sum(count * (2 + SNAPSHOT_KB[one] + 3 * groups) for one, count in ticks.items()) + 3 * rotations
    fanout_seconds = result.busy * often if groups else 0.0
    return {
        "API Gateway, messages": tiered(messages),
        "API Gateway, connections": scenario.clients * MINUTES * price.CONNECTION_MINUTE,
        "data to the internet": messages * mean_bytes / 1e9 * price.EGRESS_GB,
        "Lambda, the minute's runs": MINUTES * (RUN_S * TICK_GB * price.LAMBDA_GB_SECOND + price.LAMBDA_REQUEST),
        "Lambda, groups": fanout_seconds * FANOUT_GB * price.LAMBDA_GB_SECOND
        + all_ticks * groups * price.LAMBDA_REQUEST,
        "Lambda, routes": routes * (ROUTE_GB_S * price.LAMBDA_GB_SECOND + price.LAMBDA_REQUEST),
        "DynamoDB": writes * price.WRITE_UNIT + all_ticks * reads_a_tick * price.READ_UNIT,
        "CloudWatch": len(METRICS) * len(scenario.streams) * price.METRIC
        + all_ticks * (1 + groups) * LOG_LINE_KB / 1e6 * price.LOG_GB,
        "EventBridge Scheduler": MINUTES * price.SCHEDULE,
    }


def tiered(messages: float) -> float:
    """Price API Gateway's messages of a month."""
    cost, left = 0.0, messages
    for size, each in price.MESSAGES:
        cost += min(left, size) * each
        left = max(0.0, left - size)
    return cost


def elsewhere(scenario: Scenario) -> dict[str, float]:
    """
    Price delivering every tick of the same month by other engines, in USD, data to the internet included.

    The always-on tasks hold the sockets themselves; how many clients one serves is an assumption.
    """
    ticks = {stream: SECONDS * 1000 / PERIOD_MS[stream] for stream in scenario.streams}
    egress = scenario.clients * sum(MESSAGE_BYTES[one] * count for one, count in ticks.items()) / 1e9 * price.EGRESS_GB
    # Both meter by 5 KB.
    units = scenario.clients * sum(ceil(MESSAGE_BYTES[one] / 5_120) * count for one, count in ticks.items())
    minutes = scenario.clients * MINUTES
    tasks = max(1, ceil(scenario.clients / CLIENTS_OF_A_TASK))
    task = price.FARGATE_VCPU_HOUR + 2 * price.FARGATE_GB_HOUR + price.PUBLIC_IPV4_HOUR
    balancer = price.BALANCER_HOUR if tasks > 1 else 0.0
    return {
        "AppSync Events": units * price.APPSYNC_OPERATION + minutes * price.APPSYNC_MINUTE + egress,
        "IoT Core": units * price.IOT_MESSAGE + minutes * price.IOT_MINUTE + egress,
        "always-on tasks": (tasks * task + balancer) * HOURS + egress,
    }
