"""Read integrations beside AWS_PROXY: MOCK and custom ones with their templates, HTTP with its parameters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local.rules.selection import compile_selection
from local.stack import (
    CustomIntegration,
    HttpIntegration,
    IntegrationResponse,
    MockIntegration,
    Templates,
    UnsupportedIntegration,
)
from local.template.intrinsics import text_of
from local.velocity.language import compile_template

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.stack import LambdaIntegration
    from local.template.declarations import Declarations


def read_mock(
    declarations: Declarations, logical_id: str, responses: Iterable[str]
) -> MockIntegration | UnsupportedIntegration:
    """Read a MOCK integration; ``responses`` are the logical ids of all integration responses of its API."""
    try:
        return MockIntegration(
            _templates(declarations, logical_id, "RequestTemplates"), _responses(declarations, logical_id, responses)
        )
    except ValueError as error:
        return UnsupportedIntegration(f"a mapping template of {logical_id} cannot be used here: {error}")


def read_custom(
    declarations: Declarations,
    logical_id: str,
    backend: LambdaIntegration | HttpIntegration,
    responses: Iterable[str],
) -> CustomIntegration | UnsupportedIntegration:
    """Read the templates around an AWS or HTTP integration's ``backend``; ``responses`` are as for ``read_mock``."""
    try:
        return CustomIntegration(
            backend,
            _templates(declarations, logical_id, "RequestTemplates"),
            _responses(declarations, logical_id, responses),
            declarations.text(logical_id, "ContentHandlingStrategy"),
        )
    except ValueError as error:
        return UnsupportedIntegration(f"a mapping template of {logical_id} cannot be used here: {error}")


def read_http(declarations: Declarations, logical_id: str, uri: str, timeout: float) -> HttpIntegration:
    """Read an HTTP_PROXY integration, or the backend of an HTTP one; ``timeout`` is seconds."""
    parameters = declarations.mapping(logical_id, "RequestParameters")
    return HttpIntegration(
        url=uri,
        method=declarations.text(logical_id, "IntegrationMethod") or "POST",
        parameters={
            name: text_of(value, f"the request parameter {name} of {logical_id}") for name, value in parameters.items()
        },
        timeout=timeout,
        forwards=declarations.text(logical_id, "IntegrationType") == "HTTP_PROXY",
    )


def _responses(
    declarations: Declarations, logical_id: str, responses: Iterable[str]
) -> tuple[IntegrationResponse, ...]:
    own = declarations.name(logical_id)
    return tuple(
        IntegrationResponse(
            _response_key(declarations.text(part, "IntegrationResponseKey") or "$default"),
            _templates(declarations, part, "ResponseTemplates"),
            declarations.text(part, "ContentHandlingStrategy"),
        )
        for part in responses
        if declarations.text(part, "IntegrationId") == own
    )


def _response_key(key: str) -> str:
    """
    Return the key of an integration response.

    Raises:
        ValueError: It is a pattern that cannot be read.
    """
    if key.startswith("/"):
        try:
            re.compile(key.strip("/"))
        except re.error as error:
            raise ValueError(f"the integration response key {key} is no pattern: {error}") from error
    return key


def _templates(declarations: Declarations, logical_id: str, member: str) -> Templates:
    """
    Read the mapping templates of an integration, or of an integration response.

    Raises:
        ValueError: One of them cannot be used here, or neither can the expression that selects one.
    """
    templates = {
        str(key).replace("\\$", "$"): text_of(value, f"{member} of {logical_id}")
        for key, value in declarations.mapping(logical_id, member).items()
    }
    for template in templates.values():
        compile_template(template)
    selection = declarations.text(logical_id, "TemplateSelectionExpression")
    if selection is None or selection == "$default":
        # Without an expression the only template is meant, whatever its key.
        if len(templates) == 1:
            templates = {"$default": next(iter(templates.values()))}
        selection = "\\$default"
    compile_selection(selection)
    return Templates(templates, selection, declarations.text(logical_id, "PassthroughBehavior") or "WHEN_NO_MATCH")
