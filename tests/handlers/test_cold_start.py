"""What a function imports before its first event: every module more is a slower first answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOOK = """
import sys
import handlers.connect, handlers.disconnect, handlers.message
heavy = {"aiohttp", "apscheduler", "boto3", "httpx", "litestar", "local", "moto", "numpy", "rich", "s3transfer",
         "scheduler", "talipp", "uvicorn", "uvloop", "websockets", "yaml"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules} | {"handlers.hub.management"} & set(sys.modules)))
"""


def test_the_routes_import_nothing_that_they_do_not_need():
    looked = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert looked.stdout.strip() == "[]"
