"""
Plays EventBridge: a template's schedules, on APScheduler.

A rate fires at once and then at its interval, so that nobody has to wait a minute for the first tick; an ``at()`` that
has passed never fires. Firings may overlap, as each is an asynchronous invocation. A function's errors are tried again
as the function's own settings say: a schedule's RetryPolicy is for deliveries to Lambda that fail, and none does here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from local.stack import Schedule

_RATE = re.compile(r"rate\((\d+)\s+(minute|hour|day)(s?)\)")
_CRON = re.compile(r"cron\((.*)\)")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# AWS counts from Sunday, 1, APScheduler from Monday, 0.
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NTH = ("1st", "2nd", "3rd", "4th", "5th")


class BadSchedule(ValueError):
    """An expression that EventBridge would refuse, or that this emulator cannot follow; ``reason`` says which part."""

    def __init__(self, schedule: Schedule, reason: str) -> None:
        super().__init__(schedule, reason)
        self.schedule = schedule
        self.reason = reason

    def __str__(self) -> str:
        return f"schedule {self.schedule.logical_id}: {self.schedule.expression!r}: {self.reason}"


class Schedules:
    """
    The schedules of a stack; those that are disabled are left out.

    Args:
        invoke_later: Takes the function's logical id and the event: ``Functions.invoke_later``.
        now: The time in UTC, for the events.

    Raises:
        BadSchedule: An expression cannot be followed.
    """

    def __init__(
        self,
        schedules: Iterable[Schedule],
        invoke_later: Callable[[str, bytes], object],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._invoke_later = invoke_later
        self._now = now
        self._triggers = [(schedule, trigger(schedule)) for schedule in schedules if schedule.enabled]
        self._scheduler: Any = None

    def start(self) -> None:
        """Begin to fire, on the running event loop: rates at once, everything else when its time comes."""
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        for schedule, one in self._triggers:
            if isinstance(one, DateTrigger) and one.run_date < self._now():
                continue
            first = {"next_run_time": datetime.now(UTC)} if isinstance(one, IntervalTrigger) else {}
            # A laptop that slept fires once when it wakes, however many times it missed.
            self._scheduler.add_job(
                self._fire, one, args=[schedule], coalesce=True, misfire_grace_time=None, max_instances=2, **first
            )
        self._scheduler.start()

    def close(self) -> None:
        """Fire no more."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    async def _fire(self, schedule: Schedule) -> None:
        self._invoke_later(schedule.function, event(schedule, self._now()))


def event(schedule: Schedule, now: datetime) -> bytes:
    """Return what the function gets when ``schedule`` fires at ``now``: its input, or the envelope of its service."""
    instant = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if schedule.input is not None:
        return _input(schedule, schedule.input, instant).encode()
    region, account = schedule.arn.split(":")[3:5]
    return msgspec.json.encode(
        {
            "version": "0",
            "id": str(uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler" if schedule.kind == "scheduler" else "aws.events",
            "account": account,
            "time": instant,
            "region": region,
            "resources": [schedule.arn],
            # EventBridge Scheduler really sends a string here, a rule an object.
            "detail": "{}" if schedule.kind == "scheduler" else {},
        }
    )


def _input(schedule: Schedule, template: str, instant: str) -> str:
    if schedule.kind == "scheduler":
        for placeholder, value in (
            ("schedule-arn", schedule.arn),
            ("scheduled-time", instant),
            ("execution-id", uuid4().hex[:16]),
            ("attempt-number", "1"),
        ):
            template = template.replace(f"<aws.scheduler.{placeholder}>", value)
    return template


def trigger(schedule: Schedule) -> Any:  # noqa: ANN401  # APScheduler has no types
    """Return APScheduler's trigger for ``schedule``; raises BadSchedule."""
    expression = schedule.expression.strip()
    if found := _RATE.fullmatch(expression):
        return _rate(schedule, int(found[1]), found[2], plural=bool(found[3]))
    if found := _CRON.fullmatch(expression):
        return _cron(schedule, found[1].split())
    if found := _AT.fullmatch(expression):
        if schedule.kind == "rule":
            raise BadSchedule(schedule, "a rule knows rate(...) and cron(...) only")
        zone = _zone(schedule)
        try:
            return DateTrigger(run_date=datetime.fromisoformat(found[1]).replace(tzinfo=zone))
        except ValueError as fault:
            raise BadSchedule(schedule, f"{fault}") from fault
    raise BadSchedule(schedule, "an expression is rate(5 minutes), cron(0 12 * * ? *) or at(2030-01-31T12:00:00)")


def _rate(schedule: Schedule, count: int, unit: str, *, plural: bool) -> IntervalTrigger:
    if count == 0:
        raise BadSchedule(schedule, "a rate is at least 1")
    if schedule.kind == "rule" and plural == (count == 1):
        raise BadSchedule(schedule, f"a rule wants {unit!r} after 1 and {unit + 's'!r} after any other number")
    return IntervalTrigger(**{f"{unit}s": count}, timezone=UTC)


def _cron(schedule: Schedule, fields: list[str]) -> CronTrigger:
    try:
        minute, hour, day, month, weekday, year = (field.upper() for field in fields)
    except ValueError:
        reason = f"cron has six fields (minutes hours day-of-month month day-of-week year), here are {len(fields)}"
        raise BadSchedule(schedule, reason) from None
    if (day == "?") == (weekday == "?"):
        raise BadSchedule(schedule, "exactly one of day-of-month and day-of-week is '?'")
    try:
        days, weekdays = (_days(day), "*") if weekday == "?" else _weekdays(weekday)
        return CronTrigger(
            second=0,
            minute=_numbers(minute, 0, 59),
            hour=_numbers(hour, 0, 23),
            day=days,
            month=_numbers(month, 1, 12, _MONTHS),
            day_of_week=weekdays,
            year=_numbers(year, 1970, 2199),
            timezone=_zone(schedule),
        )
    except BadSchedule:
        raise
    except ValueError as fault:
        raise BadSchedule(schedule, f"{fault}") from fault


def _zone(schedule: Schedule) -> ZoneInfo:
    # A rule knows no time zone but UTC.
    name = schedule.timezone if schedule.kind == "scheduler" else "UTC"
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as fault:
        raise BadSchedule(schedule, f"there is no time zone {name!r} on this machine") from fault


def _days(field: str) -> str:
    """Translate a day-of-month field."""
    if field == "L":
        return "last"
    if "W" in field or "L" in field:
        raise ValueError(f"{field!r}: of the day-of-month letters this emulator knows L alone")
    return _numbers(field, 1, 31)


def _weekdays(field: str) -> tuple[str, str]:
    """Translate a day-of-week field to APScheduler's day and day_of_week."""
    if found := re.fullmatch(r"(\w+)#([1-5])", field):
        return f"{_NTH[int(found[2]) - 1]} {_weekday(_number(found[1], 1, 7, _DAYS))}", "*"
    if "#" in field:
        raise ValueError(f"{field!r}: '#' stands alone, between a day and one of 1 to 5")
    if field == "L":
        field = "SAT"
    elif found := re.fullmatch(r"(\w+)L", field):
        return f"last {_weekday(_number(found[1], 1, 7, _DAYS))}", "*"
    if field == "*":
        return "*", "*"
    return "*", ",".join(_weekday(int(number)) for number in _numbers(field, 1, 7, _DAYS).split(","))


def _weekday(number: int) -> str:
    return _DAYS[number - 1].lower()


def _numbers(field: str, least: int, most: int, names: tuple[str, ...] = ()) -> str:
    """Return the numbers that a field means, in order and separated by commas; ``*`` stays as it is."""
    if field == "*":
        return field
    numbers: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if slash and not step.isdecimal():
            raise ValueError(f"{part!r}: a step is a number")
        if slash and int(step) == 0:
            raise ValueError(f"{part!r}: a step is at least 1")
        begin, dash, end = span.partition("-")
        first = least if begin == "*" else _number(begin, least, most, names)
        # A step without an end goes on to the last value: 0/15 is every quarter of an hour.
        last = _number(end, least, most, names) if dash else most if slash or begin == "*" else first
        if first > last:
            raise ValueError(f"{part!r}: a range goes upwards")
        numbers.update(range(first, last + 1, int(step or 1)))
    return ",".join(str(number) for number in sorted(numbers))


def _number(text: str, least: int, most: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + 1
    if not text.isdecimal() or not least <= int(text) <= most:
        choice = f"{least} to {most}" + (f" or {names[0]} to {names[-1]}" if names else "")
        raise ValueError(f"{text!r} is not one of {choice}")
    return int(text)
