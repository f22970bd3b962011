"""Only who signs is heard; what others get is what AWS says."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import boto3
import botocore.auth
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from yarl import URL

SOMEBODY = "L0SM9cOFvHcCIhw%3D"
LIST_TABLES = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}


def sign(url, service, *, method="POST", body=b"", headers=None, signed_by="test", region="us-east-1"):
    request = AWSRequest(method, url, data=body, headers=dict(headers or {}))
    SigV4Auth(Credentials("test", signed_by), service, region).add_auth(request)
    return dict(request.headers.items())


async def ask(session, method, url, headers, body=b""):
    async with session.request(method, url, headers=headers, data=body) as answer:
        return answer.status, answer.headers.get("x-amzn-ErrorType"), await answer.json(content_type=None)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_an_unsigned_call_of_the_management_api_is_refused(emulator, session, method):
    answer = await ask(session, method, f"{emulator.ready['management']}/@connections/{SOMEBODY}", {})
    assert answer == (403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"})


async def test_a_wrong_signature_is_refused_with_what_should_have_been_signed(emulator, session):
    url = f"{emulator.ready['management']}/@connections/{SOMEBODY}"
    headers = sign(url, "execute-api", signed_by="wrong")
    status, kind, body = await ask(session, "POST", URL(url, encoded=True), headers)
    assert (status, kind) == (403, "InvalidSignatureException")
    assert body["message"].startswith("The request signature we calculated does not match the signature you provided.")
    assert "/live/%40connections/L0SM9cOFvHcCIhw%253D" in body["message"]


async def test_a_signature_may_stand_in_the_query(emulator, session):
    url = f"{emulator.ready['management']}/@connections/{SOMEBODY}"
    request = AWSRequest("GET", url)
    SigV4QueryAuth(Credentials("test", "test"), "execute-api", "us-east-1", expires=60).add_auth(request)
    status, kind, _ = await ask(session, "GET", URL(request.url, encoded=True), {})
    assert (status, kind) == (410, "GoneException")


async def test_both_encodings_of_the_path_are_good(emulator, session):
    for path in ("/@connections/", "/%40connections/"):
        url = f"{emulator.ready['management']}{path}{SOMEBODY}"
        headers = sign(url, "execute-api", method="GET")
        status, kind, _ = await ask(session, "GET", URL(url, encoded=True), headers)
        assert (status, kind) == (410, "GoneException")


async def test_dynamodb_says_it_in_its_own_way(emulator, session):
    url = emulator.http + "/"
    status, _, body = await ask(session, "POST", url, LIST_TABLES, b"{}")
    assert (status, body["__type"]) == (400, "com.amazon.coral.service#MissingAuthenticationTokenException")
    assert body["message"] == "Request is missing Authentication Token"
    headers = sign(url, "dynamodb", body=b"{}", headers=LIST_TABLES, signed_by="wrong")
    status, _, body = await ask(session, "POST", url, headers, b"{}")
    assert (status, body["__type"]) == (400, "com.amazon.coral.service#InvalidSignatureException")
    headers = sign(url, "dynamodb", body=b"{}", headers=LIST_TABLES)
    status, _, body = await ask(session, "POST", url, headers, b'{"Limit":1}')
    assert status == 400, "the body is signed too"


async def test_lambda_too(emulator, session):
    url = f"{emulator.http}/2015-03-31/functions/anything/invocations"
    assert await ask(session, "POST", url, {}) == (
        403,
        "MissingAuthenticationTokenException",
        {"message": "Missing Authentication Token"},
    )
    status, kind, _ = await ask(session, "POST", url, sign(url, "lambda"))
    assert (status, kind) == (404, "ResourceNotFoundException")


async def test_an_unknown_key_is_refused_by_every_service(emulator):
    options = {
        "region_name": "us-east-1",
        "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key": "x",
    }
    management = boto3.client("apigatewaymanagementapi", endpoint_url=emulator.ready["management"], **options)
    tables = boto3.client("dynamodb", endpoint_url=emulator.http, **options)
    functions = boto3.client("lambda", endpoint_url=emulator.http, **options)
    for call, arguments in (
        (management.get_connection, {"ConnectionId": "L0SM9cOFvHcCIhw="}),
        (tables.list_tables, {}),
        (functions.invoke, {"FunctionName": "anything"}),
    ):
        with pytest.raises(ClientError) as refusal:
            await asyncio.to_thread(call, **arguments)
        assert refusal.value.response["Error"] == {
            "Code": "UnrecognizedClientException",
            "Message": "The security token included in the request is invalid.",
        }


async def test_a_clock_that_is_ten_minutes_off_is_refused(emulator, session, monkeypatch):
    url = emulator.http + "/"
    for minutes, said in ((-10, "Signature expired: "), (10, "Signature not yet current: ")):
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda m=minutes: shifted(m))
        headers = sign(url, "dynamodb", body=b"{}", headers=LIST_TABLES)
        _, _, body = await ask(session, "POST", url, headers, b"{}")
        assert body["message"].startswith(said)


def shifted(minutes):
    return datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=minutes)


async def test_unsigned_is_a_choice(start, session):
    emulator = start("--unsigned")
    async with session.post(emulator.http + "/", headers=LIST_TABLES, data=b"{}") as answer:
        assert answer.status == 200
        assert json.loads(await answer.read())["TableNames"]
    async with session.get(f"{emulator.ready['management']}/@connections/{SOMEBODY}") as answer:
        assert answer.status == 410


async def test_the_administrators_keys_can_be_set(start):
    emulator = start("--access-key-id", "AKIDEXAMPLE", "--secret-access-key", "a/b+c=")
    keys = emulator.ready["credentials"]
    assert keys == {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "a/b+c="}
    options = {"endpoint_url": emulator.http, "region_name": "us-east-1"}
    good = boto3.client("dynamodb", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="a/b+c=", **options)
    assert (await asyncio.to_thread(good.list_tables))["TableNames"]
    bad = boto3.client("dynamodb", aws_access_key_id="test", aws_secret_access_key="test", **options)
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        await asyncio.to_thread(bad.list_tables)
