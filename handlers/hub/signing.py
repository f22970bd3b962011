"""
AWS Signature Version 4 for many small requests: what can be kept from one request to the next is kept.

A signature costs a few microseconds: the key is derived once a day, everything that only depends on the time once a
second, and the hash of a body once, however many connections it is posted to. ``SigV4Auth`` of botocore, which starts
from nothing each time, is what the tests compare it to.
"""

from __future__ import annotations

import hmac
import re
import time
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from handlers.hub.errors import HubError

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Callable

_BLOCK: Final = 64  # bytes that SHA-256 takes at a time

# Paths of the management API have nothing to encode but these two, which is quicker than asking quote.
_PLAIN_PATH: Final = re.compile(r"[\w/.~%@-]*", re.ASCII)


class Credentials(NamedTuple):
    """An access key, and the session token that goes with it if it is a temporary one."""

    access_key: str
    secret_key: str
    token: str | None = None


class CredentialsUnavailable(HubError):
    """There are no credentials to sign with, or they could not be refreshed."""


class _Moment(NamedTuple):
    """What everything signed in one second has in common; replaced as a whole, so that threads may share a signer."""

    second: int
    # HMAC (RFC 2104) is two hashes, each of a block made from the key and then of something else. Both are kept behind
    # their blocks, as hmac.digest would make them anew each time, at three times the cost.
    inner: hashlib._Hash
    outer: hashlib._Hash
    key_is_of: tuple[str, str]
    access_key: str
    signed: tuple[tuple[str, str], ...]  # names, in lower case, and values of the headers that every request has
    lines: str  # the same as they go over the wire, without the host
    to_sign: str  # what stands before the hash of the canonical request
    scope: str
    prefixes: dict[tuple[tuple[str, str], ...], tuple[str, str]]


class Signer:
    """
    Signs requests to one host with whatever ``credentials`` gives; many threads may share one.

    ``credentials`` is called once for each second in which something is signed, so that refreshed ones are noticed.
    Signed are ``host``, ``x-amz-date``, ``x-amz-security-token`` and the headers given, with the body's hash.

    Args:
        region: Of the API, such as ``eu-west-1``.
        host: What the request's ``Host`` header says, with the port if it is not the scheme's own.
        now: Seconds since the epoch; AWS refuses a signature more than 5 minutes off.
    """

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        *,
        region: str,
        host: str,
        service: str = "execute-api",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._region = region
        self._host = host
        self._service = service
        self._now = now
        self._moment: _Moment | None = None

    def sign(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        is_kept: bool = True,
    ) -> str:
        """
        Make the header lines that sign one request, each ended by CR LF.

        Args:
            method: In capitals.
            path: As it goes over the wire, percent-encoded: AWS encodes it once more for the signature, so the
                ``%3D`` of a connection id is signed as ``%253D`` and the ``@`` of ``@connections`` as ``%40``.
            body: What will be sent.
            query: As it goes over the wire, without the question mark.
            headers: Names and values of further headers to sign, which are among the lines then. They are few
                different ones: what is made of them is kept for a second.
            is_kept: Whether the body's hash is kept, as it should be for one ``bytes`` object that goes to many.

        Raises:
            CredentialsUnavailable: From ``credentials``.
        """
        second = int(self._now())
        moment = self._moment
        if moment is None or moment.second != second:
            moment = self._moment = self._begin(second, moment)
        prefix = moment.prefixes.get(headers)
        if prefix is None:
            prefix = moment.prefixes[headers] = _prefix(moment, headers)
        signed, lines = prefix
        digest = hash_body(body) if is_kept else sha256(body).hexdigest()
        canonical = f"{method}\n{canonical_path(path)}\n{canonical_query(query)}\n{signed}{digest}"
        inner = moment.inner.copy()
        inner.update(f"{moment.to_sign}{sha256(canonical.encode()).hexdigest()}".encode())
        outer = moment.outer.copy()
        outer.update(inner.digest())
        return f"{lines}{outer.hexdigest()}\r\n"

    def _begin(self, second: int, before: _Moment | None) -> _Moment:
        """Make everything that is the same for a whole second; of what was ``before``, the day's key stays."""
        credentials = self._credentials()
        clock = time.gmtime(second)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", clock)
        day = stamp[:8]
        key_is_of = (credentials.secret_key, day)
        if before is not None and before.key_is_of == key_is_of:
            inner, outer = before.inner, before.outer
        else:
            key = _derive_key(credentials.secret_key, day, self._region, self._service).ljust(_BLOCK, b"\0")
            inner = sha256(bytes(byte ^ 0x36 for byte in key))
            outer = sha256(bytes(byte ^ 0x5C for byte in key))
        signed = [("host", self._host), ("x-amz-date", stamp)]
        lines = f"X-Amz-Date: {stamp}\r\n"
        if credentials.token:
            signed.append(("x-amz-security-token", credentials.token))
            lines += f"X-Amz-Security-Token: {credentials.token}\r\n"
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n"
        return _Moment(
            second, inner, outer, key_is_of, credentials.access_key, tuple(signed), lines, to_sign, scope, {}
        )


def _prefix(moment: _Moment, headers: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """Make the headers' part of a canonical request, and the lines up to the signature."""
    signed = sorted([*moment.signed, *((name.lower(), value) for name, value in headers)])
    names = ";".join(name for name, _ in signed)
    canonical = "".join(f"{name}:{value}\n" for name, value in signed)
    further = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{canonical}\n{names}\n", (
        f"{moment.lines}{further}Authorization: AWS4-HMAC-SHA256 Credential={moment.access_key}/{moment.scope}, "
        f"SignedHeaders={names}, Signature="
    )


@lru_cache(maxsize=64)
def hash_body(body: bytes) -> str:
    """
    Give the body's SHA-256 in hex, kept for the last 64 different bodies.

    A tick has one body for each distinct subscription; 64 of them at the protocol's 30 KB are 2 MB.
    """
    return sha256(body).hexdigest()


def canonical_path(path: str) -> str:
    """Encode a wire path once more, as every service but S3 wants it, without empty and dotted segments."""
    if "//" in path or "/." in path or not path.startswith("/"):
        path = _without_dots(path)
    if _PLAIN_PATH.fullmatch(path):
        return path.replace("%", "%25").replace("@", "%40")
    return quote(path, safe="/")


def canonical_query(query: str) -> str:
    """Sort a wire query by name and value; a name without a value gets an empty one."""
    if not query:
        return ""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&"))
    return "&".join(f"{name}={value}" for name, value in pairs)


def _without_dots(path: str) -> str:
    """Resolve ``.`` and ``..`` (RFC 3986, section 5.2.4), and drop empty segments, which AWS does too."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _derive_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
