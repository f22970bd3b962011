"""
Hosts that are answered here although they are AWS's, or somebody's own domain; and AWS's hosts that are not.

Functions reach them through the proxy that they are told of (``local.front.server``); anybody else may by naming one
in the ``Host`` header.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from local.front.tunnel import ProxyFault
from local.regions import suffix_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from local.stack import Mapped

_LOCAL: Final = ("127.0.0.1", "localhost")
EXECUTE_API: Final = re.compile(r"(?P<api>[a-z0-9]+)\.execute-api\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")
_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".on.aws", ".amazonwebservices.com.cn")
_log = logging.getLogger("tickwire.hosts")


class BadAlias(ValueError):
    """An alias that leads nowhere, or from a host that is no host of others."""


class Hosts:
    """
    Which hosts are answered here.

    Args:
        region: Of everything that is served.
        api_ids: The ids of the APIs that are served.
        aliases: Ids of APIs by other hosts that lead to them, in lower case.
        mappings: The domains of their own that the template gives its APIs.
        is_service: Tells whether a host is that of one of the other services that are answered here.
    """

    def __init__(
        self,
        *,
        region: str,
        api_ids: Sequence[str],
        aliases: Mapping[str, str],
        mappings: Sequence[Mapped],
        is_service: Callable[[str], bool],
    ) -> None:
        suffix = suffix_of(region)
        self._is_service = is_service
        self._domains = {mapped.host for mapped in mappings}
        self.apis = {f"{api_id}.execute-api.{region}.{suffix}": api_id for api_id in api_ids} | dict(aliases)
        self._region = region
        self._services = {f"{service}.{region}.{suffix}" for service in ("dynamodb", "streams.dynamodb", "lambda")}
        # Where an account's tables are said to be, in newer endpoints.
        self._of_account = re.compile(rf"\d{{12}}\.ddb\.{region}\.{re.escape(suffix)}")
        self._told: set[str] = set()

    @property
    def regions(self) -> set[str]:
        """The regions that requests to aliases are signed for."""
        return {found["region"] for host in self.apis if (found := EXECUTE_API.fullmatch(host)) is not None}

    def is_ours(self, host: str) -> bool:
        """Tell whether a host is answered here, which may be by refusing an API that nobody knows."""
        if host in self.apis or host in self._domains or host in self._services:
            return True
        if self._of_account.fullmatch(host) or self._is_service(host):
            return True
        found = EXECUTE_API.fullmatch(host)
        return found is not None and found["region"] == self._region

    def check_outside(self, host: str) -> None:
        """
        Return for a host that is not AWS's.

        Raises:
            ProxyFault: It is. The log says so, once for each host.
        """
        if not host.endswith(_AWS):
            return
        sentence = f"{host} is refused: nothing here answers for it, and AWS itself is never called"
        if (found := re.search(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com", host)) and found[1] != self._region:
            sentence += f" (everything here is in {self._region}; --region {found[1]} changes that)"
        if host not in self._told:
            self._told.add(host)
            _log.warning("%s", sentence)
        raise ProxyFault(403, sentence)


def read_aliases(given: Mapping[str, str], apis: Mapping[str, str]) -> dict[str, str]:
    """
    Return the ids of APIs by the hosts of ``--alias HOST=API``.

    Args:
        given: APIs by host; each by its logical id, its id or its name.
        apis: The ids of all APIs, by each of these.

    Raises:
        BadAlias: The host is no host's name, or this machine; or there is no such API.
    """
    aliases = {}
    for host, named in given.items():
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host) or host.lower() in _LOCAL:
            raise BadAlias(f"--alias {host}={named}: {host!r} is no host's name; write ws.example.com={named}")
        if named not in apis:
            raise BadAlias(f"--alias {host}={named}: there is no API {named}; there is {', '.join(sorted(apis))}")
        aliases[host.lower()] = apis[named]
    return aliases


def is_custom(host: str) -> bool:
    """Tell whether a host is a domain of somebody's own, which leads to a stage without naming it in the path."""
    return EXECUTE_API.fullmatch(host) is None
