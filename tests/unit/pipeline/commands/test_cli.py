"""The commands as a shell sees them: words, exit codes, and every problem named."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
COMMANDS = ("worker", "load", "external-api", "broker", "demo", "slow-client")


def pipeline(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PIPELINE_")}
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *words], capture_output=True, text=True, check=False, timeout=60,
        env={**clean, **environ}, cwd=ROOT,
    )  # fmt: skip


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_begins_with_examples(command: str) -> None:
    done = pipeline(command, "--help")
    assert done.returncode == 0
    assert "Examples:" in done.stdout
    assert f"  pipeline {command}" in done.stdout


def test_a_configuration_that_cannot_work_is_refused_whole() -> None:
    done = pipeline(
        "worker", "--kafka-bootstrap-servers", "nowhere", "--call-attempt-timeout-s", "99",
        PIPELINE_KAFKA_SECURITY_PROTOCOL="SASL_SSL",
    )  # fmt: skip
    assert done.returncode == 2
    named = {line.removeprefix("pipeline: ").partition(":")[0] for line in done.stderr.splitlines()}
    assert named == {
        "kafka_bootstrap_servers", "kafka_sasl_username", "kafka_sasl_password", "call_attempt_timeout_s"
    }  # fmt: skip


def test_an_unknown_variable_is_an_error() -> None:
    done = pipeline("worker", PIPELINE_KAFKA_TOPCI="x")
    assert done.returncode == 2
    assert done.stderr == "pipeline: PIPELINE_KAFKA_TOPCI: no such setting; did you mean PIPELINE_KAFKA_TOPIC?\n"


def test_endpoints_out_of_reach_are_named_one_by_one() -> None:
    broker, api = closed_port(), closed_port()
    done = pipeline(
        "worker", "--check", "--kafka-bootstrap-servers", f"127.0.0.1:{broker}", "--api-url", f"http://127.0.0.1:{api}"
    )
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert f"127.0.0.1:{broker}" in lines[0]
    assert f"http://127.0.0.1:{api}" in lines[1]


def test_the_password_is_never_shown() -> None:
    done = pipeline("worker", "--help", PIPELINE_KAFKA_SASL_PASSWORD="hunter2")
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_api_says_where_it_is_and_ends_when_asked(number: signal.Signals) -> None:
    words = [sys.executable, "-m", "pipeline.cli", "external-api", "--port", "0", "--control-port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        places = json.loads(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(10) == 0
    assert places["url"].startswith("http://127.0.0.1:")
    assert places["control_url"] != places["url"]
