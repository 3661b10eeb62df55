"""The marks: however letters, commits and crashes fall, no letter that no commit tells of lies before its mark."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from pipeline.ingest.letter_marks import LetterMarks

ABOUT = ("t", 0)
PLACE = ("letters", ABOUT)
OTHER = ("letters", ("t", 1))  # lies in the same partition of its topic


class MarksMachine(RuleBasedStateMachine):
    """One partition's letters among those of others; the worker commits, and crashes, whenever it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.end = 3  # of the topic of letters
        self.landed: list[int] = []  # where our letters are
        self.told: set[int] = set()  # of those, which a commit tells of
        self.settled: set[int] = set()  # which the worker knows of
        self._begin()

    def _begin(self) -> None:
        self.marks = LetterMarks(("letters",))
        self.marks.begin(PLACE, partition=0, end=self.end)
        self.marks.begin(OTHER, partition=0, end=self.end)
        self.note = self.marks.note(ABOUT)  # before the first record there is a commit
        self.under_way: list[int] = []
        self.unheard: list[tuple[int, int]] = []  # landed, and its acknowledgement is on its way

    @rule()
    def somebody_elses_lands(self) -> None:
        self.end += 1

    @rule()
    def one_about_the_other_partition_lands(self) -> None:
        self.marks.sent(OTHER, self.marks.sending(OTHER), offset=self.end)
        self.end += 1

    @rule()
    def one_is_sent(self) -> None:
        self.under_way.append(self.marks.sending(PLACE))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def one_lands(self, data: st.DataObject) -> None:
        ticket = self.under_way.pop(data.draw(st.integers(min_value=0, max_value=len(self.under_way) - 1)))
        self.unheard.append((ticket, self.end))
        self.landed.append(self.end)
        self.end += 1

    @precondition(lambda self: self.unheard)
    @rule(data=st.data())
    def one_is_acknowledged(self, data: st.DataObject) -> None:
        ticket, offset = self.unheard.pop(data.draw(st.integers(min_value=0, max_value=len(self.unheard) - 1)))
        self.marks.sent(PLACE, ticket, offset=offset)
        self.settled.add(offset)

    @rule()
    def commit(self) -> None:
        self.note = self.marks.note(ABOUT)
        self.told |= self.settled

    @rule()
    def crash(self) -> None:
        mark = LetterMarks(("letters",)).read(self.note)["letters"]
        assert mark is not None
        assert not [offset for offset in self.landed if offset < mark and offset not in self.told]
        self.told |= set(self.landed)
        self._begin()


TestMarks = MarksMachine.TestCase
TestMarks.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@given(st.text(max_size=60))
def test_any_note_can_be_read(note: str) -> None:
    marks = LetterMarks(("dead", "parked")).read(note)
    assert marks.keys() == {"dead", "parked"}
    assert all(mark is None or 0 <= mark < 2**63 for mark in marks.values())


def test_a_letter_of_an_earlier_assignment_holds_no_mark_back() -> None:
    marks = LetterMarks(("letters",))
    marks.begin(PLACE, partition=0, end=5)
    old = marks.sending(PLACE)
    marks.begin(PLACE, partition=0, end=7)
    new = marks.sending(PLACE)
    marks.sent(PLACE, old, offset=9)
    assert marks.note(ABOUT) == "7"
    marks.sent(PLACE, new, offset=None)
    assert marks.note(ABOUT) == "10"
