"""The spool under every order of writing, failing, dying and damage: what was acknowledged comes out, once; damage is counted."""

import os
import random
import tempfile
from pathlib import Path

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector.audit import spool as spool_module
from collector.audit.frames import HEADER_SIZE, Damage, Frame, FrameReader, frames
from collector.audit.packing import Packer
from collector.audit.spool import HOUR_NS, Spool
from collector.audit.spool_files import SpoolFiles, header_of, records

MUTATED = int(os.environ.get("SEGMENTS", "8000"))  # make torture: 1,000,000


def payload(number):
    return b'{"started_at":"2026-11-21T07:00:00.000000000Z","kind":"exchange","service":null,"n":%d}' % number


class FailingCalls:
    """os.write and os.fdatasync that fail when they are told to, after some bytes."""

    def __init__(self):
        self.fail_after = -1
        self.real_write, self.real_sync = os.write, os.fdatasync

    def write(self, descriptor, data):
        if 0 <= self.fail_after < len(data):
            if self.fail_after:
                self.real_write(descriptor, bytes(data[: self.fail_after]))
            raise OSError(5, "EIO")
        return self.real_write(descriptor, data)

    def fdatasync(self, descriptor):
        if self.fail_after >= 0:
            raise OSError(5, "EIO")
        self.real_sync(descriptor)


class SpoolMachine(RuleBasedStateMachine):
    """Acknowledged records in a list, next to the spool on disk."""

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.files = SpoolFiles(Path(self.folder.name) / "spool")
        self.files.make()
        self.acknowledged: dict[int, bytes] = {}
        self.written = 0
        self.hour = 498_700
        self.calls = FailingCalls()
        self.open()

    def open(self):
        self.spool = Spool(self.files, segment_bytes=600, segment_ns=10**18)

    def teardown(self):
        if hasattr(self, "folder"):
            self.spool.close()
            self.folder.cleanup()

    @rule(count=st.integers(1, 6), fail_after=st.integers(-600, 700))
    def write(self, count, fail_after):
        payloads = [payload(self.written + n) for n in range(count)]
        self.written += count
        first = self.spool.next_seq
        self.calls.fail_after = fail_after
        os.write, os.fdatasync = self.calls.write, self.calls.fdatasync
        try:
            self.spool.write(payloads, wall_ns=self.hour * HOUR_NS, now_ns=0)
        except OSError:
            assert self.spool.next_seq == first
            return
        finally:
            os.write, os.fdatasync = self.calls.real_write, self.calls.real_sync
        self.acknowledged |= {first + n: one for n, one in enumerate(payloads)}

    @rule(hours=st.integers(-3, 3))
    def clock_moves(self, hours):
        self.hour += hours

    @rule()
    def die(self):
        """SIGKILL: descriptors are closed, nothing else happens."""
        self.spool._close()
        self.open()

    @rule()
    def end(self):
        self.spool.close()
        self.open()

    @precondition(lambda self: self.acknowledged)
    @rule()
    def end_and_ship_nothing(self):
        self.spool.close()
        assert spool_module.recover(self.files).seq >= max(self.acknowledged)
        self.open()

    @invariant()
    def what_was_acknowledged_is_there_once(self):
        if not hasattr(self, "files"):
            return
        segments = self.files.listed()
        found: dict[int, bytes] = {}
        for at, segment in enumerate(segments):
            cut = next((header.first_seq for later in segments[at + 1 :] if (header := header_of(later))), None)
            for record in records(segment):
                if isinstance(record, Frame) and (cut is None or record.seq < cut):
                    assert record.seq not in found, "twice"
                    found[record.seq] = record.payload
        assert {seq: found.get(seq) for seq in self.acknowledged} == self.acknowledged


SpoolMachine.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=25, deadline=None)
TestSpool = SpoolMachine.TestCase


def damaged(chance, data, count):
    """Change, cut out or put in something; return the bytes."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(data) or 1)
        match chance.randrange(5):
            case 0 | 1 if data:
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                del data[at : at + chance.randrange(1, 120)]
            case 3:
                data[at:at] = chance.randbytes(chance.randrange(1, 60))
            case _:
                del data[at:]
    return bytes(data)


def test_mutated_segments(capsys):
    """No exception; every record that still stands whole in the bytes comes out; what is missing is counted exactly."""
    chance = random.Random(20261121)
    lost = 0
    for _ in range(MUTATED):
        count = chance.randrange(1, 12)
        whole = [frames(seq, [payload(seq)]) for seq in range(1, count + 1)]
        data = damaged(chance, b"".join(whole), count)
        reader, found = FrameReader(), []
        step = chance.choice((64, 200, 65536))
        for at in range(0, len(data), step):
            found += reader.feed(data[at : at + step])
        found += reader.finish()
        seqs = [one.seq for one in found if isinstance(one, Frame)]
        assert seqs == [seq for seq in range(1, count + 1) if whole[seq - 1] in data]
        damage = sum(one.size for one in found if isinstance(one, Damage))
        assert damage + sum(len(whole[seq - 1]) for seq in seqs) == len(data)
        packer = Packer("00" * 8, "zstd", hour=498_700, first=1, cut=count + 1)
        packer.add(found)
        packed = packer.finish()
        assert packed.events == len(seqs)
        assert packed.damaged == count - len(seqs)
        lost += packed.damaged
    with capsys.disabled():
        print(f"\n{MUTATED} mutated segments: {lost} records damaged, each counted, none invented")


def test_the_header_size_is_what_the_specification_says():
    assert HEADER_SIZE == 36 + 4
