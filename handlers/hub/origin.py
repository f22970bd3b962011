"""Where an API is, whom to trust on the way there, and through which proxy it goes."""

from __future__ import annotations

import ssl
from base64 import b64encode
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

PORTS = {"http": 80, "https": 443}
"""The port of each scheme that has no other in its address."""


class Origin(NamedTuple):
    """Scheme, host and port: what one pool has sockets to."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """What the ``Host`` header says, and SigV4 signs: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


class Proxy(NamedTuple):
    """A proxy that is asked to ``CONNECT``; ``authorization`` is the header's value, empty without a user."""

    host: str
    port: int
    authorization: str


def read_endpoint(url: str) -> tuple[Origin, str]:
    """
    Take ``https://host[:port][/path]`` apart: the origin, and the path without a slash at its end.

    Raises:
        ValueError: Not ``http`` or ``https``, no host, or with a user, a query or a fragment.
    """
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"no http(s) address: {url!r}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"an endpoint is scheme, host and path, and no more: {url!r}")
    return Origin(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme]), parts.path.rstrip("/")


def trust(environ: Mapping[str, str]) -> ssl.SSLContext:
    """
    Make the TLS context of a client: names and chains are checked.

    Trusted is ``AWS_CA_BUNDLE`` alone where it is set, as in botocore; else the system's default, which OpenSSL
    itself takes from ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` where those are set. Costs some 20 ms of CPU: make it once.

    Raises:
        OSError: The bundle cannot be read.
    """
    context = ssl.create_default_context(cafile=environ.get("AWS_CA_BUNDLE") or None)
    context.set_alpn_protocols(["http/1.1"])
    return context


def proxy_for(origin: Origin, environ: Mapping[str, str]) -> Proxy | None:
    """
    Find the proxy that ``HTTPS_PROXY`` names for ``origin``, if it is https and ``NO_PROXY`` does not except its host.

    ``NO_PROXY`` is a comma-separated list of hosts; each covers its subdomains too, and ``*`` covers all. The
    lower-case names of both variables win, as in curl.

    Raises:
        ValueError: ``HTTPS_PROXY`` is no ``http://`` address; a proxy that itself wants TLS is not supported.
    """
    address = environ.get("https_proxy") or environ.get("HTTPS_PROXY") or ""
    if origin.scheme != "https" or not address or _is_excepted(origin, environ):
        return None
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"HTTPS_PROXY is no http:// address: {parts.scheme}://{parts.hostname or ''}")
    authorization = ""
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + b64encode(user.encode()).decode()
    return Proxy(parts.hostname, parts.port or PORTS["http"], authorization)


def tunnel(origin: Origin, proxy: Proxy) -> bytes:
    """Compose the request that asks ``proxy`` for a tunnel to ``origin``."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    place = f"{host}:{origin.port}"
    authorization = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    return f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{authorization}\r\n".encode("latin-1")


def _is_excepted(origin: Origin, environ: Mapping[str, str]) -> bool:
    for entry in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(","):
        name = entry.strip().lower().lstrip(".")
        if name == "*":
            return True
        if name and (origin.host == name or origin.host.endswith("." + name) or name == f"{origin.host}:{origin.port}"):
            return True
    return False
