from __future__ import annotations

import pytest

from scheduler.market.candles import Candle, Figures, read, write

NINE = Candle(1_741_224_000_000, "91000.10", "91500.00", "90900.0", "91200", "12.50000000", 1_741_227_599_999)


def changed(**changes):
    members = {name: getattr(NINE, name) for name in NINE.__struct_fields__}
    return write(Candle(**members | changes))


def test_a_candle_is_written_in_the_sources_digits():
    assert write(NINE) == b"[1741224000000,91000.10,91500.00,90900.0,91200,12.50000000]"
    assert changed(volume=None).endswith(b",null]")


def test_what_was_written_is_read_in_floats():
    assert read([write(NINE), changed(opened_at=1_741_227_600_000, volume=None)]) == [
        Figures(1_741_224_000_000, 91_000.1, 91_500.0, 90_900.0, 91_200.0, 12.5),
        Figures(1_741_227_600_000, 91_000.1, 91_500.0, 90_900.0, 91_200.0, None),
    ]
    assert read([]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"open": "NaN"},
        {"open": "91,000"},
        {"open": "0091000"},
        {"open": ""},
        {"volume": '"x"'},
        {"volume": "1],[1741227600000,1,1,1,1,1"},
        {"volume": "-0.5"},
        {"low": "0", "open": "0"},
        {"low": "-1"},
        {"low": "91000.2"},
        {"high": "91199"},
        {"close": "91500.01"},
    ],
)
def test_what_is_no_candle_is_refused(changes):
    with pytest.raises(ValueError):  # noqa: PT011 - whichever sentence says it
        read([changed(**changes)])


@pytest.mark.parametrize("opened_at", [1_741_224_000_000, 1_741_220_400_000])
def test_candles_out_of_order_are_refused(opened_at):
    with pytest.raises(ValueError, match="after that of"):
        read([write(NINE), changed(opened_at=opened_at)])
