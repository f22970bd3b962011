"""What can be wrong with a template."""


class BadTemplate(ValueError):
    """A mapping template that cannot be read, or uses what is not read here; the text says what."""
