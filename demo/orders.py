"""A small order service: standard library only, no tracing. Prints its address, ends on SIGTERM."""

import json
import signal
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any, ClassVar


class Orders(BaseHTTPRequestHandler):
    """One connection to the service; keeps it open between requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    refused: ClassVar[set[str]] = set()  # keys of the payments that were turned away once
    counted = threading.Lock()
    answers: ClassVar[dict[int, int]] = {}

    def do_GET(self) -> None:
        """Stock is quick, a report takes its time, and order 13 is not there."""
        if self.path.startswith("/reports/"):
            time.sleep(0.12)
            self._answer(HTTPStatus.OK, {"revenue": 4711, "rows": list(range(200))})
        elif self.path.startswith("/stock/"):
            time.sleep(0.02)
            self._answer(HTTPStatus.OK, {"in_stock": 3})
        elif self.path == "/orders/13":
            self._answer(HTTPStatus.NOT_FOUND, {"error": "no such order"})
        else:
            self._answer(HTTPStatus.OK, {"order": self.path.rsplit("/", 1)[-1], "state": "shipped"})

    def do_POST(self) -> None:
        """Turn a payment away the first time, so that its client has to come again."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers.get("Idempotency-Key", "")
        if key not in self.refused:
            self.refused.add(key)
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "bank is busy"})
        else:
            self._answer(HTTPStatus.CREATED, {"paid": True})

    def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        with self.counted:
            self.answers[status] = self.answers.get(status, 0) + 1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Say nothing per request."""


def main() -> None:
    """Serve on a free port until told to stop, then say how many answers went out."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Orders)

    def stop(_number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.05)
    answers = ", ".join(f"{count} x {int(status)}" for status, count in sorted(Orders.answers.items()))
    print(f"{sum(Orders.answers.values())} answers: {answers}", flush=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
