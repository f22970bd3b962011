"""The rules that the shape of the code keeps."""

import re
import subprocess
import sys
from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent
SHIPPED = sorted(path for package in ("handlers", "scheduler") for path in (ROOT / package).rglob("*.py"))


def test_imports_go_in_the_allowed_directions(capsys, monkeypatch):
    # The linter configures logging as a program does, and so would silence every logger for the tests that follow.
    monkeypatch.setattr("logging.config.dictConfig", lambda _: None)
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_shipped_code_does_not_ask_where_it_runs():
    asks = re.compile(r"\bif\b[^\n]*\b(local|emulator|localhost|127\.0\.0\.1|AWS_SAM_LOCAL)\b", re.IGNORECASE)
    found = [f"{path.relative_to(ROOT)}: {line}" for path in SHIPPED for line in asks.findall(path.read_text())]
    assert found == []


def test_an_emulator_without_our_system_imports_none_of_it():
    program = (
        "import local.up, sys; print(sorted(m for m in sys.modules if m.split('.')[0] in {'handlers', 'scheduler'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
