"""A collector's archive with a made-up source: `python -m tests.support.audit_driver SETTINGS RUN PIPE`.

On the pipe, outside of what a fault can reach, it says what it does: `i FIRST LAST` before events are given to the
archive, `a ID...` once they were acknowledged, `l REASON=COUNT` at the end. It runs until `count` events were issued
(or for ever), at `rate` events/s (0: as fast as they go), and closes when stdin ends.
"""

import json
import os
import select
import sys
import time

import msgspec

from collector.audit.archive import Archive
from collector.audit.settings import ArchiveSettings
from tests.support.audit_events import exchange


def main():
    words = json.loads(sys.argv[1])
    settings = msgspec.convert(words["settings"], ArchiveSettings)
    run, pipe = words["run"], words["pipe"]
    rate, count, group, services = words["rate"], words["count"], words["group"], words["services"]

    appended, latencies = [], []
    given: dict[int, float] = {}

    def told(events):
        now = time.monotonic()
        latencies.extend(now - given.pop(one.seq) for one in events[:: max(1, group)] if one.seq in given)
        for at in range(0, len(events), 100):
            os.write(pipe, b"a " + " ".join(one.id for one in events[at : at + 100]).encode() + b"\n")

    archive = Archive.open(settings, told)
    os.write(pipe, b"s %d\n" % archive.health().shipper["pid"])
    archive.start()
    issued, began = 0, time.monotonic()
    while not count or issued < count:
        os.write(pipe, b"i %d %d\n" % (issued, issued + group - 1))
        batch = [exchange(n, service=f"s{n % services}", run=run) for n in range(issued, issued + group)]
        before = given[issued] = time.monotonic()
        archive.append(batch)
        appended.append(time.monotonic() - before)
        issued += group
        pause = began + issued / rate - time.monotonic() if rate else 0
        if select.select([0], [], [], max(0, pause))[0]:
            break
    done = archive.close(words["close_s"])
    os.write(
        pipe,
        (
            "l "
            + json.dumps(
                {
                    "lost": archive.losses(),
                    "done": done,
                    "issued": issued,
                    "seconds": time.monotonic() - began,
                    "append_ms": spread(appended),
                    "acknowledge_ms": spread(latencies),
                }
            )
            + "\n"
        ).encode(),
    )
    sys.exit(0 if done else 1)


def spread(seconds):
    """Return p50, p99 and the largest, in ms."""
    ordered = sorted(seconds) or [0.0]
    return [round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * q))], 3) for q in (0.5, 0.99, 1.0)]


if __name__ == "__main__":
    main()
