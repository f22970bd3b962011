from dataclasses import asdict

import pytest

from local.limits import Choices, Limits, UnknownLimit


def test_the_defaults_are_those_of_the_quotas_page():
    limits = Limits()
    assert (limits.life, limits.idle, limits.integration) == (7_200, 600, 29)
    assert (limits.frame, limits.message) == (32_768, 131_072)
    assert (limits.connects, limits.rate) == (None, None)


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20), ("5m", 300), ("2h", 7_200), ("500ms", 0.5), ("7", 7)])
def test_durations_have_units(text, seconds):
    assert Limits().with_settings({"life": text}).life == seconds


def test_every_limit_can_be_set():
    durations = {"life": "20s", "idle": "5m", "integration": "500ms"}
    numbers = dict.fromkeys(("frame", "message", "connects", "rate", "burst", "backlog", "concurrency"), "7")
    limits = Limits().with_settings(durations | numbers)
    assert asdict(limits) == {"life": 20, "idle": 300, "integration": 0.5} | dict.fromkeys(numbers, 7)


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


def test_choices_are_of_the_kind_of_their_default():
    given = {"compression": "off", "idle_late_by": "3.9", "deleted_code": "1001", "throttled_message": "Slow down"}
    choices = Choices().with_settings(given)
    assert (choices.compression, choices.idle_late_by, choices.deleted_code) == (False, 3.9, 1001)
    assert choices.throttled_message == "Slow down"
    assert Choices().with_settings({"ping_resets_idle": "on"}).ping_resets_idle is True


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("colour", "green", "there are compression"),
        ("compression", "perhaps", "neither on nor off"),
        ("idle_late_by", "late", "no number"),
        ("idle_late_by", "-1", "no number from 0 on"),
        ("idle_late_by", "nan", "no number from 0 on"),
        ("disconnect_lost", "1.5", "between 0 and 1"),
        ("deleted_code", "1005", "no code that a close frame may have"),
        ("deleted_reason", "x" * 124, "room for 123 bytes"),
        ("connect_timeout_status", "200", "400 to 599"),
    ],
)
def test_a_bad_choice_is_named_with_its_remedy(name, value, said):
    with pytest.raises(UnknownLimit, match=said) as refusal:
        Choices().with_settings({name: value})
    assert name in str(refusal.value)
