"""The management API, by the SDK that everybody uses, unmodified."""

import asyncio
import io
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.end_to_end.clients import Client


@pytest.fixture
async def connection(emulator, session):
    """A client and its id, which only the table knows."""
    before = connection_ids(emulator)
    client = await Client.connect(session, emulator.ready["websocket"])
    [connection_id] = connection_ids(emulator) - before
    yield client, connection_id
    await client.close()


def connection_ids(emulator):
    keys = emulator.ready["credentials"]
    table = boto3.resource(
        "dynamodb",
        endpoint_url=emulator.ready["dynamodb"],
        region_name=emulator.ready["region"],
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
    ).Table(emulator.ready["environment"]["TICKWIRE_TABLE"])
    return {item["sk"] for item in table.scan()["Items"] if item["pk"].startswith("SHARD#")}


async def test_a_post_reaches_the_client_as_it_was_sent(management, connection):
    client, connection_id = connection
    text = '{"type":"note","text":"grüß dich"}'
    await asyncio.to_thread(management.post_to_connection, ConnectionId=connection_id, Data=text.encode())
    note = await client.find(lambda message: message["type"] == "note", within=5)
    assert note["text"] == "grüß dich"


async def test_a_post_of_128_kb_arrives_and_one_byte_more_is_refused(management, connection):
    client, connection_id = connection
    text = '{"type":"long","text":"' + "x" * (131_072 - 25) + '"}'
    assert len(text) == 131_072
    await asyncio.to_thread(management.post_to_connection, ConnectionId=connection_id, Data=text)
    assert len((await client.find(lambda message: message["type"] == "long", within=5))["text"]) == 131_047
    with pytest.raises(management.exceptions.PayloadTooLargeException):
        await asyncio.to_thread(management.post_to_connection, ConnectionId=connection_id, Data=text + " ")


@pytest.mark.parametrize(
    ("path", "target", "size", "error"),
    [
        ("/live/@connections/R1kmxc2VNjMCFIA%3D", "", 131_072 + 65_537, "PayloadTooLargeException"),
        ("/@connections/R1kmxc2VNjMCFIA%3D", "", 131_072 + 65_537, None),
        ("/", "DynamoDB_20120810.PutItem", 16_777_217, "RequestEntityTooLarge"),
        ("/", "AmazonSQS.SendMessage", 16_777_217, "RequestEntityTooLarge"),
        ("/2015-03-31/functions/message/invocations", "", 6_291_457, "RequestTooLargeException"),
    ],
)
async def test_a_body_longer_than_anybody_takes_is_refused_whoever_sends_it(
    emulator, session, path, target, size, error
):
    headers = {"X-Amz-Target": target} if target else {}
    if "SQS" in target:
        headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/sqs/aws4_request"
    async with session.post(emulator.http + path, data=io.BytesIO(bytes(size)), headers=headers) as answer:
        body = await answer.text()
    if error is None:
        assert answer.status == 403
        return
    assert (answer.status, answer.headers["Connection"]) == (413, "close")
    assert error in answer.headers.get("x-amzn-ErrorType", body)


async def test_a_look_tells_what_is_known(management, connection):
    _, connection_id = connection
    view = await asyncio.to_thread(management.get_connection, ConnectionId=connection_id)
    assert datetime.now(UTC) - view["ConnectedAt"] < timedelta(seconds=30)
    assert view["LastActiveAt"] >= view["ConnectedAt"]
    assert view["Identity"]["SourceIp"] == "127.0.0.1"
    assert "aiohttp" in view["Identity"]["UserAgent"]


async def test_a_closed_connection_is_gone(emulator, management, connection):
    client, connection_id = connection
    await client.close()
    for call in (management.post_to_connection, management.get_connection, management.delete_connection):
        arguments = {"Data": b"x"} if call == management.post_to_connection else {}
        with pytest.raises(management.exceptions.GoneException):
            await asyncio.to_thread(call, ConnectionId=connection_id, **arguments)
    async with asyncio.timeout(5):
        while connection_id in await asyncio.to_thread(connection_ids, emulator):
            await asyncio.sleep(0.05)


async def test_a_delete_closes_the_clients_socket(management, connection):
    client, connection_id = connection
    answer = await asyncio.to_thread(management.delete_connection, ConnectionId=connection_id)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert await client.ended() == 1000


async def test_an_id_that_is_none_is_a_bad_request(management):
    with pytest.raises(ClientError) as refusal:
        await asyncio.to_thread(management.post_to_connection, ConnectionId="nonsense", Data=b"x")
    assert refusal.value.response["Error"]["Code"] == "BadRequestException"


async def test_another_stage_is_forbidden(emulator, session):
    for path in ("/other/@connections/L0SM9cOFvHcCIhw=", "/livelier/@connections/L0SM9cOFvHcCIhw="):
        async with session.post(emulator.http + path, data=b"x") as answer:
            assert (answer.status, await answer.json()) == (403, {"message": "Forbidden"})
    with pytest.raises(Exception, match="403"):
        await session.ws_connect(emulator.http + "/other")


async def test_a_stage_without_an_upgrade_asks_for_one(emulator, session):
    async with session.get(emulator.ready["management"]) as answer:
        assert answer.status == 426


async def test_a_trailing_slash_is_the_stage_too(emulator, session):
    client = await Client.connect(session, emulator.ready["websocket"] + "/")
    assert (await client.ask("ping"))["type"] == "pong"
    await client.close()
