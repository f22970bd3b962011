import asyncio
import threading

import pytest

from local.services.threads import in_thread


async def test_many_that_wait_keep_nobody_else_waiting():
    go = threading.Event()
    waiting = [asyncio.create_task(in_thread(go.wait, 10)) for _ in range(40)]
    async with asyncio.timeout(2):
        assert await in_thread(sum, (1, 2)) == 3
    go.set()
    assert await asyncio.gather(*waiting) == [True] * 40


async def test_what_goes_wrong_is_raised_where_it_is_awaited():
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


def test_one_that_still_waits_does_not_hold_up_the_end():
    go = threading.Event()

    async def ask():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(go.wait, 10), 0.01)

    ends = threading.Thread(target=asyncio.run, args=(ask(),), daemon=True)
    ends.start()
    ends.join(2)
    assert not ends.is_alive()
    go.set()
