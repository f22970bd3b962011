"""A function that calls what it is asked to call, with plain boto3, and tells its client what came of it."""

import json
import os
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PATIENCE = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5)


def handler(event, context):
    where = event["requestContext"]
    if where["eventType"] != "MESSAGE":
        return {"statusCode": 200}
    call = json.loads(event["body"])
    names = {
        **where,
        "region": os.environ["AWS_REGION"],
        "literal": os.environ["LITERAL"],
        "attribute": os.environ.get("ATTRIBUTE", "").replace("wss", "https"),
    }
    outcome = fetch(call["url"]) if "url" in call else ask(call, names)
    return {"statusCode": 200, "body": json.dumps({"outcome": outcome})}


def ask(call, names):
    endpoint = call.get("endpoint")
    client = boto3.client(
        call["service"],
        endpoint_url=endpoint and endpoint.format(**names),
        region_name=call.get("region"),
        config=PATIENCE,
    )
    arguments = call.get("arguments", {})
    if call["service"] == "apigatewaymanagementapi":
        arguments.setdefault("ConnectionId", names["connectionId"])
    try:
        answer = getattr(client, call["operation"])(**arguments)
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["Error"]["Message"]]
    except BotoCoreError as error:
        return [type(error).__name__, str(error)]
    return ["ok", answer["ResponseMetadata"]["HTTPStatusCode"]]


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return ["ok", answer.status, answer.read().decode()]
    except urllib.error.URLError as error:
        return ["refused", str(error)]
