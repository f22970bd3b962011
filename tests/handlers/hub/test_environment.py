"""What AWS's variables say, and what botocore is asked for when they say nothing."""

from __future__ import annotations

import os

import pytest
from botocore.exceptions import ClientError, MetadataRetrievalError
from botocore.session import Session

from handlers.hub.environment import RegionUnknown, credentials, endpoint, region
from handlers.hub.signing import Credentials, CredentialsUnavailable


@pytest.fixture
def environment(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def test_keys_in_the_environment_are_read_anew_each_time(environment):
    environment.setenv("AWS_ACCESS_KEY_ID", "one")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    source = credentials()
    assert source() == Credentials("one", "secret", None)
    environment.setenv("AWS_ACCESS_KEY_ID", "two")
    environment.setenv("AWS_SESSION_TOKEN", "token")
    assert source() == Credentials("two", "secret", "token")


def test_a_profile_has_region_and_keys(environment, tmp_path):
    (tmp_path / "config").write_text("[profile dev]\nregion = eu-north-1\n")
    (tmp_path / "credentials").write_text("[dev]\naws_access_key_id = AKID\naws_secret_access_key = s\n")
    environment.setenv("AWS_PROFILE", "dev")
    assert region() == "eu-north-1"
    assert credentials()() == Credentials("AKID", "s", None)


def test_there_may_be_neither(environment):
    with pytest.raises(RegionUnknown, match="AWS_REGION"):
        region()
    with pytest.raises(CredentialsUnavailable, match="no AWS credentials"):
        credentials()


def test_half_a_key_is_none(environment):
    environment.setenv("AWS_ACCESS_KEY_ID", "AKID")
    with pytest.raises(CredentialsUnavailable, match=r"[Pp]artial credentials"):
        credentials()


@pytest.mark.parametrize(
    "trouble",
    [
        ClientError({"Error": {"Code": "AccessDenied", "Message": "may not"}}, "AssumeRole"),
        MetadataRetrievalError(error_msg="may not"),
        RuntimeError("may not: still expired"),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_credentials_that_cannot_be_refreshed_are_unavailable(environment, trouble):
    class Refused:
        def get_frozen_credentials(self):
            raise trouble

    environment.setattr(Session, "get_credentials", lambda _self: Refused())
    with pytest.raises(CredentialsUnavailable, match="may not"):
        credentials()()


@pytest.mark.parametrize(
    ("service", "place", "environ", "url"),
    [
        ("dynamodb", "eu-west-1", {}, "https://dynamodb.eu-west-1.amazonaws.com"),
        ("lambda", "cn-north-1", {}, "https://lambda.cn-north-1.amazonaws.com.cn"),
        ("dynamodb", "eusc-de-east-1", {}, "https://dynamodb.eusc-de-east-1.amazonaws.eu"),
        (
            "dynamodb",
            "us-gov-west-1",
            {"AWS_USE_FIPS_ENDPOINT": "true"},
            "https://dynamodb-fips.us-gov-west-1.amazonaws.com",
        ),
        ("dynamodb", "eu-west-1", {"AWS_ENDPOINT_URL": "http://all"}, "http://all"),
        (
            "dynamodb",
            "eu-west-1",
            {"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_DYNAMODB": "http://tables"},
            "http://tables",
        ),
        (
            "lambda",
            "eu-west-1",
            {"AWS_ENDPOINT_URL_DYNAMODB": "http://tables"},
            "https://lambda.eu-west-1.amazonaws.com",
        ),
        (
            "dynamodb",
            "eu-west-1",
            {"AWS_ENDPOINT_URL": "http://all", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://dynamodb.eu-west-1.amazonaws.com",
        ),
    ],
)
def test_an_endpoint_is_the_configured_one_or_awss(service, place, environ, url):
    assert endpoint(service, place, environ) == url
