"""Quotes: where they come from and what is known about their age."""
