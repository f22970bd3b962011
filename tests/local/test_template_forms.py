"""The forms in which public templates say the same things, each rebuilt small: SAM as JSON, and what is in it."""

from __future__ import annotations

import json
import zipfile

import pytest

from local.stack import LambdaIntegration, Mapped
from local.template.reader import read_template

ARN = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
LAMBDA = "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:"

#: How public templates name the function in an integration.
NAMINGS = {
    "its ARN": {"Fn::Sub": ARN + "${Chat.Arn}/invocations"},
    "its ARN through a variable": {
        "Fn::Sub": [ARN + "${Which}/invocations", {"Which": {"Fn::GetAtt": ["Chat", "Arn"]}}]
    },
    "its name by Ref": {"Fn::Sub": ARN + LAMBDA + "${Chat}/invocations"},
    "its name as it is": {"Fn::Sub": ARN + LAMBDA + "chat-function/invocations"},
    "pieces that are joined": {
        "Fn::Join": [
            "",
            ["arn:aws:apigateway:", {"Ref": "AWS::Region"}, ":lambda:path/2015-03-31/functions/",
             {"Fn::GetAtt": "Chat.Arn"}, "/invocations"],
        ]
    },
    "its ARN and no more": {"Fn::GetAtt": ["Chat", "Arn"]},
    "an alias of it": {"Fn::Sub": ARN + "${Chat.Arn}:live/invocations"},
}  # fmt: skip


def key(name, kind="HASH"):
    return {"AttributeName": name, "KeyType": kind}


def template(**resources):
    return {
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {"Env": {"Type": "String", "Default": "dev"}},
        "Conditions": {
            "IsDev": {"Fn::Equals": [{"Ref": "Env"}, "dev"]},
            "IsOpen": {"Fn::Or": [{"Condition": "IsDev"}, {"Fn::Not": [{"Fn::Equals": [{"Ref": "Env"}, "prod"]}]}]},
            "IsBoth": {"Fn::And": [{"Condition": "IsDev"}, {"Condition": "IsOpen"}]},
        },
        "Resources": {
            "Api": {
                "Type": "AWS::ApiGatewayV2::Api",
                "Properties": {
                    "Name": {"Fn::Sub": "${AWS::StackName}-chat"},
                    "ProtocolType": "WEBSOCKET",
                    "RouteSelectionExpression": "$request.body.action",
                },
            },
            "Stage": {
                "Type": "AWS::ApiGatewayV2::Stage",
                "Properties": {"ApiId": {"Ref": "Api"}, "StageName": {"Ref": "Env"}, "AutoDeploy": True},
            },
            "Chat": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "FunctionName": "chat-function",
                    "Runtime": "python3.12",
                    "Handler": "src/chat.handler",
                    "CodeUri": "chat.zip",
                },
            },
            **resources,
        },
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def read(tmp_path, cache):
    with zipfile.ZipFile(tmp_path / "chat.zip", "w") as packed:
        packed.writestr("src/chat.py", "def handler(event, context): return {}")

    def read_one(**resources):
        path = tmp_path / "template.json"
        path.write_text(json.dumps(template(**resources)))
        return read_template(path, parameters={}, name="s", cache=cache)

    return read_one


@pytest.mark.parametrize("uri", NAMINGS.values(), ids=NAMINGS.keys())
def test_a_function_is_found_however_an_integration_names_it(read, uri):
    stack = read(
        Route={
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "RouteKey": "$default",
                "Target": {"Fn::Join": ["/", ["integrations", {"Ref": "Integration"}]]},
            },
        },
        Integration={
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {"ApiId": {"Ref": "Api"}, "IntegrationType": "AWS_PROXY", "IntegrationUri": uri},
        },
        Response={
            "Type": "AWS::ApiGatewayV2::RouteResponse",
            "Properties": {"ApiId": {"Ref": "Api"}, "RouteId": {"Ref": "Route"}, "RouteResponseKey": "$default"},
        },
    )
    route = stack.apis[0].routes["$default"]
    assert route.integration == LambdaIntegration("Chat")
    assert route.two_way
    assert (stack.apis[0].name, stack.apis[0].stage.name) == ("s-chat", "dev")
    assert (stack.functions["Chat"].code / "src" / "chat.py").is_file()


def test_a_table_with_indexes_of_both_kinds(read):
    attributes = [
        {"AttributeName": name, "AttributeType": kind} for name, kind in (("pk", "S"), ("sk", "N"), ("at", "S"))
    ]
    projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["name"]}
    (table,) = read(
        Table={
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "AttributeDefinitions": attributes,
                "KeySchema": [key("pk"), key("sk", "RANGE")],
                "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
                "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
                "LocalSecondaryIndexes": [
                    {"IndexName": "by-time", "KeySchema": [key("pk"), key("at", "RANGE")], "Projection": projection}
                ],
                "GlobalSecondaryIndexes": [
                    {
                        "IndexName": "of-day",
                        "KeySchema": [key("at")],
                        "Projection": {"ProjectionType": "KEYS_ONLY"},
                        "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
                    }
                ],
                "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
            },
        }
    ).tables
    assert table.definition["LocalSecondaryIndexes"] == [
        {"IndexName": "by-time", "KeySchema": [key("pk"), key("at", "RANGE")], "Projection": projection}
    ]
    assert "ProvisionedThroughput" not in table.definition["GlobalSecondaryIndexes"][0]
    assert (table.name, table.ttl_attribute) == ("s-Table", "expires")


def test_a_table_of_sams_own(read):
    (table,) = read(
        Table={
            "Type": "AWS::Serverless::SimpleTable",
            "Properties": {"PrimaryKey": {"Name": "id", "Type": "String"}},
        }
    ).tables
    assert table.definition["KeySchema"] == [key("id")]


def test_schedules_in_plain_cloudformation(read):
    target = {"Arn": {"Fn::GetAtt": ["Chat", "Arn"]}, "Input": '{"tick": 1}'}
    stack = read(
        Role={"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}},
        Minute={
            "Type": "AWS::Scheduler::Schedule",
            "Properties": {
                "ScheduleExpression": "rate(1 minute)",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {**target, "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}},
            },
        },
        Hour={
            "Type": "AWS::Events::Rule",
            "Properties": {"ScheduleExpression": "cron(0 * * * ? *)", "Targets": [{**target, "Id": "chat"}]},
        },
    )
    assert [(one.logical_id, one.kind, one.function, one.input) for one in stack.schedules] == [
        ("Minute", "scheduler", "Chat", '{"tick": 1}'),
        ("Hour", "rule", "Chat", '{"tick": 1}'),
    ]


def test_a_domain_and_its_mapping(read):
    stack = read(
        Domain={"Type": "AWS::ApiGatewayV2::DomainName", "Properties": {"DomainName": "WS.example.com"}},
        Mapping={
            "Type": "AWS::ApiGatewayV2::ApiMapping",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "DomainName": {"Ref": "Domain"},
                "Stage": {"Ref": "Stage"},
                "ApiMappingKey": "chat",
            },
        },
        Record={
            "Type": "AWS::Route53::RecordSet",
            "Properties": {"Name": {"Ref": "Domain"}, "Target": {"Fn::GetAtt": ["Domain", "RegionalDomainName"]}},
        },
    )
    assert stack.mappings == (Mapped("ws.example.com", "chat", stack.apis[0].id),)
    assert [warning for warning in stack.warnings if "Domain" in warning] == []


@pytest.mark.parametrize(("condition", "is_there"), [("IsOpen", True), ("IsBoth", True), ("IsDev", True)])
def test_conditions_keep_a_resource(read, condition, is_there):
    stack = read(Queue={"Type": "AWS::SQS::Queue", "Condition": condition})
    assert bool(stack.resources) is is_there
