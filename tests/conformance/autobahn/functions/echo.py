"""The handler that the Autobahn cases talk to."""


def handler(event, _):
    """Send a message back as it came."""
    return {"statusCode": 200, "body": event["body"]}
