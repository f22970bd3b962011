"""The authorizer: decides as the query's ``decision`` says, and keeps what it was asked."""

import json

from seen import remember


def handler(event, _):
    """Decide about one upgrade request, or try what this function may not do."""
    if "body" in event:
        return {"statusCode": 200, "body": forbidden(event)}
    query = event["queryStringParameters"]
    if "key" in query:
        remember(query["key"], "REQUEST", event)
    decision = query["decision"]
    arn = event["methodArn"]
    stage = arn.rpartition("/")[0]
    if decision == "unauthorized":
        raise Exception("Unauthorized")  # noqa: TRY002 # exactly this is how an authorizer says 401
    if decision == "broken":
        raise ValueError("something else")
    answers = {
        "status": lambda: {"statusCode": 401},
        "large": lambda: allow(arn, {"text": "x" * 9000}),
        "nested": lambda: allow(arn, {"map": {"not": "allowed"}}),
        "nobody": lambda: {key: value for key, value in allow(arn).items() if key != "principalId"},
        "deny": lambda: allow(arn) | {"policyDocument": policy(("Allow", f"{stage}/*"), ("Deny", arn))},
        "rest": lambda: allow(f"{stage}/*/*"),
        "star": lambda: allow(f"{stage}/*"),
        "routes": lambda: allow(arn) | {"policyDocument": policy(("Allow", arn), ("Deny", f"{stage}/$default"))},
        "allow": lambda: allow(arn, json.loads(query.get("context", "{}"))),
    }
    return answers[decision]()


def forbidden(event):
    """Look at the connection that asks, and return what is said to that."""
    import boto3  # noqa: PLC0415 # once in a while
    from botocore.exceptions import ClientError  # noqa: PLC0415

    asked = json.loads(event["body"])
    client = boto3.client("apigatewaymanagementapi", endpoint_url=asked["endpoint"])
    try:
        client.get_connection(ConnectionId=event["requestContext"]["connectionId"])
    except ClientError as error:
        return json.dumps(error.response["Error"])
    return "{}"


def allow(resource, context=None):
    """Return an answer that allows a resource."""
    answer = {"principalId": "somebody", "policyDocument": policy(("Allow", resource))}
    return answer if context is None else answer | {"context": context}


def policy(*statements):
    """Return a policy of effects and resources."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource} for effect, resource in statements
        ],
    }
