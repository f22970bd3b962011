"""``tickwire watch``: a stream as a live table in the terminal."""
