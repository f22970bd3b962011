"""Run the cases of the Autobahn test suite against one address, and print what became of each as JSON.

Runs in an environment of its own, which has kosoku and nothing of ours.
"""

import asyncio
import json
import sys

from kosoku import FailureError, run_fuzzingclient


async def run(address: str, cases: list[str]) -> None:
    """Run the cases that some patterns name, eight at a time: most of them wait for a second."""
    try:
        results = await run_fuzzingclient(address, cases, None, concurrency=8)
    except FailureError as failure:
        results = failure.results
    found = {
        one.case_id: {
            "passed": one.passed,
            "verdict": one.behavior.value,
            "close": one.behavior_close.value,
            "code": one.remote_close_code,
        }
        for one in results
    }
    json.dump(found, sys.stdout)


asyncio.run(run(sys.argv[1], sys.argv[2:]))
