"""The watermark: whatever the order of deliveries, gaps and crashes, nothing undelivered is ever passed."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipeline.ingest.assignment import Assignment, Position
from pipeline.ingest.letter_marks import LetterMarks
from pipeline.ingest.watermark import MAX_SPAN, Watermark
from pipeline.records import Record


class WatermarkMachine(RuleBasedStateMachine):
    """A partition with gaps between its offsets; the worker commits, and crashes, whenever it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.mark = Watermark(position=0)
        self.log: list[int] = []  # the offsets in the partition
        self.next_offset = 0
        self.cursor = 0  # index of the next record to be read
        self.open: list[int] = []
        self.delivered: set[int] = set()
        self.committed = (0, "")
        self.unsaved: set[int] = set()  # delivered, but in no commit
        self.mine: set[int] = set()  # delivered since the last crash

    @rule(gaps=st.lists(st.integers(min_value=1, max_value=4), min_size=1, max_size=8))
    def records_are_produced(self, gaps: list[int]) -> None:
        for gap in gaps:
            self.next_offset += gap
            self.log.append(self.next_offset)

    @precondition(lambda self: self.cursor < len(self.log))
    @rule(data=st.data())
    def some_are_read(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(min_value=1, max_value=len(self.log) - self.cursor))
        for offset in self.log[self.cursor : self.cursor + count]:
            wanted = self.mark.read(offset)
            if wanted:
                self.open.append(offset)
            else:
                assert offset in self.delivered, "a record was skipped that nobody delivered"
            assert not self.mark.read(offset), "the same record was taken twice"
        self.cursor += count

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def one_is_delivered(self, data: st.DataObject) -> None:
        offset = self.open.pop(data.draw(st.integers(min_value=0, max_value=len(self.open) - 1)))
        self.mark.deliver(offset)
        self.delivered.add(offset)
        self.unsaved.add(offset)
        self.mine.add(offset)

    @rule()
    def commit(self) -> None:
        self.committed = (self.mark.position, self.mark.note())
        self.unsaved -= self.mine

    @rule()
    def crash(self) -> None:
        position, note = self.committed
        self.mark = Watermark(position=position, note=note)
        self.open = []
        self.mine = set()
        self.cursor = next((n for n, offset in enumerate(self.log) if offset >= position), len(self.log))
        again = [
            offset for offset in self.log[self.cursor :] if offset in self.delivered and offset not in self._noted()
        ]
        assert set(again) <= self.unsaved, "more is repeated than was delivered since the last commit"

    def _noted(self) -> set[int]:
        return {
            offset
            for offset in self.log
            if not Watermark(position=self.committed[0], note=self.committed[1]).read(offset)
        }

    @invariant()
    def nothing_undelivered_is_passed(self) -> None:
        passed = {offset for offset in self.log[: self.cursor] if offset < self.mark.position}
        assert passed <= self.delivered

    @invariant()
    def the_position_is_as_far_as_it_can_be(self) -> None:
        assert self.mark.position <= min(self.open, default=self.mark.position)
        if not self.open and self.cursor:
            assert self.mark.position > self.log[self.cursor - 1]


TestWatermark = WatermarkMachine.TestCase
TestWatermark.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


@given(st.text(max_size=200))
def test_any_note_can_be_read_and_only_costs_repetitions(note: str) -> None:
    mark = Watermark(position=10, note=note)
    mark.read(10)
    assert mark.position >= 10


@given(st.sets(st.integers(min_value=0, max_value=MAX_SPAN * 2), max_size=50))
@settings(deadline=None)
def test_a_note_fits_into_the_metadata_of_an_offset(done: set[int]) -> None:
    mark = Watermark(position=0)
    for offset in range(0, MAX_SPAN * 2, 7):
        mark.read(offset)
    for offset in done:
        if offset % 7 == 0 and offset > 0:
            mark.deliver(offset)
    assert len(mark.note()) < 4096


def record(offset: int, generation: int) -> Record:
    return Record(partition=("t", 0), offset=offset, key=None, value=b"", headers=(), generation=generation)


def test_a_delivery_of_an_earlier_generation_counts_for_nothing() -> None:
    assignment = Assignment(LetterMarks(()))
    assignment.assign({("t", 0): Position(offset=0)}, {})
    old = record(0, assignment.generation)
    assert assignment.read(old)
    assignment.revoke()
    assignment.assign({("t", 0): Position(offset=0)}, {})
    assert not assignment.deliver(old)
    assert assignment.to_commit() == {}
    new = record(0, assignment.generation)
    assert assignment.read(new)
    assert assignment.deliver(new)
    assert assignment.to_commit() == {("t", 0): Position(offset=1)}
