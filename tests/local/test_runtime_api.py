"""The Runtime API, with the unmodified official client and with one that makes mistakes."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from local.functions.service import Functions, InitFailed
from local.stack import Function

pytestmark = pytest.mark.end_to_end

CODE = Path(__file__).parent / "functions"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:prices"


def start(handler="plain.do", lines=None, **settings):
    log = [] if lines is None else lines
    plan = Function("Prices", "prices", ARN, handler, settings.pop("code", CODE), timeout=settings.pop("timeout", 3.0))
    return Functions([plan], region="us-east-1", log=log.append, runtime="api", **settings)


async def do(functions, what, **event):
    return await functions.invoke("Prices", json.dumps({"do": what, **event}).encode())


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_unmodified_client_gives_the_same_answers_as_over_a_pipe():
    lines = []
    functions = start(lines=lines, timeout=1.0)
    await functions.start()
    try:
        await functions.ready()
        assert json.loads((await do(functions, "echo", a="ä")).payload) == {"do": "echo", "a": "ä"}
        shouted = await do(functions, "shout", say="hello")
        assert (shouted.payload, shouted.log) == (b"5", b"hello\nand again\n")
        failed = await do(functions, "fail")
        assert (failed.error, json.loads(failed.payload)["errorType"]) == ("Unhandled", "KeyError")
        told = await functions.invoke("Prices", b'{"do":"tell"}', client_context='{"custom":{"a":1}}')
        context = json.loads(told.payload)["context"]
        assert (context["aws_request_id"], context["custom"]) == (told.request_id, {"a": 1})
        assert context["invoked_function_arn"] == ARN

        large = json.loads((await do(functions, "large", size=6_300_000)).payload)
        assert large["errorType"] == "Function.ResponseSizeTooLarge"
        late = json.loads((await do(functions, "sleep", seconds=5)).payload)
        assert late["errorType"] == "Sandbox.Timedout"
        left = json.loads((await do(functions, "leave", status=3)).payload)
        assert left["errorMessage"].endswith("Runtime exited with error: exit status 3")
        assert json.loads((await do(functions, "importable", names=["local"])).payload) == {
            "local": "No module named 'local'"
        }
    finally:
        await functions.close()
    assert [line.text for line in lines if line.request_id == shouted.request_id] == ["hello", "and again"]


async def test_a_function_that_cannot_be_loaded_says_so_over_the_api():
    functions = start("plain.missing")
    await functions.start()
    try:
        with pytest.raises(InitFailed, match=r"Runtime\.HandlerNotFound: Handler 'missing' missing on module 'plain'"):
            await functions.ready()
    finally:
        await functions.close()


async def test_a_client_that_hangs_up_gets_no_event_and_mistakes_are_answered(tmp_path):
    client = tmp_path / "python"
    client.write_text(f"#!{sys.executable}\n{(CODE / 'careless_client.py').read_text()}")
    client.chmod(0o755)
    lines = []
    functions = start(lines=lines, python=str(client), code=tmp_path)
    await functions.start()
    try:
        await functions.ready()
        await until(lambda: lines)
        result = await functions.invoke("Prices", b'{"a":1}', request_id="r-1", trace_id="Root=1-2-3")
        assert (result.payload, result.error) == (b'"done"', None)
        await until(lambda: len(lines) == 9)
    finally:
        await functions.close()
    said = {name: rest for name, *rest in (json.loads(line.text) for line in lines)}
    headers, event = said["event"]
    assert event == {"a": 1}
    assert headers.pop("Lambda-Runtime-Deadline-Ms").isdecimal()
    assert headers == {
        "Content-Type": "application/json",
        "Content-Length": "7",
        "Lambda-Runtime-Aws-Request-Id": "r-1",
        "Lambda-Runtime-Invoked-Function-Arn": ARN,
        "Lambda-Runtime-Trace-Id": "Root=1-2-3",
    }
    assert (said["next"][0], said["next"][1]["errorType"]) == (403, "InvalidStateTransition")
    assert said["wrong"] == [400, {"errorType": "InvalidRequestID", "errorMessage": "Invalid request ID"}]
    assert (said["kind"][0], said["path"][0]) == (404, 404)
    assert said["junk"] == ["HTTP/1.1 400 Bad Request"]
    assert said["expect"] == ["HTTP/1.1 100 Continue"]
    assert said["response"] == ["HTTP/1.1 202 Accepted"]
