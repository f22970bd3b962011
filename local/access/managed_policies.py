"""AWS's own policies: the few that nearly every function has, and the others as moto has them."""

from __future__ import annotations

import functools
import importlib.util
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOTHING: Mapping[str, Any] = {"Statement": []}

#: Policies that say nothing about what is served here (logs, traces, networks), so that moto need not be asked.
_ABOUT_OTHER_THINGS = {
    "AWSLambdaBasicExecutionRole",
    "AWSLambdaVPCAccessExecutionRole",
    "AWSXRayDaemonWriteAccess",
    "AWSXrayWriteOnlyAccess",
    "CloudWatchLambdaInsightsExecutionRolePolicy",
}


def find_policy(name: str) -> Mapping[str, Any] | None:
    """
    Return the document of one of AWS's own policies, or None for one that moto does not know either.

    The first that has to be looked up takes some 50 ms: moto has them all in one text of 4.7 MB.
    """
    if name in _ABOUT_OTHER_THINGS:
        return _NOTHING
    policy = _all_of_moto().get(name)
    return policy["Document"] if policy is not None else None


@functools.cache
def _all_of_moto() -> dict[str, Any]:
    # The package around the text would take 0.6 s to import; the text stands alone.
    package = importlib.util.find_spec("moto")
    if package is None or not package.submodule_search_locations:
        return {}
    path = f"{package.submodule_search_locations[0]}/iam/aws_managed_policies.py"
    spec = importlib.util.spec_from_file_location("tickwire_managed_policies", path)
    if spec is None or spec.loader is None:
        return {}
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        policies: dict[str, Any] = json.loads(module.aws_managed_policies_data)
    except (OSError, AttributeError, ValueError):
        return {}
    return policies
