"""Non-proxy integrations: models, mapping templates and conversions around a backend, or around none."""

import json
from base64 import b64encode

import pytest

from local.rules.effects import Accept, Fetch, Invoke, Log, Refuse, Send
from local.stack import (
    CustomIntegration,
    HttpIntegration,
    IntegrationResponse,
    LambdaIntegration,
    MockIntegration,
    Route,
    Stage,
    Templates,
)
from tests.local.gateways import NOW, gateway, handshake, only

FUNCTION = LambdaIntegration("Handler")


def default(template):
    return Templates({"$default": template})


def opened(*routes):
    subject = gateway(*routes, stage=Stage("live", variables={"colour": "green"}))
    connection_id, effects = subject.opened(handshake(), NOW)
    assert only(effects, Accept)
    return subject, connection_id


def route(integration, **members):
    return Route("$default", integration, two_way=True, **members)


def texts(effects):
    return [effect.text.decode() for effect in only(effects, Send)]


class TestMock:
    def test_what_is_asked_may_reach_the_answer_through_the_context(self):
        requests = default("""#set($context.own.text = $input.path('$.text')){"statusCode": 200}""")
        reply = IntegrationResponse(
            "$default", default('{"text":"$context.own.text","colour":"$stageVariables.colour"}')
        )
        subject, connection_id = opened(route(MockIntegration(requests, (reply,))))
        for text in ("first", "second"):
            effects = subject.received(connection_id, json.dumps({"text": text}), NOW)
            assert texts(effects) == [f'{{"text":"{text}","colour":"green"}}']

    @pytest.mark.parametrize(("n", "text"), [(1, "good"), (2, "bad"), (3, "other")])
    def test_the_status_picks_the_answer(self, n, text):
        requests = default(
            '#if($input.path("$.n") == 1){"statusCode":201}#elseif($input.path("$.n") == 2)'
            '{"statusCode":"404"}#else{"statusCode":500}#end'
        )
        replies = (
            IntegrationResponse("$default", default("other")),
            IntegrationResponse(r"/2\d\d/", default("good")),
            IntegrationResponse("/404/", default("bad")),
        )
        subject, connection_id = opened(route(MockIntegration(requests, replies)))
        assert texts(subject.received(connection_id, json.dumps({"n": n}), NOW)) == [text]

    @pytest.mark.parametrize("template", ["{}", "no json", "[]"])
    def test_without_a_status_it_fails_and_says_so(self, template):
        subject, connection_id = opened(route(MockIntegration(default(template))))
        effects = subject.received(connection_id, "x", NOW)
        assert json.loads(texts(effects)[0])["message"] == "Internal server error"
        assert "statusCode" in only(effects, Log)[0].text

    def test_a_one_way_route_answers_nothing(self):
        reply = IntegrationResponse("$default", default("pong"))
        subject, connection_id = opened(Route("$default", MockIntegration(responses=(reply,))))
        assert subject.received(connection_id, "x", NOW) == []

    @pytest.mark.parametrize(("header", "kind"), [("secret", Accept), ("", Refuse)])
    def test_connect_is_decided_by_its_template(self, header, kind):
        template = '#if($context.identity.userAgent == "secret"){"statusCode":200}#else{"statusCode":403}#end'
        shaken = handshake(("User-Agent", header))
        _, [effect] = gateway(Route("$connect", MockIntegration(default(template)))).opened(shaken, NOW)
        assert isinstance(effect, kind)


class TestCustom:
    def test_templates_make_the_event_and_the_answer(self):
        requests = default("""{"id":"$context.connectionId","body":$input.json('$.n')}""")
        reply = IntegrationResponse("$default", default("got $input.path('$.result') of $context.routeKey"))
        subject, connection_id = opened(route(CustomIntegration(FUNCTION, requests, (reply,))))
        [invoke] = subject.received(connection_id, '{"n":[1]}', NOW)
        assert isinstance(invoke, Invoke)
        assert json.loads(invoke.event) == {"id": connection_id, "body": [1]}
        assert texts(subject.answered(invoke.invocation, b'{"result":7,"more":1}', NOW)) == ["got 7 of $default"]

    def test_without_templates_both_pass_as_they_are(self):
        subject, connection_id = opened(route(CustomIntegration(FUNCTION)))
        [invoke] = subject.received(connection_id, '{"n": 1}', NOW)
        assert invoke.event == b'{"n": 1}'
        assert texts(subject.answered(invoke.invocation, b'{"any": "shape"}', NOW)) == ['{"any": "shape"}']

    @pytest.mark.parametrize(
        ("passthrough", "templates", "passes"),
        [
            ("WHEN_NO_MATCH", {"b": "fixed"}, True),
            ("WHEN_NO_TEMPLATES", {"b": "fixed"}, False),
            ("WHEN_NO_TEMPLATES", {}, True),
            ("NEVER", {}, False),
        ],
    )
    def test_what_no_template_is_for_passes_or_not(self, passthrough, templates, passes):
        requests = Templates(templates, "$request.body.kind", passthrough)
        subject, connection_id = opened(route(CustomIntegration(FUNCTION, requests)))
        effects = subject.received(connection_id, '{"kind":"a"}', NOW)
        if passes:
            assert effects[0].event == b'{"kind":"a"}'
        else:
            assert json.loads(texts(effects)[0])["message"] == "Unsupported Media Type"
            assert only(effects, Log)

    def test_the_body_selects_the_template(self):
        requests = Templates({"a": "first", "$default": "other"}, "$request.body.kind")
        subject, connection_id = opened(route(CustomIntegration(FUNCTION, requests)))
        events = [subject.received(connection_id, f'{{"kind":"{kind}"}}', NOW)[0].event for kind in "ab"]
        assert events == [b"first", b"other"]

    def test_a_text_is_decoded_for_a_backend_that_wants_bytes_and_its_bytes_are_encoded(self):
        reply = IntegrationResponse("$default", conversion="CONVERT_TO_TEXT")
        backend = HttpIntegration("http://backend.example/", forwards=False)
        integration = CustomIntegration(backend, responses=(reply,), conversion="CONVERT_TO_BINARY")
        subject, connection_id = opened(route(integration))
        [fetch] = subject.received(connection_id, b64encode(b"\x00\xff").decode(), NOW)
        assert isinstance(fetch, Fetch)
        assert fetch.body == b"\x00\xff"
        assert texts(subject.fetched(fetch.invocation, 200, b"\xff\x00", NOW)) == ["/wA="]
        effects = subject.received(connection_id, "no base64!", NOW)
        assert json.loads(texts(effects)[0])["message"] == "Internal server error"

    def test_the_status_of_an_http_backend_picks_the_answer(self):
        replies = (
            IntegrationResponse("/4../", default("sorry")),
            IntegrationResponse("$default", default("$input.body")),
        )
        integration = CustomIntegration(HttpIntegration("http://backend.example/", forwards=False), responses=replies)
        subject, connection_id = opened(route(integration))
        for status, text in ((404, "sorry"), (200, "found")):
            [fetch] = subject.received(connection_id, "x", NOW)
            assert texts(subject.fetched(fetch.invocation, status, b"found", NOW)) == [text]

    def test_connect_and_disconnect_go_through_templates_too(self):
        integration = CustomIntegration(
            FUNCTION, default('{"is":"$context.eventType","why":"$context.disconnectReason"}')
        )
        subject = gateway(Route("$connect", integration), Route("$disconnect", integration))
        connection_id, [invoke] = subject.opened(handshake(), NOW)
        assert json.loads(invoke.event) == {"is": "CONNECT", "why": ""}
        assert subject.answered(invoke.invocation, b'"any answer"', NOW) == [Accept(connection_id, None)]
        [farewell] = subject.closed(connection_id, 1005, "", NOW)
        assert json.loads(farewell.event) == {"is": "DISCONNECT", "why": "Client-side close frame status not set"}

    def test_a_function_gets_an_empty_object_of_an_empty_message(self):
        subject, connection_id = opened(route(CustomIntegration(FUNCTION)))
        assert subject.received(connection_id, "", NOW)[0].event == b"{}"

    def test_half_of_a_surrogate_pair_goes_through_a_template_as_a_question_mark(self):
        subject, connection_id = opened(route(CustomIntegration(FUNCTION, default("$input.path('$.half')"))))
        assert subject.received(connection_id, '{"half":"\\ud800!"}', NOW)[0].event == b"?!"

    def test_a_failing_function_is_an_error_frame(self):
        subject, connection_id = opened(route(CustomIntegration(FUNCTION)))
        [invoke] = subject.received(connection_id, "{}", NOW)
        effects = subject.failed(invoke.invocation, "error", NOW, b"{}")
        assert json.loads(texts(effects)[0])["message"] == "Internal server error"


SCHEMAS = {"a": {"required": ["x"]}, "$default": {"required": ["y"]}}


class TestModels:
    @pytest.mark.parametrize(
        ("message", "is_good"),
        [
            ('{"kind":"a","x":1}', True),
            ('{"kind":"a","y":1}', False),
            ('{"kind":"b","y":1}', True),
            ('{"x":1}', False),
            ("no json", False),
        ],
    )
    def test_the_body_selects_the_model(self, message, is_good):
        models = {"models": SCHEMAS, "model_selection": "$request.body.kind"}
        subject, connection_id = opened(route(CustomIntegration(FUNCTION), **models))
        effects = subject.received(connection_id, message, NOW)
        assert bool(only(effects, Invoke)) is is_good
        if not is_good:
            assert texts(effects)[0].startswith('{"message" : "Bad request body"')

    def test_a_message_that_is_deeper_than_anybody_reads_is_none(self):
        models = {"models": {"$default": {"items": {"$ref": "#"}}}}
        subject, connection_id = opened(route(CustomIntegration(FUNCTION), **models))
        for depth in (400, 60_000):
            effects = subject.received(connection_id, "[" * depth + "]" * depth, NOW)
            assert "Bad request body" in texts(effects)[0]
        assert only(subject.received(connection_id, "[[[]]]", NOW), Invoke)

    def test_a_message_for_which_there_is_no_model_passes(self):
        models = {"models": {"a": {"required": ["x"]}}, "model_selection": "$request.body.kind"}
        subject, connection_id = opened(route(CustomIntegration(FUNCTION), **models))
        assert only(subject.received(connection_id, '{"kind":"b"}', NOW), Invoke)
