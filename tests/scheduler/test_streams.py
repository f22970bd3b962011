"""How the streams are wired."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scheduler.market.breaker import breaker_of
from scheduler.settings import SchedulerSettings
from scheduler.streams import COMPOSERS


@pytest.fixture
def composers(monkeypatch, request):
    for name, value in {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    settings = SchedulerSettings(table="t", push=request.param)
    return settings, {stream: make(settings) for stream, make in COMPOSERS.items()}


@pytest.mark.parametrize("composers", [False, True], indirect=True, ids=["asked", "pushed"])
def test_whatever_asks_one_provider_shares_its_breaker(composers):
    settings, made = composers
    market, signals = made["market"]._providers, made["signals"]._providers
    hosts = {name: [getattr(market[name], "_rest", market[name]), signals[name]] for name in ("binance", "kraken")}
    for name, asking in hosts.items():
        asking.append(getattr(made["binary"]._providers[name], "_provider", made["binary"]._providers[name]))
    for name, asking in hosts.items():
        url = getattr(settings, f"{name}_url")
        assert {host.breaker for host in asking} == {breaker_of(name, url)}
        if settings.push:
            assert market[name]._keeper._breaker is breaker_of(name, url)


LOOK = """
import sys
import scheduler.tick
from scheduler.settings import SchedulerSettings
from scheduler.streams import market
market(SchedulerSettings(table="t"))
print("websockets" in sys.modules)
market(SchedulerSettings(table="t", push=True))
print("websockets" in sys.modules)
"""


@pytest.mark.contract
def test_the_library_for_websockets_is_loaded_only_where_providers_push():
    looked = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert looked.stdout.split() == ["False", "True"]
