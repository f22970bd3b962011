"""How long ``tickwire up`` takes from the command to the first accepted connection, beside Python's own start."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # run as a script, its own folder stands there instead

from tests.benchmarks.driver import PATIENCE, free_port, open_socket  # noqa: E402 # after the path is set

RUNS = 5


async def _connect(url: str) -> None:
    """Try to connect until it succeeds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            (await open_socket(url)).transport.abort()
        except OSError:
            await asyncio.sleep(0.005)
        else:
            return
    raise TimeoutError(url)


def _start(template: str, stage: str) -> float:
    port = free_port()
    flags = ["--template", template, "--port", str(port), "--no-browser"]
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "local", "up", *flags], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        asyncio.run(_connect(f"ws://127.0.0.1:{port}/{stage}"))
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def _bare() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import litestar, boto3"], check=True)
    return time.perf_counter() - began


def measure() -> list[dict[str, Any]]:
    """Return the medians of five starts, with the templates remembered from earlier ones."""
    templates = {
        "our template": ("infra/template.yaml", "live"),
        "one function": ("tests/benchmarks/gateway/template.yaml", "prod"),
    }
    bare = statistics.median(_bare() for _ in range(RUNS))
    rows = []
    for name, (template, stage) in templates.items():
        _start(template, stage)
        started = statistics.median(_start(template, stage) for _ in range(RUNS))
        rows.append(
            {
                "name": f"start to first accepted connection, {name}",
                "value": started,
                "unit": "s",
                "against": f"a Python that imports litestar and boto3: {bare:.2f} s",
                "ratio": started / bare,
            }
        )
    return rows


if __name__ == "__main__":
    print(json.dumps(measure()))  # noqa: T201 # what this program is for
