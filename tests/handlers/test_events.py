"""The event files of tests/events are what the gateway sends, and handlers/events.py reads them."""

from __future__ import annotations

import base64
import json
import os
import re
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest

from handlers.events import (
    ConnectEvent,
    DisconnectEvent,
    MessageEvent,
    read_connect,
    read_disconnect,
    read_message,
)

EVENTS = {
    path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parents[1] / "events").glob("*.json"))
}
OURS: dict[str, Any] = {
    "domain_name": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
    "stage": "live",
}
FIRST: dict[str, Any] = {**OURS, "connection_id": "HCH-GdrTIAMCKUQ=", "connected_at": 1_795_000_000_123}
SECOND: dict[str, Any] = {**OURS, "connection_id": "HCIC_eb5IAMCcBw=", "connected_at": 1_795_000_031_400}


def test_a_connect_without_a_query_has_an_empty_one():
    assert read_connect(EVENTS["connect"]) == ConnectEvent(**FIRST, request_id="HCH-GEk7IAMFimg=", query={})


def test_a_connect_has_its_query():
    assert read_connect(EVENTS["connect-query"]) == ConnectEvent(
        **SECOND, request_id="HCIC_H67IAMFErw=", query={"stream": "market", "symbols": "BTC,ETH"}
    )


def test_a_message_has_its_text():
    assert read_message(EVENTS["message"]) == MessageEvent(
        **SECOND,
        request_id="HCIDLGDDoAMFawg=",
        body='{"action":"subscribe","id":"1","streams":["market"],"symbols":["BTC"]}',
    )


def test_a_disconnect_has_code_and_reason():
    assert read_disconnect(EVENTS["disconnect-1001"]) == DisconnectEvent(
        **SECOND, request_id="HCJhWEqOoAMFwdA=", code=1001, reason="Going away"
    )
    assert read_disconnect(EVENTS["disconnect-1005"]) == DisconnectEvent(
        **FIRST, request_id="HCH_YFXkIAMFJug=", code=1005, reason="Client-side close frame status not set"
    )


def test_what_may_be_missing_is_read_as_nothing():
    bare = {**EVENTS["disconnect-1005"]["requestContext"]}
    del bare["disconnectStatusCode"], bare["disconnectReason"]
    ended = read_disconnect({"requestContext": bare})
    assert (ended.code, ended.reason) == (None, "")
    assert read_message({"requestContext": bare, "body": None}).body == ""
    assert read_connect({"requestContext": bare, "queryStringParameters": None}).query == {}


@pytest.mark.parametrize("read", [read_connect, read_message, read_disconnect])
def test_another_event_is_refused_by_name_of_what_is_missing(read: Any):
    with pytest.raises(msgspec.ValidationError, match="requestContext"):
        read({"version": "0", "detail-type": "Scheduled Event"})


# The tables of the notes on API Gateway's events: which members there are, in which order.
MEMBERS = {
    "CONNECT": [
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "requestContext",
        "isBase64Encoded",
    ],
    "MESSAGE": ["requestContext", "body", "isBase64Encoded"],
    "DISCONNECT": ["headers", "multiValueHeaders", "requestContext", "isBase64Encoded"],
}
CONTEXT = [
    "routeKey",
    "disconnectStatusCode",
    "messageId",
    "eventType",
    "extendedRequestId",
    "requestTime",
    "messageDirection",
    "disconnectReason",
    "stage",
    "connectedAt",
    "requestTimeEpoch",
    "identity",
    "requestId",
    "domainName",
    "connectionId",
    "apiId",
]
ONLY = {"messageId": "MESSAGE", "disconnectStatusCode": "DISCONNECT", "disconnectReason": "DISCONNECT"}
DOCUMENTATION = [ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]


@pytest.mark.parametrize("name", list(EVENTS))
def test_an_event_file_has_the_members_of_the_gateways_in_their_order(name: str):
    event = EVENTS[name]
    context = event["requestContext"]
    kind = context["eventType"]
    queried = "queryStringParameters" in event
    assert list(event) == [member for member in MEMBERS[kind] if queried or "uery" not in member]
    assert list(context) == [member for member in CONTEXT if ONLY.get(member, kind) == kind]
    assert list(context["identity"]) in (["sourceIp"], ["userAgent", "sourceIp"])
    assert any(ip_address(context["identity"]["sourceIp"]) in net for net in DOCUMENTATION)
    headers = event.get("headers", {})
    assert list(headers) == sorted(headers, key=str.lower)
    assert event.get("multiValueHeaders", {}) == {header: [value] for header, value in headers.items()}


@pytest.mark.parametrize("name", list(EVENTS))
def test_an_event_file_has_ids_and_times_as_the_gateway_makes_them(name: str):
    context = EVENTS[name]["requestContext"]
    opened, now = context["connectedAt"], context["requestTimeEpoch"]
    assert opened <= now
    assert context["requestTime"] == datetime.fromtimestamp(now // 1000, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    assert context["extendedRequestId"] == context["requestId"]
    ids = [(context["connectionId"], opened, "[c-f]", "C"), (context["requestId"], now, "[E-H]", "F")]
    if "messageId" in context:
        ids.append((context["messageId"], now, "[c-f]", "C"))
    for one, at, kind, role in ids:
        assert re.fullmatch(rf"[\w-]{{5}}{kind}[\w-]{{5}}{role}[\w-]{{2}}[AQgw]=", one)
        bits = int.from_bytes(base64.urlsafe_b64decode(one))
        assert bits >> 58 == (at // 100 - 115_262_492) % (2**29 - 1)  # tenths of a second
        assert bits >> 24 & 0x7FFF == 0x2003  # us-east-1
    if "messageId" in context:
        assert context["messageId"][-5:] == context["connectionId"][-5:]  # one host holds the connection


CAPTURES = os.environ.get("TICKWIRE_SHARED")


@pytest.mark.skipif(CAPTURES is None, reason="TICKWIRE_SHARED names no folder with captured events")
def test_captured_events_are_read():
    readers = {"CONNECT": read_connect, "MESSAGE": read_message, "DISCONNECT": read_disconnect}
    read = 0
    for path in sorted(Path(str(CAPTURES), "gateway", "events").glob("*.json")):
        event = json.loads(path.read_text())["event"]
        context = event.get("requestContext", {})
        if context.get("eventType") not in readers or event.get("type") == "REQUEST":
            continue  # a schedule's, an authorizer's, or a fragment
        found: Any = readers[context["eventType"]](event)
        assert (found.connection_id, found.connected_at) == (context["connectionId"], context["connectedAt"])
        read += 1
    assert read >= 6
