"""
Lambda's Invoke API, as an ASGI application: what ``boto3.client("lambda").invoke()`` talks to.

It answers ``POST /2015-03-31/functions/{name}/invocations``; whether the caller may is decided before.
"""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import msgspec

from local.functions.invocations import (
    EVENT_LIMIT,
    LATER_EVENT_LIMIT,
    LOG_TAIL,
    end_lines,
    new_request_id,
    new_trace_id,
    start_line,
)
from local.functions.service import Exhausted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from local.functions.service import Functions, Result
    from local.stack import Function

    Receive = Callable[[], Awaitable[Any]]
    Send = Callable[[Any], Awaitable[None]]
    Application = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]

PREFIX = "/2015-03-31/functions/"
_SUFFIX = "/invocations"
_KIND = b"x-amz-invocation-type"
_KINDS = ("Event", "DryRun", "RequestResponse")


class _Refused(Exception):
    """The API's own error: its ``status``, its type, and what the body says."""

    def __init__(self, status: HTTPStatus, error_type: str, message: str, *, member: str = "message") -> None:
        super().__init__(status, error_type, message)
        self.status = status
        self.error_type = error_type
        self.body = msgspec.json.encode({"Type": "User", member: message})


def invoke_api(functions: Functions) -> Application:
    """
    Return the ASGI application that invokes ``functions``.

    The path is read from ``raw_path``, because an ARN may be encoded in it; the application may be mounted anywhere.
    """

    async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        request_id = new_request_id()
        try:
            status, headers, body = await _answer(functions, scope, receive, request_id)
        except _Refused as refusal:
            status, body = refusal.status, refusal.body
            headers = {"content-type": "application/json", "x-amzn-errortype": refusal.error_type}
        headers["x-amzn-requestid"] = request_id
        headers["content-length"] = str(len(body))
        if status is HTTPStatus.NO_CONTENT:
            del headers["content-length"]
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status.value, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    return application


async def _answer(
    functions: Functions, scope: Mapping[str, Any], receive: Receive, request_id: str
) -> tuple[HTTPStatus, dict[str, str], bytes]:
    function, arn = _find(functions, scope)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    kind = headers.get("x-amz-invocation-type", "RequestResponse")
    if kind not in _KINDS:
        raise _Refused(
            HTTPStatus.BAD_REQUEST,
            "ValidationException",
            f"1 validation error detected: Value '{kind}' at 'invocationType' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(_KINDS)}]",
        )
    event = await _read_event(receive, kind)
    context = _client_context(headers.get("x-amz-client-context", ""))
    trace_id = headers.get("x-amzn-trace-id") or new_trace_id(request_id)
    answer = {"x-amzn-trace-id": trace_id, "x-amz-executed-version": "$LATEST"}
    if kind == "DryRun":
        return HTTPStatus.NO_CONTENT, {}, b""
    if kind == "Event":
        functions.invoke_later(function.logical_id, event, request_id=request_id)
        return HTTPStatus.ACCEPTED, {"x-amzn-trace-id": trace_id}, b""
    try:
        result = await functions.invoke(
            function.logical_id, event, request_id=request_id, arn=arn, trace_id=trace_id, client_context=context
        )
    except Exhausted as fault:
        raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequestsException", "Rate Exceeded.") from fault
    answer["content-type"] = "application/json"
    if result.error is not None:
        answer["x-amz-function-error"] = result.error
    if headers.get("x-amz-log-type") == "Tail":
        answer["x-amz-log-result"] = base64.b64encode(_log_tail(function, result)).decode()
    return HTTPStatus.OK, answer, result.payload


def _find(functions: Functions, scope: Mapping[str, Any]) -> tuple[Function, str]:
    """Return the function that the path names, and the ARN that it shall see itself invoked by."""
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
    _, found, rest = path.partition(PREFIX)
    if scope["method"] != "POST" or not found or not rest.endswith(_SUFFIX):
        raise _Refused(HTTPStatus.NOT_FOUND, "UnknownOperationException", "There is no such operation here.")
    name = unquote(rest.removesuffix(_SUFFIX))
    qualifier = parse_qs(scope["query_string"].decode("latin-1")).get("Qualifier", [""])[0]
    function = functions.find(name)
    if function is None:
        arn = functions.arn_of(name) + (f":{qualifier}" if qualifier else "")
        raise _Refused(
            HTTPStatus.NOT_FOUND, "ResourceNotFoundException", f"Function not found: {arn}", member="Message"
        )
    if not qualifier and not name.endswith(function.name):
        qualifier = name.rpartition(":")[2]
    return function, f"{function.arn}:{qualifier}" if qualifier else function.arn


async def _read_event(receive: Receive, kind: str) -> bytes:
    """Return the request's body, JSON; an empty one is an empty object."""
    limit = LATER_EVENT_LIMIT if kind == "Event" else EVENT_LIMIT
    event, size, more = b"", 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size <= limit:
            event += part
    if size > limit:
        raise _too_large(size, kind, limit)
    if not event:
        return b"{}"
    try:
        msgspec.json.decode(event, type=msgspec.Raw)
    except msgspec.DecodeError as fault:
        raise _Refused(
            HTTPStatus.BAD_REQUEST, "InvalidRequestContentException", f"Could not parse request body into json: {fault}"
        ) from fault
    return event


def too_large(scope: Mapping[str, Any], size: int) -> tuple[int, str, bytes]:
    """Return what is answered to an event that is larger than any may be: status, type and body."""
    kind = next((value.decode("latin-1") for name, value in scope["headers"] if name == _KIND), "")
    kind = kind if kind in _KINDS else "RequestResponse"
    refusal = _too_large(size, kind, LATER_EVENT_LIMIT if kind == "Event" else EVENT_LIMIT)
    return refusal.status.value, refusal.error_type, refusal.body


def _too_large(size: int, kind: str, limit: int) -> _Refused:
    return _Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "RequestTooLargeException",
        f"{size} byte payload is too large for the {kind} invocation type (limit {limit} bytes)",
    )


def _client_context(header: str) -> str:
    """Return the JSON that a client sent in base64, on one line."""
    if not header:
        return ""
    try:
        return msgspec.json.format(base64.b64decode(header, validate=True), indent=-1).decode()
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise _Refused(
            HTTPStatus.BAD_REQUEST,
            "InvalidRequestContentException",
            "Client context must be a valid Base64-encoded JSON.",
        ) from fault


def _log_tail(function: Function, result: Result) -> bytes:
    """Return the last 4 KB of the log that Lambda would have written for this event."""
    end = "\n".join(end_lines(result.request_id, result.duration, function.memory, None))
    log = f"{start_line(result.request_id)}\n".encode() + result.log
    if not log.endswith(b"\n"):
        log += b"\n"
    return (log + f"{end}\n".encode())[-LOG_TAIL:]
