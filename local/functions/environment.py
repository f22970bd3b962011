"""What a function's process is started with: its variables and the command."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.stack import Function

RUNTIME = Path(__file__).with_name("runtime.py")

# All that a function gets from the shell that started the emulator.
_FROM_THE_SHELL = ("PATH", "HOME", "LANG", "TMPDIR")


def function_environment(function: Function, *, region: str, extra: Mapping[str, str]) -> dict[str, str]:
    """
    Return the variables of a process of ``function``.

    They are those that Lambda sets, then ``extra`` (endpoints, credentials), then the function's own. Nothing else
    comes from the emulator's environment but the path, home, language and temporary folder; in particular no profile or
    configuration file of the developer's real account.
    """
    return {
        **{name: os.environ[name] for name in _FROM_THE_SHELL if name in os.environ},
        "TZ": ":UTC",
        "PYTHONUNBUFFERED": "1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": str(function.code),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        **extra,
        **function.environment,
    }


def process_command(function: Function, *, interpreter: str, channel: str, life: int) -> list[str]:
    """Return the command that runs ``runtime.py`` for ``function``; ``channel`` and ``life`` as described there."""
    return [
        interpreter,
        # Another interpreter may be too old for this option; runtime.py then removes its own folder from sys.path.
        *(["-P"] if interpreter == sys.executable else []),
        str(RUNTIME),
        function.handler,
        channel,
        str(life),
        _client_folder(),
        str(function.code),
        *map(str, function.layers),
    ]


@functools.cache
def _client_folder() -> str:
    """Return the folder that has awslambdaric, without loading it."""
    spec = importlib.util.find_spec("awslambdaric")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("awslambdaric is not installed; `python -m pip install awslambdaric` does it")
    return str(Path(spec.origin).parent.parent)
