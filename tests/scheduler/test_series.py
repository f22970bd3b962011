from __future__ import annotations

import json

import pytest

from scheduler.analysis.rating import rate
from scheduler.market.candles import Candle, Candles
from scheduler.series import KEPT, Series
from tests.scheduler.analysis.series import made_up
from tests.scheduler.fakes import NOON

HOUR = 3_600_000
ALL = made_up(600, decimals=2)


def candle(number, **changes):
    """Write the candle that opened ``number`` hours after noon."""
    one = ALL[number]
    members = {
        "opened_at": NOON + number * HOUR,
        "open": f"{one.open:.2f}",
        "high": f"{one.high:.2f}",
        "low": f"{one.low:.2f}",
        "close": f"{one.close:.2f}",
        "volume": repr(one.volume),
        "closed_at": NOON + (number + 1) * HOUR - 1,
    }
    return Candle(**members | changes)


def candles(first, end, source="binance"):
    return Candles([candle(number) for number in range(first, end)], source)


def closing(count):
    """Give the moment at which the last of so many candles has closed."""
    return NOON + count * HOUR


@pytest.fixture
def series():
    series = Series("1h")
    series.take(candles(0, 300), now=closing(300))
    return series


def test_a_new_series_is_due_and_asks_for_everything():
    series = Series("1h")
    assert (series.due_at, series.since, series.rated, series.payload) == (0, None, None, b"[]")


def test_candles_are_rated_as_they_come(series):
    rated = series.rated
    assert (rated.closed_at, rated.source) == (closing(300) - 1, "binance")
    assert rated.rating == rate(ALL[:300])
    assert rated.atr > 0


def test_the_next_candle_is_due_when_it_has_closed(series):
    assert series.due_at == closing(301)
    assert series.since == closing(299)


def test_a_series_goes_on_from_its_latest_candle(series):
    series.take(candles(299, 305), now=closing(305))
    assert series.rated.rating == rate(ALL[:305])
    assert (series.since, series.due_at) == (closing(304), closing(306))


def test_an_answer_without_a_new_candle_puts_it_off(series):
    rated = series.rated
    series.take(candles(299, 300), now=closing(301) + 5)
    assert (series.rated, series.due_at) == (rated, closing(301) + 5)
    series.take(Candles([], "binance"), now=closing(301) + 9)
    assert (series.rated, series.due_at, series.since) == (rated, closing(301) + 9, closing(299))


@pytest.mark.parametrize(
    "answer",
    [
        Candles([candle(299, high="999.99"), candle(300)], "binance"),
        candles(299, 301, "simulated"),
        candles(300, 301),
    ],
    ids=["corrected", "of another source", "gone"],
)
def test_a_past_that_has_changed_begins_the_series_anew(series, answer):
    rated = series.rated
    series.take(answer, now=closing(301))
    assert (series.since, series.rated) == (None, rated)
    assert series.due_at <= closing(301)
    series.take(candles(0, 301), now=closing(301))
    assert series.rated.rating == rate(ALL[:301])


def test_what_is_no_candle_is_not_taken(series):
    rated = series.rated
    with pytest.raises(ValueError, match="prices of no candle"):
        series.take(Candles([candle(299), candle(300, low="0")], "binance"), now=closing(301))
    assert (series.rated, series.since, series.due_at) == (rated, closing(299), closing(301))
    series.take(candles(299, 301), now=closing(301))
    assert series.rated.rating == rate(ALL[:301])


def test_the_latest_candles_are_kept_in_the_sources_digits():
    series = Series("1h")
    series.take(candles(0, 600), now=closing(600))
    kept = json.loads(series.payload)
    assert (len(kept), kept[0][0], kept[-1][0]) == (KEPT, NOON + 100 * HOUR, NOON + 599 * HOUR)
    assert f"[{NOON + 599 * HOUR},{ALL[-1].open:.2f}," in series.payload.decode()
    assert len(json.loads(Series("1h").payload)) == 0


def test_one_candle_is_a_series_without_a_rating():
    series = Series("1h")
    series.take(candles(0, 1), now=closing(1))
    assert (series.rated.rating.rating, series.rated.atr, series.due_at) == (None, None, closing(2))
