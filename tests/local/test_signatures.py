"""Signatures, against botocore's own signer and the errors that AWS gives."""

from __future__ import annotations

import calendar
import time
from datetime import UTC, datetime

import botocore.auth
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.access.signatures import KeyPair, SignatureFault, Signatures

NOW = calendar.timegm((2026, 3, 4, 5, 6, 7))
URL = "https://127.0.0.1:8000/prod/@connections/L0SM9cOFvHcCIhw%3D"
TOO_EARLY = (
    "Signature not yet current: 20260304T050607Z is still later than 20260304T050606Z (20260304T050106Z + 5 min.)"
)
ADMINISTRATOR = KeyPair("test", "test", "arn:aws:iam::000000000000:user/administrator")
FUNCTION = KeyPair("ASIAEXAMPLE", "secret", "arn:aws:sts::000000000000:assumed-role/r/f", "token/with+signs=")


@pytest.fixture(autouse=True)
def _at_one_instant(monkeypatch):
    instant = datetime.fromtimestamp(NOW, UTC).replace(tzinfo=None)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: instant)
    monkeypatch.setattr(time, "time", lambda: NOW)


def signatures(now=NOW):
    return Signatures([ADMINISTRATOR, FUNCTION], regions={"us-east-1"}, now=lambda: now)


def signed(
    method="POST",
    url=URL,
    *,
    body=b"hello",
    key=ADMINISTRATOR,
    service="execute-api",
    region="us-east-1",
    headers=None,
    in_query=False,
):
    """Sign a request as boto3 does, and return what a server sees of it."""
    request = AWSRequest(method, url, data=body, headers=dict(headers or {}))
    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
    if in_query:
        SigV4QueryAuth(credentials, service, region, expires=60).add_auth(request)
    else:
        SigV4Auth(credentials, service, region).add_auth(request)
    parts = request.url.split("/", 3)
    path, _, query = parts[3].partition("?")
    named = [("Host", parts[2]), *request.headers.items()]
    raw = [(name.lower().encode(), str(value).encode()) for name, value in named]
    return method, f"/{path}".encode(), query.encode(), raw, body


def fault(request, *, service="execute-api", now=NOW):
    with pytest.raises(SignatureFault) as refused:
        signatures(now).check(service, *request)
    return refused.value


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_what_boto3_signs_is_accepted(method):
    assert signatures().check("execute-api", *signed(method, body=b"")) is ADMINISTRATOR


@pytest.mark.parametrize(
    "url",
    [
        "https://h/prod/%40connections/L0SM9cOFvHcCIhw%3D",
        "https://h/prod/@connections/L0SM9cOFvHcCIhw=",
        "https://h/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af/invocations?Qualifier=b&a=x%20y&a=",
        "https://h/prod//@connections/./x/../y",
        "https://h/",
        "https://h/gr%C3%BC%C3%9Fe~.-_",
    ],
)
def test_every_spelling_of_a_path_is_signed_as_it_was_sent(url):
    assert signatures().check("execute-api", *signed(url=url)) is ADMINISTRATOR


def test_temporary_keys_need_their_token():
    assert signatures().check("execute-api", *signed(key=FUNCTION)) is FUNCTION
    for token in (None, "another"):
        stolen = KeyPair(FUNCTION.access_key_id, FUNCTION.secret_access_key, "", token)
        assert fault(signed(key=stolen)).kind == "UnrecognizedClientException"


def test_a_token_with_the_administrators_keys_is_ignored():
    with_token = KeyPair("test", "test", "", "some-token")
    assert signatures().check("execute-api", *signed(key=with_token)) is ADMINISTRATOR


def test_a_signature_in_the_query_is_as_good():
    assert signatures().check("execute-api", *signed("GET", body=b"", in_query=True)) is ADMINISTRATOR
    assert signatures().check("execute-api", *signed("GET", body=b"", in_query=True, key=FUNCTION)) is FUNCTION


def test_a_signed_url_is_good_for_as_long_as_it_says():
    request = signed("GET", body=b"", in_query=True)
    assert signatures(NOW + 59).check("execute-api", *request) is ADMINISTRATOR
    assert fault(request, now=NOW + 61).message.startswith("Signature expired: 20260304T050607Z")


@pytest.mark.parametrize("part", ["method", "path", "query", "host", "body", "signature"])
@pytest.mark.parametrize("in_query", [False, True])
def test_whatever_is_changed_on_the_way_spoils_the_signature(part, in_query):
    method, path, query, headers, body = signed("GET", f"{URL}?a=b", body=b"", in_query=in_query)
    if part == "method":
        method = "DELETE"
    elif part == "path":
        path += b"x"
    elif part == "query":
        query = query.replace(b"a=b", b"a=c")
    elif part == "host":
        headers = [(name, b"elsewhere" if name == b"host" else value) for name, value in headers]
    elif part == "body":
        body = b"hellO"
    elif in_query:
        query = query[:-1] + (b"0" if query[-1:] != b"0" else b"1")
    else:
        headers = [(n, v[:-1] + (b"0" if v[-1:] != b"0" else b"1") if n == b"authorization" else v) for n, v in headers]
    refused = fault((method, path, query, headers, body))
    assert refused.kind == "InvalidSignatureException"
    assert refused.message.startswith("The request signature we calculated does not match")


def test_the_refusal_shows_what_should_have_been_signed():
    method, path, query, headers, _ = signed()
    message = fault((method, path, query, headers, b"other")).message
    assert "\n/prod/%40connections/L0SM9cOFvHcCIhw%253D\n" in message
    assert "20260304T050607Z\n20260304/us-east-1/execute-api/aws4_request\n" in message


@pytest.mark.parametrize("off", [-300, 0, 300])
def test_a_clock_may_be_five_minutes_off(off):
    assert signatures(NOW + off).check("execute-api", *signed()) is ADMINISTRATOR


@pytest.mark.parametrize(
    ("off", "sentence"),
    [
        (
            301,
            "Signature expired: 20260304T050607Z is now earlier than 20260304T050608Z (20260304T051108Z - 5 min.)",
        ),
        (
            -301,
            TOO_EARLY,
        ),
    ],
)
def test_more_than_that_is_refused(off, sentence):
    refused = fault(signed(), now=NOW + off)
    assert (refused.kind, refused.message) == ("InvalidSignatureException", sentence)


def test_nothing_at_all_is_a_missing_token():
    refused = fault(("POST", b"/prod/@connections/x", b"", [(b"host", b"h")], b""))
    assert (refused.kind, refused.message) == ("MissingAuthenticationTokenException", "Missing Authentication Token")


@pytest.mark.parametrize(
    ("authorization", "wanted"),
    [
        (b"Bearer abc", "Authorization header requires 'Credential' parameter."),
        (b"AWS4-HMAC-SHA256 Credential=test/20260304/us-east-1/execute-api/aws4_request", "'Signature' parameter"),
        (b"AWS4-HMAC-SHA256 Credential=test/x, SignedHeaders=host, Signature=0", "exactly 5 slash-delimited"),
        (b"", "Authorization header requires 'SignedHeaders' parameter."),
        (b"AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=\xff, Signature=", "'Signature' parameter"),
    ],
)
def test_half_an_authorization_says_what_is_missing(authorization, wanted):
    headers = [(b"host", b"h"), (b"x-amz-date", b"20260304T050607Z"), (b"authorization", authorization)]
    refused = fault(("POST", b"/", b"", headers, b""))
    assert refused.kind == "IncompleteSignatureException"
    assert wanted in refused.message


@pytest.mark.parametrize("stamp", [b"", b"yesterday", b"20261304T050607Z", b"2026-03-04T05:06:07Z"])
def test_a_date_that_is_none_is_refused(stamp):
    method, path, query, headers, body = signed()
    headers = [(name, stamp if name == b"x-amz-date" else value) for name, value in headers]
    assert fault((method, path, query, headers, body)).kind in {
        "IncompleteSignatureException",
        "InvalidSignatureException",
    }


def test_a_signature_for_another_service_region_or_day_is_refused():
    assert "correct service: 'execute-api'" in fault(signed(service="dynamodb")).message
    assert "valid region, not 'eu-west-1'" in fault(signed(region="eu-west-1")).message
    method, path, query, headers, body = signed()
    changed = [(name, value.replace(b"/20260304/", b"/20260303/")) for name, value in headers]
    assert "'20260303' != '20260304'" in fault((method, path, query, changed, body)).message


def test_an_unknown_key_is_refused():
    refused = fault(signed(key=KeyPair("AKIAEXAMPLE", "x", "")))
    assert (refused.kind, refused.message) == (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )


def test_signatures_by_other_libraries_are_read_too():
    method, path, query, headers, body = signed()
    for was, becomes in ((b", ", b","), (b", ", b",  ")):
        spelt = [(name, value.replace(was, becomes) if name == b"authorization" else value) for name, value in headers]
        assert signatures().check("execute-api", method, path, query, spelt, body) is ADMINISTRATOR
    # The three parts may come in any order.
    found = dict(headers)[b"authorization"]
    parts = found.removeprefix(b"AWS4-HMAC-SHA256 ").split(b", ")
    turned = b"AWS4-HMAC-SHA256 " + b", ".join(reversed(parts))
    spelt = [(name, turned if name == b"authorization" else value) for name, value in headers]
    checker = signatures()
    for _ in range(2):
        assert checker.check("execute-api", method, path, query, spelt, body) is ADMINISTRATOR


def test_headers_are_signed_trimmed_and_joined():
    extra = {"X-Amz-Note": "two   words"}
    method, path, query, headers, body = signed(headers=extra)
    assert b"x-amz-note" in dict(headers)[b"authorization"]
    assert signatures().check("execute-api", method, path, query, headers, body) is ADMINISTRATOR


def test_a_second_check_is_as_strict_as_the_first():
    checker = signatures()
    method, path, query, headers, body = signed()
    checker.check("execute-api", method, path, query, headers, body)
    with pytest.raises(SignatureFault, match="does not match"):
        checker.check("execute-api", method, path, query, headers, b"other")
    with pytest.raises(SignatureFault, match="correct service"):
        checker.check("lambda", method, path, query, headers, body)


def test_without_checking_the_named_key_is_found():
    _, _, query, headers, _ = signed(key=FUNCTION)
    assert signatures().find(query, headers) is FUNCTION
    _, _, query, headers, _ = signed("GET", body=b"", key=FUNCTION, in_query=True)
    assert signatures().find(query, headers) is FUNCTION
    assert signatures().find(b"", []) is None
