"""What forwarding costs at least: an ASGI application on uvicorn that takes posts to sockets, and nothing more."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

_sockets: dict[str, Any] = {}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Tell a socket its name when it asks, and hand on what is posted to it."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        name = f"{len(_sockets):06}"
        _sockets[name] = send
        while (await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": name})
        del _sockets[name]
        return
    body = (await receive())["body"]
    to = _sockets.get(scope["path"].rpartition("/")[2])
    if to is not None:
        await to({"type": "websocket.send", "text": body.decode()})
    await send(
        {
            "type": "http.response.start",
            "status": 410 if to is None else 200,
            "headers": [(b"content-length", b"0")],
        }
    )
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        Path(sys.argv[1]).write_text(str(listener.getsockname()[1]), encoding="utf-8")
        config = uvicorn.Config(
            application,
            http="httptools",
            ws="websockets-sansio",
            loop="uvloop",
            lifespan="off",
            access_log=False,
            log_level="error",
            ws_per_message_deflate=False,
            ws_ping_interval=None,
        )
        uvicorn.Server(config).run(sockets=[listener])
