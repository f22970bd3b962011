"""The one port: plain and TLS, the hosts that are answered here, the proxy, the WebSocket on the wire."""
