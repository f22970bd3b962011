"""One line of ``build/bench.json``, and how a benchmark makes it."""

from __future__ import annotations

from typing import TypedDict


class Measurement(TypedDict):
    """``ratio`` says how many times better ``value`` is than ``against`` (above 1 is better); 0 where nothing is."""

    name: str
    value: float
    unit: str
    against: str
    ratio: float


def less(name: str, value: float, unit: str, limit: float, against: str = "") -> Measurement:
    """Measure what had better be small: ``limit`` is the budget, or what something else takes."""
    against = against or f"at most {limit:g} {unit}"
    return {"name": name, "value": round(value, 3), "unit": unit, "against": against, "ratio": round(limit / value, 2)}


def more(name: str, value: float, unit: str, limit: float, against: str = "") -> Measurement:
    """Measure what had better be great: ``limit`` is the least, or what something else gives."""
    against = against or f"at least {limit:g} {unit}"
    return {"name": name, "value": round(value, 3), "unit": unit, "against": against, "ratio": round(value / limit, 2)}
