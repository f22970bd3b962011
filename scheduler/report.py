"""What a tick did: for the log, and as metrics."""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from scheduler.broadcast import Delivery
from scheduler.clock import epoch_ms
from scheduler.metrics import with_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FAULTS_LOGGED: Final = 5
"""At most so many faults of a provider stand in a tick's log line."""

METRICS: Final = {
    **dict.fromkeys(("lost", "followers", "posted", "gone", "limited", "failed", "late", "unread"), "Count"),
    "delivered_in": "Milliseconds",
}
"""What of a tick's line is a metric, and in which unit."""

logger = logging.getLogger("scheduler.tick")


@dataclass(slots=True)
class Report:
    """
    What a tick did.

    ``outcome`` is ``sent``; ``quiet`` (nothing has changed); ``elsewhere`` (claimed by another run);
    ``overtaken`` (a later tick came first, nothing was posted); ``late`` (stopped at its deadline) or ``failed``.
    The last two are ``lost`` ticks, of which the deployment has an alarm.
    ``groups`` says by how many functions it was posted, 0 for none but this one, and ``phases`` how long each phase
    took, in milliseconds.
    """

    stream: str
    seq: int
    outcome: str = "failed"
    full: bool = False
    changed: int = 0
    faults: Sequence[str] = ()
    reason: str = ""
    delivery: Delivery = field(default_factory=Delivery)
    groups: int = 0
    gone: int = 0
    forgotten: int = 0
    phases: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure one phase, whether it succeeds or not."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.phases[name] = round((time.perf_counter() - started) * 1000, 1)

    def members(self) -> dict[str, Any]:
        """Give what the tick's line of the log says."""
        told: dict[str, Any] = {
            "event": "tick",
            "stream": self.stream,
            "seq": self.seq,
            "outcome": self.outcome,
            "lost": int(self.outcome in {"late", "failed"}),
            "full": self.full,
            "changed": self.changed,
            "followers": self.delivery.followers,
            "posted": self.delivery.posted,
            "bytes": self.delivery.bytes,
            "gone": self.gone,
            "forgotten": self.forgotten,
            "limited": self.delivery.limited,
            "failed": self.delivery.failed,
            "late": self.delivery.late,
            "unread": self.delivery.unread,
            "delivered_in": round(self.delivery.seconds * 1000, 1),
            "ms": self.phases,
        }
        if self.groups:
            told["groups"] = self.groups
        if self.faults:
            told["faults"] = self.faults[:FAULTS_LOGGED]
        if self.reason:
            told["reason"] = self.reason
        return told

    def line(self) -> str:
        """Write the tick's line of the log: one JSON object."""
        return msgspec.json.encode(self.members()).decode()


def log(report: Report) -> None:
    """Write a report to the log, as important as it is."""
    levels = {"elsewhere": logging.DEBUG, "late": logging.WARNING, "failed": logging.ERROR}
    logger.log(levels.get(report.outcome, logging.INFO), "%s", report.line())


def print_metrics(report: Report) -> None:
    """Print a report as CloudWatch reads metrics: on Lambda a logger would put words before the line."""
    if report.outcome == "elsewhere":
        return
    dimensions = {"FunctionName": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""), "stream": report.stream}
    line = with_metrics(report.members(), METRICS, dimensions=dimensions, at=epoch_ms())
    print(msgspec.json.encode(line).decode(), flush=True)  # noqa: T201 - see above
