"""How long ``tickwire up`` takes from the command to the first accepted connection, beside Python's own start."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parent.parent.parent
RUNS = 5


async def _connect(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(url):
        pass


def _start(folder: Path) -> float:
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    flags = ["--template", "infra/template.yaml", "--port", "0", "--no-browser", "--ready-file", str(ready)]
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "local", "up", *flags], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while not ready.exists():
            time.sleep(0.005)
        asyncio.run(_connect(json.loads(ready.read_text())["websocket"]))
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def _bare() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import litestar, boto3"], check=True)
    return time.perf_counter() - began


def measure() -> list[dict[str, Any]]:
    """Return the median of five starts, with the template remembered from an earlier one."""
    with tempfile.TemporaryDirectory() as folder:
        _start(Path(folder))
        started = statistics.median(_start(Path(folder)) for _ in range(RUNS))
    bare = statistics.median(_bare() for _ in range(RUNS))
    return [
        {
            "name": "start: command to first accepted connection",
            "value": started,
            "unit": "s",
            "against": "a Python that imports litestar and boto3",
            "ratio": started / bare,
        }
    ]


if __name__ == "__main__":
    print(json.dumps(measure()))  # noqa: T201 # what this program is for
