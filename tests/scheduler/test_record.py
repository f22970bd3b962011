"""Recording what the hosts answer, from the simulated exchange, and running the system on it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import uvicorn

from handlers.hub.instruments import instruments
from local.exchange import kraken as simulated
from local.exchange import limits
from local.exchange.application import exchange
from local.exchange.replay import read
from scheduler import record as command
from scheduler.clock import epoch_ms
from scheduler.composition import Known
from scheduler.market import breaker, quotes, sessions
from scheduler.market.providers.host import Heard
from scheduler.record import Recorder, record
from scheduler.settings import SchedulerSettings

ROOT = Path(__file__).parents[2]
KRAKEN = {"/0/public/AssetPairs", "/0/public/Ticker", "/0/public/OHLC", "/0/public/Trades"}
PERIODS = {"market": 2_000, "signals": 8_000, "binary": 8_000}


def serve(application):
    server = uvicorn.Server(
        uvicorn.Config(application, port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.001)
    return server, thread, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


@pytest.fixture
def unhurried(monkeypatch):
    """Let Kraken be asked as fast as anybody likes: at its pace, everything takes half a minute."""
    monkeypatch.setitem(breaker.PACES, "kraken", breaker.Pace(1_000, 1_000))
    monkeypatch.setattr(simulated, "CallPacer", lambda: limits.CallPacer(rate=1_000, burst=1_000))


@pytest.fixture
def address():
    server, thread, url = serve(exchange())
    yield url
    server.should_exit = True
    thread.join()


def settings(url, **changes):
    places = {f"{name.replace('-', '_')}_url": f"{url}/{name}" for name in ("binance", "kraken", "gold-api")}
    return SchedulerSettings(
        table="none", gateway="ws://127.0.0.1:9/live", frankfurter_url=f"{url}/frankfurter", **places | changes
    )


def paths_in(folder, provider):
    return {row.path for row in read(folder).get(provider, ())} if any(folder.iterdir()) else set()


def klines_in(folder):
    """List what there are candles of: for the rating (1h) and for the sentiment (1m)."""
    rows = [row for row in read(folder).get("binance", ()) if row.path.endswith("klines")]
    return {(row.query["symbol"], row.query["interval"]) for row in rows}


def pairs_in(folder, method):
    rows = read(folder).get("kraken", ()) if any(folder.iterdir()) else ()
    return {row.query["pair"] for row in rows if row.path.endswith(method)}


async def compositions(url):
    """Run every stream once, in a process's first tick."""
    composers = command._composers(settings(url), command._Moving())
    try:
        return {
            stream: composer.compose(await composer.fetch(within=10), Known(), now=epoch_ms(), full=True)
            for stream, composer in composers.items()
        }
    finally:
        for composer in composers.values():
            await composer.close()


@pytest.mark.end_to_end
async def test_a_replay_of_a_recording_runs_all_streams_on_the_recorded_values(
    unhurried,  # before the exchange is there
    address,
    tmp_path,
    monkeypatch,
):
    # At the weekend nobody asks for trades of forex.
    monkeypatch.setattr(sessions, "is_open", lambda kind, at: True)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        recording = group.create_task(record(settings(address), tmp_path, seconds=30, stop=stop, periods=PERIODS))
        while not (
            paths_in(tmp_path, "kraken") >= KRAKEN
            and len(pairs_in(tmp_path, "Trades")) == 7
            and len(klines_in(tmp_path)) == 2 * 20
        ):
            await asyncio.sleep(0.2)
        stop.set()
    recorder = recording.result()
    rows = read(tmp_path)
    assert set(rows) == {"binance", "kraken", "gold-api"}
    assert recorder.report()[0].startswith("binance: ")
    assert sum(len(of) for of in rows.values()) == sum(recorder._good.values())
    paths = {row.path for row in rows["binance"]}
    assert paths == {"/api/v3/ticker/24hr", "/api/v3/ticker/bookTicker", "/api/v3/klines"}
    assert {row.path for row in rows["kraken"]} == KRAKEN
    told = {}
    for recorded in (row.body for row in rows["binance"] if row.path.endswith("24hr")):
        for one in json.loads(recorded):
            said = (one["lastPrice"], one["bidPrice"], one["askPrice"], one["priceChangePercent"])
            told.setdefault(one["symbol"], set()).add(said)
    server, thread, url = serve(exchange(recordings=tmp_path))
    try:
        replayed = await compositions(url)
    finally:
        server.should_exit = True
        thread.join()
    market = {symbol: quotes.decode(symbol, data, answered_at=0) for symbol, data in replayed["market"].content.items()}
    assert set(market) == set(instruments())
    assert {quote.source for quote in market.values()} == {"replay"}
    for symbol, quote in market.items():
        if (name := instruments()[symbol].sources.get("binance")) in told:
            assert (quote.last, quote.bid, quote.ask, quote.change_pct) in told[name]
    assert len(told) == 20
    assert [fault for fault in replayed["market"].faults if "does not list" not in fault] == []
    coins = [one.symbol for one in instruments().values() if one.kind == "crypto"]
    traded = [*coins, *(one.symbol for one in instruments().values() if one.kind == "forex"), "XAU"]
    assert all(b'"source":"replay"' in replayed["binary"].content[symbol] for symbol in traded)
    assert not any(b'"call":null' in replayed["binary"].content[symbol] for symbol in traded)
    for content in (replayed["signals"].content, replayed["binary"].content):
        assert all(b'"source":"replay"' in content[symbol] for symbol in coins)
    assert not any(b'"rating":null' in replayed["signals"].content[symbol] for symbol in coins)


@pytest.mark.end_to_end
async def test_what_fails_is_told_and_what_comes_is_kept(address, tmp_path):
    async with httpx.AsyncClient(base_url=address, verify=False) as client:  # noqa: S501 - nothing is encrypted here
        await client.put("/control/kraken", json={"status": 503})
        await client.put("/control/gold-api", json={"body": "reset"})
    recorder = await record(settings(address), tmp_path, seconds=0.1, stop=asyncio.Event(), periods=PERIODS)
    assert not recorder.is_whole
    told = "\n".join(recorder.report())
    assert "kraken: 0 answers, " in told
    assert "with status 503" in told
    assert "! no good answer: a replay will have nothing of kraken" in told
    assert "! no good answer: a replay will have nothing of gold-api" in told
    assert "market: nothing about" in told
    assert "EURUSD" in told
    assert {row.status for row in read(tmp_path)["kraken"]} == {503}
    assert recorder._good["binance"] > 0
    assert not (tmp_path / "gold-api.jsonl").exists()


@pytest.mark.end_to_end
def test_ctrl_c_ends_it_and_keeps_what_there_is(address, tmp_path):
    folder = tmp_path / "new"
    urls = [f"--{name}-url={address}/{name}" for name in ("binance", "kraken", "gold-api")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
    with subprocess.Popen(
        [sys.executable, "-m", "local", "record", "--to", str(folder), *urls],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as recording:
        ends = time.monotonic() + 30
        while not all((folder / f"{name}.jsonl").exists() for name in ("binance", "kraken", "gold-api")):
            assert time.monotonic() < ends
            time.sleep(0.02)
        recording.send_signal(signal.SIGINT)
        output, _ = recording.communicate(timeout=10)
    assert output.startswith(f"recording into {folder}; Ctrl-C ends it")
    assert "binance: " in output
    assert all(read(folder).values())


def test_nothing_is_written_over(tmp_path, capsys):
    (tmp_path / "binance.jsonl").write_text("mine")
    assert command.main(["--to", str(tmp_path)]) == 1
    assert "there is something in" in capsys.readouterr().err
    assert (tmp_path / "binance.jsonl").read_text() == "mine"


def test_a_folder_that_cannot_be_and_an_address_that_is_none_are_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert command.main(["--to", str(tmp_path / "file")]) == 1
    assert "cannot be written to" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["--to", str(tmp_path / "new"), "--kraken-url", "kraken"])
    assert "not an http:// or https:// address: 'kraken'" in capsys.readouterr().err


def test_a_setting_that_cannot_be_used_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TICKWIRE_SIGNAL_TIMEFRAMES", "2h")
    assert command.main(["--to", str(tmp_path / "new")]) == 1
    assert "TICKWIRE_SIGNAL_TIMEFRAMES cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "five"])
def test_minutes_are_a_positive_number(minutes, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["--to", str(tmp_path / "new"), "--minutes", minutes])
    assert "not a positive number of minutes" in capsys.readouterr().err


def test_the_exit_code_says_whether_every_provider_has_answered(monkeypatch, tmp_path, capsys):
    async def made(settings, folder, *, seconds):
        assert (settings.binance_url, seconds) == ("http://one.test", 30.0)
        recorder = Recorder(folder, ["binance"])
        for _ in range(answers):
            recorder.hear(
                Heard("binance", at=1, path="/a", query={"b": "c"}, status=200, headers={"d": "e"}, body="{}")
            )
        recorder.note("market", faults=["binance: timed out"], missing=[])
        return recorder

    monkeypatch.setattr(command, "_record_until_stopped", made)
    for answers, code in ((2, 0), (0, 1)):
        arguments = ["--to", str(tmp_path / str(code)), "--minutes", "0.5", "--binance-url", "http://one.test"]
        assert command.main(arguments) == code
        assert f"binance: {answers} answers" in (told := capsys.readouterr().out)
        assert "! once: binance: timed out" in told
    (row, again) = read(tmp_path / "0")["binance"]
    assert row == again
    assert (row.at, row.path, row.query, row.status, row.headers, row.body) == (
        1,
        "/a",
        {"b": "c"},
        200,
        {"d": "e"},
        "{}",
    )
