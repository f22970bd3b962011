"""Handlers for the tests of the emulator's functions: each does one thing."""

# ruff: noqa: T201  # what a function prints is what is tested

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

print("loading")


def echo(event, context):
    return event


def shout(event, context):
    print(event["say"])
    print("and again", file=sys.stderr)
    return len(event["say"])


def fail(event, context):
    raise KeyError("no such thing")


def leave(event, context):
    os._exit(event["status"])


def die(event, context):
    os.kill(os.getpid(), event["signal"])
    time.sleep(5)


def sleep(event, context):
    time.sleep(event["seconds"])
    return os.getpid()


def compute(event, context):
    until = time.process_time() + event["seconds"]
    while time.process_time() < until:
        pass
    return os.getpid()


def tell(event, context):
    return {
        "environment": dict(os.environ),
        "path": sys.path,
        "folder": str(Path.cwd()),
        "pid": os.getpid(),
        "context": {
            "aws_request_id": context.aws_request_id,
            "function_name": context.function_name,
            "function_version": context.function_version,
            "invoked_function_arn": context.invoked_function_arn,
            "memory_limit_in_mb": context.memory_limit_in_mb,
            "log_group_name": context.log_group_name,
            "remaining": context.get_remaining_time_in_millis(),
            "custom": context.client_context.custom if context.client_context else None,
        },
    }


def importable(event, context):
    found = {}
    for name in event["names"]:
        try:
            module = __import__(name)
        except ImportError as fault:
            found[name] = str(fault)
        else:
            found[name] = str(Path(module.__file__).resolve())
    return found


def unserialisable(event, context):
    return {1, 2, 3}


def large(event, context):
    return "x" * event["size"]


def bear(event, context):
    """Start a process that would outlive this one, and wait."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(json.dumps({"child": child.pid, "self": os.getpid()}))
    time.sleep(event["seconds"])


def once_lost(event, context):
    """Be killed from outside the first time, and leave a note of each time."""
    note = Path(event["note"])
    tries = int(note.read_text()) if note.exists() else 0
    note.write_text(str(tries + 1))
    if tries == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return context.aws_request_id


def do(event, context):
    """Do what the event says, so that one process is enough for many tests."""
    return globals()[event["do"]](event, context)


def leave_politely(event, context):
    sys.exit(event["status"])
