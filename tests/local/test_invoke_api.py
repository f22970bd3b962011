"""Lambda's Invoke API, as an unmodified boto3 sees it."""

import asyncio
import base64
import json
from pathlib import Path
from urllib.request import Request, urlopen

import boto3
import pytest
import pytest_asyncio
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError

from local.functions.invoke_api import invoke_api
from local.functions.service import Exhausted, Functions
from local.stack import Function

pytestmark = [pytest.mark.end_to_end, pytest.mark.asyncio(loop_scope="module")]

CODE = Path(__file__).parent / "functions"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:prices"


class Served:
    def __init__(self, functions, lines, address):
        self.functions = functions
        self.lines = lines
        self.address = address
        self.client = boto3.client(
            "lambda",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    async def invoke(self, name="prices", **settings):
        return await asyncio.to_thread(self.client.invoke, FunctionName=name, **settings)

    async def refusal(self, **settings):
        with pytest.raises(ClientError) as refused:
            await self.invoke(**settings)
        response = refused.value.response
        return (
            type(refused.value).__name__,
            response["ResponseMetadata"]["HTTPStatusCode"],
            response["Error"]["Message"],
        )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served():
    lines = []
    functions = Functions([Function("Prices", "prices", ARN, "plain.do", CODE)], region="us-east-1", log=lines.append)
    await functions.start()
    settings = uvicorn.Config(invoke_api(functions), port=0, lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(settings)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    served_ = Served(functions, lines, f"http://127.0.0.1:{port}")
    yield served_
    served_.client.close()
    server.should_exit = True
    await serving
    await functions.close()


async def test_a_synchronous_invocation_returns_the_result(served):
    answer = await served.invoke(Payload=b'{"do":"echo","a":1}')
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    assert json.loads(answer["Payload"].read()) == {"do": "echo", "a": 1}
    assert answer["ResponseMetadata"]["RequestId"]


async def test_a_function_s_error_is_a_successful_answer_with_a_mark_and_the_log(served):
    answer = await served.invoke(Payload=b'{"do":"fail"}', LogType="Tail")
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert json.loads(answer["Payload"].read())["requestId"] == request_id
    log = base64.b64decode(answer["LogResult"]).decode()
    assert log.startswith(f"START RequestId: {request_id} Version: $LATEST\n[ERROR] KeyError")
    assert f"\nEND RequestId: {request_id}\nREPORT RequestId: {request_id}\tDuration: " in log


async def test_an_event_invocation_is_accepted_at_once_and_run(served):
    answer = await served.invoke(InvocationType="Event", Payload=b'{"do":"shout","say":"later"}')
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    async with asyncio.timeout(5):
        while not any(line.text == "later" for line in served.lines):
            await asyncio.sleep(0.005)
    request_id = next(line.request_id for line in served.lines if line.text == "later")
    assert request_id == answer["ResponseMetadata"]["RequestId"]


async def test_a_dry_run_runs_nothing(served):
    answer = await served.invoke(InvocationType="DryRun", Payload=b'{"do":"shout","say":"never"}')
    assert answer["StatusCode"] == 204
    await served.invoke(Payload=b'{"do":"echo"}')
    assert not any(line.text == "never" for line in served.lines)


@pytest.mark.parametrize(
    ("name", "qualifier", "seen"),
    [
        ("prices:live", None, f"{ARN}:live"),
        ("prices", "live", f"{ARN}:live"),
        (ARN, None, ARN),
        (f"{ARN}:3", None, f"{ARN}:3"),
        ("123456789012:function:prices", None, ARN),
    ],
)
async def test_a_function_is_named_in_any_of_lambda_s_ways(served, name, qualifier, seen):
    settings = {"Qualifier": qualifier} if qualifier else {}
    context = base64.b64encode(b'{"custom": {"a":\n 1}}').decode()
    answer = await served.invoke(name, Payload=b'{"do":"tell"}', ClientContext=context, **settings)
    told = json.loads(answer["Payload"].read())["context"]
    assert (told["invoked_function_arn"], told["custom"]) == (seen, {"a": 1})


async def test_an_exhausted_function_is_a_throttled_call(served, monkeypatch):
    async def refuse(*_, **__):
        raise Exhausted("Prices", 1)

    monkeypatch.setattr(served.functions, "invoke", refuse)
    assert await served.refusal(Payload=b"{}") == ("TooManyRequestsException", 429, "Rate Exceeded.")


async def test_an_unknown_function_is_not_found(served):
    assert await served.refusal(name="nobody") == (
        "ResourceNotFoundException",
        404,
        "Function not found: arn:aws:lambda:us-east-1:123456789012:function:nobody",
    )
    missing = await served.refusal(name="nobody", Qualifier="live")
    assert missing[2].endswith("function:nobody:live")


async def test_a_payload_that_is_no_json_is_refused(served):
    kind, status, message = await served.refusal(Payload=b"{not json")
    assert (kind, status) == ("InvalidRequestContentException", 400)
    assert message.startswith("Could not parse request body into json: ")


async def test_no_payload_is_an_empty_object(served):
    answer = await served.invoke()
    assert json.loads(answer["Payload"].read())["errorMessage"] == "'do'"


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", 6_291_456), ("Event", 1_048_576)])
async def test_a_payload_beyond_the_limit_is_refused(served, kind, limit):
    assert await served.refusal(InvocationType=kind, Payload=b'"%s"' % (b"x" * limit)) == (
        "RequestTooLargeException",
        413,
        f"{limit + 2} byte payload is too large for the {kind} invocation type (limit {limit} bytes)",
    )


async def test_an_unknown_invocation_type_and_a_broken_client_context_are_refused(served):
    assert "Member must satisfy enum value set" in (await served.refusal(InvocationType="Soon"))[2]
    assert (await served.refusal(ClientContext="e30", Payload=b"{}"))[:2] == ("InvalidRequestContentException", 400)


async def test_another_operation_of_lambda_is_unknown(served):
    def status():
        try:
            with urlopen(Request(f"{served.address}/2015-03-31/functions/prices")) as answer:
                return answer.status
        except OSError as fault:
            fault.close()
            return fault.code

    assert await asyncio.to_thread(status) == 404
