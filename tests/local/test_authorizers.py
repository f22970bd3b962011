import json

import pytest

from local.rules.authorizers import Allowed, Denied, Malformed, missing_source, read_policy
from tests.local.gateways import handshake

ARN = "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/live/$connect"
STAGE = ARN.rpartition("/")[0]
INVOKE = "execute-api:Invoke"


def answer(*statements, principal="me", **more):
    made = [{"Effect": effect, "Action": action, "Resource": resource} for effect, action, resource in statements]
    return json.dumps({"principalId": principal, "policyDocument": {"Statement": made}, **more}).encode()


@pytest.mark.parametrize(
    "resource",
    [
        ARN,
        "*",
        f"{STAGE}/*",
        "arn:aws:execute-api:*:*:*/*/$connect",
        ["nothing", ARN],
        ARN.replace("connect", "c?nnect"),
    ],
)
def test_a_resource_that_matches_allows(resource):
    assert read_policy(answer(("Allow", INVOKE, resource)), ARN) == Allowed({"principalId": "me"})


@pytest.mark.parametrize(
    "resource", [f"{STAGE}/*/*", f"{STAGE}/$default", f"{STAGE}/$CONNECT", STAGE, f"{ARN}x", "arn:aws:s3:::*"]
)
def test_a_resource_that_does_not_match_denies(resource):
    assert read_policy(answer(("Allow", INVOKE, resource)), ARN) == Denied(explicitly=False)


@pytest.mark.parametrize("action", ["*", "execute-api:*", "EXECUTE-API:invoke", ["s3:GetObject", INVOKE]])
def test_an_action_matches_in_any_case(action):
    assert isinstance(read_policy(answer(("Allow", action, ARN)), ARN), Allowed)


def test_an_explicit_deny_wins():
    payload = answer(("Allow", "*", "*"), ("Deny", INVOKE, ARN))
    assert read_policy(payload, ARN) == Denied(explicitly=True)


def test_one_statement_needs_no_list_and_a_negation_is_the_opposite():
    document = {"Statement": {"Effect": "Allow", "NotAction": "s3:*", "NotResource": "arn:aws:s3:::*"}}
    assert isinstance(read_policy(json.dumps({"principalId": "me", "policyDocument": document}).encode(), ARN), Allowed)


@pytest.mark.parametrize(("effect", "allowed"), [("Allow", False), ("Deny", False)])
def test_a_condition_that_nobody_can_check_never_lets_anybody_in(effect, allowed):
    statement = {"Effect": effect, "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "::"}}}
    others = [] if effect == "Allow" else [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    payload = json.dumps({"principalId": "me", "policyDocument": {"Statement": [statement, *others]}}).encode()
    assert isinstance(read_policy(payload, ARN), Allowed) is allowed


def test_context_becomes_strings_and_the_principal_joins_it():
    context = {"text": "a", "number": 7, "fraction": 0.5, "truth": False}
    found = read_policy(answer(("Allow", "*", "*"), context=context, usageIdentifierKey="k"), ARN)
    assert found == Allowed({"text": "a", "number": "7", "fraction": "0.5", "truth": "false", "principalId": "me"}, "k")


@pytest.mark.parametrize(
    "payload",
    [
        b"null",
        b"{",
        b'"Allow"',
        b'{"statusCode":401}',
        b'{"principalId":"me"}',
        b'{"principalId":"me","policyDocument":{"Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}}',
        b'{"principalId":"me","policyDocument":{"Statement":[{"Effect":"Allow","Action":"*"}]}}',
        answer(("Allow", "*", "*"), principal=7),
        answer(("Allow", "*", "*"), context={"nested": {}}),
        answer(("Allow", "*", "*"), context={"nothing": None}),
        answer(("Allow", "*", "*"), context=["list"]),
        answer(("Allow", "*", "*"), context={"long": "x" * 8_192}),
    ],
)
def test_anything_else_is_malformed(payload):
    assert isinstance(read_policy(payload, ARN), Malformed)


@pytest.mark.parametrize(
    ("source", "there"),
    [
        ("route.request.header.authorization", True),
        ("route.request.header.Empty", False),
        ("route.request.header.Absent", False),
        ("route.request.querystring.token", True),
        ("route.request.querystring.empty", False),
        ("route.request.querystring.Token", False),
        ("stageVariables.colour", True),
        ("stageVariables.Colour", False),
        ("context.identity.sourceIp", True),
        ("context.identity.userAgent", False),
        ("context.stage.name", False),
        ("method.request.header.Authorization", False),
    ],
)
def test_an_identity_source_must_be_there_and_not_empty(source, there):
    shaken = handshake(("Authorization", "secret"), ("Empty", ""), query="token=a%20b&empty=")
    context = {"stage": "live", "identity": {"sourceIp": "192.0.2.1"}}
    missing = missing_source([source], shaken, variables={"colour": "green"}, context=context)
    assert (missing is None) is there


def test_without_identity_sources_nothing_is_missing():
    assert missing_source([], handshake(), variables={}, context={}) is None
