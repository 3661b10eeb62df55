"""Reading BTF that is not whole, or none."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.kernel import btf
from collector.kernel.errors import KernelRefused

TEXT = b"\0btf_trace_sock_send_length\0tcp_sendmsg\0bpf_func_id\0BPF_FUNC_map_lookup_elem\0class_srcu_fast_notrace_t\0"


def at(name):
    return TEXT.index(b"\0" + name + b"\0") + 1


def blob():
    types = struct.pack("<III", at(b"btf_trace_sock_send_length"), 8 << 24, 0)
    types += struct.pack("<III", 0, 13 << 24 | 2, 0) + bytes(16)  # a prototype of two arguments
    types += struct.pack("<III", at(b"tcp_sendmsg"), 12 << 24, 2)
    types += struct.pack("<III", at(b"bpf_func_id"), 6 << 24 | 1, 4) + struct.pack(
        "<II", at(b"BPF_FUNC_map_lookup_elem"), 1
    )
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(TEXT)) + types + TEXT


def test_what_it_says():
    assert btf.read_kernel_types(blob(), frozenset({"tcp_sendmsg", "absent"})) == btf.KernelTypes(
        tracepoints={"sock_send_length": 1},
        functions={"tcp_sendmsg": (3, 2)},
        helpers=frozenset({"map_lookup_elem"}),
        preemptible=True,
    )


@pytest.mark.parametrize("length", range(len(blob())))
def test_cut_anywhere_it_is_refused(length):
    with pytest.raises(KernelRefused, match="BTF cannot be read"):
        btf.read_kernel_types(blob()[:length], frozenset({"tcp_sendmsg"}))


@given(st.binary(max_size=200), st.integers(0, len(blob())))
def test_garbage_is_refused_or_read(garbage, start):
    damaged = blob()[:start] + garbage + blob()[start + len(garbage) :]
    with contextlib.suppress(KernelRefused):
        assert isinstance(btf.read_kernel_types(damaged, frozenset({"tcp_sendmsg"})), btf.KernelTypes)
