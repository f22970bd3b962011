"""moto's services as an ASGI application: who calls is looked at as everywhere, and what may be refused is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4
from xml.sax.saxutils import escape

import msgspec

from local.access.callers import AccessFault
from local.access.permissions import PermissionDenied
from local.access.signatures import SignatureFault, signed_for
from local.front.bodies import BodyNotRead, read_body
from local.regions import partition_of
from local.services.catalogue import SERVICES, hosts, service_of, signing
from local.services.moto import Answered, MotoServices
from local.services.resources import action_of, arn_of, read_call
from local.services.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from litestar.types import Receive, Scope, Send

    from local.access.callers import Access
    from local.stack import Resource

#: How a refusal is called in the XML of services that have no JSON.
_CODES_IN_XML: Final = {
    ("sns", "AccessDeniedException"): "AuthorizationError",
    ("s3", "AccessDeniedException"): "AccessDenied",
}
#: What everybody may do (AWS STS API reference: "No permissions are required to perform this operation").
_FREE: Final = {("sts", "GetCallerIdentity")}
#: The longest request that is taken: of S3 its largest object, of all others what DynamoDB takes.
_MOST: Final = 16_777_216
_MOST_TO_S3: Final = 5_368_709_120
_NOT_OURS: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})


class Services:
    """
    Serves what moto answers for.

    Args:
        access: Decides who may call.
        region: Of everything here.
        suffix: The domain of the region's endpoints.
        account_id: Whose everything is.
        resources: What the template declares of these services.
    """

    def __init__(
        self, access: Access, *, region: str, suffix: str, account_id: str, resources: Iterable[Resource] = ()
    ) -> None:
        self._access = access
        self._moto = MotoServices(region=region, suffix=suffix, account_id=account_id, resources=resources)
        self._hosts = hosts(region, suffix)
        self._place = f"{region}:{account_id}"
        self._partition = partition_of(region)

    def at(self, host: str) -> str | None:
        """Give the service whose host this is, in lower case and without a port; None for any other host."""
        found = self._hosts.fullmatch(host)
        return service_of(found) if found else None

    def asked(self, scope: Scope, target: str | None) -> str | None:
        """
        Give the service that a request at the emulator's own address is for; None for what is not here.

        It is the one that the request is signed for. What is not signed at all may still be for a service that has such
        operations, by its ``X-Amz-Target``.
        """
        named = signed_for(scope["query_string"], [*scope["headers"]])
        if named is not None:
            return signing(named)
        beginning = (target or "").partition(".")[0]
        found = (name for name, known in SERVICES.items() if known.is_public and known.target == beginning)
        return next(found, None) if beginning else None

    async def serve(self, service: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of ``service``."""
        try:
            body = await read_body(receive, _MOST_TO_S3 if service == "s3" else _MOST)
        except BodyNotRead:
            in_json = any(name.lower() == b"x-amz-target" for name, _ in scope["headers"])
            await _send(send, _too_long(service, in_json=in_json), is_last=True)
            return
        await _send(send, await self._answer(service, scope, body))

    async def _answer(self, service: str, scope: Scope, body: bytes) -> Answered:
        known = SERVICES[service]
        method: str = scope["method"]  # type: ignore[typeddict-item] # an HTTP scope has a method
        headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        raw, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        if service == "s3" and (bucket := self._bucket(headers)):
            raw = f"/{bucket}{'' if raw == '/' else raw}"
        path = f"{raw}?{query}" if query else raw
        operation, members = read_call(headers, query, body)
        if not operation:
            found = await in_thread(self._moto.operation, service, method, path, headers, body)
            operation = found or "*"
        is_unsigned = signed_for(scope["query_string"], [*scope["headers"]]) is None
        if not ((known.is_public and is_unsigned) or (service, operation) in _FREE):
            resource = arn_of(known.iam, members, raw, place=self._place, partition=self._partition)
            try:
                self._access.check_service(
                    action_of(known.iam, operation), resource, scope, body, exact=service != "s3"
                )
            except AccessFault as fault:
                return _refusal(service, fault, in_json="x-amz-target" in headers)
        return await in_thread(self._moto.answer, service, method, path, headers, body)

    def _bucket(self, headers: Mapping[str, str]) -> str:
        """Give the bucket that stands in the host of a request of S3, if one does."""
        found = self._hosts.fullmatch(headers.get("host", "").partition(":")[0])
        return found.string[: found.start("bucket") - 1] if found and found["bucket"] else ""


def _refusal(service: str, fault: Exception, *, in_json: bool) -> Answered:
    kind = str(getattr(fault, "kind", "InternalFailure"))
    if in_json:
        member = "Message" if isinstance(fault, PermissionDenied) else "message"
        content = msgspec.json.encode({"__type": f"com.amazon.coral.service#{kind}", member: str(fault)})
        return Answered(
            403 if isinstance(fault, SignatureFault) else 400,
            {"content-type": "application/x-amz-json-1.0", "x-amzn-errortype": kind},
            content,
        )
    code = _CODES_IN_XML.get((service, kind), kind.removesuffix("Exception"))
    return Answered(403, {"content-type": "text/xml", "x-amzn-errortype": kind}, _in_xml(service, code, str(fault)))


def _too_long(service: str, *, in_json: bool) -> Answered:
    kind, sentence = "RequestEntityTooLarge", "The request is larger than any that is taken."
    if service == "s3":
        kind, sentence = "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"
    if in_json:
        content = msgspec.json.encode({"__type": kind, "message": sentence})
        return Answered(413, {"content-type": "application/x-amz-json-1.0", "x-amzn-errortype": kind}, content)
    return Answered(400 if service == "s3" else 413, {"content-type": "text/xml"}, _in_xml(service, kind, sentence))


def _in_xml(service: str, code: str, sentence: str) -> bytes:
    error = f"<Code>{code}</Code><Message>{escape(sentence)}</Message>"
    if service == "s3":
        return f"<Error>{error}</Error>".encode()
    return f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>".encode()


async def _send(send: Send, answer: Answered, *, is_last: bool = False) -> None:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in answer.headers.items()
        if name.lower().encode("latin-1") not in _NOT_OURS
    ]
    if not any(name == b"x-amzn-requestid" for name, _ in headers):
        headers.append((b"x-amzn-requestid", str(uuid4()).encode()))
    headers.append((b"content-length", b"%d" % len(answer.body)))
    if is_last:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
