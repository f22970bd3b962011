import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from local.schedules import BadSchedule, Schedules, event, trigger
from local.stack import Schedule

SCHEDULE_ARN = "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/ticks"
RULE_ARN = "arn:aws:events:eu-west-1:123456789012:rule/ticks"


def schedule(expression="rate(1 minute)", kind="scheduler", **settings):
    arn = SCHEDULE_ARN if kind == "scheduler" else RULE_ARN
    return Schedule("Ticks", "ticks", arn, kind, expression, "Tick", **settings)


def firings(expression, since, count=3, **settings):
    """Return the next instants at which an expression fires, in minutes since the epoch's calendar: ISO texts."""
    cron = trigger(schedule(expression, **settings))
    found, previous, now = [], None, datetime.fromisoformat(since).replace(tzinfo=UTC)
    for _ in range(count):
        previous = cron.get_next_fire_time(previous, now)
        if previous is None:
            break
        now = previous
        found.append(previous.astimezone(UTC).strftime("%Y-%m-%dT%H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(0/15 * * * ? *)", ["2026-01-01T00:15", "2026-01-01T00:30", "2026-01-01T00:45"]),
        ("cron(0 12 * * ? *)", ["2026-01-01T12:00", "2026-01-02T12:00", "2026-01-03T12:00"]),
        ("cron(0 18 ? * MON-FRI *)", ["2026-01-01T18:00", "2026-01-02T18:00", "2026-01-05T18:00"]),
        ("cron(0 18 ? * 2-6 *)", ["2026-01-01T18:00", "2026-01-02T18:00", "2026-01-05T18:00"]),
        ("cron(0 8 1 JAN,jul ? *)", ["2026-01-01T08:00", "2026-07-01T08:00", "2027-01-01T08:00"]),
        ("cron(0 0 L * ? *)", ["2026-01-31T00:00", "2026-02-28T00:00", "2026-03-31T00:00"]),
        ("cron(0 0 ? * 6L *)", ["2026-01-30T00:00", "2026-02-27T00:00", "2026-03-27T00:00"]),
        ("cron(0 0 ? * L *)", ["2026-01-03T00:00", "2026-01-10T00:00", "2026-01-17T00:00"]),
        ("cron(0 0 ? * 3#2 *)", ["2026-01-13T00:00", "2026-02-10T00:00", "2026-03-10T00:00"]),
        ("cron(0 0 ? * SUN-TUE *)", ["2026-01-04T00:00", "2026-01-05T00:00", "2026-01-06T00:00"]),
        ("cron(30 10-12/2 * * ? *)", ["2026-01-01T10:30", "2026-01-01T12:30", "2026-01-02T10:30"]),
        ("cron(0 0 29 2 ? 2028)", ["2028-02-29T00:00"]),
    ],
)
def test_a_cron_expression_fires_as_eventbridge_documents_it(expression, expected):
    """Source: EventBridge user guide, cron expressions reference: 1 is Sunday, 3#2 the second Tuesday, L the last."""
    assert firings(expression, "2026-01-01T00:00:01") == expected


def test_a_schedule_follows_its_time_zone_through_a_change_of_the_clock():
    assert firings("cron(0 9 * * ? *)", "2026-03-28T00:00", timezone="Europe/Berlin") == [
        "2026-03-28T08:00",
        "2026-03-29T07:00",
        "2026-03-30T07:00",
    ]


def test_a_rule_knows_no_time_zone_but_utc():
    assert firings("cron(0 9 * * ? *)", "2026-06-01T00:00", 1, kind="rule", timezone="Europe/Berlin") == [
        "2026-06-01T09:00"
    ]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("every minute", "an expression is rate(5 minutes)"),
        ("rate(0 minutes)", "at least 1"),
        ("rate(5 seconds)", "an expression is rate(5 minutes)"),
        ("cron(0 12 * * ?)", "six fields"),
        ("cron(0 12 * * * *)", "exactly one of day-of-month and day-of-week is '?'"),
        ("cron(0 12 ? * ? *)", "exactly one of day-of-month and day-of-week is '?'"),
        ("cron(60 12 * * ? *)", "'60' is not one of 0 to 59"),
        ("cron(0 12 * FOO ? *)", "'FOO' is not one of 1 to 12 or JAN to DEC"),
        ("cron(0 12 ? * 8 *)", "'8' is not one of 1 to 7 or SUN to SAT"),
        ("cron(0 12 15W * ? *)", "of the day-of-month letters this emulator knows L alone"),
        ("cron(0 12 ? * 3#1,6#3 *)", "'#' stands alone"),
        ("cron(0/0 12 * * ? *)", "a step is at least 1"),
        ("cron(0/x 12 * * ? *)", "a step is a number"),
        ("cron(0 12-10 * * ? *)", "a range goes upwards"),
        ("at(2026-13-01T00:00:00)", "month must be in 1..12"),
    ],
)
def test_an_expression_that_cannot_be_followed_is_refused_with_its_reason(expression, reason):
    with pytest.raises(BadSchedule) as refused:
        Schedules([schedule(expression)], lambda function, event: None)
    assert str(refused.value).startswith(f"schedule Ticks: {expression!r}: ")
    assert reason in str(refused.value)


def test_an_unknown_time_zone_is_refused():
    with pytest.raises(BadSchedule, match="no time zone 'Mars/Base' on this machine"):
        trigger(schedule("cron(0 9 * * ? *)", timezone="Mars/Base"))


@pytest.mark.parametrize("expression", ["rate(1 minutes)", "rate(5 minute)", "at(2030-01-01T00:00:00)"])
def test_a_rule_is_stricter_than_a_schedule(expression):
    trigger(schedule(expression))
    with pytest.raises(BadSchedule):
        trigger(schedule(expression, kind="rule"))


def test_the_event_of_a_schedule_has_a_string_for_its_detail():
    """Source: a captured event of EventBridge Scheduler without Input."""
    now = datetime(2024, 6, 13, 14, 30, 0, 999, timezone(timedelta(hours=2)))
    said = json.loads(event(schedule(), now))
    assert len(said.pop("id")) == 36
    assert list(said.items()) == [
        ("version", "0"),
        ("detail-type", "Scheduled Event"),
        ("source", "aws.scheduler"),
        ("account", "123456789012"),
        ("time", "2024-06-13T12:30:00Z"),
        ("region", "eu-west-1"),
        ("resources", [SCHEDULE_ARN]),
        ("detail", "{}"),
    ]


def test_the_event_of_a_rule_has_an_object_for_its_detail():
    said = json.loads(event(schedule(kind="rule"), datetime(2024, 6, 13, 12, 30, tzinfo=UTC)))
    assert (said["source"], said["resources"], said["detail"]) == ("aws.events", [RULE_ARN], {})


def test_an_input_is_the_whole_event_with_its_placeholders_filled():
    text = (
        '{"a":"<aws.scheduler.schedule-arn>","t":"<aws.scheduler.scheduled-time>","n":"<aws.scheduler.attempt-number>"}'
    )
    said = json.loads(event(schedule(input=text), datetime(2024, 6, 13, 12, 30, tzinfo=UTC)))
    assert said == {"a": SCHEDULE_ARN, "t": "2024-06-13T12:30:00Z", "n": "1"}


def test_a_rule_knows_no_placeholders():
    text = '{"a":"<aws.scheduler.attempt-number>"}'
    assert event(schedule(kind="rule", input=text), datetime.now(UTC)) == text.encode()


async def test_a_rate_fires_at_once_and_everything_else_in_its_time():
    fired = asyncio.Queue()
    schedules = Schedules(
        [
            schedule("cron(0 0 1 1 ? 2199)", input='"cron"'),
            schedule("at(2020-01-01T00:00:00)", input='"past"'),
            schedule("rate(1 day)", input='"disabled"', enabled=False),
            schedule("rate(1 day)", input='"rate"'),
        ],
        lambda function, event: fired.put_nowait((function, event)),
    )
    schedules.start()
    try:
        assert await asyncio.wait_for(fired.get(), 2) == ("Tick", b'"rate"')
        assert fired.empty()
    finally:
        schedules.close()
        schedules.close()
