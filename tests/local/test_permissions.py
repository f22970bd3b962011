"""Permissions: what policies allow, what a template's roles come to, and which permissions a call needs."""

from __future__ import annotations

import json
import logging

import pytest

from local.access.callers import Access, refusal, table_refusal
from local.access.managed_policies import find_policy
from local.access.permissions import PermissionDenied, Permissions
from local.rules.answers import body
from local.rules.effects import Refusal
from local.stack import Function, Role
from local.tables.actions import needed
from local.template.reader import read_template
from tests.local.gateways import handshake

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/things"
CONTEXT = {
    "aws:principalaccount": "000000000000",
    "aws:securetransport": "true",
    "lambda:functionarn": "arn:aws:x:y:z:f",
}


def permissions(*statements, managed=(), boundary=None, warnings=None):
    role = Role("role", ({"Statement": list(statements)},), managed, boundary)
    return Permissions(
        role,
        user="arn:user",
        context=CONTEXT,
        find_policy=find_policy,
        warn=([] if warnings is None else warnings).append,
    )


def allow(action="dynamodb:GetItem", resource=TABLE, **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action, resource="*", **more):
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def is_allowed(one, action="dynamodb:GetItem", resource=TABLE):
    try:
        one.check(action, resource)
    except PermissionDenied:
        return False
    return True


def test_nothing_is_allowed_by_nothing():
    with pytest.raises(PermissionDenied) as denied:
        permissions().check("dynamodb:GetItem", TABLE)
    assert str(denied.value) == (
        f"User: arn:user is not authorized to perform: dynamodb:GetItem on resource: {TABLE} "
        "because no identity-based policy allows the dynamodb:GetItem action"
    )


def test_a_deny_wins_whatever_the_order():
    for statements in ((allow("*", "*"), deny("dynamodb:Get*")), (deny("dynamodb:Get*"), allow("*", "*"))):
        one = permissions(*statements)
        assert is_allowed(one, "dynamodb:PutItem")
        with pytest.raises(PermissionDenied, match="with an explicit deny in an identity-based policy"):
            one.check("dynamodb:GetItem", TABLE)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("dynamodb:GetItem", True),
        ("DynamoDB:getitem", True),
        ("dynamodb:Get*", True),
        ("dynamodb:?etItem", True),
        ("*", True),
        ("dynamodb:Get", False),
        ("dynamodb:GetItemX", False),
        ("dynamodb.GetItem", False),
        ("lambda:*", False),
        (["lambda:*", "dynamodb:G*m"], True),
        ([], False),
    ],
)
def test_actions_match_in_any_case_and_by_wildcards(pattern, matches):
    assert is_allowed(permissions(allow(pattern))) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (TABLE, True),
        (TABLE.upper(), False),
        ("arn:aws:dynamodb:*:*:table/things", True),
        ("arn:aws:dynamodb:*:*:table/thing?", True),
        ("arn:aws:dynamodb:*", True),
        ("*", True),
        (f"{TABLE}/index/*", False),
        (f"{TABLE}*", True),
        (["arn:aws:dynamodb:us-east-1:000000000000:table/other", TABLE], True),
        ("arn:aws:dynamodb:us-east-1:111111111111:table/things", False),
    ],
)
def test_resources_match_exactly_and_by_wildcards(pattern, matches):
    assert is_allowed(permissions(allow(resource=pattern))) is matches


def test_an_index_is_not_its_table():
    one = permissions(allow("dynamodb:Query", f"{TABLE}/index/*"))
    assert is_allowed(one, "dynamodb:Query", f"{TABLE}/index/by-colour")
    assert not is_allowed(one, "dynamodb:Query", TABLE)


def test_a_connection_of_another_stage_or_method_is_another_resource():
    arn = "arn:aws:execute-api:us-east-1:000000000000:abc"
    one = permissions(allow("execute-api:ManageConnections", f"{arn}/prod/POST/@connections/*"))
    assert is_allowed(one, "execute-api:ManageConnections", f"{arn}/prod/POST/@connections/L0SM9cOFvHcCIhw=")
    for place in ("test/POST", "prod/GET", "prod/DELETE"):
        assert not is_allowed(one, "execute-api:ManageConnections", f"{arn}/{place}/@connections/x")


def test_not_action_and_not_resource_are_everything_else():
    one = permissions({"Effect": "Allow", "NotAction": "lambda:*", "Resource": "*"})
    assert is_allowed(one)
    assert not is_allowed(one, "lambda:InvokeFunction")
    one = permissions({"Effect": "Allow", "Action": "*", "NotResource": [TABLE, f"{TABLE}/*"]})
    assert not is_allowed(one)
    assert is_allowed(one, resource=f"{TABLE}2")


def test_a_single_statement_needs_no_list():
    role = Role("role", ({"Statement": allow()},))
    one = Permissions(role, user="u", context={}, find_policy=find_policy, warn=print)
    assert is_allowed(one)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"aws:PrincipalAccount": "000000000000"}}, True),
        ({"StringEquals": {"aws:PrincipalAccount": ["1", "000000000000"]}}, True),
        ({"StringEquals": {"aws:PrincipalAccount": "1"}}, False),
        ({"StringNotEquals": {"aws:PrincipalAccount": ["1", "2"]}}, True),
        ({"StringNotEquals": {"aws:PrincipalAccount": ["1", "000000000000"]}}, False),
        ({"StringEqualsIgnoreCase": {"AWS:principalaccount": "000000000000"}}, True),
        ({"StringLike": {"aws:PrincipalAccount": "0000*"}}, True),
        ({"StringLike": {"aws:PrincipalAccount": "[0]*"}}, False),
        ({"StringNotLike": {"aws:PrincipalAccount": "0000*"}}, False),
        ({"StringEqualsIfExists": {"aws:PrincipalAccount": "1"}}, False),
        ({"ForAnyValue:StringEquals": {"aws:PrincipalAccount": "000000000000"}}, True),
        ({"ArnLike": {"lambda:FunctionArn": "arn:aws:*:y:z:*"}}, True),
        ({"ArnLike": {"lambda:FunctionArn": "arn:*:f"}}, False),
        ({"ArnNotEquals": {"lambda:FunctionArn": "arn:aws:x:y:z:f"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"Bool": {"aws:SecureTransport": False}}, False),
        ({"NumericGreaterThan": {"aws:PrincipalAccount": "-1"}}, True),
        ({"Null": {"aws:PrincipalAccount": "false"}}, True),
        ({"Null": {"aws:PrincipalAccount": True}}, False),
        (
            {"StringEquals": {"aws:PrincipalAccount": "000000000000"}, "Bool": {"aws:SecureTransport": "false"}},
            False,
        ),
        ({}, True),
    ],
)
def test_conditions_decide_by_what_is_known(condition, holds):
    warnings = []
    assert is_allowed(permissions(allow(Condition=condition), warnings=warnings)) is holds
    assert warnings == []


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"dynamodb:LeadingKeys": "1"}},
        {"IpAddress": {"aws:PrincipalAccount": "1"}},
        {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}},
        "always",
    ],
)
def test_a_condition_that_means_nothing_here_takes_its_statement_away_with_a_warning(condition):
    warnings = []
    assert not is_allowed(permissions(allow(Condition=condition), warnings=warnings))
    assert "cannot be evaluated here" in warnings[0]
    warnings = []
    assert is_allowed(permissions(allow(), deny("*", Condition=condition), warnings=warnings))
    assert len(warnings) == 1


def test_policies_of_aws_are_known_by_name():
    assert is_allowed(permissions(managed=("AmazonDynamoDBFullAccess",)))
    assert not is_allowed(permissions(managed=("AmazonDynamoDBReadOnlyAccess",)), "dynamodb:PutItem")
    assert not is_allowed(permissions(managed=("AWSLambdaBasicExecutionRole",)))


def test_a_policy_that_nobody_knows_allows_everything_with_a_warning():
    warnings = []
    one = permissions(deny("dynamodb:DeleteItem"), managed=("PolicyOfAnotherStack",), warnings=warnings)
    assert is_allowed(one)
    assert not is_allowed(one, "dynamodb:DeleteItem")
    assert "PolicyOfAnotherStack" in warnings[0]


def test_a_boundary_limits_what_policies_allow():
    one = permissions(allow("*", "*"), boundary={"Statement": [allow("dynamodb:Get*", "*")]})
    assert is_allowed(one)
    assert not is_allowed(one, "dynamodb:PutItem")
    assert not is_allowed(permissions(boundary={"Statement": [allow("*", "*")]}))


def test_wildcards_can_be_written_as_characters():
    one = permissions(allow(resource="arn:${*}:$${?}"))
    assert is_allowed(one, resource="arn:*:$?")
    assert not is_allowed(one, resource="arn:x:$y")


@pytest.mark.parametrize(
    ("operation", "call", "expected"),
    [
        ("GetItem", {"TableName": "t", "Key": {}}, [("GetItem", "t")]),
        ("Query", {"TableName": "t", "IndexName": "i"}, [("Query", "t/index/i")]),
        ("Scan", {"TableName": TABLE}, [("Scan", TABLE)]),
        ("ListTables", {}, [("ListTables", "*")]),
        ("TagResource", {"ResourceArn": TABLE}, [("TagResource", TABLE)]),
        ("BatchGetItem", {"RequestItems": {"a": {}, "b": {}}}, [("BatchGetItem", "a"), ("BatchGetItem", "b")]),
        (
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"TableName": "a"}}, {"ConditionCheck": {"TableName": "b"}}]},
            [("PutItem", "a"), ("ConditionCheckItem", "b")],
        ),
        ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "a"}}]}, [("GetItem", "a")]),
        ("ExecuteStatement", {"Statement": 'SELECT * FROM "a"."i" WHERE x=1'}, [("PartiQLSelect", "a/index/i")]),
        ("BatchExecuteStatement", {"Statements": [{"Statement": "insert into a value {}"}]}, [("PartiQLInsert", "a")]),
        ("ExecuteTransaction", {"TransactStatements": [{"Statement": 'UPDATE "a" SET x=1'}]}, [("PartiQLUpdate", "a")]),
        ("PutItem", {}, []),
        ("BatchWriteItem", {"RequestItems": 7}, []),
        ("ExecuteStatement", {"Statement": "what"}, []),
    ],
)
def test_calls_of_dynamodb_need_permissions_for_what_they_touch(operation, call, expected):
    assert list(needed(operation, json.dumps(call).encode())) == expected


def test_a_body_that_is_no_json_is_left_to_the_tables():
    assert list(needed("PutItem", b"{")) == []


@pytest.fixture
def roles(tmp_path):
    """Return the roles that a template's functions have, by function."""
    (tmp_path / "app.py").write_text("")

    def read(resources):
        template = tmp_path / "template.json"
        resources.setdefault("F", function({"Fn::GetAtt": ["Role", "Arn"]}))
        api = {"Type": "AWS::ApiGatewayV2::Api", "Properties": WEBSOCKET}
        stage = {"Type": "AWS::ApiGatewayV2::Stage", "Properties": {"ApiId": {"Ref": "Api"}, "StageName": "prod"}}
        template.write_text(json.dumps({"Resources": {"Api": api, "Stage": stage, **resources}}))
        stack = read_template(template, parameters={}, name="s", cache=tmp_path / "cache")
        return stack.functions["F"].role, stack

    return read


WEBSOCKET = {"ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action", "Name": "api"}


def function(role):
    properties = {"Runtime": "python3.13", "Handler": "app.handler", "Code": ".", "Role": role}
    return {"Type": "AWS::Lambda::Function", "Properties": properties}


def role(**properties):
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}, **properties}}


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def test_inline_policies_are_resolved(roles):
    place = {"Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/prod/*"}
    policies = [{"PolicyName": "p", "PolicyDocument": document(allow("execute-api:*", place))}]
    found, stack = roles({"Role": role(Policies=policies)})
    [statement] = found.policies[0]["Statement"]
    assert statement["Resource"] == f"arn:aws:execute-api:us-east-1:000000000000:{stack.apis[0].id}/prod/*"
    assert found.name == "s-Role"


@pytest.mark.parametrize(
    "policy",
    [
        {"Type": "AWS::IAM::Policy", "Properties": {"Roles": [{"Ref": "Role"}]}},
        {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"Roles": [{"Ref": "Role"}]}},
        {"Type": "AWS::IAM::RolePolicy", "Properties": {"RoleName": {"Ref": "Role"}}},
    ],
)
def test_policies_attach_themselves_to_roles(roles, policy):
    policy["Properties"] |= {"PolicyName": "p", "PolicyDocument": document(allow())}
    others = json.loads(json.dumps(policy).replace('"Ref": "Role"', '"Ref": "Other"').replace("GetItem", "*"))
    found, _ = roles({"Role": role(), "Other": role(), "Policy": policy, "TheirPolicy": others})
    assert found.policies == (document(allow()),)


def test_roles_name_policies_of_the_template_and_of_aws(roles):
    own = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document(allow())}}
    arns = [{"Ref": "Own"}, "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"]
    found, _ = roles({"Role": role(ManagedPolicyArns=arns, PermissionsBoundary={"Ref": "Own"}), "Own": own})
    assert found.policies == (document(allow()),)
    assert found.managed == ("AWSLambdaBasicExecutionRole",)
    assert found.boundary == document(allow())


def test_a_statement_of_another_stack_is_left_out_with_a_warning(roles):
    foreign = allow(resource={"Fn::ImportValue": "TheirTable"})
    policies = [{"PolicyName": "p", "PolicyDocument": document(foreign, allow("dynamodb:Scan"))}]
    found, stack = roles({"Role": role(Policies=policies)})
    assert [one["Action"] for one in found.policies[0]["Statement"]] == ["dynamodb:Scan"]
    assert any("counts as if it were not there" in warning for warning in stack.warnings)


def test_a_role_of_another_stack_is_named(roles):
    found, stack = roles({"F": function("arn:aws:iam::000000000000:role/theirs")})
    assert found is None
    assert any("role/theirs of F is not in the template" in warning for warning in stack.warnings)


def access(tmp_path, *, statements=(), signed=False, **options):
    role = Role("r", ({"Statement": list(statements)},))
    functions = [Function("F", "f", "arn:f", "app.handler", tmp_path, role=role)]
    return Access(
        administrator=("test", "test"),
        functions=functions,
        region="us-east-1",
        account_id="123456789012",
        signed=signed,
        **options,
    )


def request_of(one, key=None, method="POST"):
    key = key or one.credentials()["F"]["AWS_ACCESS_KEY_ID"]
    headers = [(b"authorization", f"AWS4-HMAC-SHA256 Credential={key}/x".encode())]
    return {"method": method, "raw_path": b"/", "query_string": b"", "headers": headers}


def test_the_administrator_may_do_everything(tmp_path):
    one = access(tmp_path)
    scope = request_of(one, "test")
    one.check_management("abc", "prod", "id", scope, b"")
    one.check_tables("DynamoDB_20120810.DeleteTable", scope, b'{"TableName":"t"}')
    one.check_invoke("arn:f", scope, b"")


def test_a_denial_by_the_gateway_hides_the_account_and_the_connection(tmp_path):
    one = access(tmp_path)
    with pytest.raises(PermissionDenied) as denied:
        one.check_management("abc", "prod", "L0SM9cOFvHcCIhw=", request_of(one), b"")
    answer = refusal(denied.value)
    assert (answer.status, answer.error) == (403, "AccessDeniedException")
    assert json.loads(answer.body) == {
        "Message": "User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: "
        "execute-api:ManageConnections on resource: "
        "arn:aws:execute-api:us-east-1:********9012:abc/prod/POST/@connections/{connectionId}"
    }


def test_a_denial_of_a_handshake_is_said_alike(tmp_path):
    one = access(tmp_path)
    shaken = handshake(*((name.decode(), value.decode()) for name, value in request_of(one)["headers"]))
    refused = one.verify_upgrade(shaken, "arn:aws:execute-api:us-east-1:123456789012:abc/prod/$connect")
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.error) == (403, "AccessDeniedException")
    assert body(refused.message, refused.member) == (
        b'{"Message":"User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: '
        b"execute-api:Invoke on resource: "
        b'arn:aws:execute-api:us-east-1:********9012:abc/prod/$connect"}'
    )


def test_a_denial_by_dynamodb_is_in_its_own_shape(tmp_path):
    one = access(tmp_path)
    with pytest.raises(PermissionDenied) as denied:
        one.check_tables("DynamoDB_20120810.PutItem", request_of(one), b'{"TableName":"t"}')
    body = json.loads(table_refusal(denied.value))
    assert body["__type"] == "com.amazon.coral.service#AccessDeniedException"
    assert "arn:aws:dynamodb:us-east-1:123456789012:table/t because no" in body["Message"]


def test_every_item_of_a_transaction_counts(tmp_path):
    one = access(tmp_path, statements=[allow("dynamodb:PutItem", "*")])
    put, delete = {"Put": {"TableName": "t"}}, {"Delete": {"TableName": "t"}}
    target, scope = "DynamoDB_20120810.TransactWriteItems", request_of(one)
    one.check_tables(target, scope, json.dumps({"TransactItems": [put]}).encode())
    with pytest.raises(PermissionDenied, match="dynamodb:DeleteItem"):
        one.check_tables(target, scope, json.dumps({"TransactItems": [put, delete]}).encode())


def test_each_thing_that_is_missing_is_told_once(tmp_path, caplog):
    one = access(tmp_path)
    with caplog.at_level(logging.WARNING):
        for connection in ("a", "b", "c"):
            with pytest.raises(PermissionDenied):
                one.check_management("abc", "prod", connection, request_of(one), b"")
    assert len(caplog.records) == 1


def test_functions_may_do_everything_where_permissions_are_off(tmp_path):
    one = access(tmp_path, limited=False)
    one.check_tables("DynamoDB_20120810.PutItem", request_of(one), b'{"TableName":"t"}')


def test_credentials_look_like_those_of_a_running_function(tmp_path):
    first, second = (access(tmp_path).credentials()["F"] for _ in range(2))
    assert first["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert len(first["AWS_ACCESS_KEY_ID"]) == 20
    assert len(first["AWS_SECRET_ACCESS_KEY"]) == 40
    assert first["AWS_SESSION_TOKEN"]
    assert not set(first.values()) & set(second.values())
