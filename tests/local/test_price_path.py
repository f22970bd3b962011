"""The price of a moment: pure, consistent and distributed as geometric Brownian motion is."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from statistics import correlation, fmean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.exchange.price_path import FAN_OUT, LEVELS, SECONDS_A_YEAR, Noise, PricePath

NOW = 1_790_000_000
levels = st.integers(0, len(LEVELS) - 2)
moments = st.integers(-(10**9), 4 * 10**9)


def path(seed: str = "a", **options) -> PricePath:
    return PricePath(Noise(seed), volatility=0.6, **options)


@given(moments=st.lists(moments, min_size=2, max_size=5))
@settings(max_examples=15, deadline=None)
def test_a_moment_has_one_price_in_whatever_order_moments_are_asked_for(moments):
    forwards, backwards = path(), path()
    assert [forwards.at(moment) for moment in moments] == [backwards.at(moment) for moment in moments[::-1]][::-1]


def test_another_seed_is_another_path():
    assert path("a").at(NOW) != path("b").at(NOW)


@given(level=levels, moment=moments)
@settings(max_examples=25, deadline=None)
def test_the_parts_of_a_span_make_up_the_span(level, moment):
    paths = path()
    index = moment // LEVELS[level]
    whole, parts = paths.span(level, index), paths.parts(level, index)
    assert len(parts) == FAN_OUT[level]
    assert (parts[0].open, parts[-1].close) == (whole.open, whole.close)
    assert max(part.high for part in parts) == whole.high
    assert min(part.low for part in parts) == whole.low
    for part, following in pairwise(parts):
        assert part.close == following.open
    for part in parts:
        assert part.low <= min(part.open, part.close) <= max(part.open, part.close) <= part.high


@given(day=st.integers(-10_000, 40_000))
@settings(max_examples=15, deadline=None)
def test_a_day_opens_where_the_day_before_closed(day):
    paths = path()
    assert paths.span(0, day).open == paths.span(0, day - 1).close


@pytest.mark.parametrize("level", [0, 4, 8, 11])
def test_returns_and_ranges_are_those_of_brownian_motion(level):
    """
    The standard deviation of a return is volatility times the root of time, the mean range 1.6 times that.

    Maximum and minimum are drawn as if they were independent, which costs up to a fifth at the lower levels.
    """
    paths = path()
    first = NOW // LEVELS[level]
    spans = [paths.span(level, first - place) for place in range(250)]
    deviation = 0.6 * sqrt(LEVELS[level] / SECONDS_A_YEAR)
    assert pstdev(span.close - span.open for span in spans) / deviation == pytest.approx(0.9, abs=0.25)
    assert fmean(span.high - span.low for span in spans) / deviation == pytest.approx(1.5, abs=0.25)


def test_paths_with_a_common_factor_move_together():
    common = Noise("common")
    one = path("one", common=common, share=0.8)
    other = path("other", common=common, share=0.8)
    stranger = path("stranger")

    def returns(of: PricePath, level: int) -> list[float]:
        spans = [of.span(level, NOW // LEVELS[level] - place) for place in range(250)]
        return [span.close - span.open for span in spans]

    day, hour = 0, LEVELS.index(3600)
    assert correlation(returns(one, day), returns(other, day)) > 0.45
    assert correlation(returns(one, hour), returns(other, hour)) > 0.2
    assert abs(correlation(returns(one, day), returns(stranger, day))) < 0.15


def test_the_price_stays_near_its_base_for_decades():
    paths = path()
    assert max(abs(paths.span(0, day).close) for day in range(10_000, 20_000, 37)) < 0.6


def test_uniform_numbers_are_never_zero_or_one_and_differ_from_place_to_place():
    noise = Noise("a", "b")
    numbers = [number for place in range(500) for number in noise.uniforms(3, place)]
    assert all(0 < number < 1 for number in numbers)
    assert fmean(numbers) == pytest.approx(0.5, abs=0.02)
    assert len(set(numbers)) > 3990
    assert noise.uniforms(3, 7) != Noise("ab").uniforms(3, 7)
