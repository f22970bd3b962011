"""The emulator's functions, in real processes. Handlers are in ``functions/plain.py``."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local.functions import demand, pool
from local.functions import environment as function_environment
from local.functions.invocations import LOG_TAIL
from local.functions.service import Exhausted, FunctionNotFound, Functions, InitFailed
from local.stack import Function

pytestmark = pytest.mark.end_to_end

CODE = Path(__file__).parent / "functions"


def function(handler="plain.do", name="prices", **settings):
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
    return Function(**{"logical_id": "Prices", "name": name, "arn": arn, "handler": handler, "code": CODE, **settings})


@asynccontextmanager
async def running(*functions, lines=None, **settings):
    log = [] if lines is None else lines
    running_ = Functions(functions or [function()], region="us-east-1", log=log.append, **settings)
    await running_.start()
    try:
        yield running_
    finally:
        await running_.close()


async def do(functions, what, **event):
    return await functions.invoke("Prices", json.dumps({"do": what, **event}).encode())


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def open_descriptors():
    return len(list(Path("/dev/fd").iterdir()))


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_one_process_answers_event_after_event_as_lambda_does():
    async with running() as functions:
        echoed = await functions.invoke("Prices", b'{"do":"echo","a":[1,null,"\xc3\xa4"]}')
        assert (json.loads(echoed.payload), echoed.error) == ({"do": "echo", "a": [1, None, "ä"]}, None)

        failed = await do(functions, "fail")
        report = json.loads(failed.payload)
        assert failed.error == "Unhandled"
        assert list(report) == ["errorMessage", "errorType", "requestId", "stackTrace"]
        assert (report["errorType"], report["requestId"]) == ("KeyError", failed.request_id)

        marshalled = json.loads((await do(functions, "unserialisable")).payload)
        assert marshalled["errorType"] == "Runtime.MarshalError"

        large = await do(functions, "large", size=3_000_000)
        assert (len(large.payload), large.error) == (3_000_002, None)
        too_large = await do(functions, "large", size=6_300_000)
        assert json.loads(too_large.payload) == {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size (6300002 bytes) exceeded "
            "maximum allowed payload size (6291556 bytes).",
        }
        assert len((await do(functions, "echo", event="x" * 2_000_000)).payload) > 2_000_000
        assert len(functions.processes("Prices")) == 1


async def test_a_function_sees_what_lambda_would_give_it(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "the-developers-own")
    environment = {"AWS_ACCESS_KEY_ID": "test", "TABLE": "emulated"}
    async with running(function(environment={"TABLE": "own"}), environment=environment) as functions:
        result = await functions.invoke(
            "prices", b'{"do":"tell"}', request_id="r-1", client_context='{"custom":{"a":1}}', trace_id="Root=1-2-3"
        )
    seen = json.loads(result.payload)
    context = seen["context"]
    assert result.request_id == "r-1"
    assert 2000 < context.pop("remaining") <= 3000
    assert context == {
        "aws_request_id": "r-1",
        "function_name": "prices",
        "function_version": "$LATEST",
        "invoked_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:prices",
        "memory_limit_in_mb": "128",
        "log_group_name": "/aws/lambda/prices",
        "custom": {"a": 1},
    }
    environ = seen["environment"]
    assert "AWS_PROFILE" not in environ
    assert (environ["AWS_ACCESS_KEY_ID"], environ["TABLE"]) == ("test", "own")
    assert environ["_X_AMZN_TRACE_ID"] == "Root=1-2-3"
    assert environ["_HANDLER"] == "plain.do"
    assert environ["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert environ["AWS_REGION"] == environ["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environ["LAMBDA_TASK_ROOT"] == seen["folder"] == str(CODE)
    assert seen["path"][0] == str(CODE)


async def test_a_function_finds_its_layers_and_none_of_our_packages(tmp_path):
    code, layer, late = tmp_path / "code", tmp_path / "layer", tmp_path / "late"
    versioned = layer / "python" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    for folder in (code, versioned, late / "python"):
        folder.mkdir(parents=True)
    (code / "app.py").write_text((CODE / "plain.py").read_text())
    (layer / "python" / "fromlayer.py").touch()
    (versioned / "fromversion.py").touch()
    (late / "python" / "fromlayer.py").touch()
    # A package of this name belongs to others as well.
    (code / "scheduler").mkdir()
    (code / "scheduler" / "__init__.py").touch()

    # A checkout that is installed in editable form puts its root on sys.path.
    root = str(Path(__file__).parents[2])
    plan = function("app.importable", code=code, layers=(layer, late), environment={"PYTHONPATH": root})
    async with running(plan) as functions:
        result = await functions.invoke(
            "Prices", b'{"names":["local","handlers","scheduler","fromlayer","fromversion","boto3"]}'
        )
    found = json.loads(result.payload)
    assert (found["local"], found["handlers"]) == ("No module named 'local'", "No module named 'handlers'")
    assert found["scheduler"] == str(code / "scheduler" / "__init__.py")
    assert found["fromlayer"] == str(late / "python" / "fromlayer.py")
    assert found["fromversion"] == str(versioned / "fromversion.py")
    assert found["boto3"].endswith("/boto3/__init__.py")


async def test_an_installed_wheel_of_ours_is_as_invisible_as_a_checkout(tmp_path, monkeypatch):
    """
    Our packages then lie in one folder with everything else that is installed.

    The interpreter is the one outside the virtual environment, which has no awslambdaric: that is lent to it.
    """
    site, code = tmp_path / "site-packages", tmp_path / "code"
    for package in ("local", "handlers", "scheduler", "other"):
        (site / package).mkdir(parents=True)
        (site / package / "__init__.py").touch()
    code.mkdir()
    (code / "app.py").write_text((CODE / "plain.py").read_text())
    (site / "local" / "functions").mkdir()
    (site / "local" / "functions" / "runtime.py").write_text(function_environment.RUNTIME.read_text())
    # Some editable installations bring a finder of their own.
    (site / "sitecustomize.py").write_text(
        """
import importlib.util, pathlib, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        found = pathlib.Path(__file__).parent / name / "__init__.py"
        return importlib.util.spec_from_file_location(name, found) if found.exists() else None

sys.meta_path.append(Finder)
"""
    )
    monkeypatch.setattr(function_environment, "RUNTIME", site / "local" / "functions" / "runtime.py")
    plan = function("app.importable", code=code, environment={"PYTHONPATH": str(site)})
    async with running(plan, python=sys._base_executable) as functions:
        result = await functions.invoke("Prices", b'{"names":["local","handlers","scheduler","other"]}')
    found = json.loads(result.payload)
    assert found.pop("other") == str(site / "other" / "__init__.py")
    assert found == {name: f"No module named {name!r}" for name in ("local", "handlers", "scheduler")}


async def test_what_a_function_prints_is_logged_under_the_event_that_it_ran_for():
    lines = []
    async with running(lines=lines, report=True) as functions:
        await functions.ready()
        result = await do(functions, "shout", say="hello\nyou")
        failed = await do(functions, "fail")
        quiet = await do(functions, "echo")
    assert [(line.request_id, line.text) for line in lines[:4]] == [
        ("", "loading"),
        (result.request_id, f"START RequestId: {result.request_id} Version: $LATEST"),
        (result.request_id, "hello"),
        (result.request_id, "you"),
    ]
    assert [line.text for line in lines if line.request_id == failed.request_id and line.stream == "output"][:2] == [
        "[ERROR] KeyError: 'no such thing'",
        "Traceback (most recent call last):",
    ]
    assert lines[-1].text.startswith(f"REPORT RequestId: {quiet.request_id}\tDuration: ")
    assert (result.log, quiet.log) == (b"hello\nyou\nand again\n", b"")
    assert len(failed.log) <= LOG_TAIL


async def test_what_is_printed_counts_even_when_the_answer_is_seen_first(monkeypatch):
    async with running() as functions:
        await functions.ready()
        pool = functions._pools["Prices"]
        free = pool.freed

        def freed_and_busy(process):
            # The process prints and answers before the loop looks again, and the channel is then first in its list.
            free(process)
            time.sleep(0.05)

        monkeypatch.setattr(pool, "freed", freed_and_busy)
        _, shouted = await asyncio.gather(do(functions, "echo"), do(functions, "shout", say="hello"))
    assert shouted.log == b"hello\nand again\n"


async def test_a_function_over_its_time_is_killed_and_the_next_event_gets_a_new_process():
    lines = []
    async with running(function(timeout=0.2), lines=lines) as functions:
        late = await do(functions, "sleep", seconds=5)
        first = json.loads((await do(functions, "sleep", seconds=0)).payload)
    assert json.loads(late.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {late.request_id} Error: Task timed out after 0.20 seconds",
    }
    assert (late.error, late.lost) == ("Unhandled", False)
    assert lines[1].text.endswith(f"{late.request_id} Task timed out after 0.20 seconds")
    assert isinstance(first, int)


@pytest.mark.parametrize("notice", ["by a descriptor", "by the end of its output"])
async def test_a_process_that_ends_answers_with_its_exit(notice, monkeypatch):
    if notice == "by the end of its output":
        # As on a system that is not Linux.
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    async with running() as functions:
        left = await do(functions, "leave", status=3)
        killed = await do(functions, "die", signal=signal.SIGKILL)
        crashed = await do(functions, "die", signal=signal.SIGSEGV)
        assert (await do(functions, "echo")).error is None
    assert json.loads(left.payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {left.request_id} Error: Runtime exited with error: exit status 3",
    }
    assert [result.lost for result in (left, killed, crashed)] == [False, True, False]


async def test_a_function_that_cannot_be_loaded_says_why_and_is_tried_again(tmp_path):
    (tmp_path / "app.py").write_text("import there_is_no_such_module\n")
    async with running(function("app.handler", code=tmp_path)) as functions:
        with pytest.raises(InitFailed) as failed:
            await functions.ready()
        assert str(failed.value) == (
            "Prices (app.handler) cannot start: Runtime.ImportModuleError: "
            "Unable to import module 'app': No module named 'there_is_no_such_module'"
        )
        results = await asyncio.gather(*(functions.invoke("Prices", b"{}") for _ in range(3)))
        assert {json.loads(result.payload)["errorType"] for result in results} == {"Runtime.ImportModuleError"}

        (tmp_path / "app.py").write_text("import sys; sys.exit(2)")
        exited = await functions.invoke("Prices", b"{}")
        assert json.loads(exited.payload)["errorMessage"] == (
            f"RequestId: {exited.request_id} Error: Runtime exited with error: exit status 2"
        )

        (tmp_path / "app.py").write_text("def handler(event, context):\n    return 1 + 1\n")
        assert (await functions.invoke("Prices", b"{}")).payload == b"2"
        await functions.ready()


async def test_a_missing_interpreter_or_folder_is_an_answer_too(tmp_path):
    async with running(function(code=tmp_path / "gone")) as functions:
        with pytest.raises(InitFailed, match=r"cannot start: Runtime\.InvalidEntrypoint: .*No such file or directory"):
            await functions.ready()
        assert (await functions.invoke("Prices", b"{}")).error == "Unhandled"


async def test_events_that_wait_start_more_processes_up_to_the_limit_and_idle_ones_end():
    async with running(concurrency=3, idle_after=0.2) as functions:
        results = await asyncio.gather(*(do(functions, "sleep", seconds=0.4) for _ in range(6)))
        assert len({result.payload for result in results}) == 3
        await until(lambda: len(functions.processes("Prices")) == 1)
        assert (await do(functions, "echo")).error is None


async def test_more_events_than_processes_are_refused_where_that_is_chosen():
    async with running(concurrency=2, exhausted_is_an_error=True) as functions:
        await functions.ready()
        busy = [asyncio.create_task(do(functions, "sleep", seconds=0.3)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Exhausted, match="Prices is busy in all of its 2 processes"):
            await do(functions, "echo")
        functions.invoke_later("Prices", b'{"do":"shout","say":"I can wait"}')
        assert [result.error for result in await asyncio.gather(*busy)] == [None, None]
        assert (await do(functions, "echo")).error is None


async def test_a_quick_function_needs_no_second_process():
    async with running() as functions:
        await functions.ready()
        await asyncio.gather(*(do(functions, "echo") for _ in range(20)))
        assert len(functions.processes("Prices")) == 1


async def test_processes_that_compute_are_no_more_than_there_are_processors_for(monkeypatch):
    monkeypatch.setattr(demand, "processors", lambda: 1)
    # However slow the machine is.
    monkeypatch.setattr(pool, "START_ANYWAY_AFTER", 60)
    async with running() as functions:
        await functions.ready()
        results = await asyncio.gather(*(do(functions, "compute", seconds=0.03) for _ in range(8)))
        assert len({result.payload for result in results}) == 1
        # Those that wait are not held back by it.
        sleeping = [asyncio.create_task(do(functions, "sleep", seconds=0.3)) for _ in range(2)]
        await until(lambda: len(functions.processes("Prices")) == 2)
        await asyncio.gather(*sleeping)


async def test_an_event_does_not_wait_for_ever_behind_one_that_computes(monkeypatch):
    monkeypatch.setattr(demand, "processors", lambda: 1)
    monkeypatch.setattr(pool, "START_ANYWAY_AFTER", 0.1)
    async with running() as functions:
        await functions.ready()
        long = asyncio.create_task(do(functions, "compute", seconds=0.8))
        await asyncio.sleep(0)
        assert (await do(functions, "echo")).error is None
        assert not long.done()
        await long


async def test_a_function_runs_on_when_its_caller_has_gone(tmp_path):
    note = tmp_path / "note"
    note.write_text("1")
    async with running() as functions:
        await functions.ready()
        waiting = asyncio.create_task(do(functions, "once_lost", note=str(note)))
        await asyncio.sleep(0)
        waiting.cancel()
        await until(lambda: note.read_text() == "2")
        assert (await do(functions, "echo")).error is None


async def test_an_asynchronous_event_whose_process_is_killed_runs_again(tmp_path):
    note = tmp_path / "note"
    lines = []
    async with running(lines=lines) as functions:
        request_id = functions.invoke_later("prices", json.dumps({"do": "once_lost", "note": str(note)}).encode())
        await until(lambda: note.exists() and note.read_text() == "2")
    said = [line.text for line in lines if line.request_id == request_id and line.stream == "platform"]
    assert said == ["event tried again in 1 s: its process was killed"]


async def test_close_ends_all_processes_and_their_children_and_answers_what_is_under_way():
    lines = []
    descriptors = open_descriptors()
    async with running(function(timeout=60), lines=lines) as functions:
        under_way = asyncio.create_task(do(functions, "bear", seconds=60))
        await until(lambda: len(lines) == 2)
        pids = json.loads(lines[1].text)
        waiting = asyncio.create_task(do(functions, "echo"))
        await asyncio.sleep(0)
        async with asyncio.timeout(2):
            await functions.close()
        assert ((await under_way).error, (await waiting).error) == ("Unhandled", "Unhandled")
        assert (await do(functions, "echo")).error == "Unhandled"
    assert not is_alive(pids["self"])
    await until(lambda: not is_alive(pids["child"]))
    assert open_descriptors() <= descriptors


async def test_kill_ends_what_computes_at_once_starts_nothing_and_promises_nothing():
    lines = []
    async with running(function(timeout=60), lines=lines) as functions:
        functions.invoke_later("prices", b'{"do": "bear", "seconds": 60}')
        await until(lambda: len(lines) == 2)
        pids = json.loads(lines[1].text)
        functions.kill()
        assert (await do(functions, "echo")).error == "Unhandled"
        await until(lambda: not is_alive(pids["self"]) and not functions.processes("Prices"))
    assert [line.text for line in lines if "tried again" in line.text] == []


async def test_a_process_that_does_not_go_is_named_and_not_waited_for(monkeypatch, caplog):
    monkeypatch.setattr(pool, "CLOSE_FOR", 0.01)
    async with running() as functions:
        await functions.ready()
        (process,) = functions._pools["Prices"].workers
        with monkeypatch.context() as stubborn:
            stubborn.setattr(process, "kill", lambda: None)
            await functions.close()
        assert f"process {process.pid}" in caplog.text


async def test_processes_die_with_an_emulator_that_was_killed(tmp_path):
    """Also while a handler runs, and its children too."""
    script = tmp_path / "emulator.py"
    script.write_text(
        f"""
import asyncio
from pathlib import Path
from local.functions.service import Functions
from local.stack import Function

async def main():
    code = Path({str(CODE)!r})
    bear = Function("Bear", "bear", "arn:aws:lambda:us-east-1:1:function:bear", "plain.bear", code, timeout=60)
    functions = Functions([bear], region="us-east-1", log=lambda line: print(line.text, flush=True))
    await functions.invoke("Bear", b'{{"seconds": 60}}')

asyncio.run(main())
"""
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    # Nothing else runs on this loop meanwhile.
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, script], env=environment, stdout=subprocess.PIPE
    ) as emulator:
        try:
            assert emulator.stdout.readline() == b"loading\n"
            pids = json.loads(emulator.stdout.readline())
            assert is_alive(pids["self"])
            assert is_alive(pids["child"])
        finally:
            emulator.kill()
    await until(lambda: not is_alive(pids["self"]))
    if sys.platform == "linux":
        await until(lambda: not is_alive(pids["child"]))


async def test_functions_are_found_by_name_and_by_every_form_of_arn():
    functions = Functions([function()], region="us-east-1", log=lambda line: None)
    arn = "arn:aws:lambda:us-east-1:123456789012:function:prices"
    for name in ("prices", "prices:live", arn, f"{arn}:$LATEST", "123456789012:function:prices"):
        assert functions.find(name) is not None, name
    for name in ("Prices", "price", "", ":", arn.replace("us-east-1", "eu-west-1"), f"{arn}s"):
        assert functions.find(name) is None, name
    with pytest.raises(FunctionNotFound, match="no such function: 'nobody'"):
        await functions.invoke("nobody", b"{}")


async def test_whatever_a_runtime_reports_of_its_start_can_be_said():
    assert str(InitFailed(function(), b"out of luck")) == (
        "Prices (plain.do) cannot start: Runtime.Unknown: out of luck"
    )


async def test_an_unknown_runtime_is_refused():
    with pytest.raises(ValueError, match="no such runtime: 'docker' \\(there are pipe, api, inline\\)"):
        Functions([], region="us-east-1", log=lambda line: None, runtime="docker")


async def test_inline_functions_run_in_this_process_with_the_same_answers(monkeypatch):
    for name in ("os.environ", "sys.modules"):
        owner, attribute = name.split(".")
        monkeypatch.setattr(sys.modules[owner], attribute, getattr(sys.modules[owner], attribute))
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = dict(os.environ)
    lines = []
    try:
        async with running(function(environment={"TABLE": "own"}), lines=lines, runtime="inline") as functions:
            await functions.ready()
            told = json.loads((await do(functions, "tell")).payload)
            failed = await do(functions, "fail")
            left = json.loads((await do(functions, "leave_politely", status=4)).payload)
            assert functions.processes("Prices") == ()
        async with running(function("plain.missing"), runtime="inline") as functions:
            with pytest.raises(InitFailed, match="Handler 'missing' missing on module 'plain'"):
                await functions.ready()
    finally:
        os.environ.clear()
        os.environ.update(before)
        sys.modules.pop("plain", None)
    assert (told["pid"], told["environment"]["TABLE"]) == (os.getpid(), "own")
    assert json.loads(failed.payload)["errorType"] == "KeyError"
    assert lines[0].text == "[ERROR] KeyError: 'no such thing'"
    assert left["errorMessage"].endswith("Runtime exited with error: exit status 4")
