"""Section 5: the management API, byte by byte."""

import asyncio
import re
from urllib.parse import quote, urlsplit

import pytest
from botocore.credentials import Credentials

from tests.conformance.conftest import connection_id
from tests.conformance.wire import TEXT

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
UNKNOWN = "L0SM9cOFvHcCIhw="
INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


async def test_each_call_has_its_status_and_body(target, socket):
    name = await connection_id(socket)
    post = await target.call("POST", name, b"hello")
    assert (post.status, post.body) == (200, b"")
    assert UUID.match(post.header("x-amzn-RequestId"))
    get = await target.call("GET", name)
    assert get.status == 200
    assert get.header("Content-Type") == "application/json"
    delete = await target.call("DELETE", name)
    assert (delete.status, delete.body) == (204, b"")


async def test_a_post_is_one_text_frame_as_it_was_sent(target, socket):
    name = await connection_id(socket)
    text = 'grüß dich, {"raw": "text"}\n'.encode()
    await target.call("POST", name, text)
    frame = await socket.frame()
    assert (frame.opcode, frame.payload) == (TEXT, text)


async def test_an_offer_of_http_2_changes_nothing(target, socket):
    name = await connection_id(socket)
    # As Java's HttpClient makes it where there is no TLS.
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABk"}
    assert (await target.call("POST", name, b"hello", more=offer)).status == 200
    assert await socket.text() == "hello"


async def test_the_sdk_posts_looks_and_closes(management, socket):
    name = await connection_id(socket)
    await asyncio.to_thread(management.post_to_connection, ConnectionId=name, Data=b"hello")
    assert await socket.text() == "hello"
    view = await asyncio.to_thread(management.get_connection, ConnectionId=name)
    assert view["Identity"]["UserAgent"] == "conformance"
    await asyncio.to_thread(management.delete_connection, ConnectionId=name)
    assert (await socket.closed()).code == 1000


@pytest.mark.parametrize("at", ["@", "%40"])
@pytest.mark.parametrize("equals", ["=", "%3D"])
async def test_the_path_may_be_raw_or_encoded(target, socket, at, equals):
    name = await connection_id(socket)
    path = f"{urlsplit(target.management).path}/{at}connections/{name.replace('=', equals)}"
    reply = await target.call("GET", name, path=path)
    if not target.is_emulator and reply.status == 403:
        pytest.skip("this path's signature is another on AWS")
    assert reply.status == 200


async def test_a_look_has_its_members_in_their_order(target, socket):
    name = await connection_id(socket)
    view = (await target.call("GET", name)).json()
    assert list(view) == ["connectedAt", "identity", "lastActiveAt"]
    assert INSTANT.match(view["connectedAt"])
    assert INSTANT.match(view["lastActiveAt"])
    assert set(view["identity"]) == {"sourceIp", "userAgent"}


async def test_a_message_moves_last_active_at(target, socket):
    name = await connection_id(socket)
    before = (await target.call("GET", name)).json()["lastActiveAt"]
    await asyncio.sleep(0.05)
    await socket.ask("x")
    assert (await target.call("GET", name)).json()["lastActiveAt"] > before


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_an_unknown_or_closed_connection_is_gone(target, socket, recall, method):
    name = await connection_id(socket)
    await socket.close()
    await recall(name, "DISCONNECT")
    for gone in (UNKNOWN, name):
        reply = await target.call(method, gone, b"x" if method == "POST" else b"")
        assert (reply.status, reply.body) == (410, b"")
        assert reply.header("x-amzn-ErrorType") == "GoneException"
        assert UUID.match(reply.header("x-amzn-RequestId"))


async def test_the_sdk_knows_a_gone_connection(management):
    with pytest.raises(management.exceptions.GoneException):
        await asyncio.to_thread(management.post_to_connection, ConnectionId=UNKNOWN, Data=b"x")


async def test_a_malformed_id_is_a_bad_request(target):
    reply = await target.call("POST", "nonsense", b"x")
    assert (reply.status, reply.json()) == (400, {"message": "Invalid connectionId: nonsense"})
    assert reply.header("x-amzn-ErrorType") == "BadRequestException"


async def test_a_call_of_another_stage_is_forbidden(target, socket):
    name = quote(await connection_id(socket), safe="")
    for path in (f"/elsewhere/@connections/{name}", f"/@connections/{quote(UNKNOWN, safe='')}"):
        reply = await target.call("POST", "", b"x", path=path)
        assert (reply.status, reply.json()) == (403, {"message": "Forbidden"})


async def test_an_unsigned_call_is_refused(target, socket):
    reply = await target.call("POST", await connection_id(socket), b"x", signed=False)
    assert (reply.status, reply.json()) == (403, {"message": "Missing Authentication Token"})
    assert reply.header("x-amzn-ErrorType") == "MissingAuthenticationTokenException"


async def test_a_call_signed_with_another_secret_is_refused(target, socket):
    stranger = Credentials(target.credentials.access_key, "another secret", target.credentials.token)
    reply = await target.call("POST", await connection_id(socket), b"x", credentials=stranger)
    assert reply.status == 403


async def test_a_post_of_128_kb_is_taken_and_one_byte_more_is_413(target, socket):
    name = await connection_id(socket)
    assert (await target.call("POST", name, b"x" * 131_072)).status == 200
    reply = await target.call("POST", name, b"x" * 131_073)
    assert reply.status == 413
    assert reply.header("x-amzn-ErrorType") == "PayloadTooLargeException"
    assert "message" in reply.json()


async def test_a_post_to_a_client_that_does_not_read_becomes_429(brief, connect):
    name = await connection_id(await connect(brief.gateway))
    # What the systems on the way hold is a few megabytes.
    for _ in range(200):
        reply = await brief.call("POST", name, b"x" * 131_072)
        if reply.status != 200:
            break
    assert reply.status == 429
    assert reply.header("x-amzn-ErrorType") == "LimitExceededException"


async def test_posts_of_one_caller_arrive_in_order(target, socket):
    name = await connection_id(socket)
    for number in range(10):
        await target.call("POST", name, str(number).encode())
    assert [await socket.text() for _ in range(10)] == [str(number) for number in range(10)]


async def test_a_delete_closes_the_clients_socket_with_1000(target, socket, recall):
    name = await connection_id(socket)
    await target.call("DELETE", name)
    assert (await socket.closed()).code == 1000
    context = (await recall(name, "DISCONNECT"))["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (1000, "Connection Closed Normally")


async def test_a_post_that_is_no_utf_8_arrives_as_text_all_the_same(target, socket):
    name = await connection_id(socket)
    assert (await target.call("POST", name, b"a\xffb")).status == 200
    assert await socket.text() == "a\ufffdb"


async def test_nobody_can_choose_the_close_code(target, socket):
    name = quote(await connection_id(socket), safe="")
    stage = urlsplit(target.management).path
    assert (await target.call("DELETE", "", path=f"{stage}/@connections/{name}?code=4000&reason=own")).status == 204
    end = await socket.closed()
    assert (end.code, end.reason) == (1000, "")


async def test_a_post_to_a_client_that_is_silent_is_200(target, socket):
    name = await connection_id(socket)
    for _ in range(3):
        assert (await target.call("POST", name, b"are you there")).status == 200


async def test_a_function_without_the_permission_is_told_the_route_that_it_may_not_call(target, socket):
    told = await socket.ask({"action": "forbidden", "endpoint": target.management}, within=20)
    assert told["Code"] == "AccessDeniedException"
    arn = r"arn:aws[\w-]*:execute-api:[\w-]+:\*+\d{4}:\w{10}/main/GET/@connections/\{connectionId\}"
    said = rf"User: arn:aws\S+ is not authorized to perform: execute-api:ManageConnections on resource: {arn}"
    assert re.fullmatch(said, told["Message"])
