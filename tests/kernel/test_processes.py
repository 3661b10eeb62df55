"""Processes of every kind: 32-bit, uvloop, containers, unrelated ones (adversarial cases 51, 53); filters; services."""

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from collector.kernel import cgroups
from tests.support.sockets import exchange, request, response, tcp_pair, trace_id
from tests.support.watching import PATIENCE

CLIENT32 = r"""
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int c, char **v) {
	const char *text = "GET /32 HTTP/1.1\r\nHost: a\r\n\r\n"; char b[512];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(v[1])), .sin_addr = {htonl(0x7f000001)}};
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s, (void *)&a, sizeof(a))) return 1;
	write(s, text, strlen(text)); read(s, b, sizeof(b)); return 0;
}
"""


def serve_one(server, answer=None):
    accepted, _ = server.accept()
    with accepted:
        accepted.recv(65536)
        accepted.sendall(answer or response())
        accepted.recv(1)


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10 * PATIENCE)
        yield listening


def test_32_bit_client_is_length_only(watch, server, tmp_path):
    (tmp_path / "c.c").write_text(CLIENT32)
    built = subprocess.run(
        ["gcc", "-m32", "-O1", "-o", tmp_path / "c32", tmp_path / "c.c"], capture_output=True, check=False
    )
    assert not built.returncode, built.stderr.decode()
    probe = subprocess.run([tmp_path / "c32", "1"], capture_output=True, check=False)
    if probe.returncode not in (0, 1):
        pytest.skip("cannot be done on this kernel: no 32-bit emulation")
    watching = watch("--port", server.getsockname()[1], "--include-connections")
    thread = threading.Thread(target=serve_one, args=(server,))
    thread.start()
    subprocess.run([tmp_path / "c32", str(server.getsockname()[1])], check=True)
    thread.join()
    watching.stop()
    assert watching.exchanges("client") == [] or all(e["target"] is None for e in watching.exchanges("client"))
    (client,) = watching.connections("client")
    assert (client["bytes_sent"], client["bytes_received"]) == (29, len(response()))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_event_loops(watch, server, loop):
    trace = trace_id()
    script = f"""
import asyncio
async def main():
    r, w = await asyncio.open_connection("127.0.0.1", {server.getsockname()[1]})
    w.write({request("/loop", trace=trace)!r}); await w.drain(); await r.read(4096); w.close()
"""
    script += "import uvloop; uvloop.run(main())" if loop == "uvloop" else "asyncio.run(main())"
    thread = threading.Thread(target=serve_one, args=(server,))
    thread.start()
    watching = watch("--", sys.executable, "-c", script)
    thread.join()
    watching.wait()
    assert watching.code == 0
    (event,) = watching.exchanges("client")
    assert (event["trace_id"], event["target"], event["outcome"]) == (trace, "/loop", "ok")


def test_process_in_its_own_pid_namespace(watch, server):
    """A container's process: its number is the host's, not the one it sees itself."""
    watching = watch("--port", server.getsockname()[1])
    thread = threading.Thread(target=serve_one, args=(server,))
    thread.start()
    script = (
        f"import socket,os\nc=socket.create_connection(('127.0.0.1',{server.getsockname()[1]}))\n"
        f"assert os.getpid()==1\nc.sendall({request('/ns')!r}); c.recv(4096)"
    )
    child = subprocess.Popen(["unshare", "--pid", "--fork", "/usr/bin/python3", "-c", script])
    thread.join()
    assert child.wait() == 0
    watching.stop()
    (event,) = watching.exchanges("client")
    assert event["pid"] > 1
    assert event["comm"] == "python3"


def test_container_cgroup_is_found_and_filtered_by(watch, server):
    root = str(cgroups.mount_point())
    group = f"{root}/netscope-test-{os.getpid()}"
    os.mkdir(group)
    try:
        watching = watch("--cgroup", group)
        threads = [threading.Thread(target=serve_one, args=(server,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for where, target in ((group, "/inside"), (root, "/outside")):
            script = (
                f"import socket,os\nopen('{where}/cgroup.procs','w').write(str(os.getpid()))\n"
                f"c=socket.create_connection(('127.0.0.1',{server.getsockname()[1]}))\n"
                f"c.sendall({request(target)!r}); c.recv(4096)"
            )
            subprocess.run(["/usr/bin/python3", "-c", script], check=True)
        for thread in threads:
            thread.join()
        time.sleep(0.05)
        watching.stop()
    finally:
        os.rmdir(group)
    assert [(e["target"], e["cgroup"]) for e in watching.exchanges()] == [("/inside", f"/{os.path.basename(group)}")]


def test_comm_and_port_filters_must_both_match(watch, server):
    port = server.getsockname()[1]
    watching = watch("--comm", "curl", "--port", port)
    for command in (["curl", "-s", f"http://127.0.0.1:{port}/curl"], ["wget", "-qO-", f"http://127.0.0.1:{port}/wget"]):
        thread = threading.Thread(target=serve_one, args=(server,))
        thread.start()
        subprocess.run(command, check=False, capture_output=True, timeout=10 * PATIENCE)
        thread.join()
    watching.stop()
    assert [(e["comm"], e["target"], e["role"]) for e in watching.exchanges()] == [("curl", "/curl", "client")]


def test_children_of_the_command_are_watched_and_its_exit_code_passed_on(watch, server):
    thread = threading.Thread(target=serve_one, args=(server,))
    thread.start()
    watching = watch(
        "--", "sh", "-c", f"curl -s http://127.0.0.1:{server.getsockname()[1]}/grandchild >/dev/null; exit 7"
    )
    thread.join()
    watching.wait()
    assert watching.code == 7
    assert [(e["comm"], e["target"]) for e in watching.exchanges()] == [("curl", "/grandchild")]


def test_unrelated_processes_are_not_seen(watch):
    watching = watch("--pid", os.getppid())
    with tcp_pair() as (client, server):
        exchange(client, server, request("/mine"), response())
    watching.stop()
    assert watching.events == []
    assert watching.summary["records"]["captured"] == 0


def test_service_is_named_after_the_script(watch, server, tmp_path):
    script = tmp_path / "billing.py"
    script.write_text(
        f"import socket\nc=socket.create_connection(('127.0.0.1',{server.getsockname()[1]}))\n"
        f"c.sendall({request('/s')!r}); c.recv(4096); c.recv(1)"
    )
    thread = threading.Thread(target=serve_one, args=(server,))
    thread.start()
    watching = watch("--", "/usr/bin/python3", script)
    thread.join(0.5 * PATIENCE)
    watching.process.terminate() if thread.is_alive() else None
    thread.join(10)
    watching.wait()
    assert [e["service"] for e in watching.exchanges("client")] == ["billing"]
