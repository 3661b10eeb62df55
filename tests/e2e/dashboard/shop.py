"""Real traffic to order: an HTTP server, and a client that does what is written to its stdin, one JSON line each.

A line is {"method", "target", "headers", "count", "pause_s", "unread_s"}; the client answers "done" when all of it is done.
"""

import contextlib
import http.client
import json
import secrets
import socket
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


class Orders(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    refused: ClassVar[set[str]] = set()

    def do_GET(self):
        if "/reports" in self.path:
            time.sleep(0.12)
        if "/broken" in self.path:
            self._answer(500)
        elif "/nothing" in self.path:
            self._answer(404)
        elif "/reset" in self.path:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        else:
            self._answer(200)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers.get("Idempotency-Key", "")
        first = key not in self.refused
        self.refused.add(key)
        self._answer(503 if first else 201)

    def _answer(self, status):
        body = b'{"said": "%d"}' % status
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(OSError, ValueError):
            super().handle()


class Shop:
    def __init__(self, port):
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def ask(self, order):
        headers = {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01", **order.get("headers", {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        connection = self.connection
        try:
            connection.putrequest(order.get("method", "GET"), order["target"], skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            if order.get("method") == "POST":
                connection.putheader("Content-Length", "2")
                connection.endheaders(b"{}")
            else:
                connection.endheaders()
            time.sleep(order.get("unread_s", 0))
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Orders)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


def shop(port):
    client = Shop(port)
    for line in sys.stdin:
        order = json.loads(line)
        for _ in range(order.get("count", 1)):
            client.ask(order)
            time.sleep(order.get("pause_s", 0))
        print("done", flush=True)


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else shop(int(sys.argv[2]))
