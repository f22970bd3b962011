"""What ``tickwire up`` refuses before it starts anything."""

import pytest

from local.limits import UnknownLimit
from local.settings import UpSettings
from local.up import CannotStart, up

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
