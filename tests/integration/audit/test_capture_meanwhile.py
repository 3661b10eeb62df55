"""The store is away for a while, and the kernel capture beside it goes on as before: every exchange is archived once."""

import io
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from tests.support import rgw
from tests.support.audit_oracle import spool_backlog, zstd
from tests.support.serving import ROOT, Service

FULL = os.environ.get("NETSCOPE_FULL") == "1"
OUTAGE = float(os.environ.get("OUTAGE", "1200" if FULL else "5"))
RATE = int(os.environ.get("RATE", "1000" if FULL else "100"))  # exchanges a second: twice as many events
ASIDE_S = 60 if FULL else 3
COMM = f"outage-{os.getpid()}"
pytestmark = pytest.mark.kernel


class Traffic:
    """The observed process and what it says each second."""

    def __init__(self):
        command = [sys.executable, "-m", "tests.support.audit_traffic", str(RATE), COMM]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT
        )
        self.said = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        for line in self.process.stdout:
            self.said.append(tuple(map(float, line.split())))

    def begin(self):
        self.process.stdin.write("go\n")

    def phase(self, seconds):
        """Let it run; return (exchanges a second, p50, median of the seconds' p99, both µs) of that time."""
        begin = len(self.said)
        time.sleep(seconds)
        part = self.said[max(0, begin - 1) :]
        rate = (part[-1][0] - part[0][0]) / (part[-1][1] - part[0][1])
        return rate, statistics.median(one[2] for one in part[1:]), statistics.median(one[3] for one in part[1:])

    def end(self):
        if not self.process.stdin.closed:
            self.process.stdin.close()
            self.process.wait(30)
            self._thread.join(30)
            self.process.stdout.close()
        return int(self.said[-1][0]) if self.said else 0


def archived(client):
    """Count the archived ends of exchanges by (number of the exchange, role), and what the archive says is lost."""
    found, lost = Counter(), Counter()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="audit", Prefix="audit/v1/service="):
        for item in page.get("Contents", ()):
            body = client.get_object(Bucket="audit", Key=item["Key"])["Body"].read()
            with zstd.ZstdFile(io.BytesIO(body)) as file:
                for line in map(json.loads, file):
                    if line["kind"] == "exchange":
                        found[(int(line["trace_id"], 16), line["role"])] += 1
                    elif line["kind"] == "loss":
                        lost[f"{line['stage']} {line['reason']}"] += line["count"]
    return found, lost


@pytest.mark.timeout(3600)
def test_capture_does_not_notice_an_outage(own_gateway, open_folder, capsys):
    own_gateway.bucket("audit")
    spool = open_folder / "spool"
    traffic = Traffic()
    collector = Service(
        "--comm", COMM,
        env={
            **rgw.ENVIRONMENT, "NETSCOPE_AUDIT": "on", "NETSCOPE_AUDIT_SPOOL": str(spool),
            "NETSCOPE_AUDIT_S3_ENDPOINT": own_gateway.endpoint, "NETSCOPE_AUDIT_S3_BUCKET": "audit",
            **({} if FULL else {"NETSCOPE_AUDIT_SEGMENT_SECONDS": "0.5"}),
        },
    )  # fmt: skip
    try:
        traffic.begin()
        time.sleep(1)
        before = traffic.phase(ASIDE_S)
        own_gateway.call("sig", "rgw", "KILL")
        away = time.monotonic()
        during = traffic.phase(OUTAGE)
        assert re.search("store refuses", collector.read())
        own_gateway.call("respawn", "rgw")
        away, drained = time.monotonic() - away, time.monotonic()
        backlog = spool_backlog(spool)
        while spool_backlog(spool) > 1:
            assert time.monotonic() - drained < 300, (spool_backlog(spool), backlog, collector.read()[-3000:])
            time.sleep(0.1)
        drained = time.monotonic() - drained
        after = traffic.phase(ASIDE_S)
        made = traffic.end()
        time.sleep(1)  # what the kernel recorded last is on its way
    finally:
        collector.process.terminate()
        code = collector.process.wait(120)
        said = collector.read()
        collector.process.stderr.close()
        traffic.end()
    found, lost = archived(own_gateway.client())
    with capsys.disabled():
        print(f"\n{made} exchanges, outage of {away:.0f} s, {backlog} segments waited, drained in {drained:.1f} s")
        for name, (rate, p50, p99) in (("before", before), ("outage", during), ("after", after)):
            print(f"{name}: {rate:.1f} exchanges/s, p50 {p50:.0f} us, p99 {p99:.0f} us")
        print(f"{len(found)} archived, {dict(lost)} lost")
    assert code == 0, said
    assert not lost
    assert set(found) == {(number, role) for number in range(1, made + 1) for role in ("client", "server")}
    assert max(found.values()) == 1
    if FULL:
        assert during[0] >= 0.99 * before[0]
        assert during[1] <= 1.25 * before[1]
        assert away / drained >= 10
