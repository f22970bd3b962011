"""
What AWS's variables say: the region, the credentials, and where a service's endpoint is.

On Lambda all of it is in the environment, and nothing is imported for it. What is not there may be in a profile, a
container's or an instance's metadata, or behind a single sign-on: botocore knows those, and is imported then.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from handlers.hub.errors import HubError
from handlers.hub.signing import Credentials, CredentialsUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


# By the first part of a region's name.
_DOMAINS: Final = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}


class RegionUnknown(HubError):
    """No AWS region is configured: set AWS_REGION."""

    def __str__(self) -> str:
        return str(type(self).__doc__)


def region() -> str:
    """
    Give the region: ``AWS_REGION``, as Lambda sets it, else what botocore has configured.

    Raises:
        RegionUnknown: There is none.
    """
    found = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not found:
        from botocore.session import Session  # noqa: PLC0415  # see above

        found = Session().get_config_variable("region")
    if not found:
        raise RegionUnknown
    return str(found)


def credentials() -> Callable[[], Credentials]:
    """
    Find credentials, and give what to ask for them whenever something is to be signed.

    An access key in the environment comes first, as with botocore. Others that expire are refreshed by botocore, on
    the caller's thread, some minutes before they do; what is given may raise ``CredentialsUnavailable`` then.

    Raises:
        CredentialsUnavailable: There are none.
    """
    if (found := _in_environment()) is not None:
        return lambda: _in_environment() or found
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # see above
    from botocore.session import Session  # noqa: PLC0415

    try:
        source = Session().get_credentials()
    except BotoCoreError as error:
        raise CredentialsUnavailable(str(error)) from error
    if source is None:
        raise CredentialsUnavailable("there are no AWS credentials")

    def fresh() -> Credentials:
        try:
            frozen = source.get_frozen_credentials()
        except (BotoCoreError, ClientError, RuntimeError) as error:
            # Refused by the service that gives them; the last is botocore's for new ones that have expired, too.
            raise CredentialsUnavailable(str(error)) from error
        if not frozen.access_key or not frozen.secret_key:
            raise CredentialsUnavailable("the credentials have no key")
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    return fresh


def endpoint(service: str, region: str, environ: Mapping[str, str]) -> str:
    """
    Give where a service is: ``AWS_ENDPOINT_URL_{SERVICE}``, ``AWS_ENDPOINT_URL``, or AWS's own endpoint in ``region``.

    ``AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`` and ``AWS_USE_FIPS_ENDPOINT`` say what they say to the SDKs. Of the
    partitions, AWS's own, GovCloud, China and the European Sovereign Cloud are known.
    """
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        configured = environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environ.get("AWS_ENDPOINT_URL")
        if configured:
            return configured
    name = f"{service}-fips" if environ.get("AWS_USE_FIPS_ENDPOINT", "").lower() == "true" else service
    domain = _DOMAINS.get(region.partition("-")[0], "amazonaws.com")
    return f"https://{name}.{region}.{domain}"


def _in_environment() -> Credentials | None:
    access_key, secret_key = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        return None
    token = os.environ.get("AWS_SESSION_TOKEN") or os.environ.get("AWS_SECURITY_TOKEN")
    return Credentials(access_key, secret_key, token or None)
