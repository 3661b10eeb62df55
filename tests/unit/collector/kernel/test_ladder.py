"""The ladder decided from BTF, and what is said of a rung that was not taken."""

import contextlib
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.kernel import btf, headers, preemption, rungs, symbols
from collector.kernel.btf import KernelTypes
from collector.kernel.errors import KernelRefused
from collector.kernel.loader import refused
from collector.kernel.probe import Probe, Program
from collector.kernel.request import LoadReply, RungResult

LIFE = ("inet_sock_set_state", "tcp_destroy_sock", "tcp_receive_reset", "tcp_retransmit_skb", "sys_enter", "sys_exit")

TEXT = b"\0btf_trace_sys_exit\0tcp_sendmsg\0bpf_func_id\0BPF_FUNC_task_pt_regs\0"
TYPES = b"".join((
    struct.pack("<III", TEXT.index(b"btf_"), 8 << 24, 2),
    struct.pack("<III", 0, 13 << 24 | 1, 0) + bytes(8),
    struct.pack("<III", TEXT.index(b"tcp_"), 12 << 24, 2),
    struct.pack("<III", TEXT.index(b"bpf_f"), 6 << 24 | 1, 4) + struct.pack("<II", TEXT.index(b"BPF_"), 175),
))  # fmt: skip
BTF = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(TYPES), len(TYPES), len(TEXT)) + TYPES + TEXT


def test_what_btf_says():
    types = btf.read_kernel_types(BTF, rungs.FUNCTIONS)
    assert types == KernelTypes({"sys_exit": 1}, {"tcp_sendmsg": (3, 1)}, frozenset({"task_pt_regs"}))


def kernel(*tracepoints, helpers=("task_pt_regs",), recvmsg=5, sendpage=False):
    functions = {"tcp_sendmsg": (1, 3), "tcp_recvmsg": (2, recvmsg), "bpf_iter_bpf_sk_storage_map": (3, 4)}
    functions |= {"tcp_sendpage": (4, 5)} if sendpage else {}
    names = (*LIFE, *tracepoints)
    return KernelTypes(
        tracepoints={name: 10 + n for n, name in enumerate(names)}, functions=functions, helpers=frozenset(helpers)
    )


def plan(rung, types):
    return rungs.plan(rung, types, by_process=False, follow_children=False)


def test_signatures_come_from_btf():
    for arguments in (6, 5, 4):
        assert f"RECVMSG_ARGUMENTS={arguments}" in plan(rungs.FEXIT, kernel(recvmsg=arguments)).definitions


def test_sendpage_is_watched_where_the_kernel_has_it():
    for rung, names in ((rungs.FEXIT, ["tcp_sendpage"]), (rungs.KPROBE, ["enter_tcp_sendpage", "return_tcp_sendpage"])):
        with_it, without = plan(rung, kernel(sendpage=True)), plan(rung, kernel())
        assert [p.name for p in with_it.programs if "sendpage" in p.name] == names
        assert not [p.name for p in without.programs if "sendpage" in p.name]
    assert "SENDPAGE_ARGUMENTS=5" in plan(rungs.FEXIT, kernel(sendpage=True)).definitions


def test_before_5_15_no_helper_is_used_that_is_not_there():
    for rung in (rungs.FEXIT, rungs.KPROBE, rungs.EXIT, rungs.ENTER):
        old = plan(rung, kernel(helpers=()))
        assert "IDENTITY_BY_ADDRESS" in old.definitions
        assert "HAS_TASK_HELPERS" not in old.definitions
        assert not old.socket_storage
        assert not old.cookies


def test_where_programs_can_be_preempted_they_have_second_copies():
    functions = {rungs.PREEMPT_DISABLE: (8, 0), rungs.PREEMPT_ENABLE: (9, 0)}
    plain = kernel("sock_send_length", "sock_recv_length")
    able = msgspec.structs.replace(plain, functions=plain.functions | functions)
    for rung in rungs.LADDER:
        assert not plan(rung, able).twice
        chosen = plan(rung, msgspec.structs.replace(able, preemptible=True))
        names = [program.name for program in chosen.programs]
        assert "PREEMPTIBLE" in chosen.definitions
        assert (
            chosen.twice == ("TWICE" in chosen.definitions) == (rung is not rungs.KPROBE)
        )  # kprobes are never preempted
        for first in (program.name for program in rung.programs if chosen.twice):
            earlier, later = sorted((names.index(first), names.index(first + rungs.AGAIN)))
            ran_first = later if rung is rungs.FEXIT else earlier  # a trampoline runs the newest first
            assert names[ran_first] == first
        assert plan(rung, msgspec.structs.replace(plain, preemptible=True)).startswith("a kernel that preempts itself")
    preempted = rungs.plan(rungs.FEXIT, able, by_process=False, follow_children=False, preempts=True)
    assert preempted.twice
    assert not rungs.plan(rungs.LENGTH, able, by_process=False, follow_children=False, preempts=True).twice


def test_what_btf_says_of_preemption():
    text = TEXT + b"class_srcu_fast_notrace_t\0"
    blob = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(TYPES), len(TYPES), len(text)) + TYPES + text
    assert btf.read_kernel_types(blob, rungs.FUNCTIONS).preemptible


@pytest.mark.parametrize(
    ("version", "mode", "command_line", "preempts"),
    [
        ("#1 SMP Debian 5.10.1", "none voluntary (full)", "preempt=full", False),
        ("#1 SMP PREEMPT Ubuntu lowlatency", None, "quiet", True),
        ("#1 SMP PREEMPT_DYNAMIC Debian 6.1", "none (voluntary) full", "", False),
        ("#1 SMP PREEMPT_DYNAMIC Debian 6.12", "none voluntary (full)", "", True),
        ("#1 SMP PREEMPT_DYNAMIC Debian 7.2", "full (lazy)", "", True),
        ("#1 SMP PREEMPT_DYNAMIC", None, "quiet preempt=full", True),
        ("#1 SMP PREEMPT_DYNAMIC", None, "quiet", False),
    ],
)
def test_whether_the_kernel_preempts_itself(tmp_path, version, mode, command_line, preempts):
    if mode:
        (tmp_path / "mode").write_text(mode + " \n")
    (tmp_path / "line").write_text(command_line)
    found = preemption.preempts(version, mode=tmp_path / "mode", command_line=tmp_path / "line")
    assert found is preempts


def test_what_was_skipped_counts_where_both_copies_were():
    told = {"a": 3, "a_again": 5, "b": 2, "b_again": 0, "c": 4}
    probe = Probe.__new__(Probe)
    probe.programs = lambda: {name: Program(None, None, skipped) for name, skipped in told.items()}
    assert probe.skipped() == 3 + 0 + 4


def test_a_missing_tracepoint_is_a_reason():
    assert plan(rungs.LENGTH, kernel()) == "this kernel has no sock_send_length, sock_recv_length"


def test_without_data_ready_the_delay_is_a_blind_spot():
    assert any("read delay" in said for said in rungs.blind_spots(rungs.FEXIT, kernel()))
    assert not any("read delay" in said for said in rungs.blind_spots(rungs.FEXIT, kernel("sk_data_ready")))


def result(name, **more):
    return RungResult(name=name, loaded=False, fired=False, **more)


def test_one_warning_line_for_a_rung_that_the_verifier_rejects():
    fired = RungResult(name="kprobe", loaded=True, fired=True)
    tried = (result("length", reason="this kernel has no x"), result("fexit", verifier=("1: (bf)", "R2 is bad")), fired)
    assert refused(LoadReply(rung="kprobe", tried=tried)) == (
        "warning: rung kprobe in place of a better one: fexit: R2 is bad"
    )
    assert not refused(LoadReply(rung="kprobe", tried=(tried[0], fired)))


def test_holes_get_names_and_partial_ones_stay():
    text = "struct a {\n\tlong: 64;\n\tlong: 64;\n\tint: 32;\n\tlong: 28;\n\tunsigned int b: 1;\n};\n"
    assert headers._with_named_holes(text) == (
        "struct a {\n\tlong hole_0;\n\tlong hole_1;\n\tint hole_2;\n\tlong: 28;\n\tunsigned int b: 1;\n};\n"
    )


SYMBOLS = """ffffffff81000000 T _text
0000000000000000 t __traceiter_sock_send_length
0000000000000000 t __traceiter_sys_exit
0000000000000000 T tcp_sendmsg
0000000000000000 T tcp_sendmsg_locked
0000000000000000 t __traceiter_of_a_module\t[module]
"""


def test_without_btf_the_symbols_say_what_there_is(tmp_path):
    (tmp_path / "kallsyms").write_text(SYMBOLS)
    types = symbols.read_symbols(frozenset({"tcp_sendmsg", "tcp_recvmsg"}), tmp_path / "kallsyms")
    assert set(types.tracepoints) == {"sock_send_length", "sys_exit", "of_a_module"}
    assert set(types.functions) == {"tcp_sendmsg"}
    assert not types.typed


def test_without_btf_nothing_is_typed():
    types = msgspec.structs.replace(kernel("sock_send_length", "sock_recv_length", helpers=()), typed=False)
    assert plan(rungs.FEXIT, types) == "trampolines want BTF"
    for rung in (rungs.LENGTH, rungs.KPROBE, rungs.EXIT, rungs.ENTER):
        untyped = plan(rung, types)
        assert {"KERNEL_HEADERS", "IDENTITY_BY_ADDRESS"} <= set(untyped.definitions)
        assert not untyped.socket_storage


def test_one_warning_line_for_btf_that_cannot_be_used():
    fired = RungResult(name="kprobe", loaded=True, fired=True)
    reply = LoadReply(rung="kprobe", tried=(result("fexit", reason="trampolines want BTF"), fired), untyped="no BTF")
    assert refused(reply) == "warning: rung kprobe in place of a better one: no BTF (kernel headers in its place)"


@given(st.data())
def test_damaged_btf_is_refused_or_read_but_never_worse(data):
    blob = bytearray(BTF)
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(KernelRefused):
        btf.read_kernel_types(bytes(blob[: data.draw(st.integers(0, len(blob)))]), rungs.FUNCTIONS)
