"""Who is asked before ``$connect``, in which order, and what a refusal says."""

import json
from dataclasses import replace
from random import Random

import pytest

from local.gateway import Gateway
from local.limits import Choices, Limits
from local.rules.effects import Accept, Answer, Fetch, Invoke, Log, Refusal, Refuse, Send
from local.stack import (
    ApiKey,
    Authorizer,
    HttpIntegration,
    LambdaIntegration,
    MockIntegration,
    Quota,
    Route,
    Stage,
    Templates,
    Throttle,
)
from tests.local.gateways import NOW, answer, gateway, handshake, only, route

ALLOW = {"principalId": "me", "policyDocument": {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}}
DENY = {"principalId": "me", "policyDocument": {"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}}
QUIET = ("$disconnect", "$default")
DAY = 86_400


def guarded(*, integration=None, sources=(), **how):
    door = Authorizer("Door", "Door", sources)
    function = integration or LambdaIntegration("Handler")
    connect = Route("$connect", function, authorizer=how.pop("authorizer", door), **how)
    return gateway(connect, *(route(key) for key in QUIET), stage=Stage("live", {"colour": "green"}))


def keyed(*, key_from="header", authorizer=None, throttle=None, quota=None):
    subject = guarded(api_key_required=True, authorizer=authorizer)
    api = replace(subject.api, api_keys={"secret": ApiKey("abc", "secret", throttle, quota)}, key_from=key_from)
    return Gateway(api, region="us-east-1", random=Random(1))


class TestAuthorizer:
    def test_the_function_is_asked_before_connect_and_its_context_is_remembered(self):
        subject = guarded()
        connection_id, [question] = subject.opened(handshake(), NOW)
        assert (question.function, question.route_key) == ("Door", "$connect")
        asked = json.loads(question.event)
        assert asked["methodArn"] == "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/live/$connect"
        assert asked["stageVariables"] == {"colour": "green"}
        payload = answer(**ALLOW, context={"number": 1})
        [invoke] = subject.answered(question.invocation, payload, NOW + 0.021)
        opening = json.loads(invoke.event)["requestContext"]
        assert opening["authorizer"] == {"number": "1", "principalId": "me", "integrationLatency": 21}
        assert opening["requestTimeEpoch"] == opening["connectedAt"] == int(NOW * 1000)
        subject.answered(invoke.invocation, answer(statusCode=200), NOW + 0.03)
        [message] = subject.received(connection_id, "x", NOW + 1)
        assert json.loads(message.event)["requestContext"]["authorizer"] == {"number": "1", "principalId": "me"}

    @pytest.mark.parametrize(
        ("payload", "status", "error"),
        [
            (answer(**DENY), 403, "AccessDeniedException"),
            (b"null", 500, "AuthorizerConfigurationException"),
            (answer(statusCode=401), 500, "AuthorizerConfigurationException"),
        ],
    )
    def test_its_answer_may_refuse_and_the_log_says_why(self, payload, status, error):
        subject = guarded()
        connection_id, [question] = subject.opened(handshake(), NOW)
        refusal, log = subject.answered(question.invocation, payload, NOW)
        assert (refusal.status, refusal.error) == (status, error)
        assert isinstance(log, Log)
        assert subject.closed(connection_id, 1006, "", NOW) == []

    @pytest.mark.parametrize(
        ("fault", "payload", "status"),
        [
            ("error", b'{"errorMessage":"Unauthorized","errorType":"Exception"}', 401),
            ("error", b'{"errorMessage":"unauthorized"}', 500),
            ("error", b"not json", 500),
            ("error", b"[]", 500),
            ("missing", b"", 500),
        ],
    )
    def test_one_that_raises_exactly_unauthorized_is_401(self, fault, payload, status):
        subject = guarded()
        _, [question] = subject.opened(handshake(), NOW)
        [refusal] = subject.failed(question.invocation, fault, NOW, payload)
        assert refusal.status == status

    def test_one_that_takes_too_long_is_500(self):
        subject = guarded()
        subject.opened(handshake(), NOW)
        [refusal] = subject.woken(NOW + 29)
        assert refusal.status == 500

    def test_a_missing_identity_source_is_401_without_a_question(self):
        subject = guarded(sources=("route.request.header.Authorization",))
        _, [refusal] = subject.opened(handshake(), NOW)
        assert (refusal.status, refusal.error) == (401, "UnauthorizedException")
        _, effects = subject.opened(handshake(("authorization", "x")), NOW)
        assert only(effects, Invoke)

    def test_a_client_that_leaves_while_the_authorizer_thinks_is_forgotten(self):
        subject = guarded()
        connection_id, [question] = subject.opened(handshake(), NOW)
        assert subject.closed(connection_id, 1006, "", NOW) == []
        assert subject.answered(question.invocation, answer(**ALLOW), NOW) == []

    def test_without_a_connect_integration_an_allowed_client_is_accepted(self):
        subject = gateway(Route("$connect", None, authorizer=Authorizer("Door", "Door")))
        connection_id, [question] = subject.opened(handshake(), NOW)
        assert subject.answered(question.invocation, answer(**ALLOW), NOW) == [Accept(connection_id, None)]


class TestSignature:
    def make(self, verify):
        api = guarded(authorizer="AWS_IAM").api
        return Gateway(api, region="eu-west-1", account_id="123456789012", random=Random(1), verify=verify)

    def test_the_verifier_sees_the_request_and_names_the_caller(self):
        seen = []

        def verify(shaken, arn):
            seen.append((shaken.query, arn))
            return {"userArn": "arn:aws:iam::1:user/me", "accessKey": "test"}

        _, [invoke] = self.make(verify).opened(handshake(query="X-Amz-Signature=1"), NOW)
        assert seen == [("X-Amz-Signature=1", "arn:aws:execute-api:eu-west-1:123456789012:abcdef1234/live/$connect")]
        identity = json.loads(invoke.event)["requestContext"]["identity"]
        assert list(identity) == ["userArn", "sourceIp", "accessKey"]

    def test_its_refusal_is_the_clients(self):
        _, [refusal] = self.make(lambda *_: Refusal(403, "no", "X")).opened(handshake(), NOW)
        assert (refusal.status, json.loads(refusal.body), refusal.error) == (403, {"message": "no"}, "X")

    def test_without_a_verifier_nobody_gets_in(self):
        _, [refusal] = self.make(None).opened(handshake(), NOW)
        assert refusal.status == 403


class TestApiKey:
    @pytest.mark.parametrize("headers", [(), (("x-api-key", "other"),), (("x-api-key", ""),)])
    def test_a_missing_or_unknown_key_is_403(self, headers):
        _, [refusal] = keyed().opened(handshake(*headers), NOW)
        assert (refusal.status, refusal.error) == (403, "ForbiddenException")

    def test_a_known_key_is_shown_in_identity_before_everything(self):
        _, [invoke] = keyed().opened(handshake(("X-Api-Key", "secret"), ("User-Agent", "me")), NOW)
        identity = json.loads(invoke.event)["requestContext"]["identity"]
        assert list(identity.items()) == [
            ("apiKey", "secret"),
            ("apiKeyId", "abc"),
            ("userAgent", "me"),
            ("sourceIp", "192.0.2.1"),
        ]

    @pytest.mark.parametrize(("named", "status"), [("secret", None), ("other", 403), (None, 403)])
    def test_the_key_may_come_from_the_authorizer(self, named, status):
        subject = keyed(key_from="authorizer", authorizer=Authorizer("Door", "Door"))
        _, [question] = subject.opened(handshake(("x-api-key", "secret")), NOW)
        [effect] = subject.answered(question.invocation, answer(**ALLOW, usageIdentifierKey=named), NOW)
        assert getattr(effect, "status", None) == status

    def test_the_usage_plan_throttles_a_key(self):
        subject = keyed(throttle=Throttle(1, 1))
        shaken = handshake(("x-api-key", "secret"))
        assert only(subject.opened(shaken, NOW)[1], Invoke)
        [refusal] = only(subject.opened(shaken, NOW)[1], Refuse)
        assert (refusal.status, refusal.error) == (429, "TooManyRequestsException")

    @pytest.mark.parametrize(
        ("quota", "later", "status"),
        [
            (Quota(1, "DAY"), 0, 429),
            (Quota(1, "DAY"), 3_600, 429),
            (Quota(1, "DAY"), 2 * 3_600, None),
            (Quota(2, "DAY"), 0, None),
            (Quota(1, "WEEK"), 4 * DAY, 429),
            (Quota(1, "WEEK"), 5 * DAY, None),
            (Quota(1, "WEEK", 1), 5 * DAY, 429),
            (Quota(1, "WEEK", 1), 6 * DAY, None),
            (Quota(1, "MONTH"), 16 * DAY, 429),
            (Quota(1, "MONTH"), 17 * DAY, None),
            (Quota(1, "MONTH", 2), 18 * DAY, 429),
        ],
    )
    def test_the_usage_plan_has_a_quota_of_uses(self, quota, later, status):
        # NOW is a Tuesday, 22:13 on 14 November.
        subject = keyed(quota=quota)
        shaken = handshake(("x-api-key", "secret"))
        assert only(subject.opened(shaken, NOW)[1], Invoke)
        [effect] = subject.opened(shaken, NOW + later)[1]
        assert getattr(effect, "status", None) == status
        if isinstance(effect, Refuse):
            assert (effect.body, effect.error) == (b'{"message":"Limit Exceeded"}', "LimitExceededException")


class TestRefusals:
    @pytest.mark.parametrize(("length", "refused"), [(4_096, False), (4_097, True)])
    def test_a_url_has_at_most_4096_characters(self, length, refused):
        subject = gateway(route("$default"), choices=Choices(long_url_status=431))
        query = "x" * (length - len("wss://127.0.0.1:8000/?"))
        _, [effect] = subject.opened(handshake(query=query), NOW)
        assert getattr(effect, "status", None) == (431 if refused else None)

    def test_a_refusal_has_the_id_of_its_request_and_a_functions_own_has_no_error_type(self):
        subject = gateway(route("$connect"))
        _, [invoke] = subject.opened(handshake(), NOW)
        request_id = json.loads(invoke.event)["requestContext"]["requestId"]
        [refusal] = subject.answered(invoke.invocation, answer(statusCode=401), NOW)
        assert (refusal.request_id, refusal.error) == (request_id, None)
        assert json.loads(refusal.body) == {"message": "Unauthorized"}

    @pytest.mark.parametrize(("status", "kind"), [(200, Accept), (403, Refuse)])
    def test_a_mock_decides_by_its_status(self, status, kind):
        chosen = MockIntegration(Templates({"$default": f'{{"statusCode": {status}}}'}))
        _, [effect] = gateway(Route("$connect", chosen)).opened(handshake(), NOW)
        assert isinstance(effect, kind)


class TestHttpBackend:
    def test_it_decides_about_connections(self):
        subject = gateway(Route("$connect", HttpIntegration("http://backend.example/")))
        connection_id, [fetch] = subject.opened(handshake(query="a=1"), NOW)
        assert (fetch.method, fetch.url, fetch.body) == ("POST", "http://backend.example/?a=1", b"")
        assert subject.fetched(fetch.invocation, 204, b"", NOW) == [Accept(connection_id, None)]
        _, [fetch] = subject.opened(handshake(), NOW)
        [refusal] = subject.fetched(fetch.invocation, 403, b"own body", NOW)
        assert (refusal.status, refusal.body) == (403, b'{"message":"Forbidden"}')

    @pytest.mark.parametrize(
        ("two_way", "body", "sent"),
        [
            (True, b"hi", [b"hi"]),
            (True, b"a\xffb", ["a\ufffdb".encode()]),
            (True, b"", []),
            (False, b"hi", []),
        ],
    )
    def test_it_gets_messages_as_they_are_and_answers_on_two_way_routes(self, two_way, body, sent):
        integration = HttpIntegration("http://backend.example/", timeout=2.0)
        subject = gateway(Route("$default", integration, two_way=two_way), Route("$disconnect", integration))
        connection_id, _ = subject.opened(handshake(query="a=1"), NOW)
        [fetch] = subject.received(connection_id, "text", NOW)
        assert (fetch.body, fetch.url, fetch.timeout) == (b"text", "http://backend.example/", 2.0)
        effects = subject.fetched(fetch.invocation, 500, body, NOW)
        assert [effect.text for effect in only(effects, Send)] == sent
        [late] = subject.received(connection_id, "text", NOW)
        [frame] = subject.woken(NOW + 2)
        assert json.loads(frame.text)["message"] == "Endpoint request timed out"
        assert subject.fetched(late.invocation, 200, b"late", NOW + 3) == []
        [farewell] = subject.closed(connection_id, 1000, "", NOW + 3)
        assert isinstance(farewell, Fetch)
        assert farewell.route_key == "$disconnect"


class TestChoices:
    def opened(self, **choices):
        subject = gateway(route("$default", two_way=True), choices=Choices(**choices))
        return subject, subject.opened(handshake(), NOW)[0]

    def test_null_may_be_an_error(self):
        subject, connection_id = self.opened(null_is_an_error=True)
        [invoke] = subject.received(connection_id, "x", NOW)
        assert only(subject.answered(invoke.invocation, b"null", NOW), Send)

    @pytest.mark.parametrize(("mend", "sent"), [(True, "a\ufffdb".encode()), (False, b"a\xffb")])
    def test_a_post_that_is_no_text_may_be_mended(self, mend, sent):
        subject, connection_id = self.opened(mend_text=mend)
        assert subject.posted(connection_id, b"a\xffb", NOW) == (Answer(200), [Send(connection_id, sent)])

    @pytest.mark.parametrize(("moves", "second"), [(True, "30"), (False, "20")])
    def test_a_post_may_leave_last_active_at_alone(self, moves, second):
        subject, connection_id = self.opened(post_moves_last_active=moves)
        subject.posted(connection_id, b"x", NOW + 10)
        assert json.loads(subject.looked(connection_id).body)["lastActiveAt"] == f"2023-11-14T22:13:{second}.000Z"

    def test_an_idle_connection_may_be_closed_late(self):
        subject, _ = self.opened(idle_late_by=3.9)
        assert subject.woken(NOW + 603) == []
        assert subject.woken(NOW + 604)


def test_the_accounts_quotas_hold_when_they_are_asked_for():
    limits = Limits().with_account_quotas()
    assert (limits.connects, limits.rate, limits.burst) == (500, 10_000, 5_000)
    subject = gateway(route("$default"), limits=limits)
    outcomes = [type(subject.opened(handshake(), NOW)[1][0]) for _ in range(501)]
    assert outcomes.count(Accept) == 500
    assert outcomes[-1] is Refuse


def test_half_of_a_surrogate_pair_in_an_authorizers_context_keeps_nobody_out():
    subject = guarded()
    _, [asked] = subject.opened(handshake(), NOW)
    [invoke] = subject.answered(asked.invocation, json.dumps(ALLOW | {"context": {"name": "\ud83d"}}).encode(), NOW)
    assert json.loads(invoke.event)["requestContext"]["authorizer"]["name"] == "?"
