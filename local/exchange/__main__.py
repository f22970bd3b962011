"""Serve the simulated exchange alone, without the emulator: ``python -m local.exchange``."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import uvicorn

from local.exchange.application import SEED, exchange
from local.exchange.limits import PING_AFTER_S, PONG_WITHIN_S


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m local.exchange", description="A simulated exchange over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001, help="0 takes a free one and says which")
    parser.add_argument("--seed", default=SEED)
    parser.add_argument("--recordings", type=Path, help="play this folder back")
    parser.add_argument("--speed", type=float, default=1.0, help="times the speed of the recording")
    options = parser.parse_args()
    application = exchange(seed=options.seed, recordings=options.recordings, speed=options.speed)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.run(
            application,
            host=options.host,
            port=options.port,
            access_log=False,
            ws_ping_interval=PING_AFTER_S,
            ws_ping_timeout=PONG_WITHIN_S,
        )


if __name__ == "__main__":
    main()
