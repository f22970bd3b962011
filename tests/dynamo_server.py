"""A DynamoDB endpoint on a socket of the loopback, over whatever answers as ``local.tables`` does."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from handlers.hub.blocking import BlockingPool
from handlers.hub.dynamodb import DynamoDB
from handlers.hub.origin import Origin
from handlers.hub.service import Service
from handlers.hub.signing import Credentials, Signer
from tests.fakes import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Answering = Callable[[str, bytes, Mapping[str, str]], tuple[int, Mapping[str, str], bytes]]

KEYS = Credentials("test", "test")


class DynamoServer:
    """
    The endpoint; ``with`` serves it until the end.

    ``asked`` are the operations and their requests, in the order they came. The next ``unheard`` ones are served, but
    their sockets close before the answer.
    """

    def __init__(self, answer: Answering) -> None:
        self._answer = answer
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.unheard = 0
        lock = threading.Lock()
        serving = self

        class Endpoint(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one write an answer, so that it waits for nobody's acknowledgement

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                target = self.headers["x-amz-target"]
                with lock:
                    serving.asked.append((target.rpartition(".")[2], json.loads(body)))
                    status, headers, content = answer(target, body, dict(self.headers))
                    if serving.unheard:
                        serving.unheard -= 1
                        self.close_connection = True
                        return
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() != "content-length":
                        self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def create_table(self, name: str = "tickwire") -> None:
        """Make the one table as infra/template.yaml does."""
        request = json.dumps(TABLE | {"TableName": name}).encode()
        status, _, content = self._answer("DynamoDB_20120810.CreateTable", request, {})
        assert status == 200, content

    def client(self) -> DynamoDB:
        """Make the hub's client of this endpoint."""
        origin = Origin("http", "127.0.0.1", self.port)
        signer = Signer(lambda: KEYS, region="us-east-1", host=origin.authority, service="dynamodb")
        return DynamoDB(Service(BlockingPool(origin), "", signer).call)
