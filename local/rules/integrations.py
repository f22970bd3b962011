"""What an HTTP integration asks of its backend."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from local.velocity.values import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.events import Handshake
    from local.stack import HttpIntegration

#: Headers that belong to one hop or to the socket, which an HTTP backend is not told.
_OWN = re.compile(r"host|connection|upgrade|content-length|sec-websocket-.*", re.IGNORECASE)
_PARAMETER = re.compile(r"integration\.request\.(header|querystring)\.(.+)")


def request_of(
    integration: HttpIntegration,
    *,
    context: Mapping[str, Any],
    variables: Mapping[str, str],
    handshake: Handshake | None,
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """
    Return the URL and the headers of a call to an HTTP backend.

    A handshake's own headers and query go along; a message has none. On top come the integration's parameters.
    """
    shown = handshake if integration.forwards else None
    headers = [pair for pair in (shown.headers if shown else ()) if not _OWN.fullmatch(pair[0])]
    parts = urlsplit(integration.url)
    query = [text for text in (parts.query, shown.query if shown else "") if text]
    for kind, name, value in _parameters(integration.parameters, context, variables, handshake):
        if kind == "header":
            headers.append((name, value))
        else:
            query.append(f"{quote(name)}={quote(value, safe='')}")
    return urlunsplit(parts._replace(query="&".join(query))), tuple(headers)


def _parameters(
    parameters: Mapping[str, str], context: Mapping[str, Any], variables: Mapping[str, str], handshake: Handshake | None
) -> Iterator[tuple[str, str, str]]:
    for place, source in parameters.items():
        match = _PARAMETER.fullmatch(place)
        value = _value(source, context, variables, handshake)
        if match is not None and value is not None:
            yield match[1], match[2], value


def _value(
    source: str, context: Mapping[str, Any], variables: Mapping[str, str], handshake: Handshake | None
) -> str | None:
    kind, _, name = source.rpartition(".") if source.startswith("route.") else source.partition(".")
    if len(source) > 1 and source[0] == source[-1] == "'":
        return source[1:-1]
    if kind == "context":
        found: Any = context
        for step in name.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        return None if found is None else as_text(found)
    if kind == "stageVariables":
        return variables.get(name)
    if handshake is not None and kind == "route.request.header":
        return handshake.header(name)
    if handshake is not None and kind == "route.request.querystring":
        return handshake.parameter(name)
    return None
