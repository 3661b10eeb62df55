import pytest

from api.dto.feed import FeedStatistics
from api.services import health, losses
from api.services.invariants import InvariantLedger
from collector.domain.status import ObserverStatus
from tests.support.exchanges import connection, exchange

_SECOND = 1_000_000_000
_STATUS = dict(  # noqa: C408
    at_ns=100 * _SECOND, started_ns=0, rung="length", canary="passed", canary_exchanges=2, stopping=False, told=12,
    exchanges={"client": 5, "server": 5}, connections=4, open_connections=0, not_http=0,
    records={"captured": 60, "decoded": 60, "lost": 0}, kernel={"exchanges": 12}, lost={}, ring_fill_ratio=0.1,
)  # fmt: skip


def status(**more):
    return ObserverStatus(**{**_STATUS, **more})


def ready(now_s=100.1, **more):
    return health.ready(status(**more), release="0", epoch="e", now_ns=int(now_s * _SECOND), wall_ns=0)


def test_ready_where_everything_is_as_it_should_be():
    found = ready()
    assert (found.status, found.output) == ("pass", None)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"canary": "pending"}, "has not come through yet"),
        ({"canary": "failed"}, "did not come through"),
        ({"now_s": 104}, "not drained for 4.0 s"),
        ({"stopping": True}, "is ending"),
    ],
)
def test_not_ready_has_its_reason(more, reason):
    found = ready(**more)
    assert found.status == "fail"
    assert reason in found.output


def test_a_full_ring_is_a_warning():
    found = ready(ring_fill_ratio=0.95)
    assert found.status == "warn"
    assert "nearly full" in found.output


def test_a_narrowed_observation_is_ready_without_our_own_canary():
    assert ready(canary="filtered").status == "pass"


def feed(**more):
    zeros = dict.fromkeys(FeedStatistics.__struct_fields__, 0)
    return FeedStatistics(**{**zeros, **more})


def account(**more):
    given = {"feed": feed(traced=8, untraced=2), "bus": {}, "engine": {}, "kept": (10, 2), **more}
    return losses.account(status(), **given)


def test_totals_balance_where_nothing_was_lost():
    found = account()
    assert (found.total, found.stages) == (0, {})
    assert [one.difference for one in found.balance] == [0, 0, 0, 0]
    assert (found.untraced.exchanges, found.untraced.connections) == (2, 2)


def test_every_stage_that_lost_something_is_named():
    found = account(
        bus={"api_full": 3},
        engine={"metrics": {"label_overflow": 1, "nothing": 0}},
        feed=feed(traced=5, untraced=2, missed=4, published=9, delivered=5),
        kept=(7, 2),
    )
    assert found.stages == {"metrics": {"label_overflow": 1}, "bus": {"api_full": 3}, "feed": {"slow_client": 4}}
    assert found.total == 8
    assert [one.difference for one in found.balance] == [0, 0, 0, 0]


def judged(events, *, archived=True, **more):
    ledger = InvariantLedger()
    ledger.add(events)
    more.setdefault("exchanges", {"client": len(events), "server": 0})  # all that were told have come here
    return {one.id: one for one in ledger.judge(status(**more), None, archived=archived)}


def test_nothing_seen_is_not_measured():
    assert {one.status for one in judged([], kernel={"exchanges": 2}).values()} == {"not_measured"}


def test_unsafe_requests_need_a_key():
    found = judged([exchange(method="POST", idempotency_key="k"), exchange(method="GET")])["I1"]
    assert (found.status, found.checked) == ("holds", 1)
    without = exchange(method="POST")
    found = judged([without])["I1"]
    assert (found.status, found.violations, found.evidence) == ("violated", 1, [without.id])


def test_every_attempt_ends():
    assert judged([exchange()])["I2"].status == "holds"
    assert judged([exchange(outcome=None)])["I2"].status == "violated"


def test_the_kernel_counts_what_was_told():
    ten = [exchange(role=role) for role in ("client", "server") for _ in range(5)]
    assert judged(ten)["I3"].status == "holds"
    assert judged(ten[:8])["I3"].violations == 2
    assert judged(ten[:8], open_connections=2)["I3"].status == "holds"
    assert judged(ten[:8], lost={"kernel": {"ring_full": 2}})["I3"].status == "holds"
    assert judged(ten[:8], waiting=2)["I3"].status == "holds"
    assert judged(ten[:8], exchanges={"client": 5, "server": 5})["I3"].status == "holds"  # two on their way


def test_an_answer_to_nothing_is_the_servers_word_but_two_are_a_breach():
    ledger = InvariantLedger()
    ledger.add([exchange() for _ in range(9)])
    ledger.add_connections([connection(exchanges=9, kernel_exchanges=10), connection(exchanges=0, kernel_exchanges=0)])
    told = {"client": 9, "server": 0}
    assert ledger.judge(status(exchanges=told), None, archived=True)[2].status == "holds"
    assert ledger.judge(status(exchanges=told, kernel={"exchanges": 13}), None, archived=True)[2].status == "violated"


def test_every_attempt_has_a_trace():
    assert judged([exchange()])["I4"].status == "holds"
    found = judged([exchange(trace_id=None), exchange(trace_id=None, role="server")], archived=False)["I4"]
    assert (found.status, found.checked, found.violations) == ("violated", 1, 1)
    assert found.not_measured == ["in the archive or the spool: no archive configured"]


def test_an_event_that_the_archive_lost_is_a_breach():
    lost = {"archive": {"disk_full": 3, "disk_full_ordinary": 9}}
    found = judged([exchange()], lost=lost)["I4"]
    assert (found.status, found.violations) == ("violated", 3)
    assert "3 events lost" in found.detail


def test_isolation_is_seen_from_outside_only():
    assert judged([exchange()])["I5"].status == "not_measured"
