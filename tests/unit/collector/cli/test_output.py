"""Lines to slow, absent and broken readers."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from collector.cli.columns import ColumnSink
from collector.cli.ndjson import JsonSink
from collector.domain.events import Summary
from collector.errors import CollectorProblem, Interrupted
from tests.support.traffic import Wire

ROOT = Path(__file__).parents[4]
SUMMARY = Summary(
    exchanges={"client": 1, "server": 0}, records={"captured": 4, "decoded": 4, "lost": 0}, lost={}, connections=1,
    not_http=0, kernel={}, rung="length", elapsed_ms=1500.0,
)  # fmt: skip
EVENT = (
    Wire()
    .ask(b"GET /orders/17 HTTP/1.1\r\nHost: api\r\n\r\n")
    .answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    .only()
)
FAILED = msgspec.structs.replace(EVENT, status_code=503, outcome="http_error", severity="error", elapsed_ms=1.0)


class Pipe:
    """A pipe whose reader is the test."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        self._read = b""
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        with os.fdopen(self.reader, "rb") as file:
            self._read = file.read()

    def start_reading(self):
        self._thread.start()

    def lines(self):
        """What was written, once the writer has ended."""
        os.close(self.writer)
        if not self._thread.ident:
            self.start_reading()
        self._thread.join()
        return self._read.decode().splitlines()


@pytest.fixture
def pipe():
    return Pipe()


def many(event, count):
    return [msgspec.structs.replace(event, seq=number) for number in range(1, count + 1)]


def test_json_is_one_event_a_line_and_the_summary_last(pipe, capsys):
    sink = JsonSink(100, descriptor=pipe.writer)
    sink.ready("observing (rung length)")
    sink.emit(many(EVENT, 3))
    assert sink.tick(0)
    sink.finish(SUMMARY)
    lines = [json.loads(line) for line in pipe.lines()]
    assert [line["kind"] for line in lines] == ["exchange"] * 3 + ["summary"]
    assert [line["seq"] for line in lines[:3]] == [1, 2, 3]
    assert capsys.readouterr().err.splitlines() == [
        "observing (rung length)",
        "1 exchanges (1 client, 0 server) on 1 connections in 1.5 s, rung length; 4 records, 0 lost",
    ]


def test_a_stalled_reader_costs_the_newest_lines_and_each_is_counted(pipe, capsys):
    sink = JsonSink(50, descriptor=pipe.writer)
    for _ in range(40):
        sink.emit(many(EVENT, 50))  # far more than the pipe and the queue hold; nobody reads
    pipe.start_reading()
    sink.finish(SUMMARY)
    *events, summary = [json.loads(line) for line in pipe.lines()]
    assert summary["lost"]["output"]["slow_reader"] == 40 * 50 - len(events) > 0
    assert f"{40 * 50 - len(events)} lost" in capsys.readouterr().err


def test_a_reader_that_goes_away_ends_the_watch_without_a_word(pipe):
    sink = JsonSink(100, descriptor=pipe.writer)
    os.close(pipe.reader)
    sink.emit([EVENT])
    sink.finish(SUMMARY)  # waits for the writer
    assert not sink.tick(0)
    os.close(pipe.writer)


def test_a_stdout_that_fails_is_told(capsys):
    with open("/dev/full", "wb") as full:
        sink = JsonSink(100, descriptor=full.fileno())
        sink.emit([EVENT])
        with pytest.raises(CollectorProblem, match="No space left"):
            sink.finish(SUMMARY)


def test_a_stdout_that_somebody_made_non_blocking_is_waited_for(pipe):
    os.set_blocking(pipe.writer, False)
    sink = JsonSink(10_000, descriptor=pipe.writer)
    sink.emit(many(EVENT, 1_000))
    pipe.start_reading()
    sink.finish(SUMMARY)
    assert len(pipe.lines()) == 1_001


def test_a_second_signal_does_not_wait_for_a_stalled_reader(pipe):
    sink = JsonSink(10_000, descriptor=pipe.writer)
    sink.emit(many(EVENT, 1_000))
    before = signal.getsignal(signal.SIGINT)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(Interrupted, match="lines were not written") as caught:
        sink.finish(SUMMARY)
    assert caught.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is before
    os.close(pipe.reader)


def test_a_pipe_gets_every_line_in_columns(pipe):
    sink = ColumnSink(10_000, with_time=True, wide=True, descriptor=pipe.writer)
    sink.ready("observing")
    sink.emit([*many(EVENT, 200), FAILED])
    sink.finish(SUMMARY)
    header, *lines = pipe.lines()
    assert header.startswith("TIME")
    assert " ".join(header.split()) == (
        "TIME PID COMM LADDR LPORT RADDR RPORT METHOD ROUTE STATUS MS ROLE WAIT READDLY TRY OUTCOME SERVICE TRACE"
    )
    assert len(lines) == 201
    assert lines[0].split()[1:] == [
        "42", "worker", "127.0.0.1", "40000", "127.0.0.1", "8080", "GET", "/orders/{id}", "200", "1.00", "client",
        *lines[0].split()[12:],
    ]  # fmt: skip
    assert "503" in lines[-1]
    assert "\x1b" not in lines[-1]


def test_a_screen_gets_a_sample_with_errors_first_and_the_number_of_the_others(pipe):
    sink = ColumnSink(10_000, screen=True, colour=True, descriptor=pipe.writer)
    sink.ready("observing")
    sink.emit([*many(EVENT, 2_500), msgspec.structs.replace(FAILED, seq=2_501)])
    sink.tick(1)
    sink.finish(SUMMARY)
    _, *lines, more = pipe.lines()
    assert len(lines) == 30
    assert "... 2,471 more" in more
    assert lines[-1].startswith("\x1b[31m")
    assert "503" in lines[-1]


def test_rows_stand_under_their_header_on_a_screen_and_a_pipe_gets_the_route_whole(pipe):
    long = msgspec.structs.replace(EVENT, route="/a/very/long/route/of/many/words/{id}")
    sink = ColumnSink(100, screen=True, descriptor=pipe.writer)
    sink.ready("observing")
    sink.emit([EVENT, long])
    sink.finish(SUMMARY)
    header, *lines = pipe.lines()
    for line in lines:
        assert line[header.index("STATUS") :].startswith("200 ")
        assert line[header.index("ROLE") :].strip() == "client"
    other = Pipe()
    sink = ColumnSink(100, descriptor=other.writer)
    sink.emit([long])
    sink.finish(SUMMARY)
    assert long.route in other.lines()[0]


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (200, "PID COMM LADDR LPORT RADDR RPORT METHOD ROUTE STATUS MS ROLE"),
        (100, "PID COMM RADDR RPORT METHOD ROUTE STATUS MS ROLE"),
        (80, "PID RADDR RPORT METHOD ROUTE STATUS MS"),
        (40, "METHOD ROUTE STATUS MS"),
    ],
)
def test_a_narrow_screen_has_whole_lines_of_fewer_columns(pipe, width, names):
    sink = ColumnSink(100, screen=True, screen_width=lambda: width, descriptor=pipe.writer)
    sink.ready("observing")
    sink.emit([EVENT, FAILED, msgspec.structs.replace(EVENT, local_ip="2001:db8:1234:5678:9abc:def0:1234:5678")])
    sink.finish(SUMMARY)
    header, *lines = pipe.lines()
    assert " ".join(header.split()) == names
    for line in (header, *lines):
        assert len(line) <= width
    assert all(line[header.index("METHOD") :].startswith("GET ") for line in lines)


def test_a_screen_that_changes_its_width_gets_a_new_header(pipe):
    widths = iter([150, 150, 60])
    sink = ColumnSink(100, screen=True, screen_width=lambda: next(widths), descriptor=pipe.writer)
    sink.ready("observing")
    for tick in (1, 2 * 10**9):
        sink.emit([EVENT])
        sink.tick(tick)
    sink.finish(SUMMARY)
    assert [line.split()[0] for line in pipe.lines()] == ["PID", "42", "PID", "42"]


@pytest.mark.parametrize("closed", [{0}, {1}, {2}, {0, 1, 2}])
def test_a_closed_descriptor_is_never_given_to_something_else(closed):
    told, tell = os.pipe()
    script = (
        "import os\n"
        "from collector.cli.output import hold_standard_descriptors\nfrom collector.stderr import say\n"
        "hold_standard_descriptors(); say('words')\n"
        "print('data', flush=True)\n"
        f"os.write({tell}, str(os.open('/', os.O_RDONLY)).encode())\n"
    )
    closing = " ".join(f"{number}>&-" for number in sorted(closed))
    subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -c "$1" {closing}', sys.executable, script],
        check=True, pass_fds=[tell], capture_output=True, cwd=ROOT,
    )  # fmt: skip
    os.close(tell)
    with os.fdopen(told) as file:
        assert int(file.read()) > 2


def test_bytes_from_the_wire_cannot_steer_the_terminal(pipe):
    sink = ColumnSink(100, descriptor=pipe.writer)
    sink.emit([msgspec.structs.replace(EVENT, route="/a\x1b[2J\x9b\udc80", comm="a\rb")])
    sink.finish(SUMMARY)
    (text,) = pipe.lines()
    assert not any(letter in text for letter in "\x1b\x9b\r")
    assert "/a?[2J??" in text


def test_an_open_exchange_is_open(pipe):
    sink = ColumnSink(100, wide=True, descriptor=pipe.writer)
    sink.emit([msgspec.structs.replace(EVENT, outcome=None, status_code=None, elapsed_ms=None)])
    sink.finish(SUMMARY)
    (line,) = pipe.lines()
    assert line.split()[8:10] == ["open", "-"]


ENDING = """
import sys
from collector.cli.output import leave_standard_streams
from collector.stderr import say
say("a line")
leave_standard_streams()
say("another")
sys.exit(7)
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["-c", ENDING], 7),
        (["-m", "collector", "run", "--port", "words"], 2),
        (["-m", "collector", "run", "--config", "/nowhere"], 2),
        (["-m", "pipeline.cli", "worker", "--config", "/nowhere"], 2),
    ],
)
def test_a_stderr_that_nobody_reads_any_more_does_not_change_the_status(words, status, unbuffered):
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = subprocess.run(
            [sys.executable, *words],
            stderr=theirs, check=False, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    finally:
        os.close(theirs)
    assert done.returncode == status
