import pytest

from local.limits import Limits, UnknownLimit


def test_the_defaults_are_those_of_the_quotas_page():
    limits = Limits()
    assert (limits.life, limits.idle, limits.integration) == (7_200, 600, 29)
    assert (limits.frame, limits.message) == (32_768, 131_072)
    assert (limits.connects, limits.rate) == (None, None)


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20), ("5m", 300), ("2h", 7_200), ("500ms", 0.5), ("7", 7)])
def test_durations_have_units(text, seconds):
    assert Limits().with_settings({"life": text}).life == seconds


def test_sizes_and_rates_are_whole_numbers():
    limits = Limits().with_settings({"message": "1000", "connects": "500", "concurrency": "2"})
    assert (limits.message, limits.connects, limits.concurrency) == (1000, 500, 2)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("lifetime", "20s", "there are life, idle"),
        ("life", "long", "write 20s"),
        ("life", "0s", "write 20s"),
        ("message", "128KB", "whole number"),
        ("concurrency", "0", "above 0"),
    ],
)
def test_a_bad_limit_is_named_with_its_remedy(name, value, said):
    with pytest.raises(UnknownLimit, match=said) as refusal:
        Limits().with_settings({name: value})
    assert name in str(refusal.value)
