"""
Signatures of incoming requests: AWS Signature Version 4, in the Authorization header or in the query.

The algorithm is that of the IAM User Guide, "Create a signed AWS API request"; the path is encoded a second time, as
every service but S3 wants it. What depends only on the day and the signer is kept from one request to the next, so
that a check costs a few microseconds: two hashes of the text, and one of a body that differs from the last.

Errors::

    SignatureFault    the request is not signed, or not as it should be; ``kind`` is AWS's name for how
"""

from __future__ import annotations

import calendar
import hmac
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from hashlib import _Hash as Hash

SKEW: Final = 300
"""Seconds by which a signature's clock may differ from ours (IAM User Guide: five minutes)."""

LONGEST_QUERY: Final = 604_800
"""Seconds for which a signed URL may be good (IAM User Guide: seven days)."""

_ALGORITHM: Final = b"AWS4-HMAC-SHA256"
_BLOCK: Final = 64  # bytes that SHA-256 takes at a time
_MOST_CLAIMS: Final = 4_096
_STAMP: Final = re.compile(rb"\d{8}T\d{6}Z")
#: Behind the key, the day and the region, for which service.
_SERVICE: Final = re.compile(rb"Credential=(?:[^/,&\s]+/){3}([^/,&\s]+)/")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """
    An access key, and whose it is.

    With ``session_token`` it is a temporary one, and every request must carry that token; without, any token that
    comes along is ignored. ``user`` is the ARN that refusals name.
    """

    access_key_id: str
    secret_access_key: str
    user: str
    session_token: str | None = None


class SignatureFault(Exception):
    """A request that is not signed, or not as it should be; ``kind`` is AWS's name for it, ``str()`` its sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


def signed_for(query: bytes, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return the service that a request says to be signed for, unchecked; None where it is not signed."""
    source = next((value for name, value in headers if name == b"authorization"), b"") or unquote_to_bytes(query)
    found = _SERVICE.search(source)
    return found[1].decode("latin-1") if found else None


class _Claim(NamedTuple):
    """Who says to have signed, for which day, region and service, and what is needed to see whether it is true."""

    key: KeyPair
    token: bytes | None
    scope: bytes
    day: bytes
    region: str
    service: str
    names: tuple[bytes, ...]
    joined: bytes
    inner: Hash
    outer: Hash


class Signatures:
    """
    Checks requests against the keys that there are.

    Args:
        keys: Everybody who may sign.
        regions: The regions that a signature may name.
        now: Seconds since the epoch.
    """

    def __init__(
        self, keys: Iterable[KeyPair], *, regions: Collection[str], now: Callable[[], float] = time.time
    ) -> None:
        self._keys = {key.access_key_id: key for key in keys}
        self._regions = regions
        self._now = now
        # By what stands before the signature in the Authorization header: one entry for each signer and day.
        self._claims: dict[bytes, _Claim] = {}
        # A broadcast brings one body a thousand times, and to compare it takes a fiftieth of hashing it.
        self._body = b""
        self._digest = _digest(b"")

    def check(
        self,
        service: str,
        method: str,
        path: bytes,
        query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
    ) -> KeyPair:
        """
        Return the key that a request is signed with.

        Args:
            service: What the signature must be for: ``execute-api``, ``dynamodb`` or ``lambda``.
            method: In capitals.
            path: As it came over the wire, without the query.
            query: As it came over the wire.
            headers: Names in lower case, as ASGI has them.
            body: All of it.

        Raises:
            SignatureFault: Unsigned, by an unknown key, for something else, too old or too new, or simply wrong.
        """
        named = _by_name(headers)
        authorization = named.get(b"authorization")
        if authorization is None:
            if b"X-Amz-Signature=" in query:
                return self._check_query(service, method, path, query, named, body)
            raise SignatureFault("MissingAuthenticationTokenException", "Missing Authentication Token")
        begin, _, signature = authorization.partition(b"Signature=")
        claim = self._claims.get(begin)
        if claim is None:
            claim, signature = self._read_header(begin, authorization, named)
        stamp = named.get(b"x-amz-date") or _stamp_of_date(named.get(b"date", b""))
        self._check_claim(claim, service, stamp, named.get(b"x-amz-security-token"))
        _check_age(stamp, self._now())
        canonical_query = _canonical_query(query) if query else b""
        _compare(claim, stamp, method, path, canonical_query, named, self._hash(body), signature)
        return claim.key

    def find(self, query: bytes, headers: Sequence[tuple[bytes, bytes]]) -> KeyPair | None:
        """Return the key that a request names, without checking anything; None where there is no such key."""
        named = _by_name(headers)
        source = named.get(b"authorization") or unquote_to_bytes(query)
        found = re.search(rb"Credential=([^/,&\s]+)/", source)
        return self._keys.get(found[1].decode("latin-1")) if found else None

    def _hash(self, body: bytes) -> bytes:
        if body != self._body:
            self._body, self._digest = body, _digest(body)
        return self._digest

    def _read_header(self, begin: bytes, authorization: bytes, named: Mapping[bytes, bytes]) -> tuple[_Claim, bytes]:
        """Take an Authorization header apart; what comes before the signature is remembered."""
        algorithm, _, rest = authorization.partition(b" ")
        parts = dict(_pair(part) for part in rest.replace(b",", b" ").split())
        dated = b"x-amz-date" in named or b"date" in named
        wanted = [
            f"Authorization header requires '{name}' parameter."
            for name in ("Credential", "Signature", "SignedHeaders")
            if not parts.get(name.encode())
        ]
        if not dated:
            wanted.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        if algorithm != _ALGORITHM or wanted:
            shown = authorization.decode("latin-1")
            if algorithm != _ALGORITHM and not wanted:
                wanted = ["Unsupported AWS 'algorithm'."]
            raise SignatureFault("IncompleteSignatureException", f"{' '.join(wanted)} Authorization={shown}")
        claim = self._claim(parts[b"Credential"], parts[b"SignedHeaders"], "Authorization header")
        # Only where the signature is the last of the three does the text before it say everything else.
        if rest.rstrip().endswith(b"Signature=" + parts[b"Signature"]):
            if len(self._claims) >= _MOST_CLAIMS:
                self._claims.clear()
            self._claims[begin] = claim
        return claim, parts[b"Signature"]

    def _claim(self, credential: bytes, signed: bytes, where: str) -> _Claim:
        scope = credential.split(b"/", 1)[-1]
        members = credential.decode("latin-1").split("/")
        if len(members) != 5 or members[4] != "aws4_request":  # noqa: PLR2004 # key, day, region, service, end
            raise SignatureFault(
                "IncompleteSignatureException",
                f"Credential must have exactly 5 slash-delimited elements, e.g. "
                f"keyid/date/region/service/term, got '{credential.decode('latin-1')}'",
            )
        access_key, day, region, service, _ = members
        key = self._keys.get(access_key)
        if key is None:
            raise SignatureFault(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        names = tuple(signed.lower().split(b";"))
        if b"host" not in names:
            raise SignatureFault(
                "InvalidSignatureException", f"'Host' or ':authority' must be a 'SignedHeader' in the AWS {where}."
            )
        token = key.session_token.encode() if key.session_token is not None else None
        return _Claim(
            key,
            token,
            scope,
            day.encode(),
            region,
            service,
            names,
            b";".join(names),
            *_signing_hashes(key.secret_access_key, day, region, service),
        )

    def _check_claim(self, claim: _Claim, service: str, stamp: bytes, token: bytes | None) -> None:
        if claim.service != service:
            raise SignatureFault(
                "InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'. "
            )
        if claim.region not in self._regions:
            raise SignatureFault(
                "InvalidSignatureException", f"Credential should be scoped to a valid region, not '{claim.region}'. "
            )
        if claim.token is not None and token != claim.token:
            raise SignatureFault(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        if stamp[:8] != claim.day and _STAMP.fullmatch(stamp):
            at, day = stamp.decode(), claim.day.decode("latin-1")
            raise SignatureFault(
                "InvalidSignatureException",
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{day}' != '{at[:8]}', from '{at}'.",
            )

    def _check_query(
        self, service: str, method: str, path: bytes, query: bytes, named: Mapping[bytes, bytes], body: bytes
    ) -> KeyPair:
        """Check a signed URL; it is good from its date on for as long as it says."""
        parts = [_pair(part) for part in query.split(b"&") if part]
        given = {unquote_to_bytes(name): unquote_to_bytes(value) for name, value in parts}
        wanted = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders")
        missing = [name for name in wanted if not given.get(name.encode())]
        if missing:
            sentences = (f"AWS query-string parameters must include '{name}'." for name in missing)
            raise SignatureFault("IncompleteSignatureException", f"{' '.join(sentences)} Re-examine the query-string.")
        if given[b"X-Amz-Algorithm"] != _ALGORITHM:
            raise SignatureFault("IncompleteSignatureException", "Unsupported AWS 'algorithm'.")
        claim = self._claim(given[b"X-Amz-Credential"], given[b"X-Amz-SignedHeaders"], "query-string")
        stamp = given[b"X-Amz-Date"]
        self._check_claim(claim, service, stamp, given.get(b"X-Amz-Security-Token"))
        text = given.get(b"X-Amz-Expires", b"%d" % SKEW)
        if not text.isdigit() or int(text) > LONGEST_QUERY:
            raise SignatureFault(
                "InvalidSignatureException", f"X-Amz-Expires must be a number from 0 to {LONGEST_QUERY}."
            )
        _check_age(stamp, self._now(), good_for=int(text))
        rest = b"&".join(b"=".join(pair) for pair in parts if pair[0] != b"X-Amz-Signature")
        signature = given[b"X-Amz-Signature"]
        _compare(claim, stamp, method, path, _canonical_query(rest), named, self._hash(body), signature)
        return claim.key


def _compare(
    claim: _Claim,
    stamp: bytes,
    method: str,
    path: bytes,
    query: bytes,
    named: Mapping[bytes, bytes],
    digest: bytes,
    signature: bytes,
) -> None:
    lines = [method.encode(), _canonical_path(path), query]
    for name in claim.names:
        value = named.get(name, b"")
        if b"  " in value:
            value = b" ".join(value.split())
        lines.append(name + b":" + value)
    lines += (b"", claim.joined, digest)
    canonical = b"\n".join(lines)
    text = b"\n".join((_ALGORITHM, stamp, claim.scope, _digest(canonical)))
    inner, outer = claim.inner.copy(), claim.outer.copy()
    inner.update(text)
    outer.update(inner.digest())
    if not hmac.compare_digest(outer.hexdigest().encode(), signature.strip()):
        raise SignatureFault(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.\n\n"
            f"The Canonical String for this request should have been\n'{canonical.decode('latin-1')}'\n\n"
            f"The String-to-Sign should have been\n'{text.decode('latin-1')}'\n",
        )


def _digest(text: bytes) -> bytes:
    return sha256(text).hexdigest().encode()


def _check_age(stamp: bytes, now: float, *, good_for: int = SKEW) -> None:
    """Refuse what was signed too long ago, or will be."""
    at = _instant(stamp)
    if at is None:
        raise SignatureFault(
            "IncompleteSignatureException",
            f"Date must be in ISO-8601 'basic format'. Got '{stamp.decode('latin-1')}'. "
            "See http://en.wikipedia.org/wiki/ISO_8601",
        )
    if -good_for <= at - now <= SKEW:
        return
    shown, today = stamp.decode("latin-1"), _stamp(now)
    if at > now:
        sentence = f"Signature not yet current: {shown} is still later than {_stamp(now + SKEW)} ({today} + 5 min.)"
    elif good_for == SKEW:
        sentence = f"Signature expired: {shown} is now earlier than {_stamp(now - SKEW)} ({today} - 5 min.)"
    else:
        sentence = f"Signature expired: {shown} is now earlier than {_stamp(now - good_for)} ({today} - {good_for} s)"
    raise SignatureFault("InvalidSignatureException", sentence)


def _by_name(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Give headers by their names, those that come more than once joined by commas."""
    named = dict(headers)
    if len(named) != len(headers):
        named = {name: b",".join(value.strip() for other, value in headers if other == name) for name in named}
    return named


def _pair(text: bytes) -> tuple[bytes, bytes]:
    name, _, value = text.partition(b"=")
    return name, value


@lru_cache(maxsize=8_192)
def _canonical_path(path: bytes) -> bytes:
    """Encode a path once more than it came over the wire, without empty and dotted segments."""
    if b"//" in path or b"/." in path:
        kept: list[bytes] = []
        for segment in path.split(b"/"):
            if segment == b"..":
                del kept[-1:]
            elif segment not in {b"", b"."}:
                kept.append(segment)
        path = b"/" + b"/".join(kept) + (b"/" if kept and path.endswith((b"/", b"/.", b"/..")) else b"")
    return quote(path, safe="/-_.~").encode()


def _canonical_query(query: bytes) -> bytes:
    """Sort a query by what its names and values are, each encoded in the one way that signatures want."""
    pairs = (_pair(part) for part in query.split(b"&") if part)
    return b"&".join(b"=".join(pair) for pair in sorted((_encoded(name), _encoded(value)) for name, value in pairs))


def _encoded(text: bytes) -> bytes:
    return quote(unquote_to_bytes(text), safe="-_.~").encode()


def _signing_hashes(secret: str, day: str, region: str, service: str) -> tuple[Hash, Hash]:
    """
    Derive the key of one signer, day, region and service, and begin both hashes of an HMAC with it (RFC 2104).

    Continuing copies of them costs a third of what ``hmac.digest`` does, which begins anew each time.
    """
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode("latin-1"), "sha256")
    block = key.ljust(_BLOCK, b"\0")
    return sha256(bytes(byte ^ 0x36 for byte in block)), sha256(bytes(byte ^ 0x5C for byte in block))


@lru_cache(maxsize=1_024)
def _instant(stamp: bytes) -> int | None:
    """Give the epoch seconds of ``20260102T030405Z``, or None where that is no time."""
    if not _STAMP.fullmatch(stamp):
        return None
    try:
        return calendar.timegm(time.strptime(stamp.decode(), "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None


def _stamp(at: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))


def _stamp_of_date(date: bytes) -> bytes:
    """Turn an HTTP ``Date`` header into a time stamp; what is none stays as it is."""
    try:
        return _stamp(parsedate_to_datetime(date.decode("latin-1")).timestamp()).encode()
    except ValueError:
        return date
