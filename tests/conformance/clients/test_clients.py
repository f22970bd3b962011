"""Clients and SDKs as their users run them, each in a process of its own, against the emulator or a deployed stage."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tests.conformance.conftest import connection_id

HERE = Path(__file__).parent
INSTALLED = HERE.parent.parent.parent / "build" / "clients"
PYTHON = str(INSTALLED / "venv" / "bin" / "python")
SOCKETS = {
    "ws": ("node", str(HERE / "ws.mjs")),
    "websockets": (PYTHON, str(HERE / "python_websockets.py")),
    "websocket-client": (PYTHON, str(HERE / "python_websocket_client.py")),
}
WSCAT = ("node_modules/.bin/wscat", "--no-color", "-c")
ACCEPT = json.dumps({"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "b"}})
REFUSE = json.dumps({"statusCode": 403})

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not (INSTALLED / ".installed").exists(), reason="make clients installs them"),
]


def environment(target):
    return os.environ | {
        "NODE_NO_WARNINGS": "1",
        "AWS_ACCESS_KEY_ID": target.credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": target.credentials.secret_key,
        **({"AWS_SESSION_TOKEN": target.credentials.token} if target.credentials.token else {}),
    }


async def program(target, *command, stdin=subprocess.DEVNULL):
    return await asyncio.create_subprocess_exec(
        *command, cwd=INSTALLED, env=environment(target), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


async def output(target, *command):
    # wscat leaves when its terminal does: somebody is there, and says nothing.
    reading, writing = os.pipe()
    try:
        running = await program(target, *command, stdin=reading)
        async with asyncio.timeout(20):
            return (await running.communicate())[0].decode()
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("name", SOCKETS)
async def test_a_client_talks_and_leaves(target, recall, name):
    address = f"{target.gateway}?{urlencode({'return': ACCEPT})}"
    running = await program(target, *SOCKETS[name], address)

    async def told():
        async with asyncio.timeout(20):
            line = await running.stdout.readline()
        return json.loads(line)

    opening = await told()
    assert opening["protocol"] == "b"
    # websocket-client offers no compression; the others make sense of the gateway's answer.
    assert ("permessage-deflate" in str(opening["extensions"])) is (name != "websocket-client")
    assert await told() == {"pong": "are you there"}
    event = (await told())["event"]
    assert json.loads(event["body"])["text"] == "grüße, €"
    own = event["requestContext"]["connectionId"]
    assert (await target.call("POST", own, "ä€".encode() * 20_000)).status == 200
    assert (await told())["length"] in {40_000, 100_000}, "characters or bytes"
    assert await told() == {"code": 4001, "reason": "done"}
    assert await running.wait() == 0
    context = (await recall(own, "DISCONNECT"))["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (4001, "done")


@pytest.mark.parametrize("name", SOCKETS)
async def test_a_client_learns_why_it_is_refused(target, name):
    told = await output(target, *SOCKETS[name], f"{target.gateway}?{urlencode({'return': REFUSE})}")
    assert json.loads(told) == {"refused": 403}


async def test_wscat_talks(target):
    address = f"{target.gateway}?{urlencode({'return': ACCEPT})}"
    told = await output(target, *WSCAT, address, "-s", "b", "-x", '{"action":"ask","text":"grüße"}', "-w", "2")
    answer = json.loads(re.search(r"\{.*\}", told)[0])
    assert json.loads(answer["event"]["body"])["text"] == "grüße"
    # It sends no User-Agent; see the capture of 2022 in the developer guide's samples.
    assert list(answer["event"]["requestContext"]["identity"]) == ["sourceIp"]


async def test_wscat_says_what_the_developer_guide_says_of_a_refusal(target):
    told = await output(target, *WSCAT, f"{target.gateway}?{urlencode({'return': REFUSE})}", "-w", "1")
    assert "Unexpected server response: 403" in told


async def test_the_sdk_for_javascript_posts_looks_and_closes(target, socket):
    own = await connection_id(socket)
    told = json.loads(await output(target, "node", str(HERE / "sdk.mjs"), target.management, target.region, own))
    assert told["post"] == {"status": 200}
    assert await socket.text() == "hello from JavaScript"
    assert told["get"]["status"] == 200
    assert set(told["get"]) == {"status", "ConnectedAt", "Identity", "LastActiveAt"}
    assert told["get"]["Identity"]["UserAgent"] == "conformance"
    assert (told["large"]["status"], told["large"]["error"]) == (413, "PayloadTooLargeException")
    assert (told["malformed"]["status"], told["malformed"]["error"]) == (400, "BadRequestException")
    assert told["malformed"]["message"] == "Invalid connectionId: nonsense"
    assert told["delete"] == {"status": 204}
    assert (await socket.closed()).code == 1000
    # Nothing can be read from a body that is empty; users see the error's name, and "UnknownError" or "410" as text.
    assert (told["gone"]["status"], told["gone"]["error"]) == (410, "GoneException")


@pytest.mark.parametrize("encoded", [True, False])
async def test_a_curl_that_encodes_what_it_signs_posts(target, socket, encoded):
    own = await connection_id(socket)
    address = f"{target.management}/@connections/{quote(own, safe='') if encoded else own}"
    keys = f"{target.credentials.access_key}:{target.credentials.secret_key}"
    command = (PYTHON, str(HERE / "python_curl.py"))
    assert await output(target, *command, "POST", address, target.region, keys, "from curl") == "200 \n"
    assert await socket.text() == "from curl"
    assert (await output(target, *command, "GET", address, target.region, keys, "")).startswith('200 {"connectedAt"')
    assert await output(target, *command, "DELETE", address, target.region, keys, "") == "204 \n"


async def test_curl_7_signs_another_path_than_aws_and_is_refused(target, socket):
    if (curl := shutil.which("curl")) is None or not (await output(target, curl, "--version")).startswith("curl 7."):
        pytest.skip("curl 7 is not here")
    address = f"{target.management}/@connections/{quote(await connection_id(socket), safe='')}"
    keys = f"{target.credentials.access_key}:{target.credentials.secret_key}"
    signing = ("--aws-sigv4", f"aws:amz:{target.region}:execute-api", "--user", keys)
    told = await output(target, curl, "-s", "-w", " %{http_code}", *signing, "--data-binary", "hello", address)
    assert told.endswith(" 403")
    assert "signature" in told
