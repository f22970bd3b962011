// Node's ws: argument 1 is the address. What it saw is printed, one JSON value a line.
import { createRequire } from "node:module";

const WebSocket = createRequire(`${process.cwd()}/`)("ws");
const tell = (value) => console.log(JSON.stringify(value));
const [address] = process.argv.slice(2);

const socket = new WebSocket(address, ["a", "b"]);
socket.on("unexpected-response", (_, response) => {
  tell({ refused: response.statusCode });
  process.exit();
});
socket.on("open", () => {
  tell({ protocol: socket.protocol, extensions: socket.extensions });
  socket.ping("are you there");
});
socket.on("pong", (payload) => {
  tell({ pong: payload.toString() });
  socket.send(JSON.stringify({ action: "ask", text: "grüße, €" }));
});
socket.once("message", (first) => {
  tell(JSON.parse(first));
  socket.once("message", (second, isBinary) => {
    tell({ length: second.length, isBinary });
    socket.close(4001, "done");
  });
});
socket.on("close", (code, reason) => tell({ code, reason: reason.toString() }));
