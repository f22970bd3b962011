"""
When a class of instruments is traded: crypto always, forex and metals from Sunday to Friday, 17:00 in New York.

That is the week of the spot markets. Their holidays (Christmas, New Year's Day) and the metals' hour of rest every
evening are not in it: none of our sources says them in a way that can be read.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

WEEKLY: Final = frozenset({"forex", "metal"})
"""The classes that rest at the weekend."""

# The week turns at 17:00 on the clocks of New York; seven hours later by them it is midnight.
_TO_MIDNIGHT: Final = timedelta(hours=7)
_SATURDAY, _SUNDAY = 5, 6


@cache
def _new_york() -> ZoneInfo:
    return ZoneInfo("America/New_York")


def is_open(kind: str, at: int) -> bool:
    """Whether the class ``kind`` is traded at ``at``, epoch milliseconds."""
    if kind not in WEEKLY:
        return True
    clock = datetime.fromtimestamp(at / 1000, UTC).astimezone(_new_york()).replace(tzinfo=None)
    return (clock + _TO_MIDNIGHT).weekday() not in {_SATURDAY, _SUNDAY}
