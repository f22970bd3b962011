"""
What a template says, resolved: the plan that the rest of the emulator runs.

Nothing here reads a file; ``local.template.reader`` makes these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Throttle:
    """A token bucket: ``rate`` requests a second, ``burst`` at once."""

    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of an API; the emulator serves exactly one for each API."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    throttle: Throttle | None = None
    route_throttles: Mapping[str, Throttle] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LambdaIntegration:
    """An AWS_PROXY integration; ``function`` is a logical id, ``timeout`` seconds (at most 29)."""

    function: str
    timeout: float = 29.0


@dataclass(frozen=True, slots=True)
class Templates:
    """
    Mapping templates by the keys that ``selection``, a selection expression, picks from.

    ``passthrough`` says what becomes of a payload for which there is none: it passes (``WHEN_NO_MATCH``), it passes if
    there are no templates at all (``WHEN_NO_TEMPLATES``), or it is refused (``NEVER``).
    """

    by_key: Mapping[str, str] = field(default_factory=dict)
    selection: str = r"\$default"
    passthrough: str = "WHEN_NO_MATCH"


@dataclass(frozen=True, slots=True)
class IntegrationResponse:
    """What becomes of a backend's answer; ``key`` is ``$default``, or the pattern of a status between slashes."""

    key: str = "$default"
    templates: Templates = field(default_factory=Templates)
    conversion: str | None = None


@dataclass(frozen=True, slots=True)
class MockIntegration:
    """A MOCK integration: the template for what is asked gives a ``statusCode``, which picks what is answered."""

    requests: Templates = field(default_factory=Templates)
    responses: tuple[IntegrationResponse, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpIntegration:
    """
    An HTTP backend; ``parameters`` are the integration's RequestParameters, ``timeout`` seconds (at most 29).

    HTTP_PROXY ``forwards`` a handshake's own headers and query, HTTP does not.
    """

    url: str
    method: str = "POST"
    parameters: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 29.0
    forwards: bool = True


@dataclass(frozen=True, slots=True)
class CustomIntegration:
    """
    An AWS integration of a function, or an HTTP one: templates make the payload, and the answer.

    ``conversion`` is the ContentHandlingStrategy of what is asked.
    """

    backend: LambdaIntegration | HttpIntegration
    requests: Templates = field(default_factory=Templates)
    responses: tuple[IntegrationResponse, ...] = ()
    conversion: str | None = None


@dataclass(frozen=True, slots=True)
class UnsupportedIntegration:
    """An integration that the emulator cannot run; its route answers ``Internal server error`` and logs ``reason``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A Lambda REQUEST authorizer on ``$connect``; ``timeout`` is seconds."""

    logical_id: str
    function: str
    identity_sources: tuple[str, ...] = ()
    timeout: float = 29.0


@dataclass(frozen=True, slots=True)
class Quota:
    """How often a key may be used in each ``DAY``, ``WEEK`` or ``MONTH``, which begins ``offset`` days later."""

    limit: int
    period: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that clients may show for one stage, with the throttle and the quota of its usage plan."""

    id: str
    value: str
    throttle: Throttle | None = None
    quota: Quota | None = None


Integration = LambdaIntegration | MockIntegration | HttpIntegration | CustomIntegration | UnsupportedIntegration


@dataclass(frozen=True, slots=True)
class Route:
    """
    What one route key leads to. Without an integration ``$connect`` and ``$disconnect`` simply succeed.

    ``models`` are JSON schemas by the keys that ``model_selection`` picks from; a message must obey the one it picks.
    The gateway looks at them before non-proxy integrations only.
    """

    key: str
    integration: Integration | None
    two_way: bool = False
    authorizer: Authorizer | Literal["AWS_IAM"] | None = None
    api_key_required: bool = False
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model_selection: str = r"\$default"


@dataclass(frozen=True, slots=True)
class WebSocketApi:
    """
    One WebSocket API with its stage. ``id`` is ten lower-case letters and digits, the same at every start.

    ``api_keys`` are the keys of the stage's usage plans by their values; ``key_from`` says where a client's key is
    read: from its ``x-api-key`` header, or from the ``usageIdentifierKey`` that the authorizer returns. Without
    ``has_default_endpoint`` only domains of its owner's lead to it, not the one that AWS gives it.
    """

    logical_id: str
    id: str
    name: str
    selection: str
    stage: Stage
    routes: Mapping[str, Route]
    api_keys: Mapping[str, ApiKey] = field(default_factory=dict)
    key_from: Literal["header", "authorizer"] = "header"
    has_default_endpoint: bool = True


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where a domain of somebody's own leads: below ``/{key}`` (everywhere, where that is empty) to an API's stage."""

    host: str
    key: str
    api_id: str


@dataclass(frozen=True, slots=True)
class Role:
    """
    What a function may do: the documents of its policies, as IAM has them and with every intrinsic resolved.

    ``managed`` are the names of policies that are AWS's own, or of another stack; ``boundary`` is the document of its
    permissions boundary.
    """

    name: str
    policies: tuple[Mapping[str, Any], ...] = ()
    managed: tuple[str, ...] = ()
    boundary: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """
    One Lambda function. ``code`` and ``layers`` are absolute folders, ``timeout`` and ``async_max_age`` seconds.

    Without a ``role`` (the template has none for it) nobody can say what it may do. ``source`` is where its code lies,
    as the template says it; nothing where it stands in the template itself.
    """

    logical_id: str
    name: str
    arn: str
    handler: str
    code: Path
    runtime: str = "python3.13"
    layers: tuple[Path, ...] = ()
    timeout: float = 3.0
    memory: int = 128
    environment: Mapping[str, str] = field(default_factory=dict)
    async_retries: int = 2
    async_max_age: float = 21_600.0
    role: Role | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    A schedule that invokes a function asynchronously.

    ``kind`` says which service's event the function gets: EventBridge Scheduler's or an EventBridge rule's.
    ``input`` is the whole payload where the template gives one.
    """

    logical_id: str
    name: str
    arn: str
    kind: Literal["scheduler", "rule"]
    expression: str
    function: str
    timezone: str = "UTC"
    input: str | None = None
    enabled: bool = True
    retries: int = 185
    max_age: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Table:
    """A DynamoDB table: ``definition`` holds the arguments of CreateTable."""

    logical_id: str
    name: str
    definition: Mapping[str, Any]
    ttl_attribute: str | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """What one of moto's services keeps, made by ``operation`` with ``members`` when that service is first asked."""

    logical_id: str
    service: str
    operation: str
    members: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OwnSystem:
    """
    ``Metadata: Tickwire`` of a template: what only such a system has.

    ``streams`` leads from a stream's name to its public path, ``providers`` from an environment variable to the
    exchange (of ``local.exchange``) that stands in for the real host: over WebSockets if the variable's own value is
    such an address. ``gateway`` names the environment variable that holds the stage's address; it gets the emulator's
    own, so that it is good outside of functions too, and without TLS.
    """

    page: Path | None = None
    gateway: str | None = None
    streams: Mapping[str, str] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything a template describes that the emulator runs, and a sentence for each thing that it does not."""

    name: str
    path: Path
    region: str
    account_id: str
    apis: tuple[WebSocketApi, ...]
    functions: Mapping[str, Function]
    mappings: tuple[Mapped, ...] = ()
    tables: tuple[Table, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    resources: tuple[Resource, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    own: OwnSystem | None = None
