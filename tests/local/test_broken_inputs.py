"""What people get wrong: each ends in one sentence that says where, or in a warning, and never in a stack trace."""

from __future__ import annotations

import re
import textwrap
from typing import NamedTuple

import pytest

from local.template.errors import TemplateError
from local.template.reader import read_template

API = """\
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: api, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: live, AutoDeploy: true}
"""
FUNCTION = """\
  Answer:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      Code: {ZipFile: "def handler(event, context): return {}"}
"""
ROUTE = """\
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: go, Target: !Sub "integrations/${Integration}"}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Answer.Arn}
"""
SAM = f"Transform: AWS::Serverless-2016-10-31\n{API}"
WHOLE = API + FUNCTION + ROUTE


class Broken(NamedTuple):
    """``said`` is the sentence's beginning, place included; ``name`` that of the file."""

    text: str
    said: str
    name: str = "template.yaml"


def changed(was: str, becomes: str, text: str = WHOLE) -> str:
    assert was in text
    return text.replace(was, becomes, 1)


def sam_function(**properties: str) -> str:
    given = {"Handler": "app.handler", "Runtime": "python3.12", "CodeUri": "."} | properties
    inside = ", ".join(f"{name}: {value}" for name, value in given.items() if value)
    return f"{SAM}  Sam: {{Type: AWS::Serverless::Function, Properties: {{{inside}}}}}\n"


REFUSED = {
    # As public templates have it.
    "the folder of the code is not there": Broken(
        sam_function(CodeUri="functions/chat/"), ":9:98: the code of Sam is not there: no folder functions/chat"
    ),
    "a section one blank in": Broken(
        f"{API} Outputs:\n    Url: {{Value: x}}\n", ":8:2: this is no valid YAML: while parsing a block mapping"
    ),
    "a parameter without a default": Broken(
        f"Parameters:\n  PoolArn: {{Type: String}}\n{API}",
        ":2:3: the parameter PoolArn has no default: give --parameter PoolArn=…",
    ),
    # What else goes wrong, in the order in which one writes a template.
    "a file of another tool": Broken(
        "service: chat\nprovider: {name: aws}\nfunctions: {}\n",
        ": this is a configuration of the Serverless Framework: give the template that `serverless package` makes",
    ),
    "the marks of a merge": Broken(
        changed("  Stage:", "<<<<<<< HEAD\n  Stage:"), ":6:8: this is no valid YAML: while scanning a simple key"
    ),
    "tabs": Broken(changed("    Type", "\tType"), ":3:1: this is no valid YAML: while scanning for the next token"),
    "a comma at the end": Broken(
        '{"Resources": {"A": {"Type": "AWS::SNS::Topic",}}}', ":1:48: this is no valid JSON:", "template.json"
    ),
    "a comment in JSON": Broken('{\n  // mine\n  "Resources": {}}', ":2:3: this is no valid JSON:", "template.json"),
    "a resource of nothing": Broken(f"{API}  Later:\n", ":8:3: Later in Resources must be a mapping"),
    "SAM without its transform": Broken(
        sam_function().replace("Transform: AWS::Serverless-2016-10-31\n", ""),
        ":8:9: Sam is of a type of SAM's, and the template lacks the line Transform: AWS::Serverless-2016-10-31",
    ),
    "a type that is misspelt": Broken(
        changed("AWS::ApiGatewayV2::Api\n", "AWS::ApiGatewayv2::Api\n"),
        ": there is no WebSocket API in this template; Api is of type AWS::ApiGatewayv2::Api: did you mean "
        "AWS::ApiGatewayV2::Api?",
    ),
    "no protocol": Broken(
        changed("ProtocolType: WEBSOCKET, ", ""), ":2:3: the API Api has no ProtocolType; here it must be WEBSOCKET"
    ),
    "a selection that does not end": Broken(
        changed("$request.body.action", "'${request.body.action'"),
        ":4:54: route selection expression '${request.body.action': only request.body can select a route",
    ),
    "no selection": Broken(
        changed(", RouteSelectionExpression: $request.body.action", ""),
        ":2:3: the API Api has no RouteSelectionExpression",
    ),
    "a stage without a name": Broken(changed("StageName: live, ", ""), ":5:3: the stage Stage has no StageName"),
    "a stage with a slash": Broken(
        changed("StageName: live", "StageName: a/b"),
        ":7:35: a WebSocket API has no stage 'a/b': its name is of letters, digits, - and _",
    ),
    "a target that is an id alone": Broken(changed("integrations/$", "$"), ":16:49: the route go leads to '"),
    "an integration without a type": Broken(
        changed("IntegrationType: AWS_PROXY, ", ""), ":17:3: the integration Integration has no IntegrationType"
    ),
    "an integration without a URI": Broken(
        changed(", IntegrationUri: !GetAtt Answer.Arn", ""), ":17:3: the integration Integration has no IntegrationUri"
    ),
    "a function of another account": Broken(
        changed("!GetAtt Answer.Arn", "'arn:aws:lambda:us-east-1:111122223333:function:theirs'"),
        ":19:63: the route go invokes 'arn:aws:lambda:us-east-1:111122223333:function:theirs', and no function of",
    ),
    "an authorizer that is not named": Broken(
        changed("RouteKey: go", "RouteKey: $connect, AuthorizationType: CUSTOM"),
        ":14:3: the route $connect wants an authorizer and names none",
    ),
    "an authorizer of nowhere": Broken(
        changed("RouteKey: go", "RouteKey: $connect, AuthorizationType: CUSTOM, AuthorizerId: mine"),
        ":16:82: the route $connect wants the authorizer 'mine', which is none of Api",
    ),
    "an authorization of HTTP APIs": Broken(
        changed("RouteKey: go", "RouteKey: $connect, AuthorizationType: JWT"),
        ":16:55: the route $connect asks for authorization by JWT; WebSocket APIs have NONE, AWS_IAM and CUSTOM",
    ),
    "a model that is no JSON": Broken(
        changed("RouteKey: go", "RouteKey: go, RequestModels: {go: m}").replace(
            "IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Answer.Arn", "IntegrationType: MOCK"
        )
        + "  Model: {Type: AWS::ApiGatewayV2::Model, Properties: {ApiId: !Ref Api, Name: m, Schema: '{'}}\n",
        ":20:82: the schema of the model Model is no JSON:",
    ),
    "an attribute that is misspelt": Broken(
        changed("!GetAtt Answer.Arn", "!GetAtt Answer.ARN"),
        ":19:63: Answer (AWS::Lambda::Function) has no attribute ARN",
    ),
    "an attribute of nothing": Broken(
        changed("!GetAtt Answer.Arn", "!GetAtt Answer"), ":19:63: Fn::GetAtt wants a resource and one of its attributes"
    ),
    "a variable of nowhere": Broken(
        changed("${Integration}", "${Integratoin}"),
        ":16:49: Integratoin is referred to, and it is neither a parameter nor a resource here",
    ),
    "a list where two are wanted": Broken(
        changed("!GetAtt Answer.Arn", "!Join [a, b]"), ":19:63: Fn::Join wants a delimiter and a list"
    ),
    "a condition of nowhere": Broken(
        changed("!GetAtt Answer.Arn", "!If [Rich, a, b]"), ":19:63: there is no condition named Rich"
    ),
    "a default that is not allowed": Broken(
        f"Parameters: {{Size: {{Type: String, Default: XL, AllowedValues: [S, M]}}}}\n{API}",
        ":1:14: the parameter Size is 'XL', which is none of S, M",
    ),
    "a handler that inline code cannot have": Broken(
        changed("index.handler", "app.handler"),
        ":12:7: the code of Answer stands in the template, where it is index.py: its Handler must be index.NAME",
    ),
    "inline code that is a list": Broken(
        changed('"def handler(event, context): return {}"', "[a]"), ":13:14: the code of Answer must be a text, and it"
    ),
    "a timeout beyond Lambda's": Broken(
        changed("index.handler\n", "index.handler\n      Timeout: 5000\n"),
        ":13:7: Timeout of Answer is 5000, and Lambda takes 1 to 900",
    ),
    "a memory that is no number": Broken(
        changed("index.handler\n", "index.handler\n      MemorySize: big\n"),
        ":13:7: MemorySize of Answer is 'big' and must be a number",
    ),
    "variables that are a list": Broken(
        changed("index.handler\n", "index.handler\n      Environment: {Variables: [A]}\n"),
        ":13:21: Environment.Variables of Answer must be a mapping",
    ),
    "a layer's folder that is not there": Broken(
        f"{SAM}  Shared: {{Type: AWS::Serverless::LayerVersion, Properties: {{ContentUri: layers/none}}}}\n",
        ":9:62: the code of Shared is not there: no folder layers/none",
    ),
    "a handler without a function": Broken(
        sam_function(Handler="handler"), ":9:55: the function Sam has no Handler of the form module.function"
    ),
    "a policy that SAM does not know": Broken(
        sam_function(Policies="[{NopePolicy: {}}]"), ":9:3: Resource with id [Sam] is invalid. Policy at index 0"
    ),
    "a policy without its table": Broken(
        sam_function(Policies="[{DynamoDBCrudPolicy: {}}]"),
        ":9:3: Resource with id [Sam] is invalid. Following required parameters of template 'DynamoDBCrudPolicy'",
    ),
    "an event that SAM does not know": Broken(
        sam_function(Events="{Go: {Type: WebSocket, Properties: {}}}"),
        ":9:3: Resource with id [Sam] is invalid. Event with id [Go] is invalid.",
    ),
    "a mapping to a stage that is not there": Broken(
        f"{API}  Mine:\n    Type: AWS::ApiGatewayV2::ApiMapping\n"
        "    Properties: {DomainName: ws.example.com, ApiId: !Ref Api, Stage: beta}\n",
        ":10:63: Mine leads to the stage 'beta', and of Api 'live' is served",
    ),
    "a value of another stack": Broken(
        changed("!GetAtt Answer.Arn", "!ImportValue theirs"),
        ":19:63: Fn::ImportValue wants 'theirs' of another stack, which is not here; a parameter could give it",
    ),
}

WARNED = {
    # As public templates have it.
    "a stage that is never deployed": Broken(
        changed(", AutoDeploy: true", ""), "The stage Stage has neither AutoDeploy nor a DeploymentId, so on AWS"
    ),
    "functions for Node": Broken(
        changed("python3.13", "nodejs12.x"), "Answer cannot run here: the runtime is nodejs12.x, and the emulator runs"
    ),
    "types that nobody here has": Broken(
        f"{API}  Site: {{Type: AWS::Route53::RecordSet}}\n",
        "Site (AWS::Route53::RecordSet) is ignored: the emulator has nothing like that, and whatever needs it",
    ),
    # And what else is easily overlooked.
    "a type that is misspelt": Broken(
        f"{API}  Later: {{Type: AWS::Lambda::Functoin}}\n",
        "Later (AWS::Lambda::Functoin: did you mean AWS::Lambda::Function?) is ignored",
    ),
    "a selection that says nothing of the message": Broken(
        changed("$request.body.action", "request.body.action"),
        "The RouteSelectionExpression of Api is 'request.body.action', which is the same for every message;",
    ),
    "a route of another API": Broken(
        changed("{ApiId: !Ref Api, RouteKey", "{ApiId: a1b2c3d4e5, RouteKey"),
        "Route belongs to the API 'a1b2c3d4e5', which is not in this template: nothing changes by it here.",
    ),
    "an integration that there is not": Broken(
        changed("AWS_PROXY", "LAMBDA"),
        "The route go of Api will answer Internal server error: integrations of type LAMBDA are not emulated.",
    ),
    "Python 2": Broken(changed("python3.13", "python2.7"), "Answer cannot run here: the runtime is python2.7, and"),
    "code that is only in S3": Broken(
        changed('{ZipFile: "def handler(event, context): return {}"}', "{S3Bucket: assets, S3Key: a.zip}"),
        "Answer cannot run here: the code lies in S3 and not on this machine.",
    ),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("broken", REFUSED.values(), ids=REFUSED.keys())
def test_a_broken_template_is_refused_in_one_sentence_with_its_place(broken, tmp_path, cache):
    path = tmp_path / broken.name
    path.write_text(textwrap.dedent(broken.text), encoding="utf-8")
    with pytest.raises(TemplateError) as caught:
        read_template(path, parameters={}, cache=cache)
    said = str(caught.value)
    assert said.replace(f"{tmp_path}/", "").startswith(f"{broken.name}{broken.said}")
    assert "\n" not in said
    assert not re.search(r"Traceback|None\b|\bobject at 0x", said)


@pytest.mark.parametrize("broken", WARNED.values(), ids=WARNED.keys())
def test_what_will_not_work_is_told(broken, tmp_path, cache):
    path = tmp_path / broken.name
    path.write_text(broken.text, encoding="utf-8")
    warnings = read_template(path, parameters={}, cache=cache).warnings
    assert [warning for warning in warnings if warning.startswith(broken.said)]


def test_the_template_that_all_of_these_are_made_of_is_not_broken(tmp_path, cache):
    path = tmp_path / "template.yaml"
    path.write_text(WHOLE, encoding="utf-8")
    stack = read_template(path, parameters={}, cache=cache)
    assert (stack.warnings, [*stack.apis[0].routes]) == ((), ["go"])
