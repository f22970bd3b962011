"""What a template says of integrations without functions, of models, authorizers and API keys."""

from random import Random

import pytest

from local.gateway import Gateway
from local.stack import (
    ApiKey,
    CustomIntegration,
    HttpIntegration,
    IntegrationResponse,
    MockIntegration,
    Quota,
    Templates,
    Throttle,
    UnsupportedIntegration,
)
from local.template.errors import ReferenceFault, ResourceFault
from local.template.reader import read_template
from tests.local.gateways import NOW, handshake

API = r"""
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: api, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: live, AutoDeploy: true, StageVariables: {host: backend.example}}
  Ping:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: ping, Target: !Sub "integrations/${Pong}", RequestModels: {$default: Note}}
"""
NOTE = """
  Note:
    Type: AWS::ApiGatewayV2::Model
    Properties: {ApiId: !Ref Api, Name: Note, Schema: {type: object}}
"""
MOCK = """
  Pong:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: MOCK, RequestTemplates: {"200": '{"statusCode": 202}'}}
"""


@pytest.fixture
def read(tmp_path):
    def read_one(text):
        path = tmp_path / "template.yaml"
        path.write_text(text)
        return read_template(path, parameters={}, cache=tmp_path)

    return read_one


def response(key, template, name="Response"):
    return f"""
  {name}:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Pong
      IntegrationResponseKey: {key}
      ResponseTemplates: {{$default: '{template}'}}
"""


def test_a_mock_has_its_templates_by_key_and_its_responses_by_status(read):
    stack = read(API + NOTE + MOCK + response("$default", "other") + response("/202/", "pong", "Exact"))
    route = stack.apis[0].routes["ping"]
    assert route.integration == MockIntegration(
        Templates({"$default": '{"statusCode": 202}'}),
        (
            IntegrationResponse("$default", Templates({"$default": "other"})),
            IntegrationResponse("/202/", Templates({"$default": "pong"})),
        ),
    )
    assert route.models == {"$default": {"type": "object"}}


CUSTOM = r"""
  Pong:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: HTTP
      IntegrationUri: https://backend.example/
      ContentHandlingStrategy: CONVERT_TO_BINARY
      PassthroughBehavior: NEVER
      TemplateSelectionExpression: $request.body.kind
      RequestTemplates: {a: "$input.body", b: fixed}
"""


def test_a_custom_integration_has_templates_around_its_backend(read):
    made = read(API + NOTE + CUSTOM + response("$default", "answer")).apis[0].routes["ping"].integration
    assert made == CustomIntegration(
        HttpIntegration("https://backend.example/", forwards=False),
        Templates({"a": "$input.body", "b": "fixed"}, "$request.body.kind", "NEVER"),
        (IntegrationResponse("$default", Templates({"$default": "answer"})),),
        "CONVERT_TO_BINARY",
    )


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (MOCK.replace('{"statusCode": 202}', "#set($x = )"), "mapping template"),
        (MOCK + response("$default", "#if(1)"), "#end is missing"),
        (CUSTOM.replace("$request.body.kind", "$request.header.kind"), "only request.body"),
        (MOCK.replace("MOCK", "AWS, IntegrationUri: arn:aws:apigateway:us-east-1:sqs:path/1/q"), "Lambda"),
        (MOCK.replace("MOCK", "VPC"), "type VPC"),
    ],
)
def test_what_is_not_served_says_why(read, part, said):
    integration = read(API + NOTE + part).apis[0].routes["ping"].integration
    assert isinstance(integration, UnsupportedIntegration)
    assert said in integration.reason


def test_an_http_proxy_has_its_address_method_and_parameters(read):
    stack = read(
        API
        + r"""
  Pong:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: HTTP_PROXY
      IntegrationMethod: PUT
      IntegrationUri: https://${stageVariables.host}/path
      TimeoutInMillis: 500
      RequestParameters: {integration.request.header.id: context.connectionId}
"""
    )
    assert stack.apis[0].routes["ping"].integration == HttpIntegration(
        "https://backend.example/path", "PUT", {"integration.request.header.id": "context.connectionId"}, 0.5
    )


def test_a_model_that_is_not_there_or_none_is_named(read):
    with pytest.raises(ReferenceFault, match="wants the model 'Note'"):
        read(API + MOCK)
    with pytest.raises(ResourceFault, match="schema of the model Note"):
        read(API + MOCK + NOTE.replace("object", "nothing"))


@pytest.mark.parametrize(
    ("plan", "keys"),
    [
        ("{ApiStages: [{ApiId: !Ref Api, Stage: live}]}", {"secret": ApiKey("templates-Key", "secret")}),
        (
            "{ApiStages: [{ApiId: !Ref Api, Stage: live}], Throttle: {RateLimit: 2, BurstLimit: 3}}",
            {"secret": ApiKey("templates-Key", "secret", Throttle(2.0, 3))},
        ),
        (
            "{ApiStages: [{ApiId: !Ref Api, Stage: live}], Quota: {Limit: 9, Period: WEEK, Offset: 1}}",
            {"secret": ApiKey("templates-Key", "secret", quota=Quota(9, "WEEK", 1))},
        ),
        ("{ApiStages: [{ApiId: !Ref Api, Stage: other}]}", {}),
        ("{}", {}),
    ],
)
def test_an_api_key_is_good_for_the_stages_of_its_plan(read, tmp_path, plan, keys):
    text = f"""
  Key: {{Type: AWS::ApiGateway::ApiKey, Properties: {{Value: secret, Enabled: true}}}}
  Off: {{Type: AWS::ApiGateway::ApiKey, Properties: {{Value: off, Enabled: false}}}}
  Plan: {{Type: AWS::ApiGateway::UsagePlan, Properties: {plan}}}
  Of: {{Type: AWS::ApiGateway::UsagePlanKey, Properties: {{KeyId: !Ref Key, UsagePlanId: !Ref Plan, KeyType: API_KEY}}}}
  No: {{Type: AWS::ApiGateway::UsagePlanKey, Properties: {{KeyId: !Ref Off, UsagePlanId: !Ref Plan, KeyType: API_KEY}}}}
"""
    found = read(API + NOTE + MOCK + text).apis[0].api_keys
    assert {value: (key.value, key.throttle, key.quota) for value, key in found.items()} == {
        value: (key.value, key.throttle, key.quota) for value, key in keys.items()
    }


@pytest.mark.parametrize("quota", ["{Limit: many, Period: DAY}", "{Limit: 9}", "{Limit: 9, Period: YEAR}"])
def test_a_quota_without_a_number_or_a_period_is_named(read, quota):
    text = f"""
  Key: {{Type: AWS::ApiGateway::ApiKey, Properties: {{Value: secret, Enabled: true}}}}
  Plan:
    Type: AWS::ApiGateway::UsagePlan
    Properties: {{ApiStages: [{{ApiId: !Ref Api, Stage: live}}], Quota: {quota}}}
  Of: {{Type: AWS::ApiGateway::UsagePlanKey, Properties: {{KeyId: !Ref Key, UsagePlanId: !Ref Plan, KeyType: API_KEY}}}}
"""
    with pytest.raises(ResourceFault, match="quota"):
        read(API + NOTE + MOCK + text)


@pytest.mark.parametrize("key", ["$foo", "$connect2", "$Default"])
def test_a_route_key_of_ones_own_has_no_dollar(read, key):
    with pytest.raises(ResourceFault, match=r"with a dollar there are \$connect, \$disconnect and \$default"):
        read(API.replace("RouteKey: ping", f"RouteKey: {key}") + NOTE + MOCK)


def test_a_route_whose_template_cannot_be_used_is_named(read):
    stack = read(API + NOTE + MOCK.replace('{"statusCode": 202}', "#if("))
    assert any(
        "The route ping of Api will answer Internal server error: a mapping template of Pong" in warning
        for warning in stack.warnings
    )


def test_an_api_may_have_no_host_of_awss_which_is_told(read):
    stack = read(API + NOTE + MOCK)
    assert stack.apis[0].has_default_endpoint
    stack = read(API.replace("{Name: api,", "{Name: api, DisableExecuteApiEndpoint: true,") + NOTE + MOCK)
    assert not stack.apis[0].has_default_endpoint
    assert any("AWS's own host for Api answers 403 Forbidden" in warning for warning in stack.warnings)


def test_a_key_without_a_value_is_warned_of(read):
    text = """
  Key: {Type: AWS::ApiGateway::ApiKey, Properties: {Enabled: true}}
  Plan: {Type: AWS::ApiGateway::UsagePlan, Properties: {ApiStages: [{ApiId: !Ref Api, Stage: live}]}}
  Of: {Type: AWS::ApiGateway::UsagePlanKey, Properties: {KeyId: !Ref Key, UsagePlanId: !Ref Plan, KeyType: API_KEY}}
"""
    stack = read(API + NOTE + MOCK + text)
    assert stack.apis[0].api_keys == {}
    assert any("Key has no Value" in warning for warning in stack.warnings)


@pytest.mark.parametrize(
    ("expression", "key_from"),
    [("$request.header.x-api-key", "header"), ("$context.authorizer.usageIdentifierKey", "authorizer")],
)
def test_where_a_key_is_read_stands_in_the_api(read, expression, key_from):
    text = API.replace("RouteSelection", f"ApiKeySelectionExpression: {expression}, RouteSelection")
    assert read(text + NOTE + MOCK).apis[0].key_from == key_from


def test_an_identity_source_of_another_kind_of_api_is_named(read):
    text = """
  Connect:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $connect, AuthorizationType: CUSTOM, AuthorizerId: !Ref Door}
  Door:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref Api
      AuthorizerType: REQUEST
      AuthorizerUri: !Sub "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${Answer.Arn}/invocations"
      IdentitySource: [method.request.header.Authorization]
  Answer:
    Type: AWS::Lambda::Function
    Properties: {Runtime: python3.13, Handler: index.handler, Code: {ZipFile: "def handler(event, context): return {}"}}
"""
    with pytest.raises(ResourceFault, match="no identity source"):
        read(API + NOTE + MOCK + text)
    with pytest.raises(ResourceFault, match="the authorizer Door is of type JWT; WebSocket APIs have REQUEST"):
        read(API + NOTE + MOCK + text.replace("AuthorizerType: REQUEST", "AuthorizerType: JWT"))


def test_a_stage_may_have_the_name_that_http_apis_have(read):
    assert read(API.replace("StageName: live", "StageName: $default") + NOTE + MOCK).apis[0].stage.name == "$default"


def test_an_api_without_a_selection_expression_is_refused(read):
    text = API.replace(", RouteSelectionExpression: $request.body.action", "")
    with pytest.raises(ResourceFault, match="the API Api has no RouteSelectionExpression"):
        read(text + NOTE + MOCK)


def test_a_response_key_that_is_no_pattern_is_named_at_the_start(read):
    stack = read(API + NOTE + MOCK + response("/2(0/", "pong"))
    integration = stack.apis[0].routes["ping"].integration
    assert isinstance(integration, UnsupportedIntegration)
    assert "/2(0/ is no pattern" in integration.reason


def test_a_status_that_http_does_not_have_is_502(read):
    stack = read(
        API
        + NOTE
        + MOCK.replace("202", "700")
        + """
  Connect:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $connect, Target: !Sub "integrations/${Pong}"}
"""
    )
    subject = Gateway(stack.apis[0], region="us-east-1", random=Random(1))
    [refusal] = subject.opened(handshake(), NOW)[1]
    assert refusal.status == 502


def test_a_model_selection_expression_that_is_none_is_named(read):
    api = API.replace("RequestModels:", "ModelSelectionExpression: $request.header.x, RequestModels:")
    with pytest.raises(ResourceFault, match="cannot select a model"):
        read(api + NOTE + MOCK)


@pytest.mark.parametrize("reference", ["#/definitions/nobody", "https://models.example/note"])
def test_a_model_that_refers_to_what_is_not_in_it_is_named(read, reference):
    note = NOTE.replace("Schema: {type: object}", f"Schema: {{properties: {{a: {{$ref: '{reference}'}}}}}}")
    with pytest.raises(ResourceFault, match=f"{reference} leads nowhere"):
        read(API + note + MOCK)


def test_a_model_may_refer_to_its_own_parts(read):
    schema = "{definitions: {Word: {type: string}}, properties: {a: {$ref: '#/definitions/Word'}}}"
    stack = read(API + NOTE.replace("{type: object}", schema) + MOCK)
    assert stack.apis[0].routes["ping"].models
