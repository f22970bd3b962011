"""infra/template.yaml against the code that it deploys."""

from __future__ import annotations

import importlib
import inspect
import logging
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from handlers.hub.protocol import PERIOD_MS
from handlers.hub.settings import HubSettings
from local.template.sam import transform
from scheduler.metrics import NAMESPACE
from scheduler.report import METRICS, Report
from scheduler.settings import SchedulerSettings, read_settings

#: The settings that a function reads.
SETTINGS = {
    "ConnectFunction": HubSettings,
    "DisconnectFunction": HubSettings,
    "MessageFunction": HubSettings,
    "TickFunction": SchedulerSettings,
    "FanoutFunction": HubSettings,
}
#: Settings whose defaults are right for every deployment.
DEFAULTS_WILL_DO = {
    "TICKWIRE_PING_AFTER_MS",
    "TICKWIRE_FRANKFURTER_URL",
    "TICKWIRE_SWISSQUOTE_URL",
}


def variables(settings) -> dict[str, bool]:
    """Map the environment variables of a settings class to whether they are required."""
    return {f"TICKWIRE_{name.upper()}": field.is_required() for name, field in settings.model_fields.items()}


@pytest.mark.end_to_end
def test_cfn_lint_finds_nothing(infra):
    linter = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", "eu-west-1", "--"]
    result = subprocess.run(
        [*linter, str(infra / "template.yaml")], capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_sam_turns_it_into_plain_cloudformation_without_asking_anybody(source, monkeypatch, caplog):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    with caplog.at_level(logging.WARNING):
        plain = transform(deepcopy(source), parameters={}, region="eu-west-1")
    kinds = {resource["Type"] for resource in plain["Resources"].values()}
    assert not {kind for kind in kinds if kind.startswith("AWS::Serverless::")}
    assert {"AWS::ApiGatewayV2::Api", "AWS::Lambda::Function", "AWS::Scheduler::Schedule"} <= kinds


def test_the_routes_are_those_of_the_wire_and_all_messages_are_two_way(stack):
    (api,) = stack.apis
    assert {key: (route.integration.function, route.two_way) for key, route in api.routes.items()} == {
        "$connect": ("ConnectFunction", False),
        "$disconnect": ("DisconnectFunction", False),
        "$default": ("MessageFunction", True),
        "subscribe": ("MessageFunction", True),
        "unsubscribe": ("MessageFunction", True),
        "snapshot": ("MessageFunction", True),
        "ping": ("MessageFunction", True),
    }
    assert api.selection == "$request.body.action"
    assert api.stage.name == "live"


def test_every_two_way_route_has_a_response_of_its_own_for_sam_makes_none(source, stack):
    answered = {
        resource["Properties"]["RouteId"]["Ref"]
        for resource in source["Resources"].values()
        if resource["Type"] == "AWS::ApiGatewayV2::RouteResponse"
    }
    two_way = {key for key, route in stack.apis[0].routes.items() if route.two_way}
    assert answered == {f"Api{key.removeprefix('$').capitalize()}Route" for key in two_way}


def test_every_function_has_a_handler_that_can_be_imported(stack):
    assert stack.functions.keys() == SETTINGS.keys()
    for function in stack.functions.values():
        module, _, name = function.handler.rpartition(".")
        handler = getattr(importlib.import_module(module), name)
        assert len(inspect.signature(handler).parameters) == 2, function.handler
        assert (function.code / f"{module.replace('.', '/')}.py").is_file()


@pytest.mark.parametrize("function", SETTINGS)
def test_every_setting_a_function_reads_is_set(stack, function):
    settings = variables(SETTINGS[function])
    given = stack.functions[function].environment.keys()
    required = {name for name, is_required in settings.items() if is_required}
    assert required | {"TICKWIRE_GATEWAY"} <= given
    assert settings.keys() - given <= DEFAULTS_WILL_DO


@pytest.mark.parametrize("function", SETTINGS)
def test_every_setting_that_is_set_is_read(stack, function):
    given = stack.functions[function].environment.keys()
    unread = given - variables(SETTINGS[function]).keys()
    assert unread == set()


def test_the_scheduler_accepts_the_environment_that_the_template_gives_it(stack, monkeypatch):
    for name, value in stack.functions["TickFunction"].environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_REGION", stack.region)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    settings = read_settings()
    assert settings.table == stack.tables[0].name
    place = f"{stack.apis[0].id}.execute-api.{stack.region}.amazonaws.com"
    assert settings.management_endpoint == f"https://{place}/live"
    assert settings.run_for < stack.functions["TickFunction"].timeout


def test_a_run_of_the_ticks_starts_every_minute_and_is_never_repeated(stack):
    (schedule,) = stack.schedules
    assert (schedule.expression, schedule.function, schedule.retries, schedule.max_age) == (
        "rate(1 minute)",
        "TickFunction",
        0,
        60,
    )
    tick = stack.functions["TickFunction"]
    assert (tick.async_retries, tick.async_max_age) == (0, 60)


def test_a_group_is_started_again_by_the_tick_alone_and_may_take_the_longest_tick(stack):
    fanout = stack.functions["FanoutFunction"]
    assert (fanout.async_retries, fanout.async_max_age) == (0, 60)
    assert fanout.timeout > max(PERIOD_MS.values()) / 1000
    assert stack.functions["TickFunction"].environment["TICKWIRE_FANOUT_FUNCTION"] == fanout.name


def test_the_table_has_the_keys_and_the_expiry_that_the_stores_use(stack):
    (table,) = stack.tables
    assert table.definition["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert table.ttl_attribute == "expires_at"


def test_every_function_logs_to_a_group_that_forgets(source):
    resources = source["Resources"]
    for logical_id in SETTINGS:
        group = resources[resources[logical_id]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["Type"] == "AWS::Logs::LogGroup"
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_the_makefile_builds_every_function(source, infra):
    makefile = infra.parent / "Makefile"
    if not makefile.is_file():
        pytest.skip("there is no Makefile")
    text = makefile.read_text(encoding="utf-8")
    for logical_id in SETTINGS:
        assert source["Resources"][logical_id]["Metadata"] == {"BuildMethod": "makefile"}
        assert f"build-{logical_id}" in text or "build-%" in text


def test_without_the_public_site_nothing_of_it_is_left(source):
    parts = {
        logical_id
        for logical_id, resource in source["Resources"].items()
        if resource["Type"].startswith(("AWS::CloudFront::", "AWS::S3::"))
    }
    assert parts
    assert {source["Resources"][part].get("Condition") for part in parts} == {"SiteIsPublic"}


def test_the_api_is_reached_over_tls_uncached_with_the_handshakes_headers_and_never_the_viewers_host(source):
    resources = source["Resources"]
    site = resources["Site"]["Properties"]["DistributionConfig"]
    (streams,) = site["CacheBehaviors"]
    origin = next(origin for origin in site["Origins"] if origin["Id"] == streams["TargetOriginId"])
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert streams["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # AWS's CachingDisabled
    policy = resources[streams["OriginRequestPolicyId"]["Ref"]]["Properties"]["OriginRequestPolicyConfig"]
    headers = set(policy["HeadersConfig"]["Headers"])
    assert headers >= {f"Sec-WebSocket-{part}" for part in ("Key", "Version", "Protocol", "Accept", "Extensions")}
    assert "Host" not in headers
    assert policy["QueryStringsConfig"] == {"QueryStringBehavior": "all"}
    page = next(origin for origin in site["Origins"] if origin["Id"] == site["DefaultCacheBehavior"]["TargetOriginId"])
    assert page["OriginAccessControlId"] == {"Ref": "SiteAccess"}


def test_the_emulator_has_only_the_alarms_to_apologise_for(stack):
    assert len(stack.warnings) == 1
    assert "AWS::CloudWatch::Alarm" in stack.warnings[0]


def test_the_emulator_learns_what_only_this_system_has(stack, infra):
    assert stack.own is not None
    assert stack.own.page == infra.parent / "client-app" / "dist"
    assert stack.own.streams == {
        "market": "/ws/market/stream",
        "signals": "/ws/trading/signals/stream",
        "binary": "/ws/trading/binary/stream",
    }
    tick = stack.functions["TickFunction"].environment
    assert tick[stack.own.gateway].startswith("wss://")
    assert all(
        tick[variable].startswith("wss://" if "PUSH" in variable else "https://") for variable in stack.own.providers
    )


def test_lost_ticks_are_alarmed_of_by_the_metric_that_a_tick_prints(source):
    alarm = source["Resources"]["TicksLost"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (NAMESPACE, "lost")
    assert alarm["MetricName"] in METRICS
    lost = {outcome: Report("market", 1, outcome=outcome).members()["lost"] for outcome in ("sent", "late", "failed")}
    assert lost == {"sent": 0, "late": 1, "failed": 1}
