"""Where the management API is, and the way there."""

from __future__ import annotations

import ssl

import pytest

from handlers.hub.origin import Origin, Proxy, proxy_for, read_endpoint, trust
from tests.misbehaving import make_authority

API = Origin("https", "abc.execute-api.eu-west-1.amazonaws.com", 443)


@pytest.mark.parametrize(
    ("url", "origin", "path", "authority"),
    [
        ("https://abc.execute-api.eu-west-1.amazonaws.com/prod", API, "/prod", API.host),
        ("https://abc.execute-api.eu-west-1.amazonaws.com:443/prod/", API, "/prod", API.host),
        ("https://ABC.execute-api.eu-west-1.amazonaws.com", API, "", API.host),
        ("http://127.0.0.1:8000/local", Origin("http", "127.0.0.1", 8000), "/local", "127.0.0.1:8000"),
        ("http://[::1]:8000/a/b", Origin("http", "::1", 8000), "/a/b", "[::1]:8000"),
        ("https://localhost:80/x", Origin("https", "localhost", 80), "/x", "localhost:80"),
    ],
)
def test_an_endpoint_is_an_origin_and_a_path(url, origin, path, authority):
    assert read_endpoint(url) == (origin, path)
    assert origin.authority == authority


@pytest.mark.parametrize(
    "url",
    ["", "prod", "wss://a/prod", "https:///prod", "https://user@a/prod", "https://a/prod?x=1", "https://a/prod#x"],
)
def test_what_is_no_endpoint_is_refused(url):
    with pytest.raises(ValueError, match=r"address|endpoint"):
        read_endpoint(url)


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"HTTPS_PROXY": "http://p:3128"}, Proxy("p", 3128, "")),
        ({"HTTPS_PROXY": "p:3128/"}, Proxy("p", 3128, "")),
        ({"HTTPS_PROXY": "http://p"}, Proxy("p", 80, "")),
        ({"HTTPS_PROXY": "http://other:1", "https_proxy": "http://p:2"}, Proxy("p", 2, "")),
        ({"HTTPS_PROXY": "http://us%40er:pass%3A@p:1"}, Proxy("p", 1, "Basic dXNAZXI6cGFzczo=")),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "localhost, amazonaws.com"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".amazonaws.com"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "Abc.Execute-Api.eu-west-1.amazonaws.com"}, None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": API.host + ":443"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": API.host + ":8443"}, Proxy("p", 1, "")),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "aws.com,,"}, Proxy("p", 1, "")),
    ],
)
def test_the_environment_names_the_proxy_and_whom_it_is_not_for(environ, proxy):
    assert proxy_for(API, environ) == proxy


def test_plain_http_goes_through_no_proxy():
    assert proxy_for(Origin("http", "127.0.0.1", 8000), {"HTTPS_PROXY": "http://p:1"}) is None


@pytest.mark.parametrize("address", ["https://p:1", "socks5://p:1", "http://"])
def test_a_proxy_of_another_kind_is_refused_without_telling_its_password(address):
    with pytest.raises(ValueError, match="HTTPS_PROXY") as refused:
        proxy_for(API, {"HTTPS_PROXY": address.replace("//", "//user:secret@")})
    assert "secret" not in str(refused.value)


def test_the_context_checks_names_and_chains():
    context = trust({})
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_bundle_replaces_the_default_trust(tmp_path):
    authority = make_authority(tmp_path)
    assert [
        dict(pair[0] for pair in certificate["subject"])["commonName"]
        for certificate in trust({"AWS_CA_BUNDLE": str(authority.certificate)}).get_ca_certs()
    ] == ["An authority of one test run"]


def test_a_bundle_that_is_not_there_is_an_error():
    with pytest.raises(OSError, match="No such file"):
        trust({"AWS_CA_BUNDLE": "/nowhere/bundle.pem"})


def test_openssls_own_variable_is_honoured(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(make_authority(tmp_path).certificate))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    assert len(trust({}).get_ca_certs()) == 1
