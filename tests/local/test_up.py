"""What ``tickwire up`` refuses before it starts anything."""

import errno
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from local.errors import CannotStart
from local.limits import Choices, Limits, UnknownLimit
from local.rules.effects import Accept
from local.serving import Serving, exchange_for
from local.settings import UpSettings
from local.stack import OwnSystem, Stack
from local.up import listen, up, write_whole
from tests.local.gateways import NOW, gateway, handshake, route

TEMPLATE = """
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: api, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: live, AutoDeploy: true}
  Store:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: store, Target: !Sub "integrations/${Table}"}
  Table:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: AWS, IntegrationUri: "arn:aws:apigateway:::dynamodb:action/PutItem"}
"""


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return path


def test_strict_refuses_an_integration_that_is_not_emulated(template):
    with pytest.raises(CannotStart, match="route store of Api: integrations of type AWS with other"):
        up(UpSettings(template=template, port=0, strict=True))


def test_an_unknown_choice_is_named(template):
    with pytest.raises(UnknownLimit, match="no such choice: 'colour'"):
        up(UpSettings(template=template, port=0, choice={"colour": "green"}))


def test_all_apis_of_a_stack_share_the_quotas_of_the_account(template):
    api = gateway(route("$default")).api
    serving = Serving(
        Stack("two", template, "us-east-1", "000000000000", (api, replace(api, id="b")), {}),
        UpSettings(),
        limits=Limits(connects=1),
        choices=Choices(),
        functions=None,
        access=SimpleNamespace(verify_upgrade=None),
        hosts=None,
        tls=None,
    )
    first, second = (sockets.gateway for sockets in serving._sockets)
    assert isinstance(first.opened(handshake(), NOW)[1][0], Accept)
    [refusal] = second.opened(handshake(), NOW)[1]
    assert refusal.status == 429


def test_a_port_that_somebody_has_is_told_with_the_remedy():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CannotStart, match=r"taken; .* --port 0 for"):
        listen(taken.getsockname()[1])


def test_a_port_that_may_not_be_had_is_not_called_taken(monkeypatch):
    def refuse(_socket, _address):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("local.up.socket.socket.bind", refuse)
    with pytest.raises(CannotStart, match="port 80 cannot be had: Permission denied; choose another with --port"):
        listen(80)


def test_a_folder_without_recordings_is_refused(tmp_path):
    own = OwnSystem(providers={"URL": "binance"})
    stack = Stack("s", tmp_path, "us-east-1", "0" * 12, apis=(), functions={}, own=own)
    with pytest.raises(CannotStart, match=r"^--providers replay:.*: there is no recording in "):
        exchange_for(UpSettings(providers=f"replay:{tmp_path}"), stack)
    (tmp_path / "binance.jsonl").write_text("{}\n")
    with pytest.raises(CannotStart, match=r"binance\.jsonl, line 1: "):
        exchange_for(UpSettings(providers=f"replay:{tmp_path}"), stack)


def test_a_stage_at_a_path_of_the_emulators_own_is_refused(template):
    template.write_text(TEMPLATE.replace("StageName: live", "StageName: 2015-03-31"))
    with pytest.raises(
        CannotStart, match=r"^api: a stage cannot be named 2015-03-31 here, for /2015-03-31 is Lambda's"
    ):
        up(UpSettings(template=template, port=0))


def test_an_interpreter_that_is_not_there_is_refused(template):
    with pytest.raises(CannotStart, match=r"^--python /no/python: there is no such program$"):
        up(UpSettings(template=template, port=0, python=Path("/no/python")))


def test_a_ready_file_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"^the ready file .*/file/ready\.json cannot be written: "):
        write_whole(tmp_path / "file" / "ready.json", "{}")
