from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.clock import GridTrigger, Job, epoch_ms, follow_grid, next_point
from tests.scheduler.fakes import NOON

PERIODS = st.sampled_from([5_000, 30_000])


def at(ms):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


@given(st.integers(0, 2**43), PERIODS)
def test_the_next_point_is_the_first_multiple_of_the_period_from_now_on(now, period):
    point = next_point(now, period)
    assert point % period == 0
    assert 0 <= point - now < period


def test_the_log_names_a_trigger_by_its_period():
    assert str(GridTrigger(5_000)) == "every 5 s of the epoch"


def test_the_first_tick_comes_at_the_next_point():
    assert GridTrigger(5_000).get_next_fire_time(None, at(NOON + 1)) == at(NOON + 5_000)


def test_a_start_at_a_point_is_in_time_for_it():
    assert GridTrigger(5_000).get_next_fire_time(None, at(NOON)) == at(NOON)


def test_a_start_microseconds_after_a_point_is_not():
    just_after = at(NOON) + timedelta(microseconds=1)
    assert GridTrigger(5_000).get_next_fire_time(None, just_after) == at(NOON + 5_000)


def test_each_point_is_met_once_though_the_clock_is_set_back():
    assert GridTrigger(5_000).get_next_fire_time(at(NOON), at(NOON - 3)) == at(NOON + 5_000)


def test_points_that_were_slept_through_are_not_caught_up_with():
    after_an_hour = at(NOON + 3_600_001)
    assert GridTrigger(5_000).get_next_fire_time(at(NOON), after_an_hour) == at(NOON + 3_605_000)


def test_a_bounded_grid_ends_before_its_bound():
    trigger = GridTrigger(5_000, until=NOON + 10_000)
    assert trigger.get_next_fire_time(at(NOON), at(NOON)) == at(NOON + 5_000)
    assert trigger.get_next_fire_time(at(NOON + 5_000), at(NOON + 5_000)) is None


@given(st.integers(0, 2**43), PERIODS, st.lists(st.integers(0, 100_000), max_size=10))
def test_however_late_it_is_asked_the_grid_only_moves_forward(start, period, delays):
    trigger, now, last = GridTrigger(period), start, None
    for delay in delays:
        now += delay
        point = trigger.get_next_fire_time(last, at(now))
        assert last is None or point > last
        assert point >= at(now)
        last = point


async def nothing(seq):
    pass


async def within_a_second(awaitable):
    async with asyncio.timeout(1):
        return await awaitable


async def test_a_job_is_called_with_the_numbers_of_its_points():
    seen, stop = [], asyncio.Event()

    async def run(seq):
        seen.append((seq, epoch_ms() // 20))
        if len(seen) == 3:
            stop.set()

    started = epoch_ms()
    await within_a_second(follow_grid([Job("quick", 20, run)], stop=stop))
    numbers = [seq for seq, _ in seen]
    assert numbers == sorted(set(numbers))
    assert all(seq == current for seq, current in seen)
    assert numbers[0] * 20 >= started


async def test_a_bounded_run_ends_by_itself():
    await within_a_second(follow_grid([Job("quick", 20, nothing)], until=epoch_ms() + 30))


async def test_a_tick_that_fails_does_not_end_the_loop(caplog):
    seen, stop = [], asyncio.Event()

    async def run(seq):
        seen.append(seq)
        if len(seen) == 2:
            stop.set()
        raise RuntimeError("out of luck")

    await within_a_second(follow_grid([Job("unlucky", 20, run)], stop=stop))
    assert f"tick {seen[0]} of unlucky failed" in caplog.text
    assert "out of luck" in caplog.text


async def test_a_bounded_run_waits_for_the_tick_under_way():
    ended = []

    async def run(seq):
        await asyncio.sleep(0.08)
        ended.append(seq)

    await within_a_second(follow_grid([Job("slow", 20, run)], until=epoch_ms() + 25))
    assert len(ended) == 1


@pytest.mark.parametrize("until", [None, 40])
async def test_a_stop_ends_the_tick_under_way_at_once(until):
    stop, begun, ended = asyncio.Event(), asyncio.Event(), []

    async def run(seq):
        begun.set()
        await asyncio.sleep(60)
        ended.append(seq)

    running = asyncio.create_task(follow_grid([Job("endless", 20, run)], until=until and epoch_ms() + until, stop=stop))
    await within_a_second(begun.wait())
    stop.set()
    await within_a_second(running)
    assert ended == []


async def test_no_tick_is_begun_while_the_one_before_is_under_way():
    under_way, most = 0, 0

    async def run(seq):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1

    await within_a_second(follow_grid([Job("long", 20, run)], until=epoch_ms() + 100))
    assert most == 1


async def test_a_tick_that_begins_in_the_last_moment_is_waited_for(caplog):
    begun, ended = [], []

    async def run(seq):
        begun.append(seq)
        await asyncio.sleep(0.001)
        ended.append(seq)

    for late in range(20):
        point = next_point(epoch_ms() + 2, 20)
        await within_a_second(follow_grid([Job("quick", 20, run)], until=point + late // 7))
    assert ended == begun
    assert "raised an exception" not in caplog.text
