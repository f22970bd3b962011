"""How fast may be posted, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from scheduler.quota import Quota, part_of, quotas
from scheduler.virtual_time import run_virtually


def times(quota, count, *, after=0.0):
    """Take so many tokens at once, ``after`` seconds, and give when each was there."""

    async def take_all():
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def take():
            await quota.take()
            return loop.time() - began - after

        await asyncio.sleep(after)
        return await asyncio.gather(*(take() for _ in range(count)))

    return run_virtually(take_all())


def test_a_full_bucket_gives_its_burst_at_once_and_then_its_rate():
    assert times(Quota(100, 3), 6) == pytest.approx([0, 0, 0, 0.01, 0.02, 0.03])


def test_a_bucket_never_holds_more_than_its_burst():
    assert times(Quota(100, 2), 4, after=60) == pytest.approx([0, 0, 0.01, 0.02])


def test_who_gives_up_waiting_has_taken_nothing():
    async def main():
        quota, loop = Quota(1, 1), asyncio.get_running_loop()
        await quota.take()
        waiting = [asyncio.create_task(quota.take()) for _ in range(60)]
        await asyncio.sleep(0)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await quota.take()
        return loop.time()

    assert run_virtually(main()) == pytest.approx(1)


def test_who_does_not_wait_takes_only_what_is_there():
    async def main():
        quota, loop = Quota(100, 2), asyncio.get_running_loop()
        taken = [quota.take_now(loop.time()) for _ in range(3)]
        await asyncio.sleep(0.01)
        return [*taken, quota.take_now(loop.time()), quota.take_now(loop.time())]

    assert run_virtually(main()) == [True, True, False, True, False]


def test_the_parts_are_what_each_stream_sends_of_all_messages():
    every = ["market", "signals", "binary"]
    assert [part_of(stream, every) for stream in every] == pytest.approx([6 / 8, 1 / 8, 1 / 8])
    assert part_of("market", ["market"]) == 1
    divided = quotas(every, per_second=10_000, burst=5_000)
    assert sum(quota.per_second for quota in divided.values()) == pytest.approx(10_000)
    assert (divided["market"].burst, divided["binary"].burst) == (3_750, 625)


def test_a_stream_can_always_post_one():
    assert quotas(["market", "binary"], per_second=1, burst=1)["binary"].burst == 1
