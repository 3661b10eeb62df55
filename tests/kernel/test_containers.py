"""A collector with PIDs of its own, as in a container: it proves itself, sees, and does not take others for whom it knows."""

import os
import subprocess
import sys

from tests.support.sockets import exchange, request, response, tcp_pair
from tests.support.watching import ROOT, Watch

CONTAINER = ("unshare", "--pid", "--fork", "--mount", "--mount-proc", "--cgroup", "--propagation", "private")


def watch(*options):
    command = [*CONTAINER, sys.executable, "-m", "collector", "watch", "--json", *map(str, options)]
    if rung := os.environ.get("NETSCOPE_TEST_RUNG"):
        command += ["--rung", rung]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)


class Contained(Watch):
    """A watch that is ended by its count: signals stop at unshare."""

    def __init__(self, *options):
        self.process, self.stderr, self.events, self.summary, self.code = watch(*options), b"", [], None, None
        self._await_ready()


def test_what_a_port_carries_is_told_with_the_hosts_pid_and_no_name_of_another():
    with tcp_pair() as (client, server):
        watching = Contained("--port", server.getsockname()[1], "--count", 2)
        exchange(client, server, request("/from-outside"), response())
        watching.wait()
        watching.__exit__(None)
    assert [(e["target"], e["status_code"], e["pid"]) for e in watching.exchanges()] == [
        ("/from-outside", 200, os.getpid())
    ] * 2
    assert {e["service"] for e in watching.exchanges()} == {e["comm"] for e in watching.exchanges()}


def test_a_process_cannot_be_chosen_by_a_number_that_means_another_one():
    with watch("--pid", 1) as process:
        said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 3
    assert "run on the host or with --pid=host" in said
