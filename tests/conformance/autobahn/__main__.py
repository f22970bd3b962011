"""
Run the cases of the Autobahn test suite against the emulator, through a function that sends everything back.

``make autobahn`` installs what drives the cases and calls this with that environment's interpreter. It fails where a
case fails that the gateway does not force to, and where a forced one passes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.end_to_end.running import Emulator

HERE = Path(__file__).parent
#: Groups 1 to 7 (frames, pings, reserved bits, opcodes, fragments, UTF-8, closing) and 10 (fragments again); 9 is about
#: sizes that the gateway refuses, 12 and 13 about parameters of compression that it does not offer.
GROUPS = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*")
_LARGE = "a frame of more than 32 KB closes with 1009"
_BINARY = "a binary message closes with 1003"
#: Cases that want what API Gateway refuses, with the code that it closes with and why.
FORCED = {
    **dict.fromkeys(("1.1.6", "1.1.7", "1.1.8"), (1009, _LARGE)),
    **dict.fromkeys(("1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5"), (1003, _BINARY)),
    **dict.fromkeys(("1.2.6", "1.2.7", "1.2.8"), (1009, f"{_LARGE}; and {_BINARY}")),
}
#: Events wait for the one process, so echoes keep their order; the cases expect empty messages back.
FLAGS = ("--limit=concurrency=1", "--choice=empty_body_is_sent=on")


def run(python: str, cases: tuple[str, ...], *flags: str) -> dict[str, dict[str, object]]:
    """Run some cases against an emulator that is started for them."""
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator(Path(folder), *FLAGS, *flags, template=HERE / "template.yaml")
        try:
            driven = subprocess.run(
                [python, str(HERE / "drive.py"), emulator.ready["websocket"], *cases],
                check=True,
                stdout=subprocess.PIPE,
                timeout=300,
            )
        finally:
            emulator.stop()
    return json.loads(driven.stdout)  # type: ignore[no-any-return] # as drive.py writes it


def main(python: str) -> int:
    """Run everything, print what differs, and return the exit code."""
    found = run(python, GROUPS)
    faults = []
    for case, result in found.items():
        code, why = FORCED.get(case, (None, ""))
        if code is None and not result["passed"]:
            faults.append(f"{case} failed: {result}")
        elif code is not None and (result["passed"], result["code"]) != (False, code):
            faults.append(f"{case} should be refused ({why}): {result}")
    faults += [f"{case} was not run" for case in FORCED if case not in found]
    # With a wider limit the same large messages come back whole.
    large = tuple(case for case, (_, why) in FORCED.items() if why == _LARGE)
    wider = run(python, large, "--limit=frame=131072")
    faults += [f"{case} failed with a wider limit: {result}" for case, result in wider.items() if not result["passed"]]
    verdicts = Counter(str(result["verdict"]) for case, result in found.items() if case not in FORCED)
    print(f"{len(found)} cases: {', '.join(f'{count} {verdict}' for verdict, count in sorted(verdicts.items()))}")
    print(
        f"refused by the gateway's own rules: {', '.join(FORCED)}; {len(wider)} of them pass with --limit frame=131072"
    )
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
