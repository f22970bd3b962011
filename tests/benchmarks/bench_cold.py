"""
What a function's cold start costs in CPU before its first event: the whole process, from the interpreter's start.

The best of five, bytecode present, as in a deployed zip. With its client is what the first event needs besides.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.measurement import Measurement, less

ROOT = Path(__file__).parents[2]
RUNS = 5
BUDGETS_MS = {"handlers.connect": 400.0, "handlers.message": 400.0, "scheduler.tick": 600.0}
CLIENT = "; from handlers.hub.dynamodb import dynamodb; dynamodb()"


def cost(program: str) -> float:
    """Return the milliseconds of CPU of a new process that runs ``program``, at best."""
    command = [sys.executable, "-c", f"{program}; import time; print(time.process_time() * 1000)"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    runs = []
    for _ in range(RUNS + 1):  # the first one writes bytecode that is missing
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        runs.append(float(done.stdout))
    return min(runs[1:])


def measure() -> list[Measurement]:
    """Take a few seconds."""
    rows = []
    boto3 = cost("import boto3; boto3.client('dynamodb', 'eu-west-1')")
    for module, budget in BUDGETS_MS.items():
        rows.append(less(f"cold start: import of {module}", cost(f"import {module}"), "ms of CPU", budget))
    name = "cold start: handlers.connect with its client"
    against = f"boto3 with one client and nothing else, {boto3:.0f}"
    rows.append(less(name, cost(f"import handlers.connect{CLIENT}"), "ms of CPU", boto3, against))
    return rows
