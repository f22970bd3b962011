"""What non-proxy integrations do to messages and answers: models, mapping templates, conversions."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from local.rules.answers import SERVER_ERROR
from local.rules.models import obeys
from local.rules.reading import NoJson, read_json
from local.rules.selection import compile_selection
from local.stack import LambdaIntegration, MockIntegration
from local.velocity.language import compile_template
from local.velocity.variables import with_input

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from local.stack import CustomIntegration, IntegrationResponse, Route, Templates

_DEFAULT = "$default"
_select = lru_cache(maxsize=256)(compile_selection)
_compiled = lru_cache(maxsize=256)(compile_template)


class NotTaken(ValueError):
    """A payload that cannot be converted; the text is what the client reads."""


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What a non-proxy integration's request templates made of a message.

    A MOCK has a ``status`` and no backend; ``fault`` is what a client reads whose message is not taken, for ``reason``.
    """

    payload: bytes = b""
    status: int | None = None
    fault: str = ""
    reason: str = ""


def obeys_its_model(message: str, route: Route) -> bool:
    """Say whether a message is what a route wants; one for which there is no model is."""
    if not route.models:
        return True
    schema = route.models.get(_select(route.model_selection)(message) or _DEFAULT, route.models.get(_DEFAULT))
    return schema is None or obeys(message, schema)


def ask(integration: MockIntegration | CustomIntegration, message: str, variables: Mapping[str, Any]) -> Asked:
    """Make of a message what a backend is sent, or the status that a MOCK chooses."""
    templates = integration.requests
    source = _template_for(message, templates)
    if source is not None:
        message = _compiled(source)(with_input(variables, message))
    elif templates.passthrough == "NEVER" or (templates.passthrough == "WHEN_NO_TEMPLATES" and templates.by_key):
        return Asked(fault="Unsupported Media Type", reason="no request template is for this message")
    if isinstance(integration, MockIntegration):
        status = 200 if source is None else _mock_status(message)
        if status is None:
            return Asked(fault=SERVER_ERROR, reason="the request template of a MOCK must make a statusCode")
        return Asked(status=status)
    try:
        payload = _converted(message.encode(errors="replace"), integration.conversion)
    except NotTaken as fault:
        return Asked(fault=str(fault), reason="the message is not base64, and is to be converted from it")
    # A function is always handed JSON.
    return Asked(payload or (b"{}" if isinstance(integration.backend, LambdaIntegration) else b""))


def mapped_response(
    status: int, payload: bytes, responses: Iterable[IntegrationResponse], variables: Mapping[str, Any]
) -> bytes:
    """
    Make what a client is sent of what a backend answered.

    Without an integration response for its status the answer passes as it is.

    Raises:
        NotTaken: It cannot be converted.
    """
    chosen = _response_for(status, responses)
    if chosen is None:
        return payload
    payload = _converted(payload, chosen.conversion)
    source = _template_for(payload.decode(errors="replace"), chosen.templates)
    return payload if source is None else _compiled(source)(with_input(variables, payload)).encode(errors="replace")


def _mock_status(chosen: str) -> int | None:
    """Return the ``statusCode`` that a MOCK's request template chose, or ``None`` where it chose none."""
    try:
        choice = read_json(chosen)
    except NoJson:
        return None
    status = choice.get("statusCode") if isinstance(choice, dict) else None
    return int(str(status)) if str(status).isdecimal() else None


def _template_for(payload: str, templates: Templates) -> str | None:
    key = _select(templates.selection)(payload)
    return templates.by_key.get(key or _DEFAULT, templates.by_key.get(_DEFAULT))


def _response_for(status: int, responses: Iterable[IntegrationResponse]) -> IntegrationResponse | None:
    default = None
    for one in responses:
        if one.key.startswith("/") and re.fullmatch(one.key.strip("/"), str(status)):
            return one
        if one.key == _DEFAULT:
            default = one
    return default


def _converted(payload: bytes, conversion: str | None) -> bytes:
    if conversion == "CONVERT_TO_TEXT":
        return b64encode(payload)
    if conversion == "CONVERT_TO_BINARY":
        try:
            return b64decode(payload, validate=True)
        except ValueError as error:
            raise NotTaken(SERVER_ERROR) from error
    return payload
