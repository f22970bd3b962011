"""Python's websocket-client: argument 1 is the address. What it saw is printed, one JSON value a line."""

import json
import struct
import sys

from websocket import ABNF, WebSocketBadStatusException, create_connection


def tell(value):
    print(json.dumps(value), flush=True)


def main(address):
    try:
        socket = create_connection(address, subprotocols=["a", "b"])
    except WebSocketBadStatusException as refused:
        tell({"refused": refused.status_code})
        return
    tell({"protocol": socket.getsubprotocol(), "extensions": socket.getheaders().get("sec-websocket-extensions", "")})
    socket.ping("are you there")
    opcode, payload = socket.recv_data(control_frame=True)
    tell({"pong": payload.decode() if opcode == ABNF.OPCODE_PONG else opcode})
    socket.send(json.dumps({"action": "ask", "text": "grüße, €"}, ensure_ascii=False))
    tell(json.loads(socket.recv()))
    opcode, long = socket.recv_data()
    tell({"length": len(long), "isBinary": opcode == ABNF.OPCODE_BINARY})
    socket.send_close(4001, b"done")
    _, frame = socket.recv_data_frame(control_frame=True)
    tell({"code": struct.unpack("!H", frame.data[:2])[0], "reason": frame.data[2:].decode()})
    socket.shutdown()


main(sys.argv[1])
