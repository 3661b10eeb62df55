"""The ladder decided from BTF, and what is said of a rung that was not taken."""

from collector.kernel import headers, rungs
from collector.kernel.btf import KernelTypes
from collector.kernel.loader import refused
from collector.kernel.request import LoadReply, RungResult

LIFE = ("inet_sock_set_state", "tcp_destroy_sock", "tcp_receive_reset", "tcp_retransmit_skb", "sys_enter", "sys_exit")


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
