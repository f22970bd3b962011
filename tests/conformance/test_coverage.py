"""The list of what is covered is whole, and its report up to date."""

from tests.conformance.coverage import HERE, REPORT, faults, report, summary


def test_every_fact_has_a_test_or_a_reason_and_every_test_a_fact():
    assert faults() == []


def test_the_report_is_up_to_date():
    assert REPORT.read_text() == report(), "run: python -m tests.conformance.coverage"


def test_the_readme_has_the_counts():
    text = " ".join((HERE.parent.parent / "README.md").read_text().split())
    assert summary() in text
