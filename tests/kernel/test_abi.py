"""The C layout and its Python mirror are the same, field by field."""

import re
import subprocess
from pathlib import Path

import pytest

from collector.domain import observed
from collector.domain.observed import LENGTHS_ONLY, NOTHING_MORE
from collector.kernel import abi

BPF = Path(__file__).resolve().parents[2] / "bpf"
PRELUDE = """
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
struct iovec; struct mmsghdr;
#include "abi.h"
#define bpf_pseudo_fd(a, b) 0
#include "maps.h"
int main(void) {
"""


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """name -> number, as the C compiler sees it."""
    folder = tmp_path_factory.mktemp("abi")
    text = (BPF / "abi.h").read_text()
    lines = []
    for struct in ("moved", "changed"):
        body = re.search(rf"struct {struct} \{{(.*?)\n\}};", text, re.DOTALL)[1]
        body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
        for field in re.findall(r"(\w+)(?:\[\w+\])?;", body):
            lines.append(f'printf("{struct}.{field} %zu\\n", offsetof(struct {struct}, {field}));')
    for struct in ("moved", "changed", "cpu_state", "connection", "settings", "hint", "scratch", "call", "vector"):
        lines.append(f'printf("{struct} %zu\\n", sizeof(struct {struct}));')
    for name in ("CAPTURE_LIMIT", "HINT_SLOTS", "EXCLUDED_PIDS", "COMM_SIZE", "CPU_LANES", "LOSS_REASONS",
                 "CONNECTION_GONE", "CONNECTION_WATCHED", "RECORD_MOVED", "RECORD_CHANGED"):  # fmt: skip
        lines.append(f'printf("{name} %d\\n", (int){name});')
    (folder / "abi.c").write_text(PRELUDE + "\n".join(lines) + "\nreturn 0; }\n")
    subprocess.run(["gcc", f"-I{BPF}", "-o", folder / "abi", folder / "abi.c"], check=True)
    printed = subprocess.run([folder / "abi"], check=True, capture_output=True, text=True).stdout
    return {name: int(number) for name, number in (line.rsplit(" ", 1) for line in printed.splitlines())}


def test_sizes(layout):
    assert layout["moved"] == abi.MOVED_SIZE
    assert layout["changed"] == abi.CHANGED_SIZE
    assert layout["cpu_state"] == abi.CPU_STATE.size == 512
    assert layout["connection"] == abi.CONNECTION.size
    assert layout["settings"] == abi.SETTINGS.size
    assert layout["hint"] == abi.HINT.size
    assert layout["scratch"] == -(-abi.SCRATCH_SIZE // 8) * 8
    assert layout["scratch"] < 32 * 1024, "a per-CPU value may not be larger"


def test_constants(layout):
    for name in ("CAPTURE_LIMIT", "HINT_SLOTS", "EXCLUDED_PIDS", "COMM_SIZE", "CPU_LANES", "LOSS_REASONS",
                 "CONNECTION_GONE", "CONNECTION_WATCHED", "RECORD_MOVED", "RECORD_CHANGED"):  # fmt: skip
        assert layout[name] == getattr(abi, name), name


def test_what_a_hint_can_say_instead_of_an_offset():
    said = re.search(r"#define HINT_LENGTHS (0x[0-9A-F]+)ULL", (BPF / "maps.h").read_text())[1]
    assert int(said, 16) == LENGTHS_ONLY == NOTHING_MORE - 1


def test_loss_names_follow_the_numbers():
    text = re.search(r"enum loss_reason \{(.*?)\};", (BPF / "maps.h").read_text(), re.DOTALL)[1]
    numbered = {int(n): name.lower() for name, n in re.findall(r"LOSS_(\w+) = (\d+)", text) if name != "REASONS"}
    assert numbered == dict(enumerate(abi.LOSS_NAMES))


def test_map_numbers():
    text = re.search(r"enum map_number \{(.*?)\n\};", (BPF / "maps.h").read_text(), re.DOTALL)[1]
    for name, number in re.findall(r"(MAP_\w+) = (\d+)", text):
        assert getattr(abi, name) == int(number)


@pytest.mark.parametrize(
    ("struct", "layout_of", "record"),
    [("moved", abi.MOVED, observed.Moved), ("changed", abi.CHANGED, observed.Changed)],
)
def test_fields_stand_in_the_same_order(layout, struct, layout_of, record):
    """Write a distinct value at each C offset; it must come out in the field of the same name."""
    size = {"moved": abi.MOVED_SIZE, "changed": abi.CHANGED_SIZE}[struct]
    fields = record.__struct_fields__
    for index, name in enumerate(fields):
        key = f"{struct}.{name}"
        if key not in layout:
            continue
        raw = bytearray(size)
        raw[layout[key]] = 0x5A
        values = layout_of.unpack(bytes(raw[abi.HEAD.size :]))
        assert values[index] == 0x5A, key
        assert sum(1 for value in values if value and value != bytes(16)) == 1, key
