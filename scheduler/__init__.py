"""What runs around the clock: fetch, compose and broadcast, one tick at a time."""
