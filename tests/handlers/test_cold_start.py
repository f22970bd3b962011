"""What a function imports before its first event: every module more is a slower first answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FUNCTION = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
LOOK = """
import sys
import handlers.connect, handlers.disconnect, handlers.message
from handlers.hub.dynamodb import dynamodb
dynamodb()
heavy = {"aiohttp", "apscheduler", "boto3", "botocore", "httpx", "litestar", "local", "moto", "numpy", "rich",
         "s3transfer", "scheduler", "talipp", "urllib3", "uvicorn", "uvloop", "websockets", "yaml"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules} | {"handlers.hub.management"} & set(sys.modules)))
"""


def test_the_routes_import_nothing_that_they_do_not_need():
    looked = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=Path(__file__).parents[2],
        env=os.environ | FUNCTION,
        capture_output=True,
        text=True,
        check=True,
    )
    assert looked.stdout.strip() == "[]"
