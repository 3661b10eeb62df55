"""A secret planted in every place of the traffic is in nothing that the service says, serves, logs or keeps."""

import os
import tempfile
import time
from pathlib import Path

import pytest

from collector.audit.compression import decompressed
from tests.support.serving import Service
from tests.support.sockets import exchange, request, response, tcp_pair, trace_id

SECRET = "planted-s3cr3t-5d81c0"
pytestmark = pytest.mark.kernel
PATHS = (
    "/metrics", "/v1/metrics/network", "/v1/resilience/state", "/v1/exchanges?limit=100", "/v1/connections", "/v1/losses",
    "/v1/invariants", "/health/ready",
)  # fmt: skip


def plant(count):
    headers = (
        f"Authorization: Bearer {SECRET}",
        f"Cookie: session={SECRET}",
        f"X-Api-Key: {SECRET}",
        f"Proxy-Authorization: Basic {SECRET}",
    )
    answers = (f"Set-Cookie: session={SECRET}", f"X-Secret: {SECRET}")
    with tcp_pair() as (client, server):
        for _ in range(count):
            asked = request(
                f"/orders/1?token={SECRET}&page=2",
                method="POST",
                trace=trace_id(),
                body=SECRET.encode(),
                headers=headers,
            )
            exchange(client, server, asked, response(SECRET.encode(), headers=answers))
        exchange(client, server, request(f"http://user:{SECRET}@api.test/absolute", trace=trace_id()), response())
        client.sendall(request("/never-finished", headers=headers)[:-2])
        time.sleep(0.05)


def kept(folder):
    """Everything that stands in files below a folder, unpacked where it is packed."""
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            raw = path.read_bytes()
            yield path, raw
            if path.suffix in (".zst", ".gz"):
                yield path, b"".join(decompressed(iter([raw]), path.suffix[1:]))


@pytest.fixture
def folder():
    """One that the service may enter once it is not root any more."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_a_planted_secret_is_nowhere(folder):
    env = {
        "NETSCOPE_AUDIT": "on",
        "NETSCOPE_AUDIT_SPOOL": str(folder / "spool"),
        "NETSCOPE_AUDIT_DIRECTORY": str(folder / "archive"),
        "NETSCOPE_AUDIT_SEGMENT_SECONDS": "1",
    }
    with Service("--pid", os.getpid(), env=env) as service:
        plant(20)
        service.until("/v1/exchanges?limit=100", lambda page: len(page["items"]) >= 40)
        time.sleep(2.5)  # a segment of the spool becomes an object
        served = [service.get(path)[2] for path in PATHS]
        spooled = list(kept(folder))
        assert service.stop() == 0
    everything = [
        *served,
        service.stderr.encode(),
        *(text for _, text in spooled),
        *(text for _, text in kept(folder)),
    ]
    assert not [text[:200] for text in everything if SECRET.encode() in text]
    archived = b"".join(text for _, text in kept(folder / "archive"))
    assert archived.count(b'"route":"/orders/{id}"') >= 40, "what was looked at is the real thing"
    assert all(b"/orders/{id}" in text for text in served[3:4])
