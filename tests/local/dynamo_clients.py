"""Ways to reach a DynamoDB endpoint in a test: ours, moto's, by boto3 or without it; and tables to begin with."""

from __future__ import annotations

import base64
import io
import itertools
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.request import Request
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.responses import DynamoHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.awsrequest import AWSPreparedRequest

_names = (f"table-{number}" for number in itertools.count(1))

TABLE = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


class PlainMoto:
    """Moto's own handler over moto's own tables, called as ``Tables.answer`` is."""

    def __init__(self) -> None:
        backend = DynamoDBBackend("us-east-1", "000000000000")
        self.handler: Any = type("Plain", (DynamoHandler,), {"dynamodb_backend": property(lambda _self: backend)})

    def answer(self, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        request = Request.from_primitives(
            "POST",
            "https://dynamodb.us-east-1.amazonaws.com/",
            {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"},
            body,
        )
        status, answered, text = self.handler.dispatch(request)
        return int(status), answered, text.encode() if isinstance(text, str) else text


class _Raw(io.BytesIO):
    def stream(self, **_kwargs: Any) -> Any:
        yield self.read()


def client_of(answer: Any, service: str = "dynamodb", endpoint: str = "http://tables.invalid") -> Any:
    """Make a boto3 client whose requests go to ``answer`` instead of a socket."""
    client = make_client(endpoint, service)

    def send(request: AWSPreparedRequest, **_kwargs: Any) -> AWSResponse:
        target = request.headers["X-Amz-Target"]
        target = target.decode() if isinstance(target, bytes) else target
        body = request.body.encode() if isinstance(request.body, str) else request.body
        status, headers, payload = answer(target, body, {})
        return AWSResponse(request.url, status, headers, _Raw(payload))

    client.meta.events.register_first(f"before-send.{service}", send)
    return client


class DirectClient:
    """
    An endpoint called as boto3's client is, without boto3: fifty times faster, so that a contract can be long.

    Binary values are bytes on this side and base64 on the other, errors are botocore's.
    """

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = "".join(word.capitalize() for word in name.split("_"))

        def call(**arguments: Any) -> Any:
            body = json.dumps(_to_wire(arguments)).encode()
            status, headers, payload = self.answer(f"DynamoDB_20120810.{operation}", body, {})
            answer: dict[str, Any] = _from_wire(json.loads(payload))
            if status == 200:
                return answer
            kind = answer.pop("__type").rpartition("#")[2]
            answer["Error"] = {"Code": kind, "Message": answer.get("message", answer.get("Message"))}
            answer["ResponseMetadata"] = {"HTTPStatusCode": status, "HTTPHeaders": headers}
            raise ClientError(answer, operation)  # type: ignore[arg-type]  # a dictionary of that shape

        return call


def _to_wire(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _to_wire(member) for name, member in value.items()}
    return [_to_wire(element) for element in value] if isinstance(value, list) else value


def _from_wire(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_wire(element) for element in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("B"), str) and len(value) == 1:
        return {"B": base64.b64decode(value["B"])}
    return {name: _from_wire(member) for name, member in value.items()}


def make_client(endpoint: str | None = None, service: Any = "dynamodb") -> Any:
    """Make boto3's client, which tries everything once."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


def new_table(client: Any, **definition: Any) -> str:
    name = next(_names)
    client.create_table(TableName=name, **(TABLE | definition))
    return name


def keyed(kind: str) -> dict[str, Any]:
    """Return a definition whose sort key has this type."""
    return {
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": kind},
        ]
    }


INDEXED = {
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
        {"AttributeName": "gp", "AttributeType": "S"},
        {"AttributeName": "gs", "AttributeType": "N"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-group",
            "KeySchema": [{"AttributeName": "gp", "KeyType": "HASH"}, {"AttributeName": "gs", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["name"]},
        }
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by-size",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "gs", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}


def key(sk: str = "1", pk: str = "a") -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def refused(code: str, call: Callable[..., Any], /, **arguments: Any) -> dict[str, Any]:
    """Return the answer of a call that must be refused with this code."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return dict(caught.value.response)


def call(tables: Any, operation: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
    """Make one call of ``Tables`` or ``PlainMoto`` and return its status and JSON."""
    status, _, body = tables.answer(f"DynamoDB_20120810.{operation}", json.dumps(arguments).encode(), {})
    return status, json.loads(body)
