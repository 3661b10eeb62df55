import json
import logging
import os
import signal
import threading

import pytest

from collector.logging import Log, StderrWriter


@pytest.fixture
def written():
    return []


def log(written, level="info", clock=lambda: 1_000_000_000):
    return Log(level, write=written.append, wall_ns=clock)


def test_an_event_is_one_json_object_a_line(written):
    log(written)("info", "request_served", status=200, odd=object)
    (line,) = written
    assert line.endswith("}\n")
    found = json.loads(line)
    assert (found["timestamp"], found["level"], found["event"]) == (
        "1970-01-01T00:00:01.000Z",
        "info",
        "request_served",
    )
    assert found["status"] == 200
    assert "object" in found["odd"]


def test_what_is_below_the_level_is_not_written(written):
    log(written, "warning")("info", "quiet")
    assert written == []


def test_the_level_changes_while_it_runs(written):
    told = log(written, "info")
    told.change_by(-1)
    told("debug", "now_told")
    told.change_by(1)
    told.change_by(1)
    told("info", "not_told")
    events = [json.loads(line)["event"] for line in written]
    assert events == ["log_level_changed", "now_told", "log_level_changed", "log_level_changed"]


def test_the_level_stays_between_its_ends(written):
    told = log(written, "error")
    told.change_by(5)
    assert told.level == "error"
    told.change_by(-9)
    assert told.level == "debug"


def test_signals_change_the_level(written):
    before = [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)]
    told = log(written)
    try:
        told.obey_signals()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert told.level == "debug"
        os.kill(os.getpid(), signal.SIGUSR2)
        assert told.level == "info"
    finally:
        for number, handler in zip((signal.SIGUSR1, signal.SIGUSR2), before, strict=True):
            signal.signal(number, handler)


def test_a_flood_of_one_event_is_thinned_and_counted(written):
    now = [1_000_000_000]
    told = log(written, "debug", lambda: now[0])
    for _ in range(100):
        told("debug", "flood")
    told("debug", "another")
    assert [json.loads(line)["event"] for line in written] == ["flood"] * 5 + ["another"]
    now[0] += 1_000_000_000
    told("debug", "flood")
    assert json.loads(written[-1])["left_out"] == 95


def test_an_exception_is_shown_by_its_places_not_its_values(written):
    def fails(secret):
        raise ValueError(secret)

    try:
        fails("s3cret")
    except ValueError as problem:
        log(written)("error", "failed", exc_info=problem)
    found = json.loads(written[0])
    assert found["trace"][-1] == "ValueError"
    assert "fails" in found["trace"][-2]
    assert "s3cret" not in written[0]


def test_what_libraries_log_appears_among_ours(written):
    root = logging.getLogger()
    before = root.handlers, root.level
    try:
        log(written).gather_libraries()
        logging.getLogger("uvicorn.error").warning("connection refused: %s", "slow-head")
        logging.getLogger("uvicorn.error").info("not this")
    finally:
        root.handlers, root.level = before
    (found,) = map(json.loads, written)
    assert (found["logger"], found["message"]) == ("uvicorn.error", "connection refused: slow-head")


def test_who_does_not_read_the_log_stops_nothing_and_is_told_what_was_lost():
    ours, theirs = os.pipe()
    writer = StderrWriter(theirs)
    line = "x" * 1_000 + "\n"
    for _ in range(5_000):
        writer(line)
    assert writer.lost > 2_000
    lost, data = writer.lost, b""
    while b"log_lines_lost" not in data:
        data += os.read(ours, 1 << 16)
    assert f'"count":{lost}'.encode() in data
    threading.Thread(target=writer.close, args=(10,)).start()
    while data.count(b"\n") < 5_000 - lost + 1:
        data += os.read(ours, 1 << 16)
    for end in (ours, theirs):
        os.close(end)
