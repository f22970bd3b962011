"""The two hosts of the ticks, Lambda's function and a process of their own, and what the environment tells them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

import scheduler.__main__ as process
from handlers.hub.connections import DynamoConnectionStore, shard_of
from handlers.hub.dynamodb import dynamodb
from handlers.hub.errors import ServiceUnavailable
from handlers.hub.instruments import instruments
from handlers.hub.settings import hub_settings
from handlers.hub.snapshots import DynamoSnapshotStore, Snapshot
from scheduler import deliver, tick
from scheduler.clock import epoch_ms
from scheduler.errors import SettingFault
from scheduler.fanout import Assignment
from scheduler.invoker import LambdaInvoker, lambda_service
from scheduler.market.prices import Prices
from scheduler.report import Report, print_metrics
from scheduler.settings import SchedulerSettings, read_settings
from scheduler.telling import Telling, pack
from tests.misbehaving import Misbehaving, answer
from tests.scheduler.fakes import BITCOIN, ScriptedProvider, answering, follower, gold, kraken, quote, ticker

COMPLETE = {
    "TICKWIRE_TABLE": "tickwire",
    "TICKWIRE_GATEWAY": "ws://127.0.0.1:9/local",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


@pytest.fixture
def environment(monkeypatch):
    """Leave nothing of this machine's own settings, and give ``COMPLETE`` ones."""
    for name in list(os.environ):
        if name.startswith(("TICKWIRE_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture(scope="module")
def served(dynamo):
    dynamo.create_table()
    return dynamo


@pytest.fixture
def table(environment, served):
    """Have the process's own client lead to moto's table."""
    environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", served.url)
    dynamodb.cache_clear()
    yield dynamodb()
    dynamodb.cache_clear()


@pytest.fixture
def grid(monkeypatch):
    """Run each job's next tick at once, in place of waiting for it; gives what the grid was asked."""
    asked = {}

    async def follow_once(jobs, **bounds):
        asked.update(bounds)
        for job in jobs:
            await job.run(epoch_ms() // job.period_ms + 1)

    monkeypatch.setattr(tick, "follow_grid", follow_once)
    return asked


@pytest.mark.usefixtures("environment")
def test_complete_settings_are_read():
    settings = read_settings()
    assert settings.table == "tickwire"
    assert settings.binance_url == "https://data-api.binance.vision"
    assert settings.run_for == 70


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("TICKWIRE_TABLE", "TICKWIRE_TABLE is not set. It is: Name of the DynamoDB table."),
        ("TICKWIRE_GATEWAY", "TICKWIRE_GATEWAY is not set. It is: The stage's own address"),
        ("AWS_REGION", "AWS_REGION is not set"),
        ("AWS_ACCESS_KEY_ID", "There are no AWS credentials"),
    ],
)
def test_a_missing_setting_ends_the_process_with_one_sentence(environment, capsys, missing, sentence):
    environment.delenv(missing)
    if missing == "AWS_ACCESS_KEY_ID":
        environment.delenv("AWS_SECRET_ACCESS_KEY")
    assert process.main([]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"scheduler: {sentence}")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TICKWIRE_SHARDS", "many"),
        ("TICKWIRE_RUN_FOR", "0"),
        ("TICKWIRE_BINANCE_URL", "ftp://elsewhere"),
        ("TICKWIRE_KRAKEN_URL", "kraken"),
        ("TICKWIRE_SWISSQUOTE", "perhaps"),
        ("TICKWIRE_GATEWAY", "127.0.0.1:8000"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(SettingFault, match=f"^{name} cannot be used: "):
        read_settings()


def test_a_list_of_instruments_that_cannot_be_used_is_named(environment, tmp_path, capsys):
    environment.setenv("TICKWIRE_INSTRUMENTS", str(tmp_path / "none.toml"))
    assert process.main([]) == 2
    assert "none.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--streams", "weather"], ["--streams", ","], ["--run-for", "0"], ["--run-for", "x"]]
)
def test_an_argument_that_means_nothing_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        process.main(arguments)
    assert ended.value.code == 2
    assert arguments[1] in capsys.readouterr().err


@pytest.mark.usefixtures("environment")
def test_the_process_runs_what_it_is_asked_to(monkeypatch):
    asked = {}

    async def run(settings, streams, **options):
        asked.update(options, table=settings.table, streams=streams)

    monkeypatch.setattr(process, "run", run)
    before = epoch_ms()
    assert process.main(["--streams", "market", "--run-for", "2.5"]) == 0
    assert (asked["table"], asked["streams"]) == ("tickwire", ("market",))
    assert before + 2_500 <= asked["until"] <= epoch_ms() + 2_500
    assert process.main([]) == 0
    assert (asked["streams"], asked["until"]) == (tuple(tick.COMPOSERS), None)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(monkeypatch, number):
    async def run(settings, streams, *, stop, **options):
        os.kill(os.getpid(), number)
        async with asyncio.timeout(1):
            await stop.wait()

    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)  # it would take the whole test run with it
    monkeypatch.setattr(process, "run", run)
    assert process.main([]) == 0
    assert ended == []


@asynccontextmanager
async def http_server(answer):
    """Answer each request with ``answer(head, body)``; gives the port."""

    async def connected(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
                body = answer(head, await reader.readexactly(int(length[1]) if length else 0))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


@pytest.mark.usefixtures("grid")
async def test_ticks_go_from_the_exchange_to_the_gateway(table):
    """Everything real but the table: settings, provider, stores, composer, grid, signed posts."""
    posts = []

    def exchange(head, body):
        url = urlsplit(head.split(b" ")[1].decode())
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.startswith("/price/"):
            return json.dumps(gold(url.path.removeprefix("/price/"))).encode()
        if url.path.startswith("/0/public/"):
            return json.dumps(kraken(url.path.removeprefix("/0/public/"), query)).encode()
        return json.dumps([ticker(symbol) for symbol in json.loads(query["symbols"])]).encode()

    def gateway(head, body):
        posts.append((head.split(b" ")[1], json.loads(body)))
        return b""

    DynamoConnectionStore(table, "tickwire", shards=4).remember(follower("L0SM9cOFvHcCIhw=", at=epoch_ms() - 60_000))
    async with http_server(exchange) as market, http_server(gateway) as stage:
        providers = dict.fromkeys(
            ("binance_url", "kraken_url", "gold_api_url", "frankfurter_url"), f"http://127.0.0.1:{market}"
        )
        await tick.run(SchedulerSettings(**providers, gateway=f"ws://127.0.0.1:{stage}/local"), ["market"])
    ((path, batch),) = [(path, message) for path, message in posts if message["type"] != "status"]
    assert path == b"/local/@connections/L0SM9cOFvHcCIhw%3D"
    assert batch["type"] == "market_batch"
    assert [update["symbol"] for update in batch["updates"]] == list(instruments())
    assert DynamoSnapshotStore(table, "tickwire").latest("market").seq == batch["seq"]


async def test_a_group_goes_from_lambdas_event_to_the_gateway(table, environment):
    """Everything real but the table; a warm process goes on with the sockets that it has."""
    posts = []

    def gateway(head, body):
        posts.append((head.split(b" ")[1], json.loads(body)["seq"]))
        return b""

    connected_at = epoch_ms() - 60_000
    DynamoConnectionStore(table, "tickwire", shards=4).remember(follower("GROUP9cOFvHcCIhw=", at=connected_at))
    values = {"BTC": b'{"last":1,"bid":null,"ask":null,"change_pct":null,"ts":1}'}
    async with http_server(gateway) as stage:
        environment.setenv("TICKWIRE_GATEWAY", f"ws://127.0.0.1:{stage}/local")
        hub_settings.cache_clear()

        def serve():
            try:
                for seq in (7, 8, 8):
                    state = Snapshot("market", seq, epoch_ms(), values, b"")
                    told = pack(Telling("market", state, seq - 1, values, epoch_ms()))
                    shards = [shard_of("GROUP9cOFvHcCIhw=", 4)]
                    event = Assignment("market", seq, 0, 1, shards, epoch_ms() + 2_000, 100, 10, told)
                    yield deliver.handler(msgspec.to_builtins(event), None)
            finally:
                process = deliver._kept.process
                process._runner.run(process._ports.gateway.aclose())
                process._runner.close()
                del deliver._kept.process

        tallies = await asyncio.to_thread(lambda: list(serve()))
    hub_settings.cache_clear()
    mine = [(path, seq) for path, seq in posts if b"GROUP9cOFvHcCIhw" in path]
    assert mine == [(b"/local/@connections/GROUP9cOFvHcCIhw%3D", seq) for seq in (7, 8)]
    assert [tally and tally["posted"] for tally in tallies] == [len(posts) // 2, len(posts) // 2, None]


async def test_functions_are_started_by_many_threads_through_one_client(environment):
    asked, made = [], []

    def take_time():
        made.append("us-east-1")
        time.sleep(0.05)
        return made[-1]

    def invoke(head, body):
        asked.append((head.split(b"\r\n")[0], body, b"\r\nX-Amz-Invocation-Type: Event\r\n" in head))
        return b""

    environment.setattr("handlers.hub.service.region", take_time)
    lambda_service.cache_clear()
    async with http_server(invoke) as endpoint:
        environment.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{endpoint}")
        invoker = LambdaInvoker("arn:aws:lambda:us-east-1:1:function:fanout")
        await asyncio.gather(*(asyncio.to_thread(invoker.start, b"%d" % number) for number in range(8)))
    lambda_service.cache_clear()
    path = b"/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Afanout/invocations"
    assert sorted(asked) == [(b"POST %b HTTP/1.1" % path, b"%d" % number, True) for number in range(8)]
    assert len(made) == 1


async def test_a_function_that_cannot_be_started_is_asked_for_once(environment):
    """Who starts a group tries again by itself."""
    async with Misbehaving([[answer(500)]]) as service:
        lambda_service.cache_clear()
        environment.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{service.port}")
        with pytest.raises(ServiceUnavailable):
            await asyncio.to_thread(LambdaInvoker("fanout").start, b"{}")
        lambda_service.cache_clear()
    assert len(service.requests) == 1


@pytest.mark.parametrize(("function", "is_there"), [("", False), ("tickwire-fanout", True)])
@pytest.mark.usefixtures("table")
def test_ticks_are_divided_where_the_deployment_names_a_function(function, is_there):
    fanout = tick._fanout(SchedulerSettings(fanout_function=function, fanout_threshold=7), shards=4)
    assert (fanout is not None) is is_there
    if fanout:
        assert (fanout.shards, fanout.threshold, fanout.is_due(7), fanout.is_due(8)) == (4, 7, False, True)


class LambdaContext:
    def __init__(self, left_ms):
        self.left_ms = left_ms

    def get_remaining_time_in_millis(self):
        return self.left_ms


@pytest.fixture
def scripted(monkeypatch):
    """Have the values of every stream from a script."""
    provider = ScriptedProvider(answering(quote("BTC")))
    for stream in tick.COMPOSERS:
        monkeypatch.setitem(tick.COMPOSERS, stream, lambda settings: Prices([BITCOIN], [provider]))
    return provider


def test_a_lambda_run_runs_ticks_and_leaves_nothing_open(table, grid, scripted):
    before = epoch_ms()
    tick.handler({"version": "0"}, LambdaContext(90_000))
    assert before + 70_000 <= grid["until"] <= epoch_ms() + 70_000
    assert DynamoSnapshotStore(table, "tickwire").latest("market") is not None
    assert scripted.closed


@pytest.mark.usefixtures("environment")
def test_a_lambda_run_begins_nothing_that_it_could_not_end(scripted, caplog):
    tick.handler({}, LambdaContext(6_000))
    assert "no tick is run: the function's timeout leaves 5000 ms" in caplog.text
    assert not scripted.closed


@pytest.mark.usefixtures("environment")
def test_a_lambda_run_is_bounded_by_its_own_time_and_the_functions(monkeypatch):
    asked = []

    async def run(settings, **bounds):
        asked.append(bounds)

    monkeypatch.setattr(tick, "run", run)
    monkeypatch.setattr(tick, "epoch_ms", lambda: 1_000_000)
    tick.handler({}, LambdaContext(90_000))
    tick.handler({}, LambdaContext(60_000))
    bounds = [{name: one[name] for name in ("until", "end")} for one in asked]
    assert bounds == [{"until": 1_070_000, "end": 1_089_000}, {"until": 1_054_000, "end": 1_059_000}]


@pytest.mark.usefixtures("grid", "scripted")
def test_a_tick_on_lambda_prints_metrics_as_cloudwatch_reads_them(table, environment, capsys):
    environment.setenv("AWS_LAMBDA_FUNCTION_NAME", "prices-tick")
    for stream in tick.COMPOSERS:  # the tests before may have run the same ticks
        table.delete_item(TableName="tickwire", Key={"pk": {"S": f"TICK#{stream}"}, "sk": {"S": "latest"}})
    tick.handler({}, LambdaContext(90_000))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["stream"] for line in lines} == set(tick.COMPOSERS)
    for line in lines:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Tickwire"
        assert [[line[name] for name in names] for names in directive["Dimensions"]] == [
            ["prices-tick", line["stream"]]
        ]
        assert all(isinstance(line[metric["Name"]], int | float) for metric in directive["Metrics"])
        assert {metric["Name"] for metric in directive["Metrics"]} >= {"posted", "limited", "late", "delivered_in"}
        assert abs(line["_aws"]["Timestamp"] - epoch_ms()) < 60_000


@pytest.mark.usefixtures("environment")
def test_a_tick_that_another_run_has_is_no_metric(capsys):
    print_metrics(Report("market", 1, outcome="elsewhere"))
    assert capsys.readouterr().out == ""


@pytest.mark.end_to_end
@pytest.mark.usefixtures("environment")
def test_a_process_whose_table_does_not_answer_still_ends_within_a_second(environment):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{silent.getsockname()[1]}")
        environment.setenv("PYTHONUNBUFFERED", "1")
        with subprocess.Popen([sys.executable, "-m", "scheduler"], stdout=subprocess.PIPE) as running:
            silent.settimeout(15)
            claiming, _ = silent.accept()
            with claiming:
                asked_at = time.monotonic()
                running.terminate()
                assert running.wait(5) == 0
                assert time.monotonic() - asked_at < 1
