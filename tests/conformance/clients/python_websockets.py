"""Python's websockets: argument 1 is the address. What it saw is printed, one JSON value a line."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


def tell(value):
    print(json.dumps(value), flush=True)


async def main(address):
    try:
        socket = await connect(address, subprotocols=["a", "b"])
    except InvalidStatus as refused:
        tell({"refused": refused.response.status_code})
        return
    extensions = socket.response.headers.get("Sec-WebSocket-Extensions", "")
    tell({"protocol": socket.subprotocol, "extensions": extensions})
    await (await socket.ping("are you there"))
    tell({"pong": "are you there"})
    await socket.send(json.dumps({"action": "ask", "text": "grüße, €"}, ensure_ascii=False))
    tell(json.loads(await socket.recv()))
    long = await socket.recv()
    tell({"length": len(long), "isBinary": isinstance(long, bytes)})
    await socket.close(4001, "done")
    tell({"code": socket.close_code, "reason": socket.close_reason})


asyncio.run(main(sys.argv[1]))
