"""
Integrations that need no function: what a MOCK answers, and what an HTTP_PROXY asks of its backend.

Of the template language of MOCK integrations only static text and ``$context`` are served, which is what a pong needs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.events import Handshake
    from local.stack import HttpIntegration

_VARIABLE = re.compile(r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)*)|\$\{context\.([A-Za-z]+(?:\.[A-Za-z]+)*)\}")
_DIRECTIVE = re.compile(r"#(?:set|if|elseif|else|end|foreach|define|macro|parse|include|stop|\{|#|\*)")
#: Headers that belong to one hop or to the socket, which an HTTP backend is not told.
_OWN = re.compile(r"host|connection|upgrade|content-length|sec-websocket-.*", re.IGNORECASE)
_PARAMETER = re.compile(r"integration\.request\.(header|querystring)\.(.+)")


def can_render(template: str) -> bool:
    """Say whether a template is static but for ``$context``."""
    return "$" not in _VARIABLE.sub("", template) and _DIRECTIVE.search(template) is None


def render(template: str, context: Mapping[str, Any]) -> str:
    """Fill a template; a name that leads nowhere becomes the empty string."""

    def found(match: re.Match[str]) -> str:
        value: Any = context
        for step in (match[1] or match[2]).split("."):
            value = value.get(step) if isinstance(value, dict) else None
        return value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()

    return _VARIABLE.sub(found, template)


def mock_status(template: str) -> int | None:
    """Return the ``statusCode`` that a MOCK's request template chooses, or ``None`` where it chooses none."""
    try:
        chosen = msgspec.json.decode(template)
    except msgspec.DecodeError:
        return None
    status = chosen.get("statusCode") if isinstance(chosen, dict) else None
    return int(str(status)) if str(status).isdecimal() else None


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
    headers = [pair for pair in (handshake.headers if handshake else ()) if not _OWN.fullmatch(pair[0])]
    parts = urlsplit(integration.url)
    query = [text for text in (parts.query, handshake.query if handshake else "") if text]
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
        return render(f"${{{source}}}", context)
    if kind == "stageVariables":
        return variables.get(name)
    if handshake is not None and kind == "route.request.header":
        return handshake.header(name)
    if handshake is not None and kind == "route.request.querystring":
        return handshake.parameter(name)
    return None
