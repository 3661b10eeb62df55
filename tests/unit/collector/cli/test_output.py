"""Lines to slow, absent and broken readers."""

import json
import os
import signal
import threading

import msgspec
import pytest

from collector.cli.columns import ColumnSink
from collector.cli.ndjson import JsonSink
from collector.domain.events import Summary
from collector.errors import CollectorProblem, Interrupted
from tests.support.traffic import Wire

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
    assert header.split()[:8] == ["TIME", "PID", "COMM", "ROLE", "LADDR", "LPORT", "RADDR", "RPORT"]
    assert len(lines) == 201
    assert lines[0].split()[1:] == [
        "42", "worker", "client", "127.0.0.1", "40000", "127.0.0.1", "8080", "GET", "/orders/{id}", "200",
        *lines[0].split()[11:],
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
    assert line.split()[9:11] == ["open", "-"]
