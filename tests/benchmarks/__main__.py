"""
Run every benchmark of this folder, print its ratios, and write them to ``build/bench.json`` and to the README.

A benchmark is a file ``bench_*.py`` with a function ``measure()`` that returns a list of ``name``, ``value``,
``unit``, ``against`` and ``ratio``. Each runs in a process of its own, one after the other. Names on the command line
choose some: ``python -m tests.benchmarks pool tables``.

A benchmark that also has a function ``table(rows)`` writes what stands in the README between ``<!-- bench: NAME -->``
and ``<!-- /bench -->``: no figure there is copied by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
README = ROOT / "README.md"
_PROGRAM = """
import json, runpy, sys
found = runpy.run_path(sys.argv[1])
rows = found["measure"]()
print(json.dumps({"rows": rows, "table": found["table"](rows) if "table" in found else None}))
"""


def with_table(text: str, name: str, table: str) -> str:
    """
    Put ``table`` between the marks of the benchmark ``name``.

    Raises:
        ValueError: The text has no such marks.
    """
    before, begin, rest = text.partition(f"<!-- bench: {name} -->\n")
    _, end, after = rest.partition("<!-- /bench -->")
    if not end:
        raise ValueError(f"there is no place for the table of {name}")
    return f"{before}{begin}{table}\n{end}{after}"


def main(chosen: list[str]) -> int:
    """Measure, print and write; the exit code says whether every benchmark ran."""
    measured: list[dict[str, Any]] = []
    failed = []
    for path in sorted(FOLDER.glob("bench_*.py")):
        name = path.stem.removeprefix("bench_")
        if chosen and name not in chosen:
            continue
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            failed.append(name)
            continue
        told = json.loads(done.stdout.splitlines()[-1])
        rows = told["rows"]
        measured += rows
        if told["table"]:
            README.write_text(with_table(README.read_text(encoding="utf-8"), name, told["table"]), encoding="utf-8")
        print(f"\n{name}")  # noqa: T201 # what this program is for
        for row in rows:
            beside = f"{row['ratio']:.2f} x {row['against']}" if row.get("ratio") else row.get("against") or ""
            print(f"  {row['name']:<52} {row['value']:>12,.2f} {row['unit']:<14} {beside}")  # noqa: T201
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    print(f"\n{len(measured)} figures in {target.relative_to(ROOT)}" + (f"; failed: {failed}" if failed else ""))  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
