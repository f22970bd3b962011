"""What the simulation says: that it runs the real code, holds the quota, and adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler import list_prices, simulation
from scheduler.bill import MINUTES, SECONDS, bill, elsewhere, tiered
from scheduler.simulate import table
from scheduler.simulation import PERCENTILES, Result, Scenario, simulate
from tests.benchmarks.__main__ import README
from tests.benchmarks.bench_simulate import PLAIN, ROWS

SMALL = replace(PLAIN, clients=900, threshold=300)


def test_everybody_gets_every_tick_and_the_times_are_in_order():
    result = simulate(SMALL)
    assert (result.ticks, result.posts, result.limited, result.dropped, result.late) == (2, 1_800, 0, 0, 0)
    assert result.functions == 3
    assert len(result.delivered_in) == 1_800
    times = [result.percentile(part) for part in PERCENTILES]
    assert times == sorted(times)
    assert 0.05 < times[0] < times[-1] < 2


def test_the_same_scenario_has_the_same_result_and_another_seed_another():
    assert simulate(SMALL) == simulate(SMALL)
    assert simulate(replace(SMALL, seed=2)).delivered_in != simulate(SMALL).delivered_in


def test_up_to_the_threshold_the_tick_posts_itself_with_less_of_a_processor():
    alone = simulate(replace(SMALL, threshold=900))
    assert (alone.functions, alone.posts) == (0, 1_800)
    assert alone.percentile(99) > simulate(replace(SMALL, threshold=100)).percentile(99)


def test_a_slower_gateway_delivers_later():
    slow = simulate(replace(SMALL, post_latency=0.2))
    assert slow.percentile(50) > simulate(SMALL).percentile(50) + 0.1


def test_no_more_is_posted_than_the_limit_allows_and_the_rest_is_late():
    result = simulate(replace(SMALL, quota=50, limit=50, burst=30))
    assert result.limited == 0
    assert result.posts <= 2 * 30 + 50 * result.seconds
    assert result.posts + result.late == 1_800
    assert result.posts > 300


def test_a_scheduler_that_believes_in_too_high_a_quota_meets_429():
    result = simulate(replace(SMALL, quota=50, limit=5_000, burst=30))
    assert result.limited > 100
    assert result.dropped > 0
    assert result.posts + result.dropped + result.late == 1_800
    assert result.posts <= 30 + 50 * result.seconds


def test_groups_that_stand_for_others_say_the_same_as_all_of_them(monkeypatch):
    many = replace(PLAIN, clients=2_400, threshold=30, shards=80, quota=400, limit=400, burst=160)
    some = simulate(many)
    monkeypatch.setattr(simulation, "GROUPS_RUN", 80)
    every = simulate(many)
    assert some.posts == pytest.approx(every.posts, rel=0.05)
    assert some.late == pytest.approx(every.late, rel=0.05)
    assert some.percentile(50) == pytest.approx(every.percentile(50), rel=0.05)
    assert some.functions == every.functions == 80


def test_all_streams_share_the_quota_over_half_a_minute():
    result = simulate(replace(SMALL, streams=["market", "signals", "binary"]))
    assert (result.seconds, result.ticks, result.posts, result.functions) == (30, 8, 8 * 900, 9)


def test_nothing_delivered_has_no_times():
    assert Result(10).percentile(50) is None


def test_the_messages_of_a_month_are_billed_by_tiers():
    assert tiered(1e9) == pytest.approx(1_000)
    assert tiered(3e9) == pytest.approx(1_000 + 2 * 800)


def test_a_bill_adds_up_to_what_one_counts_by_hand():
    one = replace(PLAIN, clients=100)
    lines = bill(one, Result(10, ticks=2, posts=200))
    delivered = 100 * SECONDS / 5
    assert lines["API Gateway, messages"] == pytest.approx((delivered + 2 * 100 * MINUTES / 115) * 1e-6)
    assert lines["API Gateway, connections"] == pytest.approx(100 * MINUTES * list_prices.CONNECTION_MINUTE)
    assert lines["Lambda, the minute's runs"] == pytest.approx(20.7, abs=0.1)
    assert lines["Lambda, groups"] == 0
    assert all(cost >= 0 for cost in lines.values())


def test_what_was_posted_by_groups_costs_their_seconds():
    one = replace(PLAIN, clients=10_000)
    lines = bill(one, Result(10, functions=5, posts=20_000, busy=10))
    assert lines["Lambda, groups"] == pytest.approx(SECONDS * 1.7275 * 1.33334e-5 + SECONDS / 5 * 5 * 0.2e-6, rel=1e-3)


def test_other_engines_deliver_everything_for_about_a_dollar_a_million_and_tasks_by_their_number():
    few, many = (elsewhere(replace(PLAIN, clients=clients)) for clients in (100, 100_000))
    assert many["AppSync Events"] == pytest.approx(1_000 * few["AppSync Events"])
    egress = 100 * SECONDS / 5 * 2_750 / 1e9 * 0.09
    assert few["IoT Core"] - egress == pytest.approx(100 * (SECONDS / 5 * 1e-6 + MINUTES * 0.08e-6))
    assert few["always-on tasks"] - egress == pytest.approx(32.5, abs=0.5)


def test_the_readmes_table_is_the_simulations():
    quick = [one for one in ROWS if one.clients <= 10_000]
    written = README.read_text(encoding="utf-8").partition("<!-- bench: simulate -->\n")[2].partition("\n<!--")[0]
    lines = written.splitlines()
    assert table([(one, simulate(one)) for one in quick]).splitlines() == lines[: 2 + len(quick)]
    assert len(lines) == 2 + len(ROWS)


def test_the_readmes_scenario_is_the_commands_default():
    assert isinstance(PLAIN, Scenario)
    assert (PLAIN.post_latency, PLAIN.quota, PLAIN.burst, PLAIN.threshold) == (0.008, 10_000, 5_000, 2_000)
