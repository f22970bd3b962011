"""
The function behind most routes: does what the client asks for, and tells what it was handed.

At ``$connect`` the query says how to answer; ``key`` names the place where the event is kept. A message's ``return``
is what the function returns for it, and without one it returns its whole event.
"""

import json
import os
import time

from seen import recall, remember

ADDRESSES = ("GUARDED", "KEYED", "SIGNED", "BARE", "STATIC", "CONVERTED")


class Asked(Exception):
    """What a message wanted to be raised."""


def handler(event, context):
    """Answer an event of any kind."""
    kind = event["requestContext"]["eventType"]
    return {"CONNECT": connect, "DISCONNECT": disconnect, "MESSAGE": message}[kind](event, context)


def connect(event, _):
    """Answer ``$connect`` as its query says."""
    query = event.get("queryStringParameters") or {}
    if "key" in query:
        remember(query["key"], "CONNECT", event)
    if "post" in query:
        return {"statusCode": 200, **post_to_itself(event, query["key"])}
    if "raise" in query:
        raise Asked("as it was asked")
    if "sleep" in query:
        time.sleep(float(query["sleep"]))
    if "return" in query:
        return json.loads(query["return"])
    return {"statusCode": 200}


def post_to_itself(event, key):
    """Try all three calls on the connection that is not yet one, and remember the statuses."""
    import boto3  # noqa: PLC0415 # once in a while
    from botocore.exceptions import ClientError  # noqa: PLC0415

    context = event["requestContext"]
    endpoint = (event["queryStringParameters"] or {})["post"]
    client = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint)
    calls = {
        "post": lambda name: client.post_to_connection(ConnectionId=name, Data=b"too early"),
        "get": lambda name: client.get_connection(ConnectionId=name),
        "delete": lambda name: client.delete_connection(ConnectionId=name),
    }
    statuses = {}
    for name, call in calls.items():
        try:
            statuses[name] = call(context["connectionId"])["ResponseMetadata"]["HTTPStatusCode"]
        except ClientError as error:
            statuses[name] = error.response["ResponseMetadata"]["HTTPStatusCode"]
    remember(key, "EARLY", statuses)
    return {}


def disconnect(event, _):
    """Remember how a connection ended."""
    remember(event["requestContext"]["connectionId"], "DISCONNECT", event)
    return {"statusCode": 500, "body": "nobody reads this"}


def message(event, context):
    """Do what a message asks for."""
    try:
        asked = json.loads(event["body"])
    except (ValueError, RecursionError):
        asked = {}
    asked = asked if isinstance(asked, dict) else {}
    if "raise" in asked:
        raise Asked("as it was asked")
    if "sleep" in asked:
        time.sleep(asked["sleep"])
    if "remember" in asked:
        remember(asked["remember"], "MESSAGE", event)
    if "recall" in asked:
        return answer(recall(*asked["recall"]))
    if "addresses" in asked:
        return answer({name: os.environ[name] for name in ADDRESSES})
    if "return" in asked:
        return asked["return"]
    return answer({"event": event, "arn": context.invoked_function_arn})


def answer(content):
    """Return what a two-way route sends."""
    return {"statusCode": 200, "body": json.dumps(content)}
