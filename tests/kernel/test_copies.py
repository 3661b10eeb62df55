"""Where the kernel can preempt our programs each of the byte path has a second copy: together they tell every call once."""

import json
import os
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from collector.kernel import btf
from tests.support.sockets import exchange, request, response, tcp_pair
from tests.support.watching import PATIENCE

CONNECTIONS, EXCHANGES = 8, 50 if PATIENCE == 1 else 20  # fewer where emulated: one takes 50 ms there
UNDER_SRCU = b"class_srcu_fast_notrace_t\0"
WITHIN = """
mount --bind "$BTF" /sys/kernel/btf/vmlinux || exit 99
exec "$@"
"""


@pytest.fixture(scope="module")
def preemptible(tmp_path_factory):
    """BTF of a kernel like this one whose tracepoints run their programs under SRCU."""
    blob = bytearray(btf.vmlinux())
    header, text_at, text = (struct.unpack_from("<I", blob, at)[0] for at in (4, 16, 20))
    assert header + text_at + text == len(blob)
    struct.pack_into("<I", blob, 20, text + len(UNDER_SRCU))
    path = tmp_path_factory.mktemp("btf") / "vmlinux"
    path.write_bytes(blob + UNDER_SRCU)
    return path


def attached():
    told = subprocess.run(["bpftool", "-j", "prog", "show"], check=True, capture_output=True, text=True).stdout
    return [program.get("name") for program in json.loads(told)]


@pytest.mark.parametrize(
    ("rung", "program"), [("length", "sock_send_lengt"), ("exit", "sys_exit"), ("enter", "sys_enter")]
)
def test_every_call_is_told_once(watch, preemptible, rung, program):
    if rung == "length" and b"\0btf_trace_sock_send_length\0" not in btf.vmlinux():
        pytest.skip("cannot be done on this kernel: it has no sock_send_length")
    if b"\0bpf_preempt_disable\0" not in btf.vmlinux():
        pytest.skip("cannot be done on this kernel: it has no bpf_preempt_disable")

    def talk(number):
        with tcp_pair() as (client, server):
            for k in range(EXCHANGES):
                exchange(client, server, request(f"/{number}/{k}"), response(b"x" * 100))

    watching = watch(rung=rung, env={"BTF": str(preemptible)}, within=("unshare", "--mount", "sh", "-c", WITHIN, "sh"))
    copies = [name for name in attached() if name.startswith(program)]
    threads = [threading.Thread(target=talk, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
        if PATIENCE > 1:  # emulated, a third of the time is ours: with many threads both copies are often under way
            thread.join()
    for thread in threads:
        thread.join()
    watching.stop()
    assert len(copies) == 2
    for role in ("client", "server"):
        found = sorted(e["target"] for e in watching.exchanges(role) if e["pid"] == os.getpid())
        assert found == sorted(f"/{n}/{k}" for n in range(CONNECTIONS) for k in range(EXCHANGES))
        assert {e["outcome"] for e in watching.exchanges(role)} == {"ok"}
    calls = 2 * CONNECTIONS * EXCHANGES
    assert watching.summary["kernel"]["calls_sent"] == watching.summary["kernel"]["calls_received"] == calls
    assert not watching.lost()
    assert Path("/sys/kernel/btf/vmlinux").stat().st_size < preemptible.stat().st_size
