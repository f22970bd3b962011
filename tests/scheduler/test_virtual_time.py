from __future__ import annotations

import asyncio
import time

import pytest

from scheduler.virtual_time import run_virtually


def test_hours_pass_in_no_time_and_in_order():
    seen = []

    async def sleep(seconds):
        await asyncio.sleep(seconds)
        seen.append((seconds, asyncio.get_running_loop().time()))

    async def both():
        await asyncio.gather(sleep(7_200), sleep(0.001))

    began = time.monotonic()
    run_virtually(both())
    assert time.monotonic() - began < 1
    assert seen == [(0.001, pytest.approx(0.001)), (7_200, pytest.approx(7_200))]


def test_a_timeout_is_met_at_its_virtual_time():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.sleep(4)
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == pytest.approx(3)


def test_threads_take_no_time_and_hand_on_what_they_meet():
    async def main():
        with pytest.raises(KeyError):
            await asyncio.to_thread({}.__getitem__, "no")
        return await asyncio.to_thread(sum, [1, 2]), asyncio.get_running_loop().time()

    assert run_virtually(main()) == (3, 0)


def test_waiting_for_what_never_comes_is_an_error_and_no_hang():
    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing is due"):
        run_virtually(main())
