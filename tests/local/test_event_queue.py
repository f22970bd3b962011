import asyncio
from pathlib import Path

import pytest

from local.functions.event_queue import EventQueue
from local.functions.invocations import Result
from local.stack import Function

PRICES = Function("Prices", "prices", "arn:aws:lambda:us-east-1:000000000000:function:prices", "m.f", Path("/"))


class ClockedQueue:
    """A queue whose waits pass at once, on a clock of their own, and whose function answers from a list."""

    def __init__(self, *results):
        self.results = list(results)
        self.tries = []
        self.waits = []
        self.clock = 0.0
        self.said = []
        self.queue = EventQueue(self.invoke, log=self.said.append, sleep=self.sleep, now=lambda: self.clock)

    async def invoke(self, function, event, /, *, request_id):
        self.tries.append((function, event, request_id))
        return self.results.pop(0)

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self.clock += seconds

    async def run(self, **settings):
        request_id = self.queue.put(PRICES, b"{}", **{"retries": 2, "max_age": 21_600.0, **settings})
        await asyncio.gather(*self.queue._under_way)
        return request_id


OK = Result("", b"null")
FAILED = Result("", b"{}", "Unhandled")
LOST = Result("", b"{}", "Unhandled", lost=True)


async def test_an_event_that_succeeds_is_run_once():
    queue = ClockedQueue(OK)
    request_id = await queue.run()
    assert queue.tries == [("Prices", b"{}", request_id)]
    assert queue.waits == []


async def test_a_function_that_fails_is_tried_again_after_one_minute_and_then_two():
    queue = ClockedQueue(FAILED, FAILED, OK)
    await queue.run()
    assert queue.waits == [60, 120]


async def test_all_tries_have_the_same_request_id():
    queue = ClockedQueue(FAILED, LOST, OK)
    request_id = await queue.run(request_id="r-1")
    assert request_id == "r-1"
    assert [tried[2] for tried in queue.tries] == ["r-1", "r-1", "r-1"]


async def test_an_event_is_given_up_after_its_retries_and_the_log_says_so():
    queue = ClockedQueue(FAILED, FAILED, FAILED)
    await queue.run()
    assert len(queue.tries) == 3
    assert (queue.said[-1].function, queue.said[-1].stream) == ("prices", "platform")
    assert queue.said[-1].text == "event given up: the function failed 3 times"


async def test_without_retries_a_failure_is_final():
    queue = ClockedQueue(FAILED)
    await queue.run(retries=0)
    assert queue.waits == []


async def test_a_killed_process_is_no_failure_of_the_function_and_tried_again_soon():
    queue = ClockedQueue(LOST, LOST, LOST, OK)
    await queue.run(retries=0)
    assert queue.waits == [1, 2, 4]


async def test_waits_for_a_host_never_exceed_five_minutes():
    queue = ClockedQueue(*[LOST] * 12, OK)
    await queue.run()
    assert max(queue.waits) == 300


async def test_an_event_is_not_tried_again_when_it_would_be_too_old():
    queue = ClockedQueue(LOST, LOST, OK)
    await queue.run(max_age=2.0)
    assert queue.waits == [1]
    assert "it may not be older than 2 s" in queue.said[-1].text


async def test_close_forgets_what_waits():
    asleep = asyncio.Event()

    async def sleep(seconds):
        asleep.set()
        await asyncio.Event().wait()

    async def fail(function, event, /, *, request_id):
        return FAILED

    queue = EventQueue(fail, log=lambda line: None, sleep=sleep)
    queue.put(PRICES, b"{}", retries=1, max_age=100)
    await asleep.wait()
    await asyncio.wait_for(queue.close(), 1)
    assert not queue._under_way


async def test_events_do_not_wait_for_each_other():
    release = asyncio.Event()
    done = []

    async def invoke(function, event, /, *, request_id):
        if event == b"1":
            await release.wait()
        done.append(event)
        return OK

    queue = EventQueue(invoke, log=lambda line: None)
    queue.put(PRICES, b"1", retries=0, max_age=100)
    queue.put(PRICES, b"2", retries=0, max_age=100)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*queue._under_way), 0.01)
    assert done == [b"2"]
