"""
A certificate authority of this machine's own, which only the functions' processes trust.

Everything lies in a folder of the user's cache, keys readable by nobody else: the authority, one certificate for each
name that was ever asked for, and bundles of the system's authorities and ours. Nothing is made before it is needed:
making the authority takes some 50 ms, once for years.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import ipaddress
import os
import ssl
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import CertificateBuilder, GeneralName, KeyUsage, Name

_DAY: Final = 86_400
AUTHORITY_FOR: Final = 3_650 * _DAY
LEAF_FOR: Final = 397 * _DAY
"""Seconds; browsers and Apple's libraries refuse certificates for longer than 398 days."""

_RENEW_BEFORE: Final = 30 * _DAY
_LOCAL: Final = ("127.0.0.1", "localhost")


class Certificates:
    """
    The authority, and what it has signed.

    Args:
        folder: Where everything is kept; it is made.
        accepts: Tells of a host's name whether it is one that is answered here; others get no certificate.
        now: Seconds since the epoch.
    """

    def __init__(
        self, folder: Path, *, accepts: Callable[[str], bool] = lambda _: False, now: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._accepts = accepts
        self._now = now
        self._kept_authority = b""
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}

    def bundle(self) -> Path:
        """Return a file with the system's authorities and ours, for those who shall trust both."""
        ours = _certificate_of(self._authority())
        system = _system_authorities()
        key = hashlib.sha256(ours + b"".join(system)).hexdigest()[:16]
        path = self._folder / f"bundle-{key}.pem"
        if not path.is_file():
            self._write(path, b"\n".join([ours, *system]))
        return path

    def context(self) -> ssl.SSLContext:
        """Return what a server needs: for each name that a client asks for, that name's certificate."""
        context = self._context_for(_LOCAL)
        context.sni_callback = self._choose
        return context

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        # An address is no name in TLS: who asks for one gets the certificate for this machine.
        if name is not None and (name := name.lower()) not in _LOCAL and self._accepts(name):
            connection.context = self._context_for((name,))

    def _context_for(self, names: tuple[str, ...]) -> ssl.SSLContext:
        if names not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
            context.load_cert_chain(self._leaf(names))
            self._contexts[names] = context
        return self._contexts[names]

    def _authority(self) -> bytes:
        """Return the authority's key and certificate; made anew when they are spoilt or soon too old."""
        if not self._kept_authority:
            path = self._folder / "authority.pem"
            self._kept_authority = self._kept(path, self._make_authority, lasts=AUTHORITY_FOR)
        return self._kept_authority

    def _leaf(self, names: tuple[str, ...]) -> Path:
        """Return the file with the key and certificate for some names."""
        authority = self._authority()
        # A new authority makes every certificate worthless; so its own hash is part of their names.
        key = hashlib.sha256("\n".join(names).encode() + _certificate_of(authority)).hexdigest()[:16]
        path = self._folder / f"{names[0]}-{key}.pem"
        self._kept(path, lambda: self._make_leaf(names, authority), lasts=LEAF_FOR)
        return path

    def _kept(self, path: Path, make: Callable[[], bytes], *, lasts: int) -> bytes:
        """Return the key and certificate in a file; several processes that miss it make it once."""
        if (content := self._read(path)) is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (self._folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if (content := self._read(path)) is None:
                    content = make()
                    self._write(path, b"expires %d\n" % (self._now() + lasts) + content)
        return content

    def _read(self, path: Path) -> bytes | None:
        """Read a key with its certificate; None for what is not there, spoilt or about to expire."""
        try:
            first, _, content = path.read_bytes().partition(b"\n")
            expires_at = float(first.removeprefix(b"expires "))
        except (OSError, ValueError):
            return None
        whole = content.count(b"-----BEGIN ") == content.count(b"-----END ") > 1
        return content if whole and self._now() < expires_at - _RENEW_BEFORE else None

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file so that nobody ever reads half of it, and nobody else ever reads it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made with mode 0600.
        descriptor, fresh = tempfile.mkstemp(dir=self._folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(fresh).replace(path)

    def _make_authority(self) -> bytes:
        # 30 ms of import, for what is hardly ever made.
        from cryptography import x509  # noqa: PLC0415 # see above
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 # see above
        from cryptography.x509.oid import NameOID  # noqa: PLC0415 # see above

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tickwire, this machine only")])
        builder = (
            self._begin(name, name, AUTHORITY_FOR)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return _sign(builder, key, key)

    def _make_leaf(self, names: tuple[str, ...], authority: bytes) -> bytes:
        from cryptography import x509  # noqa: PLC0415 # see _make_authority
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 # see _make_authority
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 # as above
        from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415 # see _make_authority

        issuer = x509.load_pem_x509_certificate(_certificate_of(authority))
        issuer_key = load_pem_private_key(authority, None)
        if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is of another kind")
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = (
            # The name stands in the extension alone: a common name has at most 64 characters.
            self._begin(x509.Name([]), issuer.subject, LEAF_FOR)
            .public_key(key.public_key())
            .add_extension(alternatives, critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(identifier, critical=False)
        )
        return _sign(builder, key, issuer_key)

    def _begin(self, subject: Name, issuer: Name, lasts: int) -> CertificateBuilder:
        from cryptography import x509  # noqa: PLC0415 # see _make_authority

        now = datetime.fromtimestamp(self._now(), UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .serial_number(x509.random_serial_number())
            # A clock may have been set back a little.
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(seconds=lasts))
        )


def _sign(builder: CertificateBuilder, key: EllipticCurvePrivateKey, issuer_key: EllipticCurvePrivateKey) -> bytes:
    """Return the key and its certificate as PEM."""
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 # see _make_authority

    certificate = builder.sign(issuer_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + certificate.public_bytes(pem)


def _usage(*, signs_certificates: bool) -> KeyUsage:
    from cryptography import x509  # noqa: PLC0415 # see _make_authority

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> GeneralName:
    from cryptography import x509  # noqa: PLC0415 # see _make_authority

    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def _certificate_of(content: bytes) -> bytes:
    """Return the certificate in what ``_sign`` returned, without the key."""
    return content[content.index(b"-----BEGIN CERTIFICATE-----") :]


def _system_authorities() -> list[bytes]:
    """Read whom this machine trusts; where Python knows no such file, whom certifi or botocore trust."""
    known = ssl.get_default_verify_paths().cafile
    places = [Path(known)] if known else []
    for package in ("certifi", "botocore") if not places else ():
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            places.append(Path(spec.submodule_search_locations[0]) / "cacert.pem")
    for place in places:
        with contextlib.suppress(OSError):
            return [place.read_bytes()]
    return []
