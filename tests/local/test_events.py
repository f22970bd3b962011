"""The events have the members, the order and the absences of captured ones."""

import json
import os
from pathlib import Path
from urllib.parse import urlencode

import pytest

from local.events import Caller, Handshake, authorizer_event, clf_time, connect_event, disconnect_event, message_event

OURS = sorted(Path(__file__).parent.parent.joinpath("events").glob("*.json"))
SHARED = os.environ.get("TICKWIRE_SHARED")
# Left out: an authorizer's input and schedules (other events), a fragment, and one capture whose header maps disagree.
CAPTURES = (
    [
        path
        for path in sorted(Path(SHARED, "gateway", "events").glob("*.json"))
        if not any(word in path.name for word in ("authorizer-2023", "FRAGMENT", "scheduler", "eventbridge", "swift"))
    ]
    if SHARED
    else []
)


def read(path):
    content = json.loads(path.read_text())
    return content.get("event", content)


def remake(event):
    """Make the event anew from what a gateway would have known."""
    context = event["requestContext"]
    caller = Caller(
        connection_id=context["connectionId"],
        connected_at=context["connectedAt"] / 1000,
        api_id=context["apiId"],
        stage=context["stage"],
        domain_name=context["domainName"],
        identity=context["identity"],
        authorizer=context.get("authorizer"),
    )
    now = context["requestTimeEpoch"] / 1000 + 0.0001
    if context["eventType"] == "MESSAGE":
        return message_event(
            caller,
            event["body"],
            route_key=context["routeKey"],
            request_id=context["requestId"],
            message_id=context["messageId"],
            now=now,
        )
    if context["eventType"] == "DISCONNECT":
        return disconnect_event(
            caller,
            code=context["disconnectStatusCode"],
            reason=context["disconnectReason"],
            request_id=context["requestId"],
            now=now,
        )
    added = {"X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"}
    sent = [(key, value) for key, values in event["multiValueHeaders"].items() for value in values if key not in added]
    query = urlencode(event.get("multiValueQueryStringParameters", {}), doseq=True)
    handshake = Handshake(
        headers=[("Connection", "Upgrade"), ("Upgrade", "websocket"), *reversed(sent)],
        query=query,
        source_ip=event["headers"]["X-Forwarded-For"],
        domain_name=context["domainName"],
    )
    trace_id = event["headers"]["X-Amzn-Trace-Id"]
    return connect_event(caller, handshake, request_id=context["requestId"], trace_id=trace_id, now=now)


def ordered(value):
    """Show a value so that the order of its members counts."""
    if isinstance(value, dict):
        return [(key, ordered(item)) for key, item in value.items()]
    return [ordered(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", [*OURS, *CAPTURES], ids=lambda path: path.stem)
def test_an_event_equals_its_capture_member_for_member(path):
    captured = read(path)
    # The date is right in the number; some captures are masked or were edited in the text.
    captured["requestContext"]["requestTime"] = clf_time(captured["requestContext"]["requestTimeEpoch"] / 1000)
    # One was masked in one of its two maps only.
    for single, multi in (
        ("headers", "multiValueHeaders"),
        ("queryStringParameters", "multiValueQueryStringParameters"),
    ):
        if multi in captured:
            captured[single] = {key: values[-1] for key, values in captured[multi].items()}
    captured["requestContext"]["extendedRequestId"] = captured["requestContext"]["requestId"]
    assert ordered(json.loads(remake(captured))) == ordered(captured)


@pytest.mark.skipif(not SHARED, reason="TICKWIRE_SHARED names no folder of captured events")
def test_the_captures_are_there():
    assert len(CAPTURES) >= 5


@pytest.mark.skipif(not SHARED, reason="TICKWIRE_SHARED names no folder of captured events")
def test_an_authorizers_input_equals_its_capture():
    captured = read(Path(SHARED, "gateway", "events", "awsdocs-authorizer-2023.json"))
    context = captured["requestContext"]
    context["requestTime"] = clf_time(context["requestTimeEpoch"] / 1000)
    caller = Caller(
        connection_id=context["connectionId"],
        connected_at=context["connectedAt"] / 1000,
        api_id=context["apiId"],
        stage=context["stage"],
        domain_name=context["domainName"],
        identity=context["identity"],
    )
    added = {"Connection", "content-length", "Upgrade"}
    added |= {"X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"}
    sent = [(key, value) for key, value in captured["headers"].items() if key not in added]
    handshake = Handshake(
        headers=[("Upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade"), *reversed(sent)],
        query=urlencode(captured["multiValueQueryStringParameters"], doseq=True),
        source_ip=captured["headers"]["X-Forwarded-For"],
        domain_name=context["domainName"],
    )
    made = authorizer_event(
        caller,
        handshake,
        method_arn=captured["methodArn"],
        request_id=context["requestId"],
        trace_id=captured["headers"]["X-Amzn-Trace-Id"],
        now=context["requestTimeEpoch"] / 1000 + 0.0001,
    )
    assert ordered(json.loads(made)) == ordered(captured)


def test_repeated_headers_keep_every_value_and_show_the_last():
    handshake = Handshake([("X-A", "1"), ("x-b", "2"), ("X-A", "3")], "a=1&a=2&b=", "192.0.2.1", "localhost")
    caller = Caller("L0SM9cOFvHcCIhw=", 1.0, "abcdef1234", "live", "localhost", {"sourceIp": "192.0.2.1"})
    event = json.loads(connect_event(caller, handshake, request_id="r", trace_id="t", now=1.0))
    assert (event["headers"]["X-A"], event["multiValueHeaders"]["X-A"]) == ("3", ["1", "3"])
    assert event["queryStringParameters"] == {"a": "2", "b": ""}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""]}


def test_stage_variables_are_there_only_where_there_are_some():
    caller = Caller("L0SM9cOFvHcCIhw=", 1.0, "abcdef1234", "live", "localhost", {"sourceIp": "192.0.2.1"})
    plain = json.loads(disconnect_event(caller, code=1000, reason="", request_id="r", now=1.0))
    caller.stage_variables = {"colour": "green"}
    coloured = json.loads(disconnect_event(caller, code=1000, reason="", request_id="r", now=1.0))
    assert "stageVariables" not in plain
    assert coloured["stageVariables"] == {"colour": "green"}


def test_a_header_in_two_spellings_is_one_and_the_gateways_own_are_not_the_clients():
    sent = [
        *(("X-A", "1"), ("x-a", "2")),
        *(("X-Forwarded-For", "198.51.100.1"), ("x-forwarded-proto", "http"), ("X-Forwarded-Port", "80")),
        ("X-Amzn-Trace-Id", "Root=1-00000000-000000000000000000000000"),
    ]
    handshake = Handshake(sent, "", "192.0.2.1", "localhost")
    caller = Caller("L0SM9cOFvHcCIhw=", 1.0, "abcdef1234", "live", "localhost", {"sourceIp": "192.0.2.1"})
    for event in (
        connect_event(caller, handshake, request_id="r", trace_id="t", now=1.0),
        authorizer_event(caller, handshake, method_arn="arn", request_id="r", trace_id="t", now=1.0),
    ):
        headers = json.loads(event)["multiValueHeaders"]
        for name in ("Connection", "content-length", "Upgrade"):
            headers.pop(name, None)
        assert headers == {
            "X-A": ["1", "2"],
            "X-Amzn-Trace-Id": ["t"],
            "X-Forwarded-For": ["198.51.100.1, 192.0.2.1"],
            "X-Forwarded-Port": ["443"],
            "X-Forwarded-Proto": ["https"],
        }


def test_where_names_are_in_lower_case_so_are_the_gateways_own():
    caller = Caller("id", 1.0, "api", "live", "ws.example.com", {"sourceIp": "192.0.2.1"})
    headers = [("Host", "ws.example.com"), ("X-Mixed", "Case"), ("x-mixed", "again")]
    handshake = Handshake(headers, "", "192.0.2.1", "ws.example.com", lower_names=True)
    made = {"request_id": "r", "trace_id": "t", "now": 1.0}
    of_gateway = {"x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"}
    event = json.loads(connect_event(caller, handshake, **made))
    assert event["multiValueHeaders"].keys() == event["headers"].keys() == {"host", "x-mixed"} | of_gateway
    assert event["multiValueHeaders"]["x-mixed"] == ["Case", "again"]
    asked = json.loads(authorizer_event(caller, handshake, method_arn="arn", **made))
    upgrade = {"connection", "content-length", "upgrade"}
    assert asked["headers"].keys() == {"host", "x-mixed"} | of_gateway | upgrade
