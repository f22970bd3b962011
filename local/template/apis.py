"""Read the WebSocket APIs that a template declares: stages, routes, integrations, authorizers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from local.rules.authorizers import SOURCE
from local.rules.models import fault_of
from local.rules.selection import BadExpression, compile_selection
from local.stack import (
    Authorizer,
    CustomIntegration,
    LambdaIntegration,
    MockIntegration,
    Route,
    Stage,
    UnsupportedIntegration,
    WebSocketApi,
)
from local.template.declarations import Declarations, listed
from local.template.errors import NoWebSocketApi, ReferenceFault, ResourceFault
from local.template.ignored import likely_type
from local.template.integrations import read_custom, read_http, read_mock
from local.template.intrinsics import text_of
from local.template.limits import read_keys, read_throttle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.stack import HttpIntegration, Integration
    from local.template.functions import DeclaredFunctions

_API = "AWS::ApiGatewayV2::Api"
#: The longest that the gateway waits for an integration, in milliseconds (API Gateway's quotas).
_LONGEST_TIMEOUT_MS = 29_000
#: What stands in a template beside an API and is part of it.
_PARTS = ("Authorizer", "Integration", "Model", "Route", "RouteResponse", "Stage")
#: The route keys that begin with a dollar; no other may.
_OWN_KEYS = ("$connect", "$disconnect", "$default")
#: What a stage may be called; ``$default`` is what SST calls its own.
_STAGE_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}|\$default")


def read_apis(declarations: Declarations, functions: DeclaredFunctions) -> tuple[WebSocketApi, ...]:
    """
    Read every WebSocket API with its stage and routes.

    Raises:
        NoWebSocketApi: There is none.
        ReferenceFault: A route names an integration, an authorizer or a function that is not in the template.
        ResourceFault: A part of an API lacks what it needs.
    """
    apis = [
        _ApiReader(declarations, functions, logical_id).read()
        for logical_id in declarations.of(_API)
        if _is_websocket(declarations, logical_id)
    ]
    if not apis:
        others = [*declarations.of(_API, "AWS::ApiGateway::RestApi")]
        held = f" ({listed(others)} speak{'s' if len(others) == 1 else ''} HTTP)" if others else ""
        meant = [
            f"; {logical_id} is of type {kind}: did you mean {guess}?"
            for logical_id in declarations.resources
            if (guess := likely_type(kind := declarations.kind(logical_id))) == _API
        ]
        raise NoWebSocketApi(f"there is no WebSocket API in this template{held}{''.join(meant[:1])}")
    _warn_of_strangers(declarations, {api.id for api in apis})
    return tuple(apis)


def _is_websocket(declarations: Declarations, logical_id: str) -> bool:
    protocol = declarations.text(logical_id, "ProtocolType")
    if protocol is None and declarations.text(logical_id, "RouteSelectionExpression") is not None:
        raise ResourceFault(
            f"the API {logical_id} has no ProtocolType; here it must be WEBSOCKET", ("Resources", logical_id)
        )
    return protocol == "WEBSOCKET"


def _warn_of_strangers(declarations: Declarations, served: set[str]) -> None:
    """Name the parts of APIs that belong to none in the template, so that nobody waits for what they would do."""
    known = served | {declarations.name(logical_id) for logical_id in declarations.of(_API)}
    strangers: dict[str, list[str]] = {}
    for logical_id in declarations.of(*(f"AWS::ApiGatewayV2::{part}" for part in _PARTS)):
        owner = declarations.text(logical_id, "ApiId")
        if owner not in known:
            strangers.setdefault(owner or "", []).append(logical_id)
    for owner, parts in strangers.items():
        verb = "belongs" if len(parts) == 1 else "belong"
        declarations.warnings.append(
            f"{listed(parts)} {verb} to the API {owner!r}, which is not in this template: nothing changes by it here."
        )


class _ApiReader:
    """Reads one API; its parts point to each other by ids, so all of a kind are gathered first."""

    def __init__(self, declarations: Declarations, functions: DeclaredFunctions, logical_id: str) -> None:
        self._declarations = declarations
        self._functions = functions
        self._logical_id = logical_id
        self._id = declarations.name(logical_id)
        self._stage = Stage("default")
        self._unsupported: dict[str, list[str]] = {}

    def read(self) -> WebSocketApi:
        declarations, logical_id = self._declarations, self._logical_id
        selection = declarations.text(logical_id, "RouteSelectionExpression")
        if selection is None:
            raise ResourceFault(f"the API {logical_id} has no RouteSelectionExpression", ("Resources", logical_id))
        trail = ("Resources", logical_id, "Properties", "RouteSelectionExpression")
        try:
            compile_selection(selection)
        except BadExpression as error:
            raise ResourceFault(str(error), trail) from error
        if "$" not in selection:
            declarations.warnings.append(
                f"The RouteSelectionExpression of {logical_id} is {selection!r}, which is the same for every message; "
                f"$request.body.action, for example, reads one."
            )
        self._stage = self._read_stage()
        routes: dict[str, Route] = {}
        for part in self._parts("Route"):
            route = self._read_route(part)
            if route.key in routes:
                raise ResourceFault(f"the API {logical_id} has two routes {route.key}", ("Resources", part))
            routes[route.key] = route
        for kind, keys in self._unsupported.items():
            subject = "route" if len(keys) == 1 else "routes"
            declarations.warnings.append(
                f"The {subject} {listed(keys)} of {logical_id} will answer Internal server error: "
                f"integrations of type {kind} are not emulated."
            )
        key_source = declarations.text(logical_id, "ApiKeySelectionExpression")
        has_default_endpoint = not declarations.flag(logical_id, "DisableExecuteApiEndpoint")
        if not has_default_endpoint:
            declarations.warnings.append(
                f"DisableExecuteApiEndpoint: AWS's own host for {logical_id} answers 403 Forbidden, here as there; "
                "only domains of its own and the address on this machine, which stands in for them, lead to it."
            )
        if not routes:
            declarations.warnings.append(f"The API {logical_id} has no routes.")
        return WebSocketApi(
            logical_id=logical_id,
            id=self._id,
            name=declarations.text(logical_id, "Name") or logical_id,
            selection=selection,
            stage=self._stage,
            routes=routes,
            api_keys=read_keys(declarations, self._id, self._stage.name),
            key_from="authorizer" if "usageIdentifierKey" in (key_source or "") else "header",
            has_default_endpoint=has_default_endpoint,
        )

    def _parts(self, kind: str) -> Iterator[str]:
        for logical_id in self._declarations.of(f"AWS::ApiGatewayV2::{kind}"):
            if self._declarations.text(logical_id, "ApiId") == self._id:
                yield logical_id

    def _read_stage(self) -> Stage:
        declarations = self._declarations
        stages = [*self._parts("Stage")]
        if not stages:
            declarations.warnings.append(
                f"The API {self._logical_id} has no stage, so on AWS nobody could connect; here it is at /default."
            )
            return Stage("default")
        first, *others = stages
        if others:
            declarations.warnings.append(
                f"The API {self._logical_id} is served at its stage {declarations.name(first)} only, "
                f"not at {listed(declarations.name(other) for other in others)}."
            )
        if not declarations.flag(first, "AutoDeploy") and not declarations.text(first, "DeploymentId"):
            declarations.warnings.append(
                f"The stage {first} has neither AutoDeploy nor a DeploymentId, so on AWS it would not serve a route."
            )
        name = declarations.text(first, "StageName")
        if name is None:
            raise ResourceFault(f"the stage {first} has no StageName", ("Resources", first))
        if not _STAGE_NAME.fullmatch(name):
            raise ResourceFault(
                f"a WebSocket API has no stage {name!r}: its name is of letters, digits, - and _",
                ("Resources", first, "Properties", "StageName"),
            )
        trail = ("Resources", first, "Properties", "RouteSettings")
        settings = declarations.mapping(first, "RouteSettings")
        throttles = {key: read_throttle(setting, (*trail, key)) for key, setting in settings.items()}
        default = declarations.mapping(first, "DefaultRouteSettings")
        return Stage(
            name=name,
            variables={
                variable: text_of(value, f"the stage variable {variable}")
                for variable, value in declarations.mapping(first, "StageVariables").items()
            },
            throttle=read_throttle(default, ("Resources", first, "Properties", "DefaultRouteSettings")),
            route_throttles={key: throttle for key, throttle in throttles.items() if throttle},
        )

    def _read_route(self, logical_id: str) -> Route:
        declarations = self._declarations
        key = declarations.text(logical_id, "RouteKey")
        if key is None:
            raise ResourceFault(f"the route {logical_id} has no RouteKey", ("Resources", logical_id))
        if key.startswith("$") and key not in _OWN_KEYS:
            trail = ("Resources", logical_id, "Properties", "RouteKey")
            raise ResourceFault(f"there is no route {key}; with a dollar there are {listed(_OWN_KEYS)}", trail)
        route_id = declarations.name(logical_id)
        answers = any(
            declarations.text(part, "RouteId") == route_id
            and declarations.text(part, "RouteResponseKey") in {None, "$default"}
            for part in self._parts("RouteResponse")
        )
        integration = self._read_target(logical_id, key)
        authorizer = self._read_authorizer(logical_id, key)
        if isinstance(authorizer, UnsupportedIntegration):
            integration, authorizer = authorizer, None
        return Route(
            key=key,
            integration=integration,
            two_way=answers or declarations.text(logical_id, "RouteResponseSelectionExpression") is not None,
            authorizer=authorizer,
            api_key_required=declarations.flag(logical_id, "ApiKeyRequired"),
            **self._read_models(logical_id, key, integration),
        )

    def _read_models(self, logical_id: str, key: str, integration: Integration | None) -> dict[str, Any]:
        """Read the schemas that a route's messages must obey, by the keys of its RequestModels."""
        named = self._declarations.mapping(logical_id, "RequestModels")
        if not named or not isinstance(integration, MockIntegration | CustomIntegration):
            return {}
        models = {str(one).replace("\\$", "$"): self._read_model(logical_id, key, name) for one, name in named.items()}
        selection = self._declarations.text(logical_id, "ModelSelectionExpression")
        if selection is None or selection == "$default":
            # Without an expression the first is meant, whatever its key.
            return {"models": {"$default": next(iter(models.values()))}}
        try:
            compile_selection(selection)
        except BadExpression as error:
            trail = ("Resources", logical_id, "Properties", "ModelSelectionExpression")
            raise ResourceFault(f"the route {key} cannot select a model: {error}", trail) from error
        return {"models": models, "model_selection": selection}

    def _read_model(self, logical_id: str, key: str, name: object) -> Mapping[str, Any]:
        for part in self._parts("Model"):
            if self._declarations.text(part, "Name") == name:
                schema = self._declarations.value(part, "Schema")
                trail = ("Resources", part, "Properties", "Schema")
                try:
                    schema = json.loads(schema) if isinstance(schema, str) else schema
                except ValueError as error:
                    raise ResourceFault(f"the schema of the model {part} is no JSON: {error}", trail) from error
                if (fault := fault_of(schema)) is not None:
                    raise ResourceFault(f"the schema of the model {part} is none: {fault}", trail)
                return dict(schema)
        raise ReferenceFault(
            f"the route {key} wants the model {name!r}, which is none of {self._logical_id}",
            ("Resources", logical_id, "Properties", "RequestModels"),
        )

    def _read_target(self, logical_id: str, key: str) -> Integration | None:
        target = self._declarations.text(logical_id, "Target")
        if target is None:
            return None
        trail = ("Resources", logical_id, "Properties", "Target")
        if not target.startswith("integrations/"):
            raise ResourceFault(f"the route {key} leads to {target!r}; a target is integrations/ and an id", trail)
        wanted = target.removeprefix("integrations/")
        for part in self._parts("Integration"):
            if self._declarations.name(part) == wanted:
                return self._read_integration(part, key)
        raise ReferenceFault(
            f"the route {key} leads to {target!r}, which is no integration of {self._logical_id}", trail
        )

    def _read_integration(self, logical_id: str, key: str) -> Integration | None:
        declarations = self._declarations
        kind = declarations.text(logical_id, "IntegrationType")
        if kind == "MOCK":
            return self._named(key, read_mock(declarations, logical_id, self._parts("IntegrationResponse")))
        timeout = declarations.number(logical_id, "TimeoutInMillis", default=_LONGEST_TIMEOUT_MS)
        timeout = min(timeout, _LONGEST_TIMEOUT_MS) / 1_000
        if kind is None:
            raise ResourceFault(f"the integration {logical_id} has no IntegrationType", ("Resources", logical_id))
        if kind not in {"AWS_PROXY", "HTTP_PROXY", "AWS", "HTTP"}:
            self._unsupported.setdefault(kind, []).append(key)
            return UnsupportedIntegration(f"integrations of type {kind} are not emulated")
        uri = declarations.text(logical_id, "IntegrationUri")
        if uri is None:
            raise ResourceFault(f"the integration {logical_id} has no IntegrationUri", ("Resources", logical_id))
        uri = self._with_variables(uri)
        if kind in {"HTTP_PROXY", "HTTP"}:
            backend = read_http(declarations, logical_id, uri, timeout)
            return backend if backend.forwards else self._read_custom(logical_id, key, backend)
        if kind == "AWS" and ":lambda:path/" not in uri:
            kind = "AWS with other services than Lambda"
            self._unsupported.setdefault(kind, []).append(key)
            return UnsupportedIntegration(f"integrations of type {kind} are not emulated")
        function = self._function(uri, logical_id, f"the route {key}", "IntegrationUri")
        if (reason := self._functions.unrunnable.get(function)) is not None:
            return UnsupportedIntegration(f"the function {function} cannot run here: {reason}")
        found = LambdaIntegration(function, timeout=timeout)
        return found if kind == "AWS_PROXY" else self._read_custom(logical_id, key, found)

    def _read_custom(self, logical_id: str, key: str, backend: LambdaIntegration | HttpIntegration) -> Integration:
        return self._named(
            key, read_custom(self._declarations, logical_id, backend, self._parts("IntegrationResponse"))
        )

    def _named(self, key: str, integration: Integration) -> Integration:
        """Name an integration that cannot be used for what its templates are."""
        if isinstance(integration, UnsupportedIntegration):
            self._declarations.warnings.append(
                f"The route {key} of {self._logical_id} will answer Internal server error: {integration.reason}."
            )
        return integration

    def _authorizer_of(self, logical_id: str, key: str) -> str:
        """Give the logical id of the authorizer that a route names."""
        declarations = self._declarations
        wanted = declarations.text(logical_id, "AuthorizerId")
        if wanted is None:
            raise ResourceFault(f"the route {key} wants an authorizer and names none", ("Resources", logical_id))
        for part in self._parts("Authorizer"):
            if declarations.name(part) == wanted:
                return part
        raise ReferenceFault(
            f"the route {key} wants the authorizer {wanted!r}, which is none of {self._logical_id}",
            ("Resources", logical_id, "Properties", "AuthorizerId"),
        )

    def _read_authorizer(self, logical_id: str, key: str) -> Any:  # noqa: ANN401 - what Route takes, or an UnsupportedIntegration
        declarations = self._declarations
        kind = declarations.text(logical_id, "AuthorizationType") or "NONE"
        if kind == "NONE":
            return None
        if key != "$connect":
            declarations.warnings.append(
                f"The route {key} of {self._logical_id} asks for authorization, which AWS allows on $connect only; "
                "here it is ignored."
            )
            return None
        if kind == "AWS_IAM":
            return "AWS_IAM"
        if kind != "CUSTOM":
            raise ResourceFault(
                f"the route {key} asks for authorization by {kind}; WebSocket APIs have NONE, AWS_IAM and CUSTOM",
                ("Resources", logical_id, "Properties", "AuthorizationType"),
            )
        part = self._authorizer_of(logical_id, key)
        if (named := declarations.text(part, "AuthorizerType")) not in {None, "REQUEST"}:
            raise ResourceFault(
                f"the authorizer {part} is of type {named}; WebSocket APIs have REQUEST",
                ("Resources", part, "Properties", "AuthorizerType"),
            )
        uri = declarations.text(part, "AuthorizerUri")
        if uri is None:
            raise ResourceFault(f"the authorizer {part} has no AuthorizerUri", ("Resources", part))
        function = self._function(uri, part, f"the authorizer {part}", "AuthorizerUri")
        if (reason := self._functions.unrunnable.get(function)) is not None:
            return UnsupportedIntegration(f"the authorizer's function {function} cannot run here: {reason}")
        sources = declarations.items(part, "IdentitySource")
        texts = (text_of(source, f"an identity source of {part}") for source in sources)
        found = tuple(source.strip() for text in texts for source in text.split(",") if source.strip())
        for source in found:
            if SOURCE.fullmatch(source) is None:
                raise ResourceFault(
                    f"{source!r} is no identity source; there are route.request.header.NAME, "
                    "route.request.querystring.NAME, stageVariables.NAME and context.NAME",
                    ("Resources", part, "Properties", "IdentitySource"),
                )
        return Authorizer(part, function, found)

    def _with_variables(self, uri: str) -> str:
        for variable, value in self._stage.variables.items():
            uri = uri.replace(f"${{stageVariables.{variable}}}", value)
        return uri

    def _function(self, uri: str, logical_id: str, who: str, key: str) -> str:
        function = self._functions.invoked_by(self._with_variables(uri))
        if function is None:
            raise ReferenceFault(
                f"{who} invokes {uri!r}, and no function of this template has that name or ARN",
                ("Resources", logical_id, "Properties", key),
            )
        return function
