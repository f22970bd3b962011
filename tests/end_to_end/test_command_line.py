"""``tickwire`` as a user types it: what it says, and that it leaves nothing behind."""

import os
import pty
import re
import signal
import socket
import sys
import time
import urllib.request

import pytest

from tests.end_to_end.running import ROOT, TEMPLATE, clean_environment, descendants, is_alive


def test_ctrl_c_stops_everything_within_two_seconds(start):
    emulator = start()
    family = [emulator.process.pid, *descendants(emulator.process.pid)]
    assert len(family) >= 4
    assert emulator.stop() < 2
    assert emulator.process.returncode == 0, emulator.output
    assert [pid for pid in family if is_alive(pid)] == []


def test_up_says_what_it_started_and_where(emulator):
    for word in (
        "ws://127.0.0.1:",
        "/ws/market/stream",
        "@connections",
        "DynamoDB",
        "MessageFunction",
        "Ctrl-C",
        "simulated",
    ):
        assert word in emulator.output


def test_the_ready_file_tells_everything(emulator):
    ready = emulator.ready
    assert re.fullmatch(r"ws://127\.0\.0\.1:\d+/live", ready["websocket"])
    assert ready["management"] == ready["websocket"].replace("ws", "http", 1)
    assert ready["credentials"] == {"access_key_id": "test", "secret_access_key": "test"}
    assert ready["region"] == "us-east-1"
    assert set(ready["streams"]) == {"market", "signals", "binary"}
    assert ready["page"] == ready["dynamodb"] + "/"
    assert {"TICKWIRE_TABLE", "TICKWIRE_GATEWAY", "AWS_ENDPOINT_URL_DYNAMODB"} <= set(ready["environment"])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--template", "nowhere.yaml"), "there is no template at nowhere.yaml"),
        (("--limit", "lifetime=20s"), "no such limit: 'lifetime'"),
        (("--limit", "life=soon"), "write 20s"),
        (("--providers", "guess"), "simulated, live, replay:DIR"),
        (("--providers", "replay:nowhere"), "there is no such folder of recordings"),
        (("--port", "high"), "--port"),
        (("--parameter", "Colour=green"), "Colour"),
        (("--parameter", "Colour"), "--parameter wants NAME=VALUE"),
    ],
)
def test_a_wrong_flag_is_one_clear_sentence(run, flags, said):
    program = run("-m", "local", "up", *(() if "--template" in flags else ("--template", str(TEMPLATE))), *flags)
    assert program.wait(20) != 0
    assert said in program.output
    assert "Traceback" not in program.output
    assert len(program.lines) == 1


def test_a_taken_port_is_named_with_the_remedy(run):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        program = run("-m", "local", "up", "--template", str(TEMPLATE), "--port", str(port))
        assert program.wait(20) == 1
    assert program.lines == [
        f"tickwire up: port {port} is taken; choose another with --port, or --port 0 for a free one"
    ]


def test_a_handler_that_cannot_be_imported_is_named(run, tmp_path):
    template = tmp_path / "template.yaml"
    template.write_text(
        """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      Routes: {$default: {FunctionArn: !GetAtt Echo.Arn}}
  Echo:
    Type: AWS::Serverless::Function
    Properties: {Runtime: python3.13, Handler: missing.handler, CodeUri: .}
"""
    )
    program = run("-m", "local", "up", "--template", str(template), "--port", "0", "--no-browser")
    assert program.wait(20) == 1
    last = program.lines[-1]
    assert last.startswith("tickwire up: ")
    assert "missing.handler" in last
    assert "Traceback" not in last


def test_flags_are_environment_variables_too(run):
    program = run("-m", "local", "up", environment={"TICKWIRE_TEMPLATE": "nowhere.yaml"})
    assert program.wait(20) == 1
    assert "nowhere.yaml" in program.output


@pytest.mark.parametrize("arguments", [(), ("dance",), ("--help",)])
def test_tickwire_alone_prints_its_commands(run, arguments):
    program = run("-m", "local", *arguments)
    assert program.wait(10) == (0 if arguments == ("--help",) else 2)
    assert "up " in program.output
    assert "watch " in program.output


def test_the_scheduler_without_settings_says_what_is_missing(run):
    program = run("-m", "scheduler")
    assert program.wait(20) == 2
    assert "TICKWIRE_TABLE" in program.output
    assert "Traceback" not in program.output


def test_watch_shows_prices_that_move(emulator):
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover # the child becomes the program
        environment = clean_environment() | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
        os.chdir(ROOT)
        # As a terminal's shell does; whoever runs these tests in the background has it ignored, and hands that on.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        arguments = [
            "-m",
            "local",
            "watch",
            "market",
            "--symbols",
            "BTC,ETH",
            "--url",
            emulator.ready["streams"]["market"],
        ]
        os.execve(sys.executable, [sys.executable, *arguments], environment)
    shown = b""
    deadline = time.monotonic() + 25
    prices: set[bytes] = set()
    while time.monotonic() < deadline and len(prices) < 2:
        shown += os.read(terminal, 65_536)
        prices = set(re.findall(rb"BTC.*?([\d,]+\.\d\d)", shown))
    os.write(terminal, b"\x03")
    while True:
        try:
            if not os.read(terminal, 65_536):
                break
        except OSError:
            break
    _, status = os.waitpid(pid, 0)
    assert len(prices) >= 2, shown[-500:]
    assert b"simulated" in shown
    assert os.waitstatus_to_exitcode(status) == 0


def test_the_page_and_its_views_are_served(emulator):
    index = ROOT / "client-app" / "dist" / "index.html"
    if not index.exists():
        pytest.skip("the page is not built: make run or make test builds it")
    for path in ("", "market", "analysis"):
        with urllib.request.urlopen(emulator.ready["page"] + path) as answer:
            assert answer.read() == index.read_bytes()
            assert answer.headers["content-type"].startswith("text/html")
