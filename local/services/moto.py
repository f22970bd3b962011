"""
moto's services, called in this process: one request in, one answer out, no server and nothing of botocore patched.

moto itself is imported by the first call, in a thread; so a template that needs none of this pays nothing for it.

What of moto 5.2 is touched: ``moto.backends.get_backend``, the ``urls`` of a backend, ``moto.core.request.Request`` and
the header ``x-moto-account-id``, by which moto's own server is told whose resources are meant.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from local.services.catalogue import SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from local.stack import Resource

_log = logging.getLogger("tickwire.services")


class Answered(NamedTuple):
    """What a service answers."""

    status: int
    headers: dict[str, str]
    body: bytes


class MotoServices:
    """
    The services of one account and region, in memory.

    Args:
        region: Of everything here.
        suffix: The domain of the region's endpoints.
        account_id: Whose everything is.
        resources: What the template declares of them; each is made when its service is first asked.
    """

    def __init__(self, *, region: str, suffix: str, account_id: str, resources: Iterable[Resource] = ()) -> None:
        self._region = region
        self._suffix = suffix
        self._account = account_id
        self._resources = tuple(resources)
        self._ready: set[str] = set()
        self._made: set[str] = set()
        self._lock = threading.Lock()

    def answer(self, service: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answered:
        """
        Answer one request; to be called in a thread, for it may wait (a queue's long poll) and import moto.

        Args:
            service: One of the catalogue.
            method: In capitals.
            path: With the query, as it came; of S3 it begins with the bucket.
            headers: All of the request's.
            body: All of it.
        """
        try:
            missing = self._prepare(service)
            return _failure(501, missing) if missing is not None else self._ask(service, method, path, headers, body)
        except NotImplementedError as error:
            # How moto says that it knows an operation by its name alone.
            _log.warning("%s: %s", service, error)
            return _failure(501, str(error))
        except Exception as error:  # noqa: BLE001 # the emulator goes on, as AWS would, and the log has the reason
            _log.exception("moto failed with a call of %s", service)
            return _failure(500, repr(error))

    def operation(self, service: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> str | None:
        """Give the operation that a request of a REST service is, or None where nobody can tell."""
        from moto.core.routing import get_service_router  # noqa: PLC0415 # see above

        try:
            return str(get_service_router(service).match(self._request(service, method, path, headers, body))[0].name)
        except Exception as error:  # noqa: BLE001 # whatever the router stumbles over, the caller has an answer for it
            _log.debug("no operation for %s %s: %r", method, path, error)
            return None

    def _prepare(self, service: str) -> str | None:
        """Make what the template declares of a service, once; returns the reason when moto cannot serve it."""
        with self._lock:
            if service in self._ready:
                return None
            known = SERVICES[service]
            try:
                self._ask(service, "GET", "/", {}, b"")  # imports it; what it says to nothing does not matter
            except ModuleNotFoundError as error:
                sentence = (
                    f"moto's {known.module} wants the package {error.name}: "
                    f"python -m pip install 'moto[{known.extra or known.module}]'"
                )
                _log.warning("%s is not served: %s", service, sentence)
                return sentence
            note = f"; {known.note}" if known.note else ""
            _log.warning("%s is answered by moto, in memory%s", service, note)
            # A topic delivers into queues, whether or not anybody has asked for these yet.
            for needed in ("sqs", "sns") if service == "sns" else (service,):
                for resource in self._resources if needed not in self._made else ():
                    if resource.service == needed:
                        self._make(resource)
                self._made.add(needed)
            self._ready.add(service)
        return None

    def _make(self, resource: Resource) -> None:
        known = SERVICES[resource.service]
        if resource.service == "s3":
            answer = self._ask("s3", "PUT", f"/{resource.members['Bucket']}", {}, b"")
        elif known.target:
            headers = {
                "X-Amz-Target": f"{known.target}.{resource.operation}",
                "Content-Type": "application/x-amz-json-1.0",
            }
            answer = self._ask(resource.service, "POST", "/", headers, json.dumps(resource.members).encode())
        else:
            headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
            form = urlencode({"Action": resource.operation, **resource.members}).encode()
            answer = self._ask(resource.service, "POST", "/", headers, form)
        if answer.status >= 400:  # noqa: PLR2004 # HTTP
            reason = " ".join(answer.body.decode(errors="replace").split())
            _log.warning("%s could not be made: %s", resource.logical_id, reason)

    def _request(self, service: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:  # noqa: ANN401 # moto's
        from moto.core.request import Request  # noqa: PLC0415 # see above

        host = f"{service}.{self._region}.{self._suffix}"
        given = {name.lower(): value for name, value in headers.items()}
        given |= {"host": host, "x-moto-account-id": self._account}
        return Request.from_primitives(method, f"https://{host}{path}", given, body)

    def _ask(self, service: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answered:
        from moto.backends import get_backend  # noqa: PLC0415 # see above
        from werkzeug.exceptions import HTTPException  # noqa: PLC0415

        request = self._request(service, method, path, headers, body)
        url = f"https://{service}.{self._region}.{self._suffix}{path}"
        backends: Any = get_backend(SERVICES[service].module)  # type: ignore[call-overload] # a name is a name
        account = backends[self._account]
        backend = account[self._region] if self._region in account else account["aws"]
        clean = url.partition("?")[0]
        for pattern, respond in backend.urls.items():
            if re.match(pattern, clean):
                try:
                    status, answered, content = respond(request, url, request.headers)
                except HTTPException as error:
                    status, answered, content = error.code, dict(error.get_headers()), error.get_body()
                content = content.encode() if isinstance(content, str) else bytes(content or b"")
                return Answered(int(status), {str(name): str(value) for name, value in answered.items()}, content)
        return Answered(404, {"content-type": "application/json"}, b'{"message":"Not Found"}')


def _failure(status: int, sentence: str) -> Answered:
    """Say that it is not the caller's fault; SDKs read the header in every protocol."""
    kind = "NotImplementedException" if status == HTTPStatus.NOT_IMPLEMENTED else "InternalFailure"
    headers = {"content-type": "application/json", "x-amzn-errortype": kind}
    return Answered(status, headers, json.dumps({"message": sentence}).encode())
