"""Read what limits the callers of an API: throttles, and the API keys with their usage plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.stack import ApiKey, Quota, Throttle
from local.template.errors import ResourceFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.template.declarations import Declarations
    from local.template.errors import Trail

#: What an account has where a stage says only half: requests a second, and at once (API Gateway's quotas).
_ACCOUNT = Throttle(rate=10_000.0, burst=5_000)
_PERIODS = ("DAY", "WEEK", "MONTH")


def read_throttle(
    settings: Mapping[str, Any], trail: Trail, names: tuple[str, str] = ("ThrottlingRateLimit", "ThrottlingBurstLimit")
) -> Throttle | None:
    """
    Read a throttle from settings of a route, a stage or a usage plan; ``names`` are those of the rate and the burst.

    Raises:
        ResourceFault: They are no numbers.
    """
    if not isinstance(settings, dict):
        raise ResourceFault("the settings of a route must be a mapping", trail)
    rate, burst = (settings.get(name) for name in names)
    if rate is None and burst is None:
        return None
    try:
        return Throttle(
            rate=_ACCOUNT.rate if rate is None else float(rate),
            burst=_ACCOUNT.burst if burst is None else int(burst),
        )
    except (TypeError, ValueError) as error:
        raise ResourceFault(f"{names[0]} and {names[1]} must be numbers", trail) from error


def read_quota(settings: Mapping[str, Any], trail: Trail) -> Quota | None:
    """
    Read the quota of a usage plan.

    Raises:
        ResourceFault: It has no number of requests, or no period.
    """
    if not settings:
        return None
    try:
        quota = Quota(int(settings["Limit"]), str(settings["Period"]), int(settings.get("Offset", 0)))
    except (KeyError, TypeError, ValueError) as error:
        raise ResourceFault("a quota has a Limit, which is a number, and a Period", trail) from error
    if quota.period not in _PERIODS:
        raise ResourceFault(f"a quota's Period is DAY, WEEK or MONTH, not {quota.period}", trail)
    return quota


def read_keys(declarations: Declarations, api_id: str, stage: str) -> dict[str, ApiKey]:
    """
    Read the API keys that clients of one stage may show, by their values.

    As on AWS a key is good for a stage through a usage plan only: the plan names the stage, and a usage plan key names
    both. A key without a Value gets one on AWS that nobody can know here.
    """
    keys: dict[str, ApiKey] = {}
    for part in declarations.of("AWS::ApiGateway::UsagePlanKey"):
        key = _named(declarations, "AWS::ApiGateway::ApiKey", declarations.text(part, "KeyId"))
        plan = _named(declarations, "AWS::ApiGateway::UsagePlan", declarations.text(part, "UsagePlanId"))
        if key is None or plan is None or not _covers(declarations, plan, api_id, stage):
            continue
        value = declarations.text(key, "Value")
        if value is None:
            declarations.warnings.append(
                f"The API key {key} has no Value, so nobody knows it here: clients with it are refused."
            )
        elif declarations.flag(key, "Enabled"):
            throttle = read_throttle(
                declarations.mapping(plan, "Throttle"),
                ("Resources", plan, "Properties", "Throttle"),
                ("RateLimit", "BurstLimit"),
            )
            quota = read_quota(declarations.mapping(plan, "Quota"), ("Resources", plan, "Properties", "Quota"))
            keys[value] = ApiKey(declarations.name(key), value, throttle, quota)
    return keys


def _named(declarations: Declarations, kind: str, name: str | None) -> str | None:
    return next((part for part in declarations.of(kind) if declarations.name(part) == name), None)


def _covers(declarations: Declarations, plan: str, api_id: str, stage: str) -> bool:
    stages = declarations.items(plan, "ApiStages")
    return any(isinstance(one, dict) and (one.get("ApiId"), one.get("Stage")) == (api_id, stage) for one in stages)
