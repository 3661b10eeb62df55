"""The C layout and its Python mirror are the same, field by field."""

import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from collector.domain.observed import LENGTHS_ONLY, NOTHING_MORE
from collector.kernel import abi
from collector.kernel.decoding import Decoder

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


ONLY_NUMBERING = {"lane", "cpu", "size", "sequence"}  # of struct record_head: for the decoder alone


def fields_of(struct):
    """Return the names in a struct of abi.h."""
    body = re.search(rf"struct {struct} \{{(.*?)\n\}};", (BPF / "abi.h").read_text(), re.DOTALL)[1]
    return set(re.findall(r"(\w+)(?:\[\w+\])?;", re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)))


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """name -> number, as the C compiler sees it."""
    folder = tmp_path_factory.mktemp("abi")
    lines = []
    for struct in ("record_head", "task_identity", "endpoints", "moved", "changed"):
        for field in fields_of(struct):
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
    assert layout["moved"] == abi.MOVED.size
    assert layout["changed"] == abi.CHANGED.size
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


@pytest.mark.parametrize(("struct", "number"), [("moved", abi.RECORD_MOVED), ("changed", abi.RECORD_CHANGED)])
def test_fields_stand_where_they_are_read(layout, struct, number):
    """Write to each field by C's offset: it must come out in the field of the same name, and nowhere else."""
    places = {name: layout[f"{struct}.{name}"] for name in fields_of(struct) - {"head", "task", "ends", "reserved"}}
    for part, at in (("record_head", "head"), ("task_identity", "task"), ("endpoints", "ends")):
        inside = fields_of(part) - {"reserved", "kind" if struct == "changed" else ""}
        places |= {name: layout[f"{struct}.{at}"] + layout[f"{part}.{name}"] for name in inside}

    def decoded(place=None):
        raw = bytearray(layout[struct])
        raw[0] = number
        if place is not None:
            raw[place] = 0x5A
        (one,) = Decoder({}).decode(bytes(raw), [0])
        return {**msgspec.structs.asdict(one), **msgspec.structs.asdict(one.caller), "caller": None}

    blank = decoded()
    assert set(blank) - {"caller", "payload"} == set(places) - {"kind" if struct == "moved" else "", *ONLY_NUMBERING}
    for name in set(blank) & set(places):
        found = decoded(places[name])
        assert [field for field in found if found[field] != blank[field]] == [name]
        assert 0x5A in (found[name] if isinstance(found[name], bytes) else [found[name]])


def test_a_caller_is_decoded_once(layout):
    raw = bytes([abi.RECORD_MOVED]) + bytes(layout["moved"] - 1)
    first, second = Decoder({}).decode(raw * 2, [0, len(raw)])
    assert first.caller is second.caller
