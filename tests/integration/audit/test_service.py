"""`collector run` archives what it sees, and gives it back by GET /v1/audit and on the command line."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support import rgw
from tests.support.audit_archive import key_pair

FULL = os.environ.get("NETSCOPE_FULL") == "1"
pytestmark = pytest.mark.kernel
BODY = b'{"order":17,"password":"Xq7-geheim-42","note":"' + b"n" * 40 + b'"}'
SHOWN = '{"order":17,"password":"*","note":"' + "n" * (64 - BODY.index(b"nnn"))


class Answering(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *words):
        pass


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["directory", "bucket"] if FULL else ["bucket"])
def test_what_is_observed_is_archived_and_given_back(open_folder, kind, request):
    private, public = key_pair(open_folder)
    private.chmod(0o600)
    (open_folder / "state").mkdir()
    environment = {
        **os.environ, "NETSCOPE_AUDIT": "on", "NETSCOPE_AUDIT_SPOOL": str(open_folder / "state/spool"),
        "NETSCOPE_AUDIT_DIRECTORY": str(open_folder / "state/archive"), "NETSCOPE_AUDIT_SEGMENT_SECONDS": "0.3",
        "NETSCOPE_AUDIT_SIGNING_KEY": str(private), "NETSCOPE_AUDIT_PAYLOAD_BYTES": "64",
    }  # fmt: skip
    if kind == "bucket":
        gateway = request.getfixturevalue("gateway")
        bucket = gateway.bucket("service")
        environment |= rgw.ENVIRONMENT
        environment |= {"NETSCOPE_AUDIT_S3_ENDPOINT": gateway.endpoint, "NETSCOPE_AUDIT_S3_BUCKET": bucket}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    collector = subprocess.Popen(
        [sys.executable, "-m", "collector", "run", "--listen", "127.0.0.1:0", "--port", str(server.server_port)],
        env=environment, stderr=subprocess.PIPE, text=True, cwd="/",
    )  # fmt: skip
    try:
        said = []
        for line in collector.stderr:
            said.append(line)
            if line.startswith("observing"):
                break
        else:
            raise AssertionError("".join(said))
        address = line.split(" at ")[1].split()[0].rstrip("/")
        for number in range(20):
            body = BODY if number == 0 else None
            call = urllib.request.Request(f"http://127.0.0.1:{server.server_port}/items/{number}", data=body)
            call.add_header("traceparent", f"00-{number + 1:032x}-00f067aa0ba902b7-01")
            with urllib.request.urlopen(call) as answer:
                assert answer.read() == b"ok"
        ends = time.monotonic() + 60
        while len(exchanges := given_back(address, said)) < 40:
            assert time.monotonic() < ends, (len(exchanges), said)
            time.sleep(0.3)
    finally:
        collector.terminate()
        rest = collector.stderr.read()
        code = collector.wait(60)
        collector.stderr.close()
        server.shutdown()
        server.server_close()
    assert code == 0, rest
    assert len(exchanges) == len({one["id"] for one in exchanges}) == 40
    assert {one["trace_id"] for one in exchanges} == {f"{number + 1:032x}" for number in range(20)}
    (posted,) = (one for one in exchanges if one["method"] == "POST" and one["role"] == "client")
    assert posted["sent_payload"] == {"text": SHOWN, "bytes": 64, "truncated": True, "redacted": 1}
    for one in exchanges:
        answer = one["received_payload" if one["role"] == "client" else "sent_payload"]
        assert answer == {"text": "ok", "bytes": 2, "truncated": False, "redacted": 0}
    verified = subprocess.run(
        [sys.executable, "-m", "collector", "audit", "verify", "--strict", "--key", public], env=environment,
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "manifest stored" in rest


def given_back(address, said):
    """Ask; a busy machine may answer that it took too long."""
    try:
        with urllib.request.urlopen(f"{address}/v1/audit?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z") as answer:
            lines = [json.loads(line) for line in answer.read().splitlines()]
    except urllib.error.HTTPError as problem:
        with problem:
            said.append(f"{problem.code} {problem.read()!r}")
        return []
    return [one for one in lines if one["kind"] == "exchange"]
