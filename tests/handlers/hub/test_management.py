"""What the management API's answers mean, and what is sent to get them."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import TYPE_CHECKING

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.session
import pytest
from botocore.exceptions import CredentialRetrievalError

from handlers.hub.environment import RegionUnknown
from handlers.hub.errors import (
    AccessDenied,
    BadConnectionId,
    ConnectionGone,
    GatewayUnavailable,
    LimitExceeded,
    PayloadTooLarge,
)
from handlers.hub.management import ConnectionView, ManagementApi
from handlers.hub.pool import Pool
from handlers.hub.settings import HubSettings
from handlers.hub.signing import Credentials, CredentialsUnavailable
from tests.misbehaving import CLOSE, HOLD, OK, Misbehaving, Request, TunnelProxy, answer, make_authority

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "BFaT_fALIAMCKug="
NOON = 1_700_000_000


def keys() -> Credentials:
    return Credentials("AKID", "secret", "token")


def api_of(server: Misbehaving, *, credentials: Callable[[], Credentials] = keys, **options: float) -> ManagementApi:
    return ManagementApi(
        f"http://127.0.0.1:{server.port}/prod/",
        region="eu-west-1",
        credentials=credentials,
        pool=Pool(server.origin, **options) if options else None,  # type: ignore[arg-type]  # a test's shorthand
        now=lambda: NOON,
    )


def is_signed(request: Request, port: int) -> bool:
    """Check a request as AWS would, with botocore's signer."""
    again = botocore.awsrequest.AWSRequest(
        method=request.method, url=f"http://127.0.0.1:{port}{request.target}", data=request.body
    )
    again.headers["X-Amz-Security-Token"] = request.headers["x-amz-security-token"]
    again.headers["X-Amz-Date"] = again.context["timestamp"] = request.headers["x-amz-date"]
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(*keys()), "execute-api", "eu-west-1")
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    return request.headers["authorization"].endswith(signature)


async def test_a_post_carries_the_message_as_it_is_and_is_signed():
    async with Misbehaving() as server, api_of(server) as api:
        await api.post(ID, b'{"last":1.10}')
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/prod/@connections/BFaT_fALIAMCKug%3D")
    assert request.body == b'{"last":1.10}'
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert is_signed(request, server.port)


@pytest.mark.parametrize("connection_id", [ID, "a b/c?d#e\r\nf", "é", "%3D", "a..b", "..."])
async def test_any_id_is_one_segment_of_the_path_and_is_signed(connection_id):
    async with Misbehaving() as server, api_of(server) as api:
        await api.post(connection_id, b"x")
    (request,) = server.requests
    assert re.fullmatch(r"/prod/@connections/[\w.%~-]+", request.target)
    assert is_signed(request, server.port)


@pytest.mark.parametrize("connection_id", ["", ".", ".."])
async def test_an_id_that_would_be_another_path_is_refused_here(connection_id):
    async with Misbehaving() as server, api_of(server) as api:
        with pytest.raises(BadConnectionId):
            await api.post(connection_id, b"x")
    assert not server.requests


async def test_a_look_tells_who_is_connected():
    body = (
        b'{"connectedAt":"2022-01-25T18:50:04.673Z","identity":{"sourceIp":"192.0.2.7","userAgent":"curl/8"},'
        b'"lastActiveAt":"2022-01-25T18:50:05.001Z","new":1}'
    )
    async with Misbehaving([[answer(200, body)]]) as server, api_of(server) as api:
        assert await api.look(ID) == ConnectionView(1_643_136_604_673, 1_643_136_605_001, "192.0.2.7", "curl/8")
    assert server.requests[0].method == "GET"
    assert is_signed(server.requests[0], server.port)


@pytest.mark.parametrize("agent", [b"", b',"userAgent":null'])
async def test_a_client_may_have_no_user_agent(agent):
    body = (
        b'{"connectedAt":"2022-01-25T18:50:04.673Z","identity":{"sourceIp":"::1"%s},'
        b'"lastActiveAt":"2022-01-25T18:50:04.673Z"}' % agent
    )
    async with Misbehaving([[answer(200, body)]]) as server, api_of(server) as api:
        assert (await api.look(ID)).user_agent is None


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"\xff", b'{"connectedAt":1,"lastActiveAt":1,"identity":{"sourceIp":"::1"}}', b"<html>"],
)
async def test_a_look_that_shows_nothing_is_the_gateways_fault(body):
    async with Misbehaving([[answer(200, body)]]) as server, api_of(server) as api:
        with pytest.raises(GatewayUnavailable, match="no view"):
            await api.look(ID)


async def test_a_close_deletes_the_connection():
    async with Misbehaving([[b"HTTP/1.1 204 No Content\r\n\r\n"]]) as server, api_of(server) as api:
        await api.close(ID)
    assert server.requests[0].method == "DELETE"
    assert is_signed(server.requests[0], server.port)


@pytest.mark.parametrize(
    ("status", "error_type", "fault"),
    [
        (410, "GoneException", ConnectionGone),
        (410, "", ConnectionGone),
        (429, "LimitExceededException", LimitExceeded),
        (429, "", LimitExceeded),
        (429, "TooManyRequestsException", LimitExceeded),
        (400, "ThrottlingException", LimitExceeded),
        (413, "PayloadTooLargeException", PayloadTooLarge),
        (413, "", PayloadTooLarge),
        (403, "ForbiddenException", AccessDenied),
        (403, "MissingAuthenticationTokenException", AccessDenied),
        (403, "SomethingNew", AccessDenied),
        (403, "", AccessDenied),
        (400, "InvalidSignatureException", AccessDenied),
        (400, "BadRequestException", BadConnectionId),
        (400, "", BadConnectionId),
        (400, "GoneException:http://internal.amazon.com/coral/com.amazonaws/", ConnectionGone),
        (400, "com.amazonaws#GoneException", ConnectionGone),
        (409, "ConflictException", GatewayUnavailable),
        (404, "NotFoundException", GatewayUnavailable),
        (500, "InternalServerErrorException", GatewayUnavailable),
        (502, "", GatewayUnavailable),
        (504, "", GatewayUnavailable),
        (302, "", GatewayUnavailable),
        (999, "", GatewayUnavailable),
    ],
)
async def test_a_refusal_is_known_by_its_type_and_else_by_its_status(status, error_type, fault):
    named = {"x_amzn_ErrorType": error_type} if error_type else {}
    async with Misbehaving([[answer(status, **named)]]) as server, api_of(server) as api:
        for call in (partial(api.post, ID, b"x"), partial(api.look, ID), partial(api.close, ID)):
            with pytest.raises(fault) as raised:
                await call()
            assert type(raised.value) is fault
            assert raised.value.connection_id == ID
    assert server.accepted == 1, "a refusal leaves the socket in use"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (403, b'{"message":"Missing Authentication Token"}', "Missing Authentication Token"),
        (403, b'{"Message":"User: x is not authorized"}', "User: x is not authorized"),
        (403, b"<html>Forbidden</html>", "<html>Forbidden</html>"),
        (400, b'{"message":"Invalid connectionId: x"}', "Invalid connectionId: x"),
        (409, b"busy", "409 busy"),
        (502, b'{"message": "Internal server error"}', "502 Internal server error"),
        (503, b"", "503"),
        (500, b"\xff" * 2_000, "500 " + "\N{REPLACEMENT CHARACTER}" * 500),
        (500, b"[1]", "500 [1]"),
    ],
)
async def test_the_reason_is_what_the_answer_says(status, body, reason):
    async with Misbehaving([[answer(status, body)]]) as server, api_of(server) as api:
        with pytest.raises((AccessDenied, BadConnectionId, GatewayUnavailable)) as raised:
            await api.post(ID, b"x")
    assert raised.value.reason == reason


async def test_a_message_beyond_the_limit_is_not_sent():
    async with Misbehaving() as server, api_of(server) as api:
        await api.post(ID, b"x" * 131_072)
        with pytest.raises(PayloadTooLarge, match="131,073"):
            await api.post(ID, b"x" * 131_073)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([[CLOSE]], "closed without an answer"),
        ([[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", CLOSE]], "closed in the middle"),
        ([[b"garbage\r\n\r\n"]], "no head"),
        ([[HOLD]], "within 0.05 s"),
    ],
)
async def test_no_answer_or_a_broken_one_is_the_gateways_fault(script, reason):
    async with Misbehaving(script) as server, api_of(server, answer_for=0.05) as api:
        with pytest.raises(GatewayUnavailable, match=reason):
            await api.post(ID, b"x")


async def test_a_gateway_that_closes_every_second_use_is_tried_once_more_and_no_further():
    async with Misbehaving([[OK], [CLOSE]], [[CLOSE]], [[OK]]) as server, api_of(server) as api:
        await api.post(ID, b"x")
        with pytest.raises(GatewayUnavailable):
            await api.post(ID, b"x")
        assert len(server.requests) == 3
        await api.post(ID, b"x")


async def test_a_gateway_that_is_not_there_is_unavailable():
    async with Misbehaving() as server:
        pass
    async with api_of(server) as api:
        with pytest.raises(GatewayUnavailable, match="no socket"):
            await api.post(ID, b"x")


async def test_after_closing_nothing_is_posted():
    async with Misbehaving([[HOLD]]) as server:
        api = api_of(server)
        under_way = asyncio.create_task(api.post(ID, b"x"))
        await server.until_asked(1)
        await api.aclose()
        for call in (under_way, api.post(ID, b"x")):
            with pytest.raises(GatewayUnavailable, match="closed"):
                await call


async def test_without_credentials_nothing_is_sent():
    def none() -> Credentials:
        raise CredentialsUnavailable("expired")

    async with Misbehaving() as server, api_of(server, credentials=none) as api:
        with pytest.raises(AccessDenied, match="expired"):
            await api.post(ID, b"x")
    assert not server.requests


# Made from the environment.


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """An environment with nothing of the machine's own in it."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return monkeypatch


def settings(gateway: str) -> HubSettings:
    return HubSettings(table="t", gateway=gateway)


async def test_the_environment_gives_endpoint_region_and_credentials(environment):
    environment.setenv("AWS_REGION", "ap-northeast-1")
    environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
    environment.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    environment.setenv("AWS_SESSION_TOKEN", "a/token==")
    async with Misbehaving() as server:
        made = ManagementApi.from_environment(settings(f"ws://127.0.0.1:{server.port}/local"))
        async with made as api:
            await api.post(ID, b"x")
    (request,) = server.requests
    assert request.target == "/local/@connections/BFaT_fALIAMCKug%3D"
    assert re.search(r"Credential=AKIDENV/\d{8}/ap-northeast-1/execute-api/", request.headers["authorization"])
    assert request.headers["x-amz-security-token"] == "a/token=="


async def test_the_region_may_come_from_botocores_configuration(environment, tmp_path):
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = s\n")
    async with Misbehaving() as server:
        made = ManagementApi.from_environment(settings(f"ws://127.0.0.1:{server.port}/local"))
        async with made as api:
            await api.post(ID, b"x")
    assert re.search(r"Credential=AKIDFILE/\d{8}/eu-north-1/", server.requests[0].headers["authorization"])


def test_without_a_region_there_is_no_management_api(environment):
    environment.setenv("AWS_ACCESS_KEY_ID", "AKID")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(RegionUnknown):
        ManagementApi.from_environment(settings("wss://a/prod"))


def test_without_credentials_there_is_no_management_api(environment):
    environment.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(CredentialsUnavailable):
        ManagementApi.from_environment(settings("wss://a/prod"))


def test_without_an_address_there_is_no_management_api(environment):
    environment.setenv("AWS_REGION", "eu-west-1")
    environment.setenv("AWS_ACCESS_KEY_ID", "AKID")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(ValueError, match="address"):
        ManagementApi.from_environment(settings(""))


async def test_credentials_that_cannot_be_refreshed_are_a_denied_access(environment):
    class Expired:
        def get_frozen_credentials(self) -> None:
            raise CredentialRetrievalError(provider="sso", error_msg="the token has expired")

    environment.setenv("AWS_REGION", "eu-west-1")
    environment.setattr(botocore.session.Session, "get_credentials", lambda _: Expired())
    async with ManagementApi.from_environment(settings("wss://127.0.0.1/prod")) as api:
        with pytest.raises(AccessDenied, match="the token has expired"):
            await api.post(ID, b"x")


async def test_the_environments_proxy_and_bundle_are_used(environment, tmp_path):
    authority = make_authority(tmp_path)
    environment.setenv("AWS_CA_BUNDLE", str(authority.certificate))
    async with TunnelProxy() as proxy, Misbehaving(tls=authority.server()) as server:
        environment.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        endpoint = f"https://localhost:{server.port}/prod"
        async with ManagementApi(endpoint, region="eu-west-1", credentials=keys) as api:
            await api.post(ID, b"x")
        environment.setenv("NO_PROXY", "localhost")
        async with ManagementApi(endpoint, region="eu-west-1", credentials=keys) as api:
            await api.post(ID, b"x")
    assert [request.target for request in proxy.requests] == [f"localhost:{server.port}"]
    assert len(server.requests) == 2
