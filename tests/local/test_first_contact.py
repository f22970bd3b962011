"""What a newcomer reads: the list at the start, a handler's stack trace, and what to do about a missing package."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local.__main__ import _OWN, main
from local.errors import CannotStart
from local.functions.invocations import LogLine
from local.functions.missing import advice
from local.functions.traces import own_lines_first
from local.settings import UpSettings, read_settings
from local.stack import Function, Mapped, Stack, Stage, WebSocketApi
from local.terminal import LinePrinter, print_start
from local.up import find_template

OWN = "/home/me/chat/src"
TRACE = [
    "[ERROR] KeyError: 'name'",
    "Traceback (most recent call last):",
    '  File "/usr/lib/python3.13/importlib/__init__.py", line 88, in import_module',
    "    return _bootstrap._gcd_import(name[level:], package, level)",
    '  File "<frozen importlib._bootstrap>", line 1387, in _gcd_import',
    '  File "/venv/site-packages/decorators.py", line 7, in wrapped',
    "    return call(*given)",
    f'  File "{OWN}/app.py", line 12, in handler',
    "    return greet(event)",
    f'  File "{OWN}/greeting.py", line 3, in greet',
    "    return names[event['name']]",
]


def test_a_trace_begins_with_the_own_lines_and_leaves_out_the_way_there():
    assert own_lines_first(TRACE, [OWN]) == [
        "[ERROR] KeyError: 'name'",
        "Traceback (most recent call last):",
        f'  File "{OWN}/app.py", line 12, in handler',
        "    return greet(event)",
        f'  File "{OWN}/greeting.py", line 3, in greet',
        "    return names[event['name']]",
        "  in what those lines call:",
        '  File "/venv/site-packages/decorators.py", line 7, in wrapped',
        "    return call(*given)",
    ]


def test_a_trace_without_own_lines_stays_as_it_is():
    assert own_lines_first(TRACE, ["/home/me/cha"]) == TRACE
    assert own_lines_first(["one", "two"], [OWN]) == ["one", "two"]


def test_a_heading_over_nothing_goes():
    assert own_lines_first(["[ERROR] X", "Traceback (most recent call last):"], [OWN]) == ["[ERROR] X"]


def a_function(code, *, handler="app.handler", layers=()):
    return Function("Chat", "stack-Chat", "arn", handler, code, layers=tuple(layers))


def test_a_missing_package_is_named_with_the_line_that_installs_it(tmp_path):
    missing = "Unable to import module 'app': No module named 'langchain.chains'"
    assert (
        advice(a_function(tmp_path), missing, python="/v/bin/python")
        == "install it by /v/bin/python -m pip install langchain"
    )


@pytest.mark.parametrize("where", ["src", ".", "layer"])
def test_a_list_that_names_the_package_is_installed_as_a_whole(tmp_path, where):
    for folder in ("src", "layer/python"):
        (tmp_path / folder).mkdir(parents=True)
    listed = tmp_path / where / "requirements.txt"
    listed.write_text("boto3\naws-lambda-powertools==3.1\n")
    function = a_function(tmp_path / "src", layers=[tmp_path / "layer" / "python"])
    told = advice(function, "No module named 'aws_lambda_powertools'", python="python")
    assert told == f"install it by python -m pip install -r {listed}"


def test_a_handler_whose_file_is_not_there_is_no_missing_package(tmp_path):
    told = advice(a_function(tmp_path, handler="src/chat/app.handler"), "No module named 'src'", python="python")
    assert told == f"there is no src/chat/app.py in {tmp_path}"


def test_any_other_failure_has_no_advice(tmp_path):
    assert advice(a_function(tmp_path), "Handler 'handler' missing on module 'app'", python="python") == ""


def test_lines_are_named_as_the_template_does_and_awss_own_warning_goes(capsys):
    print_line = LinePrinter({"stack-Chat-1x2y": "Chat"})
    print_line(LogLine("stack-Chat-1x2y", "b3c4d5e6-0000", "hello"))
    print_line(LogLine("stack-Chat-1x2y", "", "[WARNING] LAMBDA_WARNING: Unhandled exception. The most likely cause"))
    print_line(LogLine("another", "", "starting"))
    assert capsys.readouterr().out == "Chat b3c4d5e6 | hello\nanother | starting\n"


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        ('{"_aws":{"Timestamp":1},"stream":"market","ms":{"fetch":1.5}}', '{"stream":"market","ms":{"fetch":1.5}}'),
        ('{"_aws":{"cut', '{"_aws":{"cut'),
        ('{"stream":"market","_aws":1}', '{"stream":"market","_aws":1}'),
    ],
)
def test_a_line_of_metrics_is_printed_without_what_is_for_cloudwatch(capsys, said, printed):
    LinePrinter({})(LogLine("tick", "", said))
    assert capsys.readouterr().out == f"tick | {printed}\n"


def test_the_start_tells_where_everything_is_and_where_its_code_lies(capsys):
    here = Path("/home/me/chat")
    api = WebSocketApi("Api", "a1b2c3d4e5", "chat", "$request.body.action", Stage("prod"), {})
    functions = {
        "OnConnect": Function("OnConnect", "chat-OnConnect", "arn", "app.connect", here / "src", source="./src/"),
        "Send": Function("Send", "chat-Send", "arn", "send.handler", here, source="."),
        "Ping": Function("Ping", "chat-Ping", "arn", "index.handler", Path("/cache/x")),
        "Far": Function("Far", "chat-Far", "arn", "a.b", Path("/cache/y"), source="../chat.zip"),
    }
    stack = Stack(
        name="chat",
        path=here / "template.yaml",
        region="us-east-1",
        account_id="000000000000",
        apis=(api,),
        functions=functions,
        mappings=(Mapped("ws.example.com", "chat", "a1b2c3d4e5"),),
        warnings=("Pool (AWS::Cognito::UserPool) is ignored: nobody can sign in.",),
    )
    print_start(UpSettings(), stack, "127.0.0.1:8000")
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    shown = [[part.strip() for part in line if part.strip()] for line in lines]
    assert ["WebSocket", "ws://127.0.0.1:8000/prod", "chat:"] in shown
    assert ["Domain", "https://ws.example.com/chat", "chat, for functions only"] in shown
    assert ["OnConnect", "app.connect in src/", "chat-OnConnect"] in shown
    assert ["Send", "send.handler in this folder", "chat-Send"] in shown
    assert ["Ping", "index.handler in the template itself", "chat-Ping"] in shown
    assert ["Far", "a.b in ../chat.zip", "chat-Far"] in shown
    assert ["! Pool (AWS::Cognito::UserPool) is ignored: nobody can sign in."] in shown


def test_without_a_template_the_one_that_lies_here_is_taken_and_one_nearby_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CannotStart, match=r"in this folder; name a template with --template PATH$"):
        find_template(UpSettings())
    (tmp_path / "sam-app").mkdir()
    (tmp_path / "sam-app" / "template.yaml").touch()
    with pytest.raises(CannotStart, match=r"; nearby there is --template sam-app/template\.yaml$"):
        find_template(UpSettings())
    for name in ("template.json", "template.yml", "template.yaml"):
        (tmp_path / name).touch()
        assert find_template(UpSettings()) == Path(name)


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        (["--parameter", "Subnets=a, b"], {"Subnets": "a, b"}),
        (
            ["--parameter", "A=1,B=2", "--parameter=Url=https://x/?a=b&c=d,e"],
            {"A": "1,B=2", "Url": "https://x/?a=b&c=d,e"},
        ),
        (["--parameter", "Empty=", "--parameter", 'Quoted="q"'], {"Empty": "", "Quoted": '"q"'}),
        (["--parameter", '{"A": "b"}'], {"A": "b"}),
        (["--strict"], {}),
    ],
)
def test_a_parameters_value_is_taken_as_it_is(given, parameters):
    assert read_settings(given).parameter == parameters


@pytest.mark.parametrize("given", [["--parameter", "Name"], ["--alias", "=x"], ["--limit=life"]])
def test_what_is_no_pair_is_refused_by_the_options_name(given, capsys):
    assert main(["up", *given]) == 2
    assert capsys.readouterr().err.startswith(f"tickwire up: {given[0].partition('=')[0]} wants NAME=VALUE, and ")


def test_ctrl_c_while_it_still_starts_ends_it_without_a_stack_trace(monkeypatch):
    def start(_arguments):
        raise KeyboardInterrupt

    monkeypatch.setitem(_OWN, "up", start)
    assert main(["up"]) == 130


def test_the_help_is_in_words_for_people(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["up", "--help"])
    said = capsys.readouterr().out
    assert "--parameter K=V" in said
    assert "--alias HOST=API" in said
    assert "(default: 8000)" in said
    for word in ("dict[", "--seed str", "--port int", "Path", "default: null", "default: {}", "default: )"):
        assert word not in said


def test_whoever_reads_only_the_beginning_is_no_error(monkeypatch, capfd):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr("sys.stdout", closed)
        monkeypatch.setitem(_OWN, "up", lambda _: closed.write("something") and 0)
        assert main(["up"]) == 1
        closed.write("more")
    assert capfd.readouterr().err == ""


def test_what_a_value_should_have_been_is_said_in_one_sentence(capsys):
    assert main(["up", "--providers", "some"]) == 2
    assert capsys.readouterr().err == (
        "tickwire up: --providers: is one of simulated, live, replay:DIR (it is 'some')\n"
    )
