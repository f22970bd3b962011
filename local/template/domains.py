"""Read the domains of their own that a template gives its APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.stack import Mapped
from local.template.errors import ReferenceFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.stack import WebSocketApi
    from local.template.declarations import Declarations


def read_mappings(declarations: Declarations, apis: Sequence[WebSocketApi]) -> tuple[Mapped, ...]:
    """
    Read every ``AWS::ApiGatewayV2::ApiMapping`` of an API that is served.

    Raises:
        ReferenceFault: It names a stage that its API has not here.
    """
    served = {api.id: api for api in apis}
    mappings = []
    for logical_id in declarations.of("AWS::ApiGatewayV2::ApiMapping"):
        host = declarations.text(logical_id, "DomainName")
        api = served.get(declarations.text(logical_id, "ApiId") or "")
        stage = declarations.text(logical_id, "Stage")
        if host is None or api is None:
            continue  # it belongs to an HTTP API, of which a warning tells
        if stage != api.stage.name:
            raise ReferenceFault(
                f"{logical_id} leads to the stage {stage!r}, and of {api.logical_id} {api.stage.name!r} is served",
                ("Resources", logical_id, "Properties", "Stage"),
            )
        key = (declarations.text(logical_id, "ApiMappingKey") or "").strip("/")
        mappings.append(Mapped(host.lower(), key, api.id))
    return tuple(mappings)
