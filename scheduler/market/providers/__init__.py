"""One file for each place where market data comes from."""
