"""
Run the benchmarks of this folder, print their ratios, and write them to ``build/bench.json``.

A benchmark is a file ``bench_*.py`` (or ``full_*.py``, which only ``--full`` runs: endurance and the like) with a
function ``measure()`` that returns a list of ``name``, ``value``, ``unit``, ``against`` and ``ratio``. Each runs in a
process of its own, one after the other. Names on the command line choose some: ``python -m tests.benchmarks pool``.

A benchmark that also has a function ``table(rows)`` makes what stands in the README between ``<!-- bench: NAME -->``
and ``<!-- /bench -->``: no figure there is copied by hand. ``--readme`` writes it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
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


def benchmarks(*, full: bool, chosen: list[str]) -> dict[str, Path]:
    """
    Find what is to be run, by name; a name that is chosen is run whichever kind it is.

    Raises:
        ValueError: There is no benchmark of a name that is chosen.
    """
    found = {path.stem.partition("_")[2]: path for path in sorted(FOLDER.glob("[bf]*_*.py"))}
    if unknown := sorted(set(chosen) - set(found)):
        raise ValueError(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(found)}")
    if chosen:
        return {name: found[name] for name in chosen}
    kinds = ("bench_", "full_") if full else ("bench_",)
    return {name: path for name, path in found.items() if path.stem.startswith(kinds)}


def main() -> int:
    """Measure, print and write; the exit code says whether every benchmark ran."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="run the long ones too")
    parser.add_argument("--readme", action="store_true", help="write the tables of the README anew")
    parser.add_argument("name", nargs="*", help="run only these")
    asked = parser.parse_args()
    try:
        wanted = benchmarks(full=asked.full, chosen=asked.name)
    except ValueError as fault:
        parser.error(str(fault))
    began = time.monotonic()
    measured: list[dict[str, Any]] = []
    failed = []
    for name, path in wanted.items():
        print(f"\n{name}", flush=True)  # noqa: T201 # what this program is for
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            failed.append(name)
            continue
        told = json.loads(done.stdout.splitlines()[-1])
        rows = told["rows"]
        measured += rows
        if told["table"] and asked.readme:
            README.write_text(with_table(README.read_text(encoding="utf-8"), name, told["table"]), encoding="utf-8")
        for row in rows:
            beside = f"{row['ratio']:.2f} x {row['against']}" if row.get("ratio") else row.get("against") or ""
            print(f"  {row['name']:<68} {row['value']:>12,.2f} {row['unit']:<14} {beside}", flush=True)  # noqa: T201
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    took = f"{len(measured)} figures in {target.relative_to(ROOT)} after {time.monotonic() - began:.0f} s"
    print(f"\n{took}{f'; failed: {failed}' if failed else ''}")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
