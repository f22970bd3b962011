"""
Who calls, and whether they may: the signature and the permissions of every call of a service of AWS.

The developer has one key pair that may do everything, each function one of its own that may do what its role allows.
Faults are ``SignatureFault`` and ``PermissionDenied``; how they look on the wire is different for each service.
"""

from __future__ import annotations

import logging
import secrets
import string
from typing import TYPE_CHECKING, Any, Final

import msgspec

from local.access.managed_policies import find_policy
from local.access.permissions import PermissionDenied, Permissions
from local.access.signatures import KeyPair, SignatureFault, Signatures, signed_for
from local.regions import partition_of
from local.rules.effects import Answer, Refusal
from local.tables.actions import needed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from local.events import Handshake
    from local.stack import Function

AccessFault = (SignatureFault, PermissionDenied)
_LETTERS: Final = string.ascii_uppercase + "234567"
_TOKEN_BYTES: Final = 96
_log = logging.getLogger("tickwire.access")


class Access:
    """
    Decides about calls.

    Args:
        administrator: The developer's key pair.
        functions: Whose functions get key pairs of their own.
        signed: Whether signatures are checked. If not, whoever names a function's key is that function, and
            everybody else the administrator.
        limited: Whether functions may only do what their roles allow.
        other_regions: Regions that signatures may name besides ``region``.
    """

    def __init__(
        self,
        *,
        administrator: tuple[str, str],
        functions: Iterable[Function],
        region: str,
        account_id: str,
        signed: bool = True,
        limited: bool = True,
        other_regions: Collection[str] = (),
    ) -> None:
        self._account = account_id
        #: As the gateway writes it, most of it hidden.
        self._starred = f"{'*' * 8}{account_id[-4:]}"
        self._signed = signed
        self._partition = partition_of(region)
        self._region = region
        self._administrator = KeyPair(*administrator, user=self._arn("iam", "user/administrator", region=""))
        self._told: set[tuple[str, str, str]] = set()
        self._function_keys: dict[str, KeyPair] = {}
        self._permissions: dict[str, Permissions] = {}
        for function in functions:
            key = self._function_keys[function.logical_id] = self._new_key(function)
            if limited and function.role is not None:
                self._permissions[key.access_key_id] = self._permissions_of(function, key)
        self._signatures = Signatures(
            [self._administrator, *self._function_keys.values()], regions={region, *other_regions}
        )

    def credentials(self) -> dict[str, dict[str, str]]:
        """Return each function's environment variables for its credentials, by logical id."""
        return {
            function: {
                "AWS_ACCESS_KEY_ID": key.access_key_id,
                "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
                "AWS_SESSION_TOKEN": key.session_token or "",
            }
            for function, key in self._function_keys.items()
        }

    def identify(self, service: str, scope: Mapping[str, Any], body: bytes) -> KeyPair:
        """
        Return the key that a request is signed with.

        Args:
            service: What the signature must be for: ``execute-api``, ``dynamodb`` or ``lambda``.
            scope: The request's ASGI scope.
            body: All of its body.

        Raises:
            SignatureFault: There is no valid signature.
        """
        query, headers = scope["query_string"], scope["headers"]
        if not self._signed:
            return self._signatures.find(query, headers) or self._administrator
        return self._signatures.check(service, scope["method"], scope["raw_path"], query, headers, body)

    def verify_upgrade(self, handshake: Handshake, arn: str) -> Mapping[str, str] | Refusal:
        """
        Return what ``identity`` shows of a client whose upgrade request must be signed, or why it is refused.

        Args:
            handshake: The upgrade request; it is signed in its query, or in its headers.
            arn: Of ``$connect``, on which ``execute-api:Invoke`` must be allowed.
        """
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in handshake.headers]
        path, query = handshake.path.encode("latin-1"), handshake.query.encode("latin-1")
        scope = {"method": "GET", "raw_path": path, "query_string": query, "headers": headers}
        try:
            key = self.identify("execute-api", scope, b"")
            self._check(key, "execute-api:Invoke", arn, route=arn.rpartition(":")[2])
        except (SignatureFault, PermissionDenied) as fault:
            return Refusal(403, str(fault), fault.kind, _member(fault))
        return {
            "accountId": self._account,
            "caller": key.access_key_id,
            "user": key.access_key_id,
            "userArn": key.user,
            "accessKey": key.access_key_id,
        }

    def check_management(
        self, api_id: str, stage: str, connection_id: str, scope: Mapping[str, Any], body: bytes
    ) -> None:
        """
        Return if the caller of ``@connections`` may do that.

        Raises:
            SignatureFault: There is no valid signature.
            PermissionDenied: It may not.
        """
        key = self.identify("execute-api", scope, body)
        if key.access_key_id in self._permissions:
            place = f"{api_id}/{stage}/{scope['method']}/@connections"
            resource = self._arn("execute-api", f"{place}/{connection_id}")
            self._check(key, "execute-api:ManageConnections", resource, route=f"{place}/{{connectionId}}")

    def check_tables(self, target: str, scope: Mapping[str, Any], body: bytes) -> None:
        """
        Return if the caller of DynamoDB may do what ``target`` (``X-Amz-Target``) names.

        Raises:
            SignatureFault: There is no valid signature.
            PermissionDenied: It may not.
        """
        key = self.identify("dynamodb", scope, body)
        if key.access_key_id in self._permissions:
            for action, place in needed(target.rpartition(".")[2], body):
                resource = place if place.startswith(("arn:", "*")) else self._arn("dynamodb", f"table/{place}")
                self._check(key, f"dynamodb:{action}", resource)

    def check_service(
        self, action: str, resource: str | None, scope: Mapping[str, Any], body: bytes, *, exact: bool = True
    ) -> None:
        """
        Return if the caller of a service that moto answers for may do that.

        Args:
            action: As policies spell it, such as ``sqs:SendMessage``.
            resource: Its ARN; None where nobody here can tell it, so that being allowed it on anything is enough.
            scope: The request's ASGI scope.
            body: All of the request's body.
            exact: Whether the signature is checked. S3's is made in another way; there only the key counts.

        Raises:
            SignatureFault: There is no valid signature.
            PermissionDenied: It may not.
        """
        query, headers = scope["query_string"], scope["headers"]
        service = signed_for(query, headers)
        if exact or service is None:
            key = self.identify(service or "", scope, body)
        else:
            named = self._signatures.find(query, headers)
            if named is None and self._signed:
                raise SignatureFault(
                    "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
                )
            key = named or self._administrator
        self._check(key, action, resource)

    def check_invoke(self, arn: str, scope: Mapping[str, Any], body: bytes) -> None:
        """
        Return if the caller of Lambda may invoke the function ``arn``.

        Raises:
            SignatureFault: There is no valid signature.
            PermissionDenied: It may not.
        """
        self._check(self.identify("lambda", scope, body), "lambda:InvokeFunction", arn)

    def _check(self, key: KeyPair, action: str, resource: str | None, *, route: str = "") -> None:
        """Return if a key may; ``route`` is what API Gateway names in its refusals, not the connection."""
        permissions = self._permissions.get(key.access_key_id)
        if permissions is None:
            return
        try:
            permissions.check(action, resource)
        except PermissionDenied as fault:
            denied = fault
            if route:
                denied = RouteDenied(key.user, action, self._arn("execute-api", route, account=self._starred))
            # Once for each thing that is missing, not for each request.
            what = (key.access_key_id, action, denied.resource)
            if what not in self._told:
                self._told.add(what)
                _log.warning("%s", fault)
            raise denied from None

    def _new_key(self, function: Function) -> KeyPair:
        """Make what looks like the temporary credentials of a running function."""
        name = function.role.name if function.role is not None else "unknown"
        return KeyPair(
            access_key_id="ASIA" + "".join(secrets.choice(_LETTERS) for _ in range(16)),
            secret_access_key=secrets.token_urlsafe(30),
            user=self._arn("sts", f"assumed-role/{name}/{function.name}", region=""),
            session_token=f"IQoJb3JpZ2luX2Vj{secrets.token_urlsafe(_TOKEN_BYTES)}",
        )

    def _permissions_of(self, function: Function, key: KeyPair) -> Permissions:
        role = function.role
        if role is None:
            raise ValueError(function.logical_id)
        return Permissions(
            role,
            user=key.user,
            context={
                "aws:principalaccount": self._account,
                "aws:principalarn": self._arn("iam", f"role/{role.name}", region=""),
                "aws:principaltype": "AssumedRole",
                "aws:requestedregion": self._region,
                "aws:resourceaccount": self._account,
                "aws:securetransport": "true",  # what is plain here is TLS at AWS
                "aws:viaawsservice": "false",
                "lambda:functionarn": function.arn,
            },
            find_policy=find_policy,
            warn=_log.warning,
        )

    def _arn(self, service: str, resource: str, *, region: str | None = None, account: str = "") -> str:
        where = self._region if region is None else region
        return f"arn:{self._partition}:{service}:{where}:{account or self._account}:{resource}"


class RouteDenied(PermissionDenied):
    """What API Gateway says of a denial: the route and no reason."""

    def __init__(self, user: str, action: str, resource: str) -> None:
        super().__init__(user, action, resource, is_explicit=False)

    def __str__(self) -> str:
        return f"User: {self.user} is not authorized to perform: {self.action} on resource: {self.resource}"


def refusal(fault: Exception) -> Answer:
    """Return what API Gateway and Lambda answer to a fault."""
    return Answer(403, msgspec.json.encode({_member(fault): str(fault)}), _kind(fault))


def table_refusal(fault: Exception) -> bytes:
    """Return the body of what DynamoDB answers to a fault, with status 400."""
    sentence = str(fault)
    if _kind(fault) == "MissingAuthenticationTokenException":
        sentence = "Request is missing Authentication Token"
    return msgspec.json.encode({"__type": f"com.amazon.coral.service#{_kind(fault)}", _member(fault): sentence})


def _member(fault: Exception) -> str:
    # Denials come from behind the front that looks at signatures; it spells the member in lower case.
    return "Message" if isinstance(fault, PermissionDenied) else "message"


def _kind(fault: Exception) -> str:
    return str(getattr(fault, "kind", "InternalFailure"))
