"""Signatures, against botocore's own."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from unittest.mock import patch

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.hub.signing import Credentials, CredentialsUnavailable, Signer, canonical_path, hash_body

HOST = "abc123.execute-api.eu-west-1.amazonaws.com"
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOON = 1_700_000_000


def signer(
    credentials: Credentials = KEYS, *, now: float = NOON, region: str = "eu-west-1", host: str = HOST
) -> Signer:
    return Signer(lambda: credentials, region=region, host=host, now=lambda: now)


def headers(lines: str) -> dict[str, str]:
    assert lines.endswith("\r\n")
    return dict(line.split(": ", 1) for line in lines[:-2].split("\r\n"))


def botocores(
    credentials: Credentials,
    method: str,
    url: str,
    body: bytes,
    *,
    now: float,
    region: str = "eu-west-1",
    headers: tuple[tuple[str, str], ...] = (),
) -> dict[str, str]:
    request = botocore.awsrequest.AWSRequest(method=method, url=url, data=body, headers=dict(headers))
    keys = botocore.credentials.Credentials(*credentials)
    with patch("botocore.auth.get_current_datetime", return_value=datetime.fromtimestamp(int(now), tz=UTC)):
        botocore.auth.SigV4Auth(keys, "execute-api", region).add_auth(request)
    return dict(request.headers.items())


connection_ids = st.builds(
    "{}{}{}C{}{}=".format,
    st.text(string.ascii_letters + string.digits + "_-", min_size=5, max_size=5),
    st.sampled_from("cdef"),
    st.text(string.ascii_letters + string.digits + "_-", min_size=5, max_size=5),
    st.text(string.ascii_letters + string.digits + "_-", min_size=2, max_size=2),
    st.sampled_from("AQgw"),
)
unreserved = string.ascii_letters + string.digits + "-._~"
segments = st.text(unreserved + "%@=+:!$&'()*,;", max_size=12)
paths = st.one_of(
    connection_ids.map(lambda name: "/prod/@connections/" + name.replace("=", "%3D")),
    connection_ids.map(lambda name: "/prod/%40connections/" + name),
    st.lists(segments, max_size=4).map(lambda parts: "/" + "/".join(parts)),
)
queries = st.lists(
    st.one_of(
        st.builds("{}={}".format, st.text(unreserved + "%", max_size=5), st.text(unreserved + "%=", max_size=5)),
        st.text(unreserved, max_size=5),
    ),
    max_size=4,
).map("&".join)
printable = st.text(string.ascii_letters + string.digits + "/+=", min_size=1, max_size=60)


@settings(max_examples=100, deadline=None)
@given(
    credentials=st.builds(Credentials, printable, printable, st.none() | printable),
    method=st.sampled_from(["POST", "GET", "DELETE"]),
    path=paths,
    query=queries,
    body=st.binary(max_size=300),
    now=st.floats(0, 4_000_000_000),
    region=st.sampled_from(["eu-west-1", "us-east-1", "ap-northeast-1"]),
    more=st.sampled_from(
        [
            (),
            (("X-Amz-Invocation-Type", "Event"),),
            (("Content-Type", "application/x-amz-json-1.0"), ("X-Amz-Target", "DynamoDB_20120810.PutItem")),
        ]
    ),
    is_kept=st.booleans(),
)
def test_every_request_is_signed_as_botocore_signs_it(
    credentials, method, path, query, body, now, region, more, is_kept
):
    url = f"https://{HOST}{path}" + (f"?{query}" if query else "")
    made = signer(credentials, now=now, region=region)
    lines = made.sign(method, path, body, query=query, headers=more, is_kept=is_kept)
    assert headers(lines) == botocores(credentials, method, url, body, now=now, region=region, headers=more)


def test_one_signer_signs_one_request_after_another_as_botocore_does():
    """What is kept from one request to the next is never kept for too long: over seconds, days and new keys."""
    now = 1_700_006_399.5  # half a second before midnight
    keys = KEYS
    reused = Signer(lambda: keys, region="eu-west-1", host="127.0.0.1:8000", now=lambda: now)
    for step, token, body in [(0.0, None, b"a"), (0.1, None, b"b"), (0.5, None, b"b"), (86_400.0, "new", b"b")]:
        now += step
        keys = Credentials("AKID2", "secret2", token) if token else KEYS
        for name in ("R0oXAdfD0kwCH6w%3D", "BFaT_fALIAMCKug%3D"):
            path = f"/local/@connections/{name}"
            expected = botocores(keys, "POST", "http://127.0.0.1:8000" + path, body, now=now)
            assert headers(reused.sign("POST", path, body)) == expected


def test_the_path_of_a_connection_is_encoded_once_more():
    assert canonical_path("/prod/@connections/abc%3D") == "/prod/%40connections/abc%253D"
    assert canonical_path("/prod/%40connections/abc%3D") == "/prod/%2540connections/abc%253D"


@pytest.mark.parametrize(
    ("path", "canonical"), [("", "/"), ("/", "/"), ("//a//b/", "/a/b/"), ("/a/./b/../c", "/a/c"), ("/../..", "/")]
)
def test_a_path_is_signed_without_empty_and_dotted_segments(path, canonical):
    assert canonical_path(path) == canonical


def test_credentials_are_asked_for_once_a_second():
    asked = 0
    now = float(NOON)

    def credentials() -> Credentials:
        nonlocal asked
        asked += 1
        return KEYS

    frugal = Signer(credentials, region="eu-west-1", host=HOST, now=lambda: now)
    for tenth in range(25):
        now = NOON + tenth / 10
        frugal.sign("POST", "/prod/@connections/a")
    assert asked == 3


def test_credentials_that_fail_are_asked_for_again():
    outcomes: list[Credentials | None] = [None, KEYS]

    def credentials() -> Credentials:
        found = outcomes.pop(0)
        if found is None:
            raise CredentialsUnavailable("the metadata service does not answer")
        return found

    patient = Signer(credentials, region="eu-west-1", host=HOST, now=lambda: NOON)
    with pytest.raises(CredentialsUnavailable, match="metadata"):
        patient.sign("POST", "/")
    assert "Signature=" in patient.sign("POST", "/")


def test_a_body_is_hashed_once_however_often_it_is_posted():
    hash_body.cache_clear()
    message = b"x" * 30_000
    post = signer()
    for number in range(50):
        post.sign("POST", f"/prod/@connections/{number}", message)
    assert hash_body.cache_info().misses == 1


def test_the_bodies_remembered_are_few():
    hash_body.cache_clear()
    post = signer()
    for number in range(200):
        post.sign("POST", "/", str(number).encode())
    assert hash_body.cache_info().currsize == 64
