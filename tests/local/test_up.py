"""What ``tickwire up`` refuses before it starts anything."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from local.limits import Choices, Limits, UnknownLimit
from local.rules.effects import Accept
from local.serving import Serving
from local.settings import UpSettings
from local.stack import Stack
from local.up import CannotStart, up
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
