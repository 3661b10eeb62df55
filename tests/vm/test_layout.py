"""Where generated code reads a field is where the kernel's BTF has it: on every kernel at hand, for x86-64 and arm64."""

import os
import re
import struct
import subprocess
import sys

import pytest

from collector.kernel import headers
from tests.vm.kernels import ARM, KERNELS, STORE, Kernel, unpacked
from tests.vm.warm import btf_in_image, btf_section, warm

# What bpf/*.h loads. A path of one step each: nested ones are the sum of their steps.
FIELDS = {
    "task_struct": "thread_info stack flags pid tgid group_leader start_boottime self_exec_id comm files cgroups",
    "files_struct": "fdt", "fdtable": "max_fds fd", "file": "private_data", "socket": "sk",
    "sock": "sk_protocol sk_err sk_shutdown",
    "sock_common": "skc_num skc_dport skc_family skc_state skc_rcv_saddr skc_daddr skc_v6_rcv_saddr skc_v6_daddr"
    " skc_cookie skc_flags",
    "tcp_sock": "inet_conn write_seq copied_seq rcv_nxt srtt_us rtt_min total_retrans segs_out segs_in tcp_clock_cache",
    "inet_sock": "sk inet_sport", "inet_connection_sock": "icsk_inet",
    "iovec": "iov_base iov_len", "user_msghdr": "msg_iov msg_iovlen", "mmsghdr": "msg_hdr msg_len",
    "css_set": "dfl_cgrp", "cgroup": "level",
    "pt_regs": {"x86_64": "orig_ax di si dx r10 ax", "aarch64": "syscallno orig_x0 regs"},
}  # fmt: skip
COMPILER = """
import os, sys
sys.path.append("/usr/lib/python3/dist-packages")
from bcc import BPF
module = BPF(text=sys.stdin.read(), cflags=["-w", "-fms-extensions"])
for name in sys.argv[1:]:
    print(name, module.dump_func(name).hex())
"""


def wanted(machine):
    for name, fields in FIELDS.items():
        for field in (fields if isinstance(fields, str) else fields[machine]).split():
            yield name, field


def by_btf(blob):
    """(struct, field) -> byte offset, fields of nameless members included."""
    text = subprocess.run(
        ["bpftool", "btf", "dump", "file", blob, "format", "raw"], check=True, capture_output=True, text=True
    ).stdout
    types = {
        int(number): (name, [(member, int(of), int(bits)) for member, of, bits in re.findall(r"'(\S+)' type_id=(\d+) bits_offset=(\d+)", body)])
        for number, name, body in re.findall(r"^\[(\d+)\] (?:STRUCT|UNION) '(\S+)' size=.*\n((?:\t.*\n)*)", text, re.MULTILINE)
    }  # fmt: skip

    def fields(number, base):
        for member, of, bits in types[number][1]:
            if member == "(anon)" and of in types:
                yield from fields(of, base + bits // 8)
            else:
                yield member, base + bits // 8

    found = {}
    for number, (name, _) in types.items():
        for member, offset in fields(number, 0):
            found.setdefault((name, member), offset)
    return found


def in_code(tree, machine):
    """(struct, field) -> the offset that generated code adds."""
    pairs = list(wanted(machine))
    text = "static void *(*somewhere)(void) = (void *)35;\n" + "".join(
        f'__attribute__((section(".bpf.fn.f{n}"), used)) int f{n}(void *c)'
        f"{{ struct {name} *it = somewhere(); return (long)&it->{field}; }}\n"
        for n, (name, field) in enumerate(pairs)
    )
    done = subprocess.run(
        [sys.executable, "-c", COMPILER, *(f"f{n}" for n in range(len(pairs)))],
        input=text, text=True, capture_output=True, check=False, env={**os.environ, "BCC_KERNEL_SOURCE": str(tree)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    codes = dict(line.split() for line in done.stdout.splitlines())
    return {pair: added(bytes.fromhex(codes[f"f{n}"])) for n, pair in enumerate(pairs)}


def added(code):
    """The sum of `add immediate` in a program that only adds."""
    return sum(struct.unpack_from("<i", code, at + 4)[0] for at in range(0, len(code), 8) if code[at] == 0x07)


def compare(blob_path, release, machine, tmp_path):
    tree = headers.header_tree(tmp_path, "tree", types=blob_path, release=release)
    btf, code = by_btf(blob_path), in_code(tree, machine)
    assert {pair: code[pair] for pair in code} == {pair: btf[pair] for pair in code}


def test_this_kernel(tmp_path):
    compare(headers.btf.VMLINUX, None, os.uname().machine, tmp_path)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_kernels_in_the_store(kernel: Kernel, played, tmp_path):
    played(kernel)  # on CI: fetched by now
    image = STORE / "boot" / f"{kernel.name}-{kernel.flavour}" / "vmlinux"
    if not image.exists():
        pytest.skip(f"cannot be done on this kernel: {kernel.name} is not in the store; make test-kernels fetches it")
    (tmp_path / "btf").write_bytes(btf_section(image))
    compare(tmp_path / "btf", "5.0.0", "x86_64", tmp_path)


@pytest.fixture(scope="module")
def arm_types(played):
    played(ARM)  # on CI: fetched by now
    if not (STORE / "kernels" / f"{ARM.name}-{ARM.flavour}" / "release").exists():
        pytest.skip("cannot be done on this kernel: no arm64 kernel in the store; make test-kernels fetches it")
    held = unpacked(ARM)
    return btf_in_image(held.image), held.release


def test_arm64(arm_types, tmp_path):
    blob, release = arm_types
    (tmp_path / "btf").write_bytes(blob)
    compare(tmp_path / "btf", release, "aarch64", tmp_path)


@pytest.mark.filterwarnings("ignore")  # bcc warns of its own way with strings
def test_every_rung_compiles_for_arm64(arm_types, tmp_path):
    blob, release = arm_types
    warmed = warm(blob, release, tmp_path / "cache", machine="aarch64")
    assert set(warmed.plans) == {"fexit", "kprobe", "exit", "enter"}
    assert set(warmed.impossible) == {"length"}
