"""Pure functions over candles and trades."""
