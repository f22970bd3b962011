"""The authority of this machine's own: what it makes, what it keeps, who can read it."""

from __future__ import annotations

import ssl
import stat
import time

import pytest

from local.front.certificates import AUTHORITY_FOR, LEAF_FOR, Certificates

API = "abc123.execute-api.us-east-1.amazonaws.com"
DAY = 86_400


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "certificates"


def certificates(folder, **options):
    return Certificates(folder, accepts=lambda name: name == API, **options)


def shake_hands(server, trusted, name):
    """Let a client and a server of TLS talk in memory; returns the certificate that the client saw."""
    context = ssl.create_default_context(cafile=trusted)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=name)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    done = set()
    for _ in range(10):
        for side in (client, answering):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
        if len(done) == 2:
            return client.getpeercert()
    raise AssertionError("no end of the handshake")


@pytest.mark.parametrize("name", [API, "127.0.0.1", "localhost"])
def test_whoever_has_the_bundle_trusts_every_name_that_is_answered(folder, name):
    made = certificates(folder)
    seen = shake_hands(made.context(), made.bundle(), name)
    assert name in {value for _, value in seen["subjectAltName"]}


def test_nobody_else_trusts_it(folder):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(certificates(folder).context(), None, API)


def test_a_name_that_is_not_answered_gets_no_certificate_of_its_own(folder):
    made = certificates(folder)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(made.context(), made.bundle(), "www.example.com")
    assert not list(folder.glob("www*"))


def test_the_bundle_holds_the_authorities_of_the_system_too(folder):
    context = ssl.create_default_context(cafile=certificates(folder).bundle())
    assert len(context.get_ca_certs()) > 1


def test_keys_are_readable_by_their_owner_alone(folder):
    made = certificates(folder)
    made.bundle()
    shake_hands(made.context(), made.bundle(), API)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keys = [path for path in folder.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert len(keys) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_the_bundle_has_no_key_in_it(folder):
    assert b"PRIVATE KEY" not in certificates(folder).bundle().read_bytes()


def test_everything_is_made_once(folder):
    first = certificates(folder)
    trusted = first.bundle()
    serial = shake_hands(first.context(), trusted, API)["serialNumber"]
    files = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != "lock"}
    second = certificates(folder)
    assert second.bundle() == trusted
    assert shake_hands(second.context(), trusted, API)["serialNumber"] == serial
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != "lock"} == files


def test_nothing_is_made_before_it_is_needed(folder):
    certificates(folder)
    assert not folder.exists()


@pytest.mark.parametrize("spoilt", [b"", b"expires soon\n", b"expires 99999999999\n-----BEGIN CERTIFICATE-----\nMI"])
def test_a_spoilt_authority_is_made_anew(folder, spoilt):
    was = certificates(folder).bundle()
    (folder / "authority.pem").write_bytes(spoilt)
    made = certificates(folder)
    assert made.bundle() != was
    shake_hands(made.context(), made.bundle(), API)


def test_what_is_about_to_expire_is_made_anew(folder):
    first = certificates(folder)
    trusted, leaf = first.bundle(), first._leaf((API,))
    content = leaf.read_bytes()
    soon = certificates(folder, now=lambda: time.time() + LEAF_FOR - 40 * DAY)
    assert soon._leaf((API,)).read_bytes() == content
    later = certificates(folder, now=lambda: time.time() + LEAF_FOR - 20 * DAY)
    assert later._leaf((API,)).read_bytes() != content
    assert later.bundle() == trusted
    much_later = certificates(folder, now=lambda: time.time() + AUTHORITY_FOR)
    assert much_later.bundle() != trusted
