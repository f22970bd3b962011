"""Make the API of ``../gateway/template.yaml`` on a running MiniStack, as soon as it answers, by boto3."""

from __future__ import annotations

import io
import sys
import time
import zipfile
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

FUNCTIONS = Path(__file__).parents[1] / "gateway" / "functions.py"
PATIENCE = 60.0


def main(origin: str, ready: Path) -> None:
    """Write the two addresses into ``ready`` when the API is there."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    settings = {**keys, "endpoint_url": origin, "config": Config(retries={"max_attempts": 1})}
    api = boto3.client("apigatewayv2", **settings)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            made = api.create_api(
                Name="measured", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
            )
            break
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    api_id = made["ApiId"]
    management = f"{origin}/_aws/execute-api/{api_id}/prod"
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(FUNCTIONS, FUNCTIONS.name)
    function = boto3.client("lambda", **settings).create_function(
        FunctionName="measured",
        Runtime=f"python{sys.version_info[0]}.{sys.version_info[1]}",
        Role="arn:aws:iam::000000000000:role/measured",
        Handler="functions.handler",
        Code={"ZipFile": code.getvalue()},
        Timeout=10,
        Environment={"Variables": {"MANAGEMENT": management, "LOG_EVENTS": "1"}},
    )
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function['FunctionArn']}/invocations"
    target = api.create_integration(
        ApiId=api_id, IntegrationType="AWS_PROXY", IntegrationUri=uri, IntegrationMethod="POST"
    )
    for key in ("$connect", "$default", "post"):
        answers = {"RouteResponseSelectionExpression": "$default"} if key == "$default" else {}
        route = api.create_route(
            ApiId=api_id, RouteKey=key, Target=f"integrations/{target['IntegrationId']}", **answers
        )
        if answers:
            api.create_route_response(ApiId=api_id, RouteId=route["RouteId"], RouteResponseKey="$default")
    api.create_stage(ApiId=api_id, StageName="prod", AutoDeploy=True)
    websocket = f"ws{origin.removeprefix('http')}/_aws/execute-api/{api_id}/prod"
    beside = ready.with_suffix(".new")
    beside.write_text(f"{websocket}\n{management}", encoding="utf-8")
    beside.replace(ready)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
