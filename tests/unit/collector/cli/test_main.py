"""The command line up to the point where the kernel is needed: what a call means, and what is said of a wrong one."""

import os
import sys
import threading

import pytest

from collector.cli import checks, main
from collector.errors import PreflightFailed


@pytest.fixture
def collector(monkeypatch, capsys, tmp_path):
    """Run the command line; return (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["collector", *words])
        code = 0
        try:
            main.main()
        except SystemExit as ended:
            code = ended.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def watched(monkeypatch):
    """Settings and sinks that would have been watched with."""
    calls = []
    monkeypatch.setattr("collector.service.watch", lambda settings, sink: calls.append((settings, sink)) or 0)
    monkeypatch.setattr(checks, "root", lambda: None)
    return calls


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["wach"], "did you mean watch?"),
        (["watch", "--jsn"], "--json"),
        (["watch", "--pid", "one"], "not a valid integer"),
        (["watch", "--pid", "0"], "no such process; the nearest is 1 "),
        (["watch", "--pid", "4194304999"], "no such process; the nearest is "),
        (["watch", "--comm", "a-name-of-17-chars"], "did you mean a-name-of-17-ch"),
        (["watch", "--comm", ""], "a name is missing"),
        (["watch", "--port", "0"], "from 1 to 65535"),
        (["watch", "--port", "65536"], "from 1 to 65535"),
        (["watch", "--cgroup", "/no/such"], "--cgroup"),
        (["watch", "--duration", "0"], "greater than 0"),
        (["watch", "--duration", "nan"], "greater than 0"),
        (["watch", "--count", "0"], "at least 1"),
        (["watch", "--rung", "lngth"], "did you mean length?"),
        (["watch", "statsu=500"], "did you mean status?"),
        (["watch", "status"], "quote it, as 'status>=...'"),
        (["watch", "curl", "http://host/"], "collector watch -- curl"),
        (["watch", "--"], "wants a command"),
    ],
)
def test_wrong_calls_end_with_2_and_the_nearest_right_one(collector, words, message):
    code, out, err = collector(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_a_thread_is_no_process(collector):
    done = threading.Event()
    thread = threading.Thread(target=done.wait, args=(5,))
    thread.start()
    code, _, err = collector("watch", "--pid", str(thread.native_id))
    done.set()
    thread.join()
    assert code == 2
    assert f"its process is {os.getpid()}" in err


def test_without_root_the_fix_is_said(collector, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    code, _, err = collector("watch")
    assert code == PreflightFailed.exit_code == 3
    assert "fix: sudo collector" in err


def test_options_become_settings(collector, watched):
    pid = os.getpid()
    code, _, err = collector(
        "watch", "--json", "--pid", str(pid), "--comm", "python3", "--port", "80", "--port", "8080", "--duration", "1.5",
        "--count", "7", "--include-connections", "--rung", "exit", "role=client", "status>=500", "--", "sh", "-c", "a --", "--", "b",
    )  # fmt: skip
    assert (code, err) == (0, "")
    ((settings, sink),) = watched
    assert (settings.pids, settings.comms, settings.ports) == ((pid,), ("python3",), (80, 8080))
    assert (settings.duration_s, settings.count, settings.include_connections) == (1.5, 7, True)
    assert settings.rung == "exit"
    assert settings.command == ("sh", "-c", "a --", "--", "b")
    assert settings.accept is not None
    assert type(sink).__name__ == "JsonSink"


@pytest.fixture
def served(monkeypatch):
    calls = []
    monkeypatch.setattr("collector.serve.run", lambda *given, **more: calls.append((*given, more)) or 0)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return calls


@pytest.mark.parametrize("words", [(), ("run",)])
def test_collector_alone_is_a_service_that_sees_everything(collector, served, words):
    code, _, _ = collector(*words)
    ((config, settings, _, _),) = served
    assert (code, settings.pids, settings.command, settings.duration_s) == (0, (), (), None)
    assert config.listen == "127.0.0.1:7070"


def test_the_options_of_run_reach_the_service(collector, served):
    code, _, _ = collector("run", "--listen", "[::1]:0", "--log-level", "debug", "--port", "80", "--duration", "2")
    ((config, settings, _, _),) = served
    assert (code, config.listen, config.log_level) == (0, "[::1]:0", "debug")
    assert (settings.ports, settings.duration_s) == ((80,), 2.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--listen", "7070"], "ADDRESS:PORT"),
        (["run", "--listen", "127.0.0.1:99999"], "ADDRESS:PORT"),
        (["run", "--log-level", "verbos"], "debug, info, warning, error"),
        (["run", "--", "curl", "http://host/"], "collector watch -- CMD"),
        (["run", "status>=500"], "unexpected extra argument"),
    ],
)
def test_a_wrong_call_of_run_says_what_is_wrong(collector, served, words, said):
    code, _, err = collector(*words)
    assert code == 2
    assert said in err
    assert served == []


def test_watch_alone_watches_everything(collector, watched):
    code, _, _ = collector("watch")
    ((settings, sink),) = watched
    assert (code, settings.pids, settings.command, settings.accept) == (0, (), (), None)
    assert type(sink).__name__ == "ColumnSink"


def test_the_environment_reaches_the_settings(collector, watched, monkeypatch):
    monkeypatch.setenv("NETSCOPE_RING_SIZE", "4096")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    collector("watch")
    ((settings, _),) = watched
    assert (settings.ring_size, settings.notify_socket) == (4096, "/run/notify")


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["watch", "--help"], ["run", "-h"]])
def test_help_begins_with_examples(collector, words):
    code, out, _ = collector(*words)
    assert code == 0
    assert out.startswith("Examples:\n  sudo collector ")


def test_comparisons_in_the_examples_are_quoted(collector):
    for words in (["--help"], ["watch", "--help"]):
        examples = collector(*words)[1].split("Usage:")[0]
        for word in examples.split():
            if ">" in word and word != ">":
                assert word.startswith("'"), word


def test_version(collector):
    assert collector("--version")[:2] == (0, "collector, version 0.1.0\n")


def test_config_show_names_origins(collector, monkeypatch):
    monkeypatch.setenv("NETSCOPE_USER", "nobody")
    code, out, _ = collector("config", "show", "--origin")
    assert code == 0
    assert 'user = "nobody"   # environment' in out
    assert "ring_size = 8388608   # default" in out


def test_config_show_works_on_a_broken_configuration(collector, monkeypatch):
    monkeypatch.setenv("NETSCOPE_RING_SIZE", "5000")
    monkeypatch.setenv("NETSCOPE_RNG", "x")
    code, out, err = collector("config", "show")
    assert code == 2
    assert "ring_size = 8388608" in out
    assert "power of two" in err
    assert "unknown key NETSCOPE_RNG" in err
