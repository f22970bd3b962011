from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local.stack import LambdaIntegration, MockIntegration, Throttle, UnsupportedIntegration
from local.template import sam
from local.template.errors import (
    CodeMissing,
    IntrinsicFault,
    NoWebSocketApi,
    ParameterFault,
    ReferenceFault,
    ResourceFault,
    TemplateError,
    TemplateMalformed,
    TemplateMissing,
    TransformFault,
)
from local.template.reader import read_template

TEMPLATES = Path(__file__).parent / "templates"

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


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def read(tmp_path, cache):
    """Read a template's text, or one of the templates beside this file; keywords are parameters."""

    def read_one(text="", *, name="template.yaml", path=None, **parameters):
        if path is None:
            path = tmp_path / name
            path.write_text(text, encoding="utf-8")
        return read_template(path, parameters=parameters, cache=cache)

    return read_one


@pytest.fixture
def refused(read, tmp_path):
    """Read what must be refused; the answer is the error without the folder before it."""

    def refuse(text, kind, **options):
        with pytest.raises(TemplateError) as caught:
            read(text, **options)
        assert type(caught.value) is kind
        return str(caught.value).replace(f"{tmp_path}/", "")

    return refuse


def integrations(api):
    return {key: route.integration for key, route in api.routes.items()}


class TestWhatIsRead:
    def test_an_api_in_plain_cloudformation_beside_functions_of_sam(self, read):
        stack = read(path=TEMPLATES / "classic.yaml")
        (api,) = stack.apis
        assert integrations(api) == {
            "$connect": LambdaIntegration("OnConnect"),
            "send": LambdaIntegration("OnSend", timeout=5),
        }
        assert api.selection == "$request.body.action"
        assert (api.stage.name, api.stage.variables) == ("Prod", {"colour": "blue"})
        assert api.stage.throttle == Throttle(rate=100, burst=50)
        assert api.stage.route_throttles == {"send": Throttle(rate=10, burst=5_000)}
        assert not any(route.two_way or route.authorizer for route in api.routes.values())
        assert stack.outputs == {
            "Url": f"wss://{api.id}.execute-api.us-east-1.amazonaws.com/Prod",
            "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/connections",
        }

    def test_a_function_with_everything_that_runs_it(self, read):
        stack = read(path=TEMPLATES / "classic.yaml")
        connect, send = stack.functions["OnConnect"], stack.functions["OnSend"]
        assert connect.name == "templates-OnConnect"
        assert connect.arn == "arn:aws:lambda:us-east-1:000000000000:function:templates-OnConnect"
        assert (connect.handler, connect.code, connect.runtime) == ("app.handler", TEMPLATES / "code", "python3.8")
        assert (connect.memory, connect.timeout, connect.async_retries) == (256, 3, 2)
        assert connect.environment == {
            "TABLE_NAME": "connections",
            "ENDPOINT": f"https://{stack.apis[0].id}.execute-api.us-east-1.amazonaws.com/Prod",
            "SECRET": "{{resolve:secretsmanager:chat}}",
            "DEBUG": "true",
        }
        assert (send.name, send.timeout) == ("chat-send", 12)
        assert stack.warnings == (
            (
                "OnConnect gets the environment variable SECRET as it is written, {{resolve:secretsmanager:chat}}: "
                "only AWS can look that up."
            ),
        )

    def test_a_table_as_the_arguments_of_create_table(self, read):
        (table,) = read(path=TEMPLATES / "classic.yaml").tables
        assert table.definition == {
            "TableName": "connections",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "connectionId", "AttributeType": "S"},
                {"AttributeName": "room", "AttributeType": "S"},
            ],
            "KeySchema": [{"AttributeName": "connectionId", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "by-room",
                    "KeySchema": [{"AttributeName": "room", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        }
        assert table.ttl_attribute is None

    def test_sams_own_websocket_api_with_authorizer_layer_and_alias(self, read):
        stack = read(path=TEMPLATES / "native.yaml", Stage="beta")
        (api,) = stack.apis
        assert api.stage.name == "beta"
        assert set(integrations(api).values()) == {LambdaIntegration("Answer")}
        assert {key for key, route in api.routes.items() if route.two_way} == {"$default", "echo"}
        assert {key for key, route in api.routes.items() if route.api_key_required} == {"secret"}
        authorizer = api.routes["$connect"].authorizer
        assert authorizer.function == "Check"
        assert authorizer.identity_sources == ("route.request.querystring.token", "route.request.header.Origin")
        assert stack.functions["Answer"].layers == (TEMPLATES / "layer" / "python",)
        assert stack.functions["Answer"].async_retries == 1

    def test_schedules_of_both_services(self, read):
        stack = read(path=TEMPLATES / "native.yaml", Stage="beta")
        nightly, often = stack.schedules
        assert (nightly.kind, nightly.name, nightly.expression) == ("scheduler", "nightly", "cron(0 3 * * ? *)")
        assert (nightly.timezone, nightly.enabled, nightly.retries, nightly.max_age) == ("Europe/Berlin", False, 3, 600)
        assert nightly.arn == "arn:aws:scheduler:us-east-1:000000000000:schedule/default/nightly"
        assert (often.kind, often.expression, often.input) == ("rule", "rate(5 minutes)", '{"why": "rule"}')
        assert (often.timezone, often.enabled, often.retries, often.function) == ("UTC", True, 185, "Answer")
        assert often.arn == "arn:aws:events:us-east-1:000000000000:rule/templates-AnswerOften"

    def test_json_with_tabs_inline_code_and_functions_by_name_and_stage_variable(self, read):
        stack = read(path=TEMPLATES / "plain.json")
        (api,) = stack.apis
        assert integrations(api) == {
            "$connect": MockIntegration(),
            "$default": LambdaIntegration("Answer"),
            "store": UnsupportedIntegration(
                "integrations of type AWS with other services than Lambda are not emulated"
            ),
        }
        assert api.routes["$default"].two_way
        assert api.routes["$connect"].authorizer.function == "Guard"
        assert api.routes["$connect"].authorizer.identity_sources == ("route.request.header.Auth",)
        inline = stack.functions["Answer"].code / "index.py"
        assert "return {'statusCode': 200}" in inline.read_text(encoding="utf-8")
        assert stack.warnings == (
            (
                "The route store of Feed will answer Internal server error: integrations of type AWS with "
                "other services than Lambda are not emulated."
            ),
        )

    def test_conditions_leave_things_out(self, read):
        small, large = read(path=TEMPLATES / "anchors.yaml"), read(path=TEMPLATES / "anchors.yaml", Size="large")
        assert [(api.name, api.stage.name) for api in small.apis] == [("first", "one")]
        assert [(api.name, api.stage.name) for api in large.apis] == [("first", "one"), ("second", "two")]
        assert small.functions["Worker"].environment == {"ZONE": "em9uZQ=="}
        assert large.functions["Worker"].environment == {"ZONE": "em9uZQ==", "SIZE": "b"}
        assert (small.functions["Worker"].memory, large.functions["Worker"].memory) == (128, 1024)

    def test_ids_are_the_same_at_every_start_and_different_for_every_api(self, read):
        first = read(path=TEMPLATES / "anchors.yaml", Size="large").apis
        again = read(path=TEMPLATES / "anchors.yaml", Size="large").apis
        assert [api.id for api in first] == [api.id for api in again]
        assert first[0].id != first[1].id
        assert all(len(api.id) == 10 and api.id.isalnum() and api.id.islower() for api in first)

    def test_the_endpoint_attribute_is_what_a_written_address_would_be(self, read):
        text = f"""{API}{FUNCTION}
      Environment:
        Variables:
          HERE: !Sub ${{Api.ApiEndpoint}}/live
          THERE: !Sub https://${{Api}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/live
"""
        stack = read(text)
        assert stack.functions["Answer"].environment == {
            "HERE": f"wss://{stack.apis[0].id}.execute-api.us-east-1.amazonaws.com/live",
            "THERE": f"https://{stack.apis[0].id}.execute-api.us-east-1.amazonaws.com/live",
        }

    def test_zipped_code_is_unpacked_once(self, read, tmp_path):
        with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
            archive.writestr("deep/app.py", "def handler(event, context): ...")
        text = API + FUNCTION.replace('{ZipFile: "def handler(event, context): return {}"}', "code.zip")
        folder = read(text).functions["Answer"].code
        assert (folder / "deep" / "app.py").is_file()
        (folder / "deep" / "app.py").write_text("changed")
        assert (read(text).functions["Answer"].code / "deep" / "app.py").read_text() == "changed"

    def test_the_cdk_notes_its_code_in_the_metadata(self, read, tmp_path):
        (tmp_path / "asset.1").mkdir()
        template = {
            "Parameters": {"Bootstrap": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/cdk/version"}},
            "Resources": {
                "Api": {
                    "Type": "AWS::ApiGatewayV2::Api",
                    "Properties": {
                        "Name": "a",
                        "ProtocolType": "WEBSOCKET",
                        "RouteSelectionExpression": "$request.body.x",
                    },
                },
                "Function": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {
                        "Code": {"S3Bucket": "assets", "S3Key": "1.zip"},
                        "Handler": "a.b",
                        "Runtime": "python3.12",
                    },
                    "Metadata": {"aws:asset:path": "asset.1", "aws:asset:property": "Code"},
                },
            },
        }
        stack = read(json.dumps(template), name="stack.json")
        assert stack.functions["Function"].code == tmp_path / "asset.1"
        assert not any("Bootstrap" in warning for warning in stack.warnings)

    def test_what_is_packed_for_s3_is_found_beside_the_template(self, read, tmp_path):
        with zipfile.ZipFile(tmp_path / "chat.zip", "w") as packed:
            packed.writestr("app.py", "def handler(event, context): return {}")
        code = "{S3Bucket: any, S3Key: serverless/chat/dev/1700000000000-2023-11-14/chat.zip}"
        text = FUNCTION.replace('{ZipFile: "def handler(event, context): return {}"}', code)
        stack = read(API + text.replace("index.handler", "app.handler"))
        assert (stack.functions["Answer"].code / "app.py").is_file()
        assert stack.functions["Answer"].source == "chat.zip"

    def test_the_stack_is_named_by_samconfig_or_its_folder(self, read, tmp_path):
        assert read(API).name == tmp_path.name.replace("_", "-")
        (tmp_path / "samconfig.toml").write_text('[default.global.parameters]\nstack_name = "mine"\n')
        assert read(API).name == "mine"
        (tmp_path / "samconfig.toml").write_text("no toml")
        assert read(API).name == tmp_path.name.replace("_", "-")

    def test_long_names_are_cut_and_stay_different(self, read, tmp_path):
        functions = "".join(FUNCTION.replace("Answer", f"{'A' * 70}{end}") for end in "XY")
        names = {function.name for function in read(API + functions).functions.values()}
        assert len(names) == 2
        assert all(len(name) <= 64 for name in names)

    def test_only_a_template_with_a_block_of_ours_has_an_own_system(self, read, tmp_path):
        block = "Metadata:\n  Tickwire:\n    Page: site\n    Streams: {market: /ws/m}\n    Providers: {URL: binance}\n"
        assert read(API).own is None
        own = read(block + API).own
        assert own.page == tmp_path / "site"
        assert (own.streams, own.providers) == ({"market": "/ws/m"}, {"URL": "binance"})


class TestParameters:
    LIMITED = """\
Parameters:
  Word: {Type: String, Default: ab, AllowedPattern: "[a-z]+", MinLength: 2, MaxLength: 3}
  Count: {Type: Number, Default: 5, MinValue: 1, MaxValue: 9}
  Choice: {Type: String, Default: red, AllowedValues: [red, blue]}
  Many: {Type: CommaDelimitedList, Default: "a, b"}
"""

    def test_lists_are_lists_and_numbers_are_texts(self, read):
        stack = read(
            f'{self.LIMITED}{API}Outputs:\n  Out: {{Value: !Join ["+", [!Ref Count, !Select [1, !Ref Many]]]}}\n',
            Count="7",
        )
        assert stack.outputs == {"Out": "7+b"}

    @pytest.mark.parametrize(
        ("name", "value", "why"),
        [
            ("Word", "a", "which is not 2 to 3 characters long"),
            ("Word", "AB", "which does not match [a-z]+"),
            ("Count", "10", "which is not between 1 and 9"),
            ("Count", "many", "which is no number"),
            ("Choice", "green", "which is none of red, blue"),
        ],
    )
    def test_a_value_that_the_template_forbids(self, refused, name, value, why):
        line = 2 + ["Word", "Count", "Choice"].index(name)
        told = refused(self.LIMITED + API, ParameterFault, **{name: value})
        assert told == f"template.yaml:{line}:3: the parameter {name} is {value!r}, {why}"

    def test_one_without_a_default_is_asked_for_with_the_option_that_gives_it(self, refused):
        assert (
            refused(f"Parameters:\n  Key: {{Type: String}}\n{API}", ParameterFault)
            == "template.yaml:2:3: the parameter Key has no default: give --parameter Key=…"
        )
        assert refused(f"Parameters:\n  A: {{Type: String}}\n  B: {{Type: String}}\n{API}", ParameterFault) == (
            "template.yaml:2:3: the parameters A and B have no default: give --parameter A=… --parameter B=…"
        )

    def test_one_that_the_template_does_not_have(self, refused):
        assert (
            refused(self.LIMITED + API, ParameterFault, Wort="x")
            == "template.yaml: the template has no parameter Wort; its parameters are Word, Count, Choice and Many"
        )
        assert refused(API, ParameterFault, X="x") == "template.yaml: the template has no parameter X; it has none"

    def test_one_that_aws_looks_up_is_a_warning_when_it_is_used(self, read):
        text = f"Parameters:\n  Host: {{Type: 'AWS::SSM::Parameter::Value<String>', Default: /host}}\n{API}{FUNCTION}"
        assert "Host" not in str(read(text).warnings)
        used = read(f"{text}      Environment: {{Variables: {{HOST: !Ref Host}}}}\n")
        assert used.warnings[0] == (
            "The parameter Host is the name of a value that only AWS knows; give it with --parameter Host=…."
        )


class TestWarnings:
    def test_each_type_that_is_ignored_is_named_once_with_what_will_not_work(self, read):
        assert read(path=TEMPLATES / "anchors.yaml").warnings == (
            (
                "Older cannot run here: the runtime is nodejs20.x, and the emulator runs Python. "
                "Whatever invokes that gets an error."
            ),
            (
                "Packed cannot run here: the code is a container image, and the emulator runs Python from folders. "
                "Whatever invokes that gets an error."
            ),
            "Remote cannot run here: the code lies in S3 and not on this machine. Whatever invokes that gets an error.",
            "Site (AWS::CloudFront::Distribution) is ignored: only the emulator's own address is served.",
            "Slow (AWS::CloudWatch::Alarm) is ignored: nothing is measured and nobody alarmed.",
            (
                "Oddity (AWS::Quantum::Ledger) is ignored: the emulator has nothing like that, "
                "and whatever needs it will not work."
            ),
            "Rest (AWS::ApiGatewayV2::Api) is ignored: it is an HTTP API, and WebSocket APIs are served.",
        )

    def test_a_function_of_another_language_makes_its_route_unsupported(self, read):
        stack = read(path=TEMPLATES / "anchors.yaml")
        assert stack.functions.keys() == {"Worker"}
        assert stack.apis[0].routes["ping"].integration == UnsupportedIntegration(
            "the function Older cannot run here: the runtime is nodejs20.x, and the emulator runs Python"
        )

    def test_layers_of_elsewhere_and_queues_are_told(self, read):
        warnings = read(path=TEMPLATES / "native.yaml", Stage="x").warnings
        assert warnings == (
            (
                "The layer arn:aws:lambda:us-east-1:017000801446:layer:Powertools:7 of Check and Answer is not on this "
                "machine: what is imported from it must be installed in the Python that runs the functions."
            ),
            (
                "AnswerQueued (AWS::Lambda::EventSourceMapping) is ignored: nothing is read from its source, "
                "and its function not invoked by it."
            ),
        )

    def test_a_stage_that_aws_would_not_serve(self, read):
        (warning,) = read(API.replace(", AutoDeploy: true", "")).warnings[:1]
        assert warning == (
            "The stage Stage has neither AutoDeploy nor a DeploymentId, so on AWS it would not serve a route."
        )
        assert "has no stage" in read(API[: API.index("  Stage:")]).warnings[0]

    def test_only_the_first_stage_of_an_api_is_served(self, read):
        second = API[API.index("  Stage:") :].replace("Stage:", "Other:", 1).replace("live", "beta")
        stack = read(API + second)
        assert stack.apis[0].stage.name == "live"
        assert stack.warnings[0] == "The API Api is served at its stage live only, not at beta."

    def test_a_key_that_stands_twice(self, read):
        stack = read(f"Description: one\nDescription: two\n{API}")
        assert stack.warnings[0] == (
            "template.yaml:2:1: the key Description stands twice in one mapping; only the last one counts."
        )

    def test_the_public_site_of_a_template_with_a_page_needs_no_warning(self, read):
        site = "  Site: {Type: AWS::CloudFront::Distribution}\n  Files: {Type: AWS::S3::Bucket}\n"
        assert len([warning for warning in read(API + site).warnings if "ignored" in warning]) == 1
        own = read(f"Metadata: {{Tickwire: {{Page: site}}}}\n{API}{site}")
        assert not [warning for warning in own.warnings if "ignored" in warning]


class TestRefusals:
    def test_no_such_file_and_a_folder(self, tmp_path, cache):
        for path, why in ((tmp_path / "nope.yaml", "there is no such template"), (tmp_path, "this is a folder")):
            with pytest.raises(TemplateMissing) as caught:
                read_template(path, parameters={}, cache=cache)
            assert str(caught.value).startswith(f"{path}: {why}")

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "template.yaml: the file is empty"),
            ("# nothing\n", "template.yaml: the file is empty"),
            ("hello", "template.yaml: this is no template: it is not a mapping of sections such as Resources"),
            ("- a\n- b\n", "template.yaml: this is no template: it is not a mapping of sections such as Resources"),
            ("{}", "template.yaml: this template has no Resources"),
            ("Resources:\n", "template.yaml: this template has no Resources"),
            ("Resources: [a]\n", "template.yaml:1:1: Resources must be a mapping"),
            ("Resources:\n  A: b\n", "template.yaml:2:3: A in Resources must be a mapping"),
            ("Resources:\n  A:\n    Typ: b\n", "template.yaml:2:3: the resource A has no Type"),
            ("Resources:\n  A: {Type: b, Properties: c}\n", "template.yaml:2:16: Properties of A must be a mapping"),
            ("Resources:\n  A: {Type: B\n", "template.yaml:3:1: this is no valid YAML: while parsing a flow mapping"),
            ("Resources:\n  A:\n    Type: b\n Outputs:\n", "template.yaml:4:2: this is no valid YAML: while parsing"),
            ("Resources:\n\tA: b\n", "template.yaml:2:1: this is no valid YAML: while scanning for the next token"),
            ("Resources: !Refer x\n", "template.yaml:1:12: !Refer is no function of CloudFormation"),
            ("A: &a\n  - *a\n", "template.yaml:1:4: this anchor contains itself"),
            ("a: 1\n---\nb: 2\n", "template.yaml:2:1: this is no valid YAML: expected a single document"),
            ("? [a]\n: b\n", "template.yaml:1:3: the key of a mapping must be a text"),
            ("a: !!int x\n", "template.yaml:1:4: 'x' is not what its tag says"),
            ("<<: text\n", "template.yaml:1:5: only mappings can be merged"),
            ('{"Resources": {"A": }}', "template.yaml:1:21: this is no valid JSON: Expecting value"),
            ("[" * 5000, "template.yaml:"),
            ("Transform: Mine\n" + API, "template.yaml:1:1: the macro Mine runs only in AWS"),
            ("Resources:\n  Fn::ForEach::X: {}\n", "template.yaml:2:3: Fn::ForEach::X makes resources that only AWS"),
            ("Metadata: {Tickwire: {Pages: x}}\n" + API, "template.yaml:1:12: Tickwire must be a mapping of Gateway,"),
            ("Metadata: {Tickwire: {Streams: {a: b}}}\n" + API, "template.yaml:1:33: the path of a must begin with /"),
        ],
    )
    def test_a_text_that_is_no_template(self, refused, text, told):
        assert refused(text, TemplateMalformed).startswith(told)

    def test_a_text_of_another_encoding(self, read, tmp_path):
        (tmp_path / "t.yaml").write_bytes(b"Description: ok\nName: caf\xe9\n")
        with pytest.raises(TemplateMalformed, match=r"t\.yaml:2: the template is not UTF-8 text"):
            read(path=tmp_path / "t.yaml")

    def test_a_byte_order_mark_is_no_harm(self, read, tmp_path):
        (tmp_path / "t.yaml").write_text(API, encoding="utf-8-sig")
        assert read(path=tmp_path / "t.yaml").apis

    def test_a_template_without_a_websocket_api(self, refused):
        assert refused(f"Resources:\n{FUNCTION}", NoWebSocketApi) == (
            "template.yaml: there is no WebSocket API in this template"
        )
        http = "  Rest: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: r, ProtocolType: HTTP}}\n"
        assert refused(f"Resources:\n{http}", NoWebSocketApi).endswith("in this template (Rest speaks HTTP)")

    @pytest.mark.parametrize(
        ("addition", "kind", "told"),
        [
            (
                "  Broken: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref Nowhere}}\n",
                ReferenceFault,
                ":8:48: Nowhere is referred to, and it is neither a parameter nor a resource here",
            ),
            (
                "  Broken: {Type: AWS::SNS::Topic, DependsOn: Ghost}\n",
                ReferenceFault,
                ":8:35: Broken depends on Ghost, which is no resource of this template",
            ),
            (
                (
                    "  A: {Type: AWS::SNS::Topic, Properties: {TopicName: !GetAtt B.Arn}}\n"
                    "  B: {Type: AWS::SNS::Topic, Properties: {TopicName: !Sub '${C}'}}\n"
                    "  C: {Type: AWS::SNS::Topic, DependsOn: [A]}\n"
                ),
                ReferenceFault,
                ":8:3: resources need each other in a circle, so none can be the first: A → B → C → A",
            ),
            (
                "  Self: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref Self}}\n",
                ReferenceFault,
                ":8:3: resources need each other in a circle, so none can be the first: Self → Self",
            ),
            (
                (
                    "  R:\n    Type: AWS::ApiGatewayV2::Route\n    Properties:\n"
                    "      {ApiId: !Ref Api, RouteKey: go, Target: integrations/x}\n"
                ),
                ReferenceFault,
                ":11:39: the route go leads to 'integrations/x', which is no integration of Api",
            ),
            (
                "  R: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api}}\n",
                ResourceFault,
                ":8:3: the route R has no RouteKey",
            ),
            (
                (
                    "  R: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: go}}\n"
                    "  S: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: go}}\n"
                ),
                ResourceFault,
                ":9:3: the API Api has two routes go",
            ),
            (
                "  T: {Type: AWS::DynamoDB::Table, Properties: {}}\n",
                ResourceFault,
                ":8:3: the table T lacks KeySchema or AttributeDefinitions",
            ),
            (
                "  T: {Type: AWS::DynamoDB::Table, Properties: {KeySchema: [{AttributeName: a}]}}\n",
                ResourceFault,
                ":8:48: each of KeySchema wants AttributeName, KeyType",
            ),
            (
                "  F: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.13, Handler: a}}\n",
                ResourceFault,
                ":8:70: the function F has no Handler of the form module.function",
            ),
            (
                "  F: {Type: AWS::Lambda::Function, Properties: {Handler: a.b}}\n",
                ResourceFault,
                ":8:3: the function F has no Runtime",
            ),
            (
                "  F: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.13, Handler: a.b}}\n",
                ResourceFault,
                ":8:3: the function F has no code",
            ),
            (
                "  F: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.13, Handler: a.b, Code: gone}}\n",
                CodeMissing,
                ":8:84: the code of F is not there: no folder gone",
            ),
            (
                (
                    "  F:\n    Type: AWS::Lambda::Function\n"
                    "    Properties: {Runtime: python3.13, Handler: a.b, Code: template.yaml}\n"
                ),
                CodeMissing,
                ":10:53: the code of F is template.yaml, which is neither a folder nor a zip file",
            ),
            (
                FUNCTION + "      Timeout: soon\n",
                ResourceFault,
                ":14:7: Timeout of Answer is 'soon' and must be a number",
            ),
            (
                FUNCTION + "      Environment: {Variables: {A: [1]}}\n",
                IntrinsicFault,
                ":14:33: the environment variable A of Answer must be a text, and it is a list",
            ),
            (
                "  S: {Type: AWS::Scheduler::Schedule, Properties: {Target: {Arn: x}}}\n",
                ResourceFault,
                ":8:3: the schedule S has no ScheduleExpression",
            ),
            (
                "  A: {Type: AWS::SNS::Topic, Condition: Rich}\n",
                ReferenceFault,
                ":8:30: there is no condition named Rich",
            ),
            (
                "Outputs:\n  Vpc: {Value: !ImportValue vpc}\n",
                IntrinsicFault,
                (
                    ":9:9: Fn::ImportValue wants 'vpc' of another stack, which is not here; "
                    "a parameter could give it instead"
                ),
            ),
        ],
    )
    def test_a_resource_that_cannot_be_understood(self, refused, addition, kind, told):
        assert refused(API + addition, kind) == f"template.yaml{told}"

    def test_a_route_to_a_function_that_is_not_there(self, refused):
        text = """
  Go: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: go, Target: !Sub "integrations/${To}"}}
  To:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/Ghost/invocations
"""
        told = refused(API + text, ReferenceFault)
        assert told.startswith("template.yaml:15:7: the route go invokes 'arn:aws:apigateway:")
        assert told.endswith("and no function of this template has that name or ARN")

    def test_a_resource_that_a_condition_leaves_out_cannot_be_referred_to(self, refused):
        text = f"Conditions: {{Never: !Equals [a, b]}}\n{API}"
        text += "  Extra: {Type: AWS::SNS::Topic, Condition: Never}\n"
        text += "  Uses: {Type: AWS::SNS::Subscription, Properties: {TopicArn: !Ref Extra}}\n"
        assert refused(text, ReferenceFault) == (
            "template.yaml:10:53: Extra is referred to, and the condition Never leaves it out"
        )

    def test_what_the_emulator_runs_has_only_the_attributes_that_it_has_on_aws(self, refused):
        text = f"{API}Outputs: {{O: {{Value: !GetAtt Api.Colour}}}}\n"
        assert refused(text, ReferenceFault) == (
            "template.yaml:8:15: Api (AWS::ApiGatewayV2::Api) has no attribute Colour"
        )

    def test_what_sam_refuses_is_one_line_for_each_reason_with_its_place(self, refused):
        text = """\
Transform: AWS::Serverless-2016-10-31
Resources:
  Live:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      Routes: {}
  Answer:
    Type: AWS::Serverless::Function
    Properties:
      Handler: 5
"""
        lines = refused(text, TransformFault).splitlines()
        assert lines[0].startswith("template.yaml:7:3: Resource with id [Answer] is invalid.")
        assert lines[1].startswith("template.yaml:3:3: Resource with id [Live] is invalid.")
        assert len(lines) == 2

    def test_code_that_is_not_there_is_shown_where_sam_says_it(self, refused, tmp_path):
        text = f"Transform: AWS::Serverless-2016-10-31\n{API}" + FUNCTION.replace("Lambda", "Serverless")
        text = text.replace('Code: {ZipFile: "def handler(event, context): return {}"}', "CodeUri: functions/chat/")
        assert refused(text, CodeMissing) == (
            "template.yaml:14:7: the code of Answer is not there: no folder functions/chat"
        )

    def test_whatever_is_wrong_is_told_in_a_sentence(self, tmp_path, cache):
        """Every third value of a template, replaced by nonsense, one at a time."""
        original = json.loads((TEMPLATES / "plain.json").read_text(encoding="utf-8"))
        original["Resources"]["Guard"]["Properties"]["Code"] = str(TEMPLATES / "code")
        trails = list(walk(original))[::3]
        path = tmp_path / "t.json"
        for number, trail in enumerate(trails):
            document = json.loads(json.dumps(original))
            holder = document
            for step in trail[:-1]:
                holder = holder[step]
            holder[trail[-1]] = [None, 5, "x", [], {}, [{}], {"Ref": "Nowhere"}, {"a": 1}][number % 8]
            path.write_text(json.dumps(document), encoding="utf-8")
            try:
                told = read_template(path, parameters={}, cache=cache).name
            except TemplateError as error:
                told = str(error)
            assert told
            assert "\n" not in told


class TestMemory:
    """What is kept of a template, so that the next start need not transform it."""

    @pytest.fixture
    def transforms(self, monkeypatch):
        count = []
        real = sam.transform

        def counting(*arguments, **keywords):
            count.append(1)
            return real(*arguments, **keywords)

        monkeypatch.setattr("local.template.reader.transform", counting)
        return count

    def once(self, cache, **parameters):
        return read_template(TEMPLATES / "native.yaml", parameters={"Stage": "a", **parameters}, cache=cache)

    def test_a_second_reading_does_not_transform_again(self, transforms, tmp_path):
        assert self.once(tmp_path) == self.once(tmp_path)
        assert len(transforms) == 1

    def test_another_parameter_is_another_template(self, transforms, tmp_path):
        assert self.once(tmp_path).apis[0].stage.name == "a"
        assert self.once(tmp_path, Stage="b").apis[0].stage.name == "b"
        assert len(transforms) == 2

    def test_another_region_is_another_template(self, transforms, tmp_path):
        for region in ("us-east-1", "cn-north-1"):
            read_template(TEMPLATES / "native.yaml", parameters={"Stage": "a"}, region=region, cache=tmp_path)
        assert len(transforms) == 2

    @pytest.mark.parametrize("spoilt", ["", "[]", '{"document": {}}'])
    def test_a_spoilt_memory_is_no_memory(self, transforms, tmp_path, spoilt):
        first = self.once(tmp_path)
        (kept,) = (tmp_path / "templates").iterdir()
        kept.write_text(spoilt)
        assert self.once(tmp_path) == first
        assert len(transforms) == 2

    def test_what_is_kept_is_for_its_owner_alone(self, tmp_path):
        self.once(tmp_path)
        (kept,) = (tmp_path / "templates").iterdir()
        assert kept.stat().st_mode & 0o077 == 0

    def test_a_cache_that_cannot_be_written_is_done_without(self, transforms, tmp_path):
        (tmp_path / "templates").write_text("in the way")
        assert self.once(tmp_path) == self.once(tmp_path)
        assert len(transforms) == 2

    def test_it_lies_in_the_users_cache_and_not_beside_the_template(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        before = sorted(TEMPLATES.rglob("*"))
        read_template(TEMPLATES / "native.yaml", parameters={"Stage": "a"})
        assert len(list((tmp_path / "tickwire" / "templates").iterdir())) == 1
        assert sorted(TEMPLATES.rglob("*")) == before

    def test_a_remembered_template_needs_neither_the_translator_nor_a_yaml_parser(self, tmp_path):
        self.once(tmp_path)
        program = (
            "import sys; from pathlib import Path; from local.template.reader import read_template\n"
            f"read_template(Path({str(TEMPLATES / 'native.yaml')!r}), parameters={{'Stage': 'a'}}, "
            f"cache=Path({str(tmp_path)!r}))\n"
            "sys.exit(sorted({'samtranslator', 'boto3', 'yaml'} & sys.modules.keys()) or 0)"
        )
        root = Path(__file__).parents[2]
        result = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=root, env=dict(os.environ)
        )
        assert (result.returncode, result.stderr) == (0, "")


def walk(value, trail=()):
    if trail:
        yield trail
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in members:
        yield from walk(member, (*trail, step))
