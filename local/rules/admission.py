"""Who may connect: what the gateway decides before ``$connect``'s integration is asked, and how it reads the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.events import authorizer_event, context_of, with_more_identity
from local.limits import LONGEST_URL
from local.rules.answers import refusal_text
from local.rules.authorizers import Allowed, Denied, missing_source, read_policy
from local.rules.effects import Refusal
from local.rules.reading import NoJson, read_json
from local.stack import Authorizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local.events import Caller, Handshake
    from local.limits import Choices
    from local.rules.throttling import Throttles
    from local.stack import Route, WebSocketApi

    #: Checks the signature of an upgrade request for the ARN of ``$connect``; answers with members of ``identity``.
    Verify = Callable[[Handshake, str], Mapping[str, str] | Refusal]

FORBIDDEN = Refusal(403, "Forbidden", "ForbiddenException")
UNAUTHORIZED = Refusal(401, "Unauthorized", "UnauthorizedException")
TOO_MANY = Refusal(429, "Too Many Requests", "TooManyRequestsException")
USED_UP = Refusal(429, "Limit Exceeded", "LimitExceededException")
SERVER_ERROR = Refusal(500, "Internal server error", "InternalServerErrorException")
BAD_ANSWER = Refusal(502, "Internal server error", "InternalServerErrorException")
MISCONFIGURED = Refusal(500, "Internal server error", "AuthorizerConfigurationException")


@dataclass(slots=True)
class Upgrade:
    """An upgrade request under way; instants are epoch seconds, ``api_key`` is what the authorizer named."""

    handshake: Handshake
    request_id: str
    trace_id: str
    at: float
    api_key: str | None = None


class Admission:
    """The door of one stage. What it finds out about a client goes into the client's ``Caller``."""

    def __init__(
        self, api: WebSocketApi, throttles: Throttles, *, choices: Choices, arn: str, verify: Verify | None
    ) -> None:
        self._api = api
        self._throttles = throttles
        self._choices = choices
        self._arn = arn
        self._verify = verify

    def turn_away(self, handshake: Handshake, now: float) -> Refusal | None:
        """Refuse what is not even looked at: a URL that is too long, one connection too many."""
        query = 1 + len(handshake.query) if handshake.query else 0
        if len("wss://") + len(handshake.domain_name) + len(handshake.path) + query > LONGEST_URL:
            return Refusal(self._choices.long_url_status, "Request-URI Too Long")
        return TOO_MANY if self._throttles.refuse_connection(now) else None

    def question(self, caller: Caller, upgrade: Upgrade, route: Route) -> Refusal | bytes | None:
        """Return what the authorizer's function is to be asked, ``None`` where nobody is, or a refusal."""
        if route.authorizer is None:
            return None
        if not isinstance(route.authorizer, Authorizer):
            if self._verify is None:
                return FORBIDDEN
            found = self._verify(upgrade.handshake, self._arn)
            if isinstance(found, Refusal):
                return found
            caller.identity = with_more_identity(caller.identity, found)
            return None
        context = context_of(
            caller, route_key="$connect", kind="CONNECT", request_id=upgrade.request_id, now=upgrade.at
        )
        missing = missing_source(
            route.authorizer.identity_sources,
            upgrade.handshake,
            variables=self._api.stage.variables,
            context=context,
        )
        if missing is not None:
            return UNAUTHORIZED
        return authorizer_event(
            caller,
            upgrade.handshake,
            method_arn=self._arn,
            request_id=upgrade.request_id,
            trace_id=upgrade.trace_id,
            now=upgrade.at,
        )

    def verdict(self, caller: Caller, upgrade: Upgrade, payload: bytes) -> tuple[Refusal | None, str]:
        """Read what the authorizer's function returned; the text tells the developer of a refusal."""
        found = read_policy(payload, self._arn)
        if isinstance(found, Allowed):
            caller.authorizer = dict[str, Any](found.context)
            upgrade.api_key = found.api_key
            return None, ""
        if isinstance(found, Denied):
            said = "denies" if found.explicitly else "has no Allow that matches"
            return Refusal(403, self._choices.denied_message, "AccessDeniedException"), f"the policy {said} {self._arn}"
        return MISCONFIGURED, f"the authorizer's answer cannot be used: {found.reason}"

    def fault(self, payload: bytes) -> Refusal:
        """Read how the authorizer's function failed: one that raises exactly ``Unauthorized`` refuses the client."""
        try:
            error = read_json(payload)
        except NoJson:
            return SERVER_ERROR
        said = error.get("errorMessage") if isinstance(error, dict) else None
        return UNAUTHORIZED if said == "Unauthorized" else SERVER_ERROR

    def answered(self, status: int) -> Refusal | None:
        """Read the status that the integration of ``$connect`` answered with; ``None`` lets the client in."""
        if status == 200 or (200 < status < 300 and self._choices.any_success_opens):  # noqa: PLR2004 # success in HTTP
            return None
        # Below, nothing is answered yet (101 would be the gateway's own); above, HTTP has no such status.
        if not 300 <= status < (600 if self._choices.fault_statuses_pass else 500):  # noqa: PLR2004 # refusals in HTTP
            return BAD_ANSWER
        return Refusal(status, refusal_text(status))

    def check_key(self, caller: Caller, upgrade: Upgrade, route: Route, now: float) -> Refusal | None:
        """Look at the client's API key where the route asks for one."""
        if not route.api_key_required:
            return None
        shown = upgrade.handshake.header("x-api-key") if self._api.key_from == "header" else upgrade.api_key
        key = self._api.api_keys.get(shown or "")
        if key is None:
            return FORBIDDEN
        if self._throttles.refuse_key(key, now):
            return TOO_MANY
        if self._throttles.exhausts_key(key, now):
            return USED_UP
        caller.identity = with_more_identity(caller.identity, {"apiKey": key.value, "apiKeyId": key.id})
        return None
