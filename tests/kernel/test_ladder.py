"""The next rung is taken where one is refused, or loads and does not tell what happened."""

import os
import subprocess
import sys

import msgspec
import pytest

from collector.kernel import loader
from collector.kernel.request import LoadRequest

pytestmark = pytest.mark.filterwarnings("ignore")  # bcc warns of its own way with strings
EXIT_WITHOUT_RESULT = bytes([0x95, 0, 0, 0, 0, 0, 0, 0])


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return os.environ.get("TEST_CACHE") or str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def climb(cache):
    """Load, with a cache of the module's own; detached at the end."""
    held = []

    def load(**more):
        reply, loaded = loader.load(LoadRequest(cache=cache, ring_size=1 << 18, **more))
        if loaded:
            held.append(loaded)
        return reply

    yield load
    for one in held:
        one.close()


def test_a_program_that_the_verifier_rejects(climb, monkeypatch):
    best = climb().rung
    compile_programs = loader.compiler.compile_programs

    def spoilt(cache, identity, definitions, names):
        code = compile_programs(cache, identity, definitions, names)
        if f"RUNG_{best.upper()}" in definitions:
            code[names[-1]] = EXIT_WITHOUT_RESULT
        return code

    monkeypatch.setattr(loader.compiler, "compile_programs", spoilt)
    reply = climb()
    assert reply.rung not in (None, best)
    (refusal,) = [result for result in reply.tried if result.name == best]
    assert any("R0" in line for line in refusal.verifier)
    assert loader.refused(reply).startswith(f"warning: rung {reply.rung} in place of a better one: {best}: ")


def test_a_tracepoint_or_function_that_means_something_else(climb, monkeypatch):
    best = climb().rung
    read = loader.btf.read_kernel_types

    def swapped(blob, functions):
        types = read(blob, functions)
        points, known = dict(types.tracepoints), dict(types.functions)
        if best == "length":
            points["sock_send_length"] = points["sock_recv_length"]
        else:
            known["tcp_sendmsg"] = (known["tcp_recvmsg"][0], known["tcp_sendmsg"][1])  # only its number
        return msgspec.structs.replace(types, tracepoints=points, functions=known)

    monkeypatch.setattr(loader.btf, "read_kernel_types", swapped)
    reply = climb()
    (wrong,) = [result for result in reply.tried if result.name == best]
    assert (wrong.loaded, wrong.fired) == (True, False)
    assert "known calls were not recorded" in wrong.reason
    assert reply.rung not in (None, best)


HIDDEN = """
for folder in /sys/kernel/btf /lib/modules /var/cache/netscope; do
    [ ! -d $folder ] || mount -t tmpfs -o mode=700 hidden $folder || exit 99
done
exec "$@"
"""


def test_no_rung_left_is_the_end_and_says_what_would_be_needed():
    """Neither BTF nor headers nor compiled programs."""
    command = ["unshare", "--mount", "sh", "-c", HIDDEN, "sh", sys.executable, "-m", "collector", "watch", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert f"neither BTF nor kernel headers: apt-get install linux-headers-{os.uname().release}" in ended.stderr
    for needed in ("fexit: trampolines want BTF (wants BPF trampolines", "CONFIG_HAVE_SYSCALL_TRACEPOINTS"):
        assert needed in ended.stderr
