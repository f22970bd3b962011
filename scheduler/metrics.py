"""
A log line that is metrics as well: CloudWatch's embedded metric format.

(Amazon CloudWatch User Guide, "Specification: Embedded metric format".) Lambda's log does the rest: no call is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE: Final = "Tickwire"


def with_metrics(
    line: Mapping[str, Any], units: Mapping[str, str], *, dimensions: Mapping[str, str], at: int
) -> dict[str, Any]:
    """
    Say of a line's numbers that they are metrics.

    Args:
        line: What is logged; the numbers are its members.
        units: CloudWatch's units by the names of the numbers, such as ``Count``.
        dimensions: What tells the metrics of different sources apart; they become members of the line.
        at: Epoch milliseconds.
    """
    metrics = [{"Name": name, "Unit": unit} for name, unit in units.items() if name in line]
    directive = {"Namespace": NAMESPACE, "Dimensions": [list(dimensions)], "Metrics": metrics}
    return {"_aws": {"Timestamp": at, "CloudWatchMetrics": [directive]}, **dimensions, **line}
