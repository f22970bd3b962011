"""What processes want of the processors, by figures and in one real process."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from local.functions import demand
from local.functions.demand import Demand, processors, taken

if TYPE_CHECKING:
    from collections.abc import Callable

EMULATOR = os.getpid()
Counters = dict[int, float]


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> Counters:
    """Two processes and the emulator, none of which has done anything; there are two processors."""
    seconds: Counters = {EMULATOR: 5.0, 1: 2.0, 2: 3.0}
    monkeypatch.setattr(demand, "taken", lambda pid: (0.0, seconds[pid]))
    monkeypatch.setattr(demand, "processors", lambda: 2)
    return seconds


@pytest.mark.parametrize(
    ("own", "one", "two", "nothing_left"),
    [
        (0.0, 0.0, 0.0, False),
        (0.0, 1.0, 1.0, True),
        (0.1, 0.7, 0.7, True),
        (0.0, 0.7, 0.7, False),
        # They wait most of the time: it is the emulator that computes.
        (1.9, 0.2, 0.2, False),
        (1.0, 0.3, 0.3, True),
    ],
)
def test_nothing_is_left_when_processes_compute_and_fill_the_processors(
    counters: Counters, own: float, one: float, two: float, *, nothing_left: bool
) -> None:
    since = Demand([1, 2], 10.0)
    for pid, share in ((EMULATOR, own), (1, one), (2, two)):
        counters[pid] += share * 0.02
    assert since.leaves_nothing(10.02) is nothing_left


@pytest.mark.parametrize(("share", "nothing_left"), [(1.9, True), (1.7, False)])
def test_nothing_is_left_when_the_emulator_alone_has_all_processors(
    monkeypatch: pytest.MonkeyPatch, share: float, *, nothing_left: bool
) -> None:
    had = {EMULATOR: 5.0, 1: 2.0}
    monkeypatch.setattr(demand, "taken", lambda pid: (had[pid], 0.0))
    monkeypatch.setattr(demand, "processors", lambda: 2)
    since = Demand([1], 10.0)
    had[EMULATOR] += share * 0.02
    assert since.leaves_nothing(10.02) is nothing_left


@pytest.mark.usefixtures("counters")
def test_without_a_process_or_time_there_is_no_demand() -> None:
    assert not Demand([], 10.0).leaves_nothing(11.0)
    assert not Demand([1], 10.0).leaves_nothing(10.0)


@pytest.mark.skipif(sys.platform != "linux", reason="the counters are Linux's")
def test_computing_is_wanting_and_sleeping_is_not() -> None:
    def share(work: Callable[[], None]) -> float:
        began, before = time.perf_counter(), sum(taken(EMULATOR))
        work()
        return (sum(taken(EMULATOR)) - before) / (time.perf_counter() - began)

    def compute() -> None:
        until = time.perf_counter() + 0.05
        while time.perf_counter() < until:
            pass

    assert share(compute) > 0.5
    assert share(lambda: time.sleep(0.05)) < 0.5


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    assert taken(2**22 + 1) == (0.0, 0.0)


def test_there_is_a_processor() -> None:
    assert processors() >= 1
