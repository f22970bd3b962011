import pytest

from local.rules.integrations import request_of
from local.rules.models import fault_of, obeys
from local.stack import HttpIntegration
from tests.local.gateways import handshake

CONTEXT = {"connectionId": "L0SM9cOFvHcCIhw=", "connectedAt": 12, "identity": {"sourceIp": "192.0.2.1"}}


def test_a_handshakes_headers_and_query_go_to_the_backend():
    shaken = handshake(("Authorization", "secret"), ("Upgrade", "websocket"), query="a=1")
    url, headers = request_of(
        HttpIntegration("https://backend.example/path?b=2"), context=CONTEXT, variables={}, handshake=shaken
    )
    assert url == "https://backend.example/path?b=2&a=1"
    assert headers == (("Authorization", "secret"),)


def test_a_backend_behind_templates_is_told_nothing_of_the_handshake_by_itself():
    shaken = handshake(("Authorization", "secret"), query="a=1")
    integration = HttpIntegration("https://backend.example/", forwards=False)
    assert request_of(integration, context=CONTEXT, variables={}, handshake=shaken) == ("https://backend.example/", ())


def test_parameters_are_mapped_and_what_is_missing_is_left_out():
    parameters = {
        "integration.request.header.connectionId": "context.connectionId",
        "integration.request.header.Fixed": "'fixed'",
        "integration.request.header.Absent": "stageVariables.absent",
        "integration.request.querystring.colour": "stageVariables.colour",
        "integration.request.header.Token": "route.request.header.X-Token",
        "integration.request.header.Room": "route.request.querystring.room",
        "integration.request.path.x": "'not served'",
    }
    shaken = handshake(("X-Token", "t"), query="room=7")
    integration = HttpIntegration("https://backend.example/", parameters=parameters)
    url, headers = request_of(integration, context=CONTEXT, variables={"colour": "green & blue"}, handshake=shaken)
    assert url == "https://backend.example/?room=7&colour=green%20%26%20blue"
    assert headers == (
        ("X-Token", "t"),
        ("connectionId", "L0SM9cOFvHcCIhw="),
        ("Fixed", "fixed"),
        ("Token", "t"),
        ("Room", "7"),
    )
    _, alone = request_of(integration, context=CONTEXT, variables={}, handshake=None)
    assert alone == (("connectionId", "L0SM9cOFvHcCIhw="), ("Fixed", "fixed"))


@pytest.mark.parametrize(
    ("message", "is_good"),
    [('{"text":"a"}', True), ('{"text":1}', False), ("{}", False), ("no json", False), ("[]", False)],
)
def test_a_message_obeys_its_model_or_not(message, is_good):
    schema = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    assert obeys(message, schema) is is_good


@pytest.mark.parametrize("schema", ["text", {"type": "nothing"}, {"required": "text"}])
def test_a_schema_that_is_none_is_named(schema):
    assert fault_of(schema)
    assert fault_of({"type": "object"}) is None
