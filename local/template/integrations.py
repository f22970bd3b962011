"""Read the integrations that need no function: MOCK with its templates, HTTP_PROXY with its parameters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local.rules.integrations import can_render, mock_status
from local.stack import HttpIntegration, MockIntegration, UnsupportedIntegration
from local.template.intrinsics import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.template.declarations import Declarations


def read_mock(
    declarations: Declarations, logical_id: str, responses: Iterable[str]
) -> MockIntegration | UnsupportedIntegration:
    """Read a MOCK integration; ``responses`` are the logical ids of all integration responses of its API."""
    request = _template(declarations, logical_id, "RequestTemplates")
    status = 200 if request is None else mock_status(request)
    if status is None:
        return UnsupportedIntegration(f"the request template of {logical_id} is more than a static statusCode")
    own = declarations.name(logical_id)
    chosen: str | None = None
    for part in responses:
        key = declarations.text(part, "IntegrationResponseKey")
        if declarations.text(part, "IntegrationId") != own:
            continue
        if key is not None and key.startswith("/") and re.fullmatch(key.strip("/"), str(status)):
            chosen = part
            break
        if key == "$default":
            chosen = part
    response = _template(declarations, chosen, "ResponseTemplates") if chosen is not None else None
    if response is not None and not can_render(response):
        return UnsupportedIntegration(f"the response template of {chosen} is more than static text and $context")
    return MockIntegration(status, response)


def read_http(declarations: Declarations, logical_id: str, uri: str, timeout: float) -> HttpIntegration:
    """Read an HTTP_PROXY integration; ``timeout`` is seconds."""
    parameters = declarations.mapping(logical_id, "RequestParameters")
    return HttpIntegration(
        url=uri,
        method=declarations.text(logical_id, "IntegrationMethod") or "POST",
        parameters={
            name: text_of(value, f"the request parameter {name} of {logical_id}") for name, value in parameters.items()
        },
        timeout=timeout,
    )


def _template(declarations: Declarations, logical_id: str, member: str) -> str | None:
    """Return the template that ``TemplateSelectionExpression`` names, or the only one."""
    templates = declarations.mapping(logical_id, member)
    wanted = (declarations.text(logical_id, "TemplateSelectionExpression") or "$default").replace("\\$", "$")
    named = {str(key).replace("\\$", "$"): value for key, value in templates.items()}
    found = named.get(wanted, next(iter(named.values())) if len(named) == 1 else None)
    return None if found is None else text_of(found, f"{member} of {logical_id}")
