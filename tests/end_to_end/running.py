"""Start ``tickwire up`` and ``python -m scheduler`` as a user does, and look at what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
TEMPLATE = ROOT / "infra" / "template.yaml"
# Generous: on a busy machine several of these start at once.
START_WITHIN = 60.0


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would steer tickwire or AWS's SDK."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("TICKWIRE_", "AWS_"))}


class Program:
    """A program under test: what it has printed, and its end. It is Python's, or ``executable``."""

    def __init__(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        cwd: Path = ROOT,
        executable: Path | str = sys.executable,
    ) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [str(executable), *arguments],
            cwd=cwd,
            env=clean_environment() | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def lines_with(self, *words: str, within: float = 5.0) -> list[str]:
        """Return the lines that hold all these words, waiting for the first; what is printed arrives a little later."""
        deadline = time.monotonic() + within
        while True:
            found = [line for line in self.lines if all(word in line for word in words)]
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.02)

    def wait(self, seconds: float) -> int:
        """Return the exit code; everything printed is in ``lines`` then."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def stop(self, number: int = signal.SIGINT) -> float:
        """Send a signal and return after how many seconds the program had ended."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.wait(10)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            if self.process.stdout is not None:
                self.process.stdout.close()
        return time.monotonic() - began


class Emulator(Program):
    """``tickwire up`` on a free port, ready for clients."""

    def __init__(self, folder: Path, *flags: str, template: Path = TEMPLATE) -> None:
        ready = folder / "ready.json"
        ready.unlink(missing_ok=True)
        super().__init__(
            *("-m", "local", "up", "--template", str(template), "--port", "0", "--no-browser"),
            *("--ready-file", str(ready), *flags),
        )
        deadline = time.monotonic() + START_WITHIN
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"tickwire up did not become ready:\n{self.output}")
            time.sleep(0.02)
        self.ready: dict[str, Any] = json.loads(ready.read_text())
        self.http: str = self.ready["dynamodb"]

    def processes(self) -> dict[int, str]:
        """Return the processes of the functions that run now: command lines by process id."""
        return {pid: command for pid, command in descendants(self.process.pid).items() if "runtime.py" in command}


def descendants(pid: int) -> dict[int, str]:
    """Return a process's children, grandchildren and so on: command lines by process id."""
    found: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = path.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found[int(path.parent.name)] = command
    for child in list(found):
        found |= descendants(child)
    return found


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
