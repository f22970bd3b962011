import json

import pytest

from local.limits import Choices, Limits
from local.rules.effects import Accept, Answer, Close, Invoke, Log, Refuse, Send
from local.stack import Route, Stage, Throttle, UnsupportedIntegration
from tests.local.gateways import NOW, answer, gateway, handshake, only, route

ALL = (route("$connect"), route("$disconnect"), route("$default", two_way=True), route("join"))


def opened(subject, now=NOW):
    """Open a connection whose $connect route, if there is one, answers 200."""
    connection_id, effects = subject.opened(handshake(), now)
    for invoke in only(effects, Invoke):
        effects = subject.answered(invoke.invocation, answer(statusCode=200), now)
    assert only(effects, Accept)
    return connection_id


def frame(effects):
    return json.loads(only(effects, Send)[0].text)


class TestHandshake:
    def test_without_a_connect_route_a_client_is_accepted_at_once(self):
        subject = gateway(route("$default"))
        connection_id, effects = subject.opened(handshake(), NOW)
        assert effects == [Accept(connection_id, None)]

    def test_the_connect_function_decides(self):
        subject = gateway(*ALL)
        connection_id, effects = subject.opened(handshake(("User-Agent", "test")), NOW)
        [invoke] = effects
        assert invoke.route_key == "$connect"
        event = json.loads(invoke.event)
        assert event["requestContext"]["connectionId"] == connection_id
        assert event["requestContext"]["identity"] == {"userAgent": "test", "sourceIp": "192.0.2.1"}
        assert subject.answered(invoke.invocation, answer(statusCode=204), NOW) == [Accept(connection_id, None)]

    @pytest.mark.parametrize("status", [302, 400, 401, 403, 500, 503])
    def test_any_other_status_is_passed_to_the_client(self, status):
        subject = gateway(*ALL)
        connection_id, [invoke] = subject.opened(handshake(), NOW)
        [refusal] = subject.answered(invoke.invocation, answer(statusCode=status), NOW)
        assert (refusal.connection_id, refusal.status) == (connection_id, status)
        assert set(json.loads(refusal.body)) == {"message"}

    @pytest.mark.parametrize(
        ("choice", "status", "becomes"),
        [("any_success_opens", 201, 502), ("any_success_opens", 200, 101), ("fault_statuses_pass", 503, 502)],
    )
    def test_which_statuses_mean_what_is_a_choice(self, choice, status, becomes):
        subject = gateway(*ALL, choices=Choices(**{choice: False}))
        _, [invoke] = subject.opened(handshake(), NOW)
        [decision] = subject.answered(invoke.invocation, answer(statusCode=status), NOW)
        assert (101 if isinstance(decision, Accept) else decision.status) == becomes

    def test_a_refused_client_is_told_of_where_that_is_chosen(self):
        subject = gateway(*ALL, choices=Choices(refused_is_told=True))
        connection_id, [invoke] = subject.opened(handshake(), NOW)
        refusal, told = subject.answered(invoke.invocation, answer(statusCode=403), NOW)
        assert refusal.status == 403
        context = json.loads(told.event)["requestContext"]
        assert (context["eventType"], context["connectionId"]) == ("DISCONNECT", connection_id)

    @pytest.mark.parametrize("status", [100, 101, 199])
    def test_a_status_that_ends_nothing_is_502(self, status):
        subject = gateway(*ALL)
        _, [invoke] = subject.opened(handshake(), NOW)
        [refusal] = subject.answered(invoke.invocation, answer(statusCode=status), NOW)
        assert refusal.status == 502

    @pytest.mark.parametrize("status", ["200", 200.0])
    def test_a_status_in_a_string_or_with_a_fraction_of_nothing_is_taken(self, status):
        subject = gateway(*ALL)
        connection_id, [invoke] = subject.opened(handshake(), NOW)
        assert subject.answered(invoke.invocation, answer(statusCode=status), NOW) == [Accept(connection_id, None)]

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"statusCode":200,"headers":"x"}',
            b'{"statusCode":200,"headers":[]}',
            b'{"statusCode":200,"headers":{"a":{}}}',
            b'{"statusCode":200,"multiValueHeaders":{"a":"x"}}',
            b'{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"a, b"}}',
            b'{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"a\\r\\nX-Evil: 1"}}',
            b"null",
            b"{}",
            b"3",
            b'"200"',
            b"[]",
            b'{"statusCode":"no"}',
            b'{"statusCode":200,"ConnectionId":"x"}',
            b"{",
        ],
    )
    def test_a_malformed_answer_is_502(self, payload):
        subject = gateway(*ALL)
        connection_id, [invoke] = subject.opened(handshake(), NOW)
        refusal, log = subject.answered(invoke.invocation, payload, NOW)
        assert (refusal.connection_id, refusal.status) == (connection_id, 502)
        assert refusal.body == b'{"message": "Internal server error"}'
        assert isinstance(log, Log)

    @pytest.mark.parametrize(("fault", "status"), [("error", 502), ("missing", 500), ("timeout", 504)])
    def test_a_failed_connect_function_is_a_refusal(self, fault, status):
        subject = gateway(*ALL)
        _, [invoke] = subject.opened(handshake(), NOW)
        [refusal] = subject.failed(invoke.invocation, fault, NOW)
        assert refusal.status == status

    def test_a_connect_function_that_takes_too_long_is_504(self):
        subject = gateway(route("$connect", timeout=2.0))
        _, [invoke] = subject.opened(handshake(), NOW)
        assert subject.woken(NOW + 1.9) == []
        [refusal] = subject.woken(NOW + 2.0)
        assert (refusal.status, refusal.body) == (504, b'{"message": "Endpoint request timed out"}')
        assert subject.answered(invoke.invocation, answer(statusCode=200), NOW + 3) == []

    def test_only_the_function_picks_a_sub_protocol(self):
        subject = gateway(*ALL)
        _, [invoke] = subject.opened(handshake(("Sec-WebSocket-Protocol", "a, b")), NOW)
        payload = answer(statusCode=200, headers={"sec-websocket-protocol": "b", "X-Other": "dropped"})
        [accept] = subject.answered(invoke.invocation, payload, NOW)
        assert accept.subprotocol == "b"

    @pytest.mark.parametrize(
        ("headers", "chosen"),
        [
            ({"headers": {"Sec-WebSocket-Protocol": ""}}, None),
            ({"headers": {"Sec-WebSocket-Protocol": None}}, None),
            ({"headers": {"Sec-WebSocket-Protocol": 5}}, "5"),
            ({"headers": None, "multiValueHeaders": {"sec-websocket-protocol": ["b", "c"]}}, "b"),
            ({"multiValueHeaders": {"Sec-WebSocket-Protocol": []}}, None),
        ],
    )
    def test_a_sub_protocol_may_be_written_in_several_ways(self, headers, chosen):
        subject = gateway(*ALL)
        connection_id, [invoke] = subject.opened(handshake(), NOW)
        payload = answer(statusCode=200, **headers)
        assert subject.answered(invoke.invocation, payload, NOW) == [Accept(connection_id, chosen)]

    def test_a_connection_is_gone_until_the_function_has_answered(self):
        subject = gateway(*ALL)
        connection_id, [invoke] = subject.opened(handshake(), NOW)
        assert subject.posted(connection_id, b"x", NOW) == (Answer(410, b"", "GoneException"), [])
        assert subject.looked(connection_id).status == 410
        subject.answered(invoke.invocation, answer(statusCode=200), NOW)
        assert subject.posted(connection_id, b"x", NOW)[0].status == 200

    def test_a_refused_client_gets_no_disconnect_event(self):
        subject = gateway(*ALL)
        connection_id, [invoke] = subject.opened(handshake(), NOW)
        subject.answered(invoke.invocation, answer(statusCode=403), NOW)
        assert subject.closed(connection_id, 1006, "", NOW) == []

    def test_more_connections_a_second_than_allowed_are_429(self):
        subject = gateway(route("$default"), limits=Limits(connects=2))
        outcomes = [subject.opened(handshake(), NOW)[1][0] for _ in range(3)]
        assert [type(outcome) for outcome in outcomes] == [Accept, Accept, Refuse]
        assert outcomes[2].status == 429
        assert isinstance(subject.opened(handshake(), NOW + 0.5)[1][0], Accept)


class TestMessages:
    def test_a_message_goes_to_the_route_that_its_body_names(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        [invoke] = subject.received(connection_id, '{"action":"join"}', NOW)
        assert (invoke.route_key, invoke.function) == ("join", "Handler")
        event = json.loads(invoke.event)
        assert event["body"] == '{"action":"join"}'
        assert event["requestContext"]["routeKey"] == "join"

    def test_half_of_a_surrogate_pair_is_no_fault_of_the_gateway(self):
        subject = gateway(route("$default", two_way=True))
        connection_id, _ = subject.opened(handshake(), NOW)
        [invoke] = subject.received(connection_id, r'{"action":["\ud800"]}', NOW)
        assert json.loads(invoke.event)["body"] == r'{"action":["\ud800"]}'
        [sent] = subject.answered(invoke.invocation, rb'{"statusCode":200,"body":"cut \ud83d"}', NOW)
        assert sent.text == b"cut ?"

    @pytest.mark.parametrize(
        "text",
        [
            "ping",
            "",
            "{}",
            '{"action":null}',
            '{"action":"nowhere"}',
            '{"action":"$connect"}',
            "[1]",
            "3",
            '{"action":"JOIN"}',
        ],
    )
    def test_everything_else_goes_to_default(self, text):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        [invoke] = subject.received(connection_id, text, NOW)
        assert invoke.route_key == "$default"

    def test_without_a_default_route_the_client_reads_forbidden(self):
        subject = gateway(route("join"))
        connection_id = opened(subject)
        effects = subject.received(connection_id, "ping", NOW)
        request_id = frame(effects)["requestId"]
        expected = f'{{"message": "Forbidden", "connectionId":"{connection_id}", "requestId":"{request_id}"}}'
        assert only(effects, Send)[0].text.decode() == expected

    def test_a_two_way_route_sends_the_body_whatever_the_status(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        [invoke] = subject.received(connection_id, "x", NOW)
        effects = subject.answered(invoke.invocation, answer(statusCode=500, body="oops"), NOW)
        assert effects == [Send(connection_id, b"oops")]

    @pytest.mark.parametrize("payload", [b'{"statusCode":200,"body":"x"}', b"null", b'{"statusCode":200}'])
    def test_a_one_way_route_sends_nothing(self, payload):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        [invoke] = subject.received(connection_id, '{"action":"join"}', NOW)
        assert subject.answered(invoke.invocation, payload, NOW) == []

    @pytest.mark.parametrize("sent", [True, False])
    def test_whether_an_empty_body_is_sent_is_a_choice(self, sent):
        subject = gateway(*ALL, choices=Choices(empty_body_is_sent=sent))
        connection_id = opened(subject)
        [invoke] = subject.received(connection_id, "x", NOW)
        effects = subject.answered(invoke.invocation, answer(statusCode=200, body=""), NOW)
        assert effects == ([Send(connection_id, b"")] if sent else [])

    @pytest.mark.parametrize("payload", [b'{"ConnectionId":"x","Data":"y"}', b"7", b'"text"', b"not json"])
    def test_a_malformed_answer_is_an_error_frame_even_on_a_one_way_route(self, payload):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        [invoke] = subject.received(connection_id, '{"action":"join"}', NOW)
        effects = subject.answered(invoke.invocation, payload, NOW)
        assert frame(effects)["message"] == "Internal server error"
        assert subject.looked(connection_id).status == 200

    def test_a_raising_function_is_an_error_frame_and_the_connection_stays(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        [invoke] = subject.received(connection_id, '{"action":"join"}', NOW)
        assert frame(subject.failed(invoke.invocation, "error", NOW))["message"] == "Internal server error"
        assert subject.looked(connection_id).status == 200

    def test_a_slow_function_times_out_and_its_late_answer_is_dropped(self):
        subject = gateway(route("$default", two_way=True))
        connection_id = opened(subject)
        [invoke] = subject.received(connection_id, "x", NOW)
        assert subject.next_alarm() == NOW + 29
        assert frame(subject.woken(NOW + 29))["message"] == "Endpoint request timed out"
        assert subject.answered(invoke.invocation, answer(statusCode=200, body="late"), NOW + 30) == []

    def test_messages_of_one_connection_overlap(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        [first] = subject.received(connection_id, "1", NOW)
        [second] = subject.received(connection_id, "2", NOW)
        assert subject.answered(second.invocation, answer(statusCode=200, body="2"), NOW) == [Send(connection_id, b"2")]
        assert subject.answered(first.invocation, answer(statusCode=200, body="1"), NOW) == [Send(connection_id, b"1")]

    def test_a_binary_message_closes_with_1003(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        close, invoke = subject.received(connection_id, b"\x00", NOW)
        assert close == Close(connection_id, 1003, "")
        assert json.loads(invoke.event)["requestContext"]["disconnectStatusCode"] == 1003

    def test_a_message_over_128_kb_closes_with_1009(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        assert len(subject.received(connection_id, "é" * 65_536, NOW)) == 1
        close, _ = subject.received(connection_id, "é" * 65_536 + "x", NOW)
        assert close == Close(connection_id, 1009, "")

    def test_an_integration_that_cannot_be_run_says_why(self):
        subject = gateway(Route("$default", UnsupportedIntegration("HTTP integrations are not emulated")))
        connection_id = opened(subject)
        effects = subject.received(connection_id, "x", NOW)
        assert frame(effects)["message"] == "Internal server error"
        assert "HTTP integrations are not emulated" in only(effects, Log)[0].text

    def test_a_frame_is_json_whatever_it_is_made_to_say(self):
        stage = Stage("live", throttle=Throttle(rate=0.1, burst=1))
        subject = gateway(route("$default"), stage=stage, choices=Choices(throttled_message='say "please"'))
        connection_id = opened(subject, NOW - 60)
        subject.received(connection_id, "x", NOW)
        assert frame(subject.received(connection_id, "x", NOW))["message"] == 'say "please"'

    def test_a_throttled_route_answers_with_a_frame_and_recovers(self):
        stage = Stage("live", throttle=Throttle(rate=1, burst=2))
        subject = gateway(route("$default"), stage=stage)
        connection_id = opened(subject, NOW - 60)
        kinds = [type(subject.received(connection_id, "x", NOW)[0]) for _ in range(3)]
        assert kinds == [Invoke, Invoke, Send]
        assert isinstance(subject.received(connection_id, "x", NOW + 1)[0], Invoke)

    def test_an_answer_to_a_closed_connection_is_dropped(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        [invoke] = subject.received(connection_id, "x", NOW)
        subject.closed(connection_id, 1000, "", NOW)
        assert subject.answered(invoke.invocation, answer(statusCode=200, body="x"), NOW) == []


class TestTheEnd:
    @pytest.mark.parametrize(
        ("code", "reason", "told"),
        [
            (1001, "", (1001, "")),
            (1005, "", (1005, "Client-side close frame status not set")),
            (4001, "bye", (4001, "bye")),
            (1006, "", (1006, "")),
        ],
    )
    def test_the_disconnect_function_is_told_how_the_client_left(self, code, reason, told):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        [invoke] = subject.closed(connection_id, code, reason, NOW + 1)
        context = json.loads(invoke.event)["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == told
        assert subject.closed(connection_id, code, reason, NOW + 1) == []

    def test_ten_minutes_of_silence_end_a_connection(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        assert subject.woken(NOW + 599) == []
        close, invoke = subject.woken(NOW + 600)
        assert close == Close(connection_id, 1001, "Going away")
        assert json.loads(invoke.event)["requestContext"]["disconnectReason"] == "Going away"
        assert subject.posted(connection_id, b"x", NOW + 600)[0].status == 410

    @pytest.mark.parametrize("direction", ["in", "out"])
    def test_a_message_in_either_direction_keeps_a_connection(self, direction):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        if direction == "in":
            subject.received(connection_id, "x", NOW + 300)
        else:
            subject.posted(connection_id, b"x", NOW + 300)
        assert only(subject.woken(NOW + 899), Close) == []
        assert only(subject.woken(NOW + 900), Close) == [Close(connection_id, 1001, "Going away")]

    @pytest.mark.parametrize(("counts", "ends"), [(False, 600), (True, 900)])
    def test_whether_a_ping_counts_is_a_choice(self, counts, ends):
        subject = gateway(*ALL, choices=Choices(ping_resets_idle=counts))
        connection_id = opened(subject)
        subject.pinged(connection_id, NOW + 300)
        assert only(subject.woken(NOW + ends - 1), Close) == []
        assert only(subject.woken(NOW + ends), Close)

    def test_an_idle_connection_ends_late_where_that_is_chosen(self):
        subject = gateway(*ALL, choices=Choices(idle_late_by=4))
        opened(subject)
        assert subject.woken(NOW + 603) == []
        assert only(subject.woken(NOW + 604), Close)

    def test_disconnect_may_be_late(self):
        subject = gateway(*ALL, choices=Choices(disconnect_late_by=5))
        connection_id = opened(subject)
        assert subject.closed(connection_id, 1000, "", NOW) == []
        assert subject.looked(connection_id).status == 410
        assert subject.woken(NOW + 4) == []
        [invoke] = subject.woken(NOW + 5)
        assert json.loads(invoke.event)["requestContext"]["requestTimeEpoch"] == (NOW + 5) * 1000

    def test_disconnect_may_be_lost(self):
        subject = gateway(*ALL, choices=Choices(disconnect_lost=0.5))
        told = [only(subject.closed(opened(subject), 1000, "", NOW), Invoke) for _ in range(40)]
        assert 5 < sum(map(bool, told)) < 35

    def test_a_lost_client_is_noticed_late_where_that_is_chosen(self):
        subject = gateway(*ALL, choices=Choices(lost_late_by=60))
        connection_id = opened(subject)
        assert subject.closed(connection_id, 1006, "", NOW) == []
        assert subject.closed(connection_id, 1006, "", NOW + 1) == []
        assert subject.posted(connection_id, b"to nobody", NOW + 59)[0].status == 200
        assert subject.woken(NOW + 59) == []
        [invoke] = subject.woken(NOW + 60)
        assert json.loads(invoke.event)["requestContext"]["disconnectStatusCode"] == 1006
        assert subject.posted(connection_id, b"to nobody", NOW + 61)[0].status == 410
        assert subject.woken(NOW + 10_000) == []

    def test_a_lost_client_whose_idle_time_ends_first_is_told_of_once(self):
        subject = gateway(*ALL, choices=Choices(lost_late_by=10_000))
        connection_id = opened(subject)
        subject.closed(connection_id, 1006, "", NOW)
        assert len(only(subject.woken(NOW + 600), Invoke)) == 1
        assert subject.woken(NOW + 20_000) == []

    def test_a_client_that_closes_is_never_late(self):
        subject = gateway(*ALL, choices=Choices(lost_late_by=60))
        assert only(subject.closed(opened(subject), 1000, "", NOW), Invoke)

    def test_who_has_gone_leaves_no_alarm_behind(self):
        subject = gateway(*ALL)
        stays = opened(subject)
        for _ in range(500):
            subject.closed(opened(subject), 1000, "", NOW)
        assert len(subject._alarms) == 2
        assert len(subject._alarms._heap) < 200
        assert only(subject.woken(NOW + 600), Close) == [Close(stays, 1001, "Going away")]
        assert subject.woken(NOW + 10_000) == []

    def test_one_whose_end_fails_takes_nothing_from_the_others(self, monkeypatch):
        subject = gateway(*ALL)
        ids = [opened(subject) for _ in range(3)]
        say = subject._farewells.say

        def fail_once(caller, *rest):
            if caller.connection_id == ids[1]:
                raise ZeroDivisionError
            return say(caller, *rest)

        monkeypatch.setattr(subject._farewells, "say", fail_once)
        with pytest.raises(ZeroDivisionError):
            subject.woken(NOW + 600)
        assert subject.next_alarm() <= NOW + 600
        ended = {one.connection_id for one in only(subject.woken(NOW + 600), Close)}
        assert ended == {ids[0], ids[2]}
        assert only(subject.woken(NOW + 600), Close) == []

    def test_two_hours_end_the_busiest_connection(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        for at in range(300, 7_200, 300):
            subject.woken(NOW + at)
            subject.posted(connection_id, b"x", NOW + at)
        assert only(subject.woken(NOW + 7_200), Close) == [Close(connection_id, 1001, "Going away")]

    def test_a_two_way_answer_over_128_kb_is_an_error_frame(self):
        subject = gateway(*ALL)
        for size, chosen in ((131_072, "x" * 131_072), (131_073, "Message too long")):
            connection_id = opened(subject)
            [invoke] = subject.received(connection_id, "hi", NOW)
            effects = subject.answered(invoke.invocation, answer(statusCode=200, body="x" * size), NOW)
            [sent] = only(effects, Send)
            if size > 131_072:
                told = json.loads(sent.text)
                assert (told["message"], told["connectionId"]) == (chosen, connection_id)
                assert "131073 bytes" in only(effects, Log)[0].text
            else:
                assert sent.text.decode() == chosen


class TestManagement:
    def test_a_post_is_one_text_message(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        assert subject.posted(connection_id, b"hi", NOW) == (Answer(200), [Send(connection_id, b"hi")])

    def test_a_post_over_128_kb_is_413(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        assert subject.posted(connection_id, b"x" * 131_072, NOW)[0].status == 200
        refusal, effects = subject.posted(connection_id, b"x" * 131_073, NOW)
        assert (refusal.status, refusal.error, effects) == (413, "PayloadTooLargeException", [])

    def test_a_post_to_a_client_that_does_not_read_is_429(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        refusal, effects = subject.posted(connection_id, b"x", NOW, unread=262_145)
        assert (refusal.status, refusal.error, effects) == (429, "LimitExceededException", [])

    def test_a_malformed_id_is_400(self):
        refusal, _ = gateway().posted("nonsense", b"x", NOW)
        assert (refusal.status, refusal.error) == (400, "BadRequestException")
        assert json.loads(refusal.body) == {"message": "Invalid connectionId: nonsense"}

    def test_an_unknown_id_is_gone_with_an_empty_body(self):
        assert gateway().looked("L0SM9cOFvHcCIhw=") == Answer(410, b"", "GoneException")

    def test_a_look_tells_since_when_and_from_where(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        subject.received(connection_id, "x", NOW + 1.5)
        assert json.loads(subject.looked(connection_id).body) == {
            "connectedAt": "2023-11-14T22:13:20.000Z",
            "identity": {"sourceIp": "192.0.2.1", "userAgent": None},
            "lastActiveAt": "2023-11-14T22:13:21.500Z",
        }

    def test_a_delete_closes_with_1000_and_tells_the_function(self):
        subject = gateway(*ALL)
        connection_id = opened(subject)
        done, [close, invoke] = subject.deleted(connection_id, NOW)
        assert (done.status, close) == (204, Close(connection_id, 1000, ""))
        context = json.loads(invoke.event)["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == (1000, "Connection Closed Normally")
        assert subject.deleted(connection_id, NOW)[0].status == 410


def test_waiting_invocations_do_not_pile_up():
    subject = gateway(*ALL)
    connection_id = opened(subject)
    for at in range(1000):
        [invoke] = subject.received(connection_id, "x", NOW + at / 100)
        subject.answered(invoke.invocation, b"null", NOW + at / 100)
    assert len(subject._calls._patience) <= 1
