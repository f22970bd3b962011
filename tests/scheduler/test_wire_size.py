"""The bytes of an hour stay within their bounds, and the README's table is the benchmark's."""

from __future__ import annotations

import pytest

from tests.benchmarks.__main__ import README, with_table
from tests.benchmarks.bench_wire import PUSH, TARGETS, TICKS, sent, table

MINUTES = 4


@pytest.mark.contract
async def test_an_hour_is_within_its_bounds_as_some_minutes_of_it_show():
    first = await sent(12)
    more = await sent(12 * MINUTES)
    megabytes = {how: (more[how] - first[how]) / (12 * (MINUTES - 1)) * TICKS / 1e6 for how in more}
    assert set(megabytes) == {"batch", "single", "compact"}
    assert {how: megabytes[how] for how, target in TARGETS.items() if megabytes[how] > target} == {}
    assert megabytes["compact"] < megabytes["batch"] / 3 < megabytes["single"] < PUSH


def test_the_readmes_table_is_what_the_benchmark_writes():
    text = README.read_text(encoding="utf-8")
    written = text.partition("<!-- bench: wire -->\n")[2].partition("\n<!-- /bench -->")[0]
    cells = [line.strip("| ").split(" | ") for line in written.splitlines()[4:]]
    figures = {name.strip("`"): float(megabytes) for name, megabytes, *_ in cells}
    rows = [{"name": name, "value": value} for name, value in figures.items()]
    assert table(rows) == written
    assert all(figures[how] <= target for how, target in TARGETS.items())


def test_a_table_takes_the_place_of_the_one_before_and_of_no_other():
    text = "a\n<!-- bench: x -->\nold\n<!-- /bench -->\nb\n<!-- bench: y -->\n<!-- /bench -->\n"
    assert with_table(text, "x", "new") == text.replace("old", "new")
    assert with_table(text, "y", "new").endswith("b\n<!-- bench: y -->\nnew\n<!-- /bench -->\n")
    with pytest.raises(ValueError, match="no place for the table of z"):
        with_table(text, "z", "new")
