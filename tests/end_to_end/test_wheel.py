"""The wheel alone, in an environment of its own and in other people's folder, runs other people's template."""

import asyncio
import json
import os
import subprocess
import sys
import time

import pytest

from tests.end_to_end.clients import Client
from tests.end_to_end.running import ROOT, START_WITHIN, Program, clean_environment

pytestmark = pytest.mark.soak

TEMPLATE = """\
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: prod
      RouteSelectionExpression: $request.body.action
      Routes:
        $default: {FunctionArn: !GetAtt Echo.Arn, RouteResponseSelectionExpression: $default}
  Response:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Api, RouteId: !Ref ApiDefaultRoute, RouteResponseKey: $default}
  Jobs: {Type: AWS::SQS::Queue}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: app.handler
      CodeUri: src
      Environment: {Variables: {QUEUE: !Ref Jobs}}
      Policies: [{SQSSendMessagePolicy: {QueueName: !GetAtt Jobs.QueueName}}]
"""
HANDLER = """\
import json, os
import boto3
import handlers


def handler(event, context):
    sent = boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody="x")
    told = {"handlers": handlers.WHOSE, "sent": sent["ResponseMetadata"]["HTTPStatusCode"], "body": event["body"]}
    return {"statusCode": 200, "body": json.dumps(told)}
"""


@pytest.fixture(scope="module")
def tickwire(tmp_path_factory):
    """Build the wheel and install it, with what it says that it needs, where nothing else is."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.check_output([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    subprocess.check_output([sys.executable, "-m", "venv", folder / "venv"])
    # The environment of this test run, without what would lead back into the checkout.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    subprocess.check_output(pip, cwd=folder, env=environment)
    return folder / "venv" / "bin" / "tickwire"


@pytest.fixture
def theirs(tmp_path):
    """A project of somebody who also has a package named handlers."""
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "src" / "handlers").mkdir(parents=True)
    (tmp_path / "src" / "app.py").write_text(HANDLER)
    (tmp_path / "src" / "handlers" / "__init__.py").write_text("WHOSE = 'theirs'\n")
    return tmp_path


async def test_the_wheel_alone_runs_other_peoples_template(tickwire, theirs, session, monkeypatch):
    assert not [name for name in clean_environment() if name.startswith("TICKWIRE_")]
    monkeypatch.delenv("PYTHONPATH", raising=False)
    cache = {"XDG_CACHE_HOME": str(theirs / "cache")}
    program = Program(
        *("up", "--port", "0", "--ready-file", "ready.json"), executable=tickwire, cwd=theirs, environment=cache
    )
    try:
        deadline = time.monotonic() + START_WITHIN
        while not (theirs / "ready.json").exists():
            assert program.process.poll() is None, program.output
            assert time.monotonic() < deadline, program.output
            await asyncio.sleep(0.05)
        ready = json.loads((theirs / "ready.json").read_text())
        client = Client(await session.ws_connect(ready["websocket"]))
        await client.send({"action": "anything"})
        answer = await client.find(lambda one: "handlers" in one, within=20)
        assert (answer["handlers"], answer["sent"]) == ("theirs", 200)
        await client.close()
    finally:
        program.stop()
    assert "app.handler in src " in program.output
    assert "Traceback" not in program.output
    assert str(ROOT) not in program.output
