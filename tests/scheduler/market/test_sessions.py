from __future__ import annotations

from datetime import datetime

import pytest

from scheduler.market.sessions import is_open


def at(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize("kind", ["forex", "metal"])
@pytest.mark.parametrize(
    ("last_open", "first_closed"),
    [
        ("2026-11-20T21:59:59.999Z", "2026-11-20T22:00:00Z"),  # winter: New York is five hours behind
        ("2026-07-10T20:59:59.999Z", "2026-07-10T21:00:00Z"),  # summer: four
        ("2026-03-06T21:59:59.999Z", "2026-03-06T22:00:00Z"),  # the Friday before the clocks go forward
        ("2026-10-30T20:59:59.999Z", "2026-10-30T21:00:00Z"),  # the Friday before they go back
    ],
)
def test_the_week_ends_on_friday_at_five_in_new_york(kind, last_open, first_closed):
    assert is_open(kind, at(last_open))
    assert not is_open(kind, at(first_closed))


@pytest.mark.parametrize("kind", ["forex", "metal"])
@pytest.mark.parametrize(
    ("last_closed", "first_open"),
    [
        ("2026-11-22T21:59:59.999Z", "2026-11-22T22:00:00Z"),
        ("2026-07-12T20:59:59.999Z", "2026-07-12T21:00:00Z"),
        ("2026-03-08T20:59:59.999Z", "2026-03-08T21:00:00Z"),  # the clocks went forward that very morning
        ("2026-11-01T21:59:59.999Z", "2026-11-01T22:00:00Z"),  # they went back that morning
    ],
)
def test_it_begins_on_sunday_at_five_in_new_york(kind, last_closed, first_open):
    assert not is_open(kind, at(last_closed))
    assert is_open(kind, at(first_open))


def test_all_saturday_is_closed_and_all_wednesday_is_open():
    for hour in range(24):
        assert not is_open("forex", at(f"2026-11-21T{hour:02}:30Z"))
        assert is_open("forex", at(f"2026-11-18T{hour:02}:30Z"))


def test_crypto_never_rests():
    assert is_open("crypto", at("2026-11-21T12:00Z"))
