"""Why ``tickwire up`` does not start, where no other module has a word for it."""

from __future__ import annotations


class CannotStart(Exception):
    """Something stands in the way of starting; the sentence says what, and what would help."""
