"""What a store must do for `execute` and for the sweep, whichever it is: PostgreSQL's, and the one in memory.

Simulations are worth as much as their store is like the real one, so every test here runs on both.
"""

from datetime import timedelta
from uuid import UUID

import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent
from msgspec.structs import replace

from domain.command_bus import AnyCommand, split_batch
from domain.commands.campaign.manage_campaign import ChangeCampaignTerms, CreateCampaign
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.errors import Refusal
from domain.results import Result
from projections.database.errors import StorageUnavailableError
from projections.definitions.tables import reservations
from projections.event_store.side_tables import REFUSALS_PER_CODE_AND_DAY
from projections.work_queue.outbox import LEASE_S
from tests.simulation.services.transaction_faults import Fate
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.random_commands import BUSY, FAILED, LOST, REFUSED, RandomCommands, StoreBench, done
from tests.support.ledger.stores import ContractStore, log_of

STATUS = list(reservations.TABLE.columns).index("status")


@pytest.fixture
def bench(store: ContractStore) -> StoreBench:
    bench = StoreBench(store, RandomCommands(store.vault, now=store.now))
    bench.run(bench.acts.issue(1))
    return bench


def words(results: list[Result]) -> list[str]:
    return [result.code if isinstance(result, Refusal) else "ok" for result in results]


def topics(store: ContractStore) -> list[str]:
    return [topic.partition(":")[0] for _, _, topic, _ in log_of(store)]


def code_of(bench: StoreBench) -> UUID:
    return log_of(bench.store)[0][0]


def test_version_is_taken_once(store: ContractStore) -> None:
    """A batch with a version that is there already is refused whole: nothing of it is kept."""
    stream, other = UUID(int=1), UUID(int=2)
    store.recorder.insert_events([StoredEvent(stream, 1, "A:1", b"{}"), StoredEvent(stream, 2, "B:1", b"{}")])

    with pytest.raises(IntegrityError):
        store.recorder.insert_events([StoredEvent(other, 1, "C:1", b"{}"), StoredEvent(stream, 2, "D:1", b"{}")])

    assert [topic for _, _, topic, _ in log_of(store)] == ["A:1", "B:1"]


def test_events_and_rows_are_written_together(bench: StoreBench) -> None:
    """From issue to sent: four events in order of positions, and rows that say the same."""
    reservation_id = bench.reserved()
    bench.attempt(reservation_id)

    rows = bench.store.rows(code_of(bench))
    assert topics(bench.store) == ["CodeIssued", "UseReserved", "InviteAttempted", "InviteSent"]
    assert [row[STATUS] for row in rows["reservations"].values()] == ["sent"]
    assert [(row[5], row[6]) for row in rows["code_balances"].values()] == [(1, 0)]


def test_batch_decides_in_order_and_a_refusal_fails_no_other_command(bench: StoreBench) -> None:
    """Two people, one use, an unknown code: the first gets it, the others get their own answers."""
    acts = bench.acts
    results = bench.run(acts.redeem("a"), acts.redeem("b"), acts.redeem("c", code="NOSUCHCODE"), acts.redeem("a"))

    assert words(results) == ["ok", "CODE_HELD", "CODE_INVALID", "ok"]
    assert done(results[0]).require_reservation() == done(results[3]).require_reservation()


def test_defect_in_a_batch_writes_nothing(bench: StoreBench) -> None:
    """A command that no decision is made for breaks the batch, and the batch leaves no trace."""
    with pytest.raises((KeyError, AttributeError)):
        bench.run(bench.acts.redeem("a"), "no command")  # type: ignore[arg-type]  # that is the defect

    assert topics(bench.store) == ["CodeIssued"]
    assert words(bench.run(bench.acts.redeem("b"))) == ["ok"]


@pytest.mark.parametrize("fate", ["answer_lost", "rolled_back"])
@pytest.mark.parametrize("times", [1, 3])
def test_lost_commit_is_resolved_by_deciding_again(bench: StoreBench, fate: Fate, times: int) -> None:
    """Whether it was committed or not before the connection died: there is one reservation, and it is the caller's."""
    command = bench.acts.redeem()

    with bench.store.lose(times, fate):
        result = done(bench.run(command)[0])

    assert result.require_reservation().reservation_id == command.reservation_id
    assert result.changed == (fate == "rolled_back")
    assert topics(bench.store) == ["CodeIssued", "UseReserved"]


@pytest.mark.parametrize(("fate", "stored_count"), [("answer_lost", 1), ("rolled_back", 0)])
def test_after_the_last_attempt_the_caller_may_ask_again(bench: StoreBench, fate: Fate, stored_count: int) -> None:
    """The bound of tries is an honest "unknown"; the same command again leads to the same reservation."""
    command = bench.acts.redeem(key=(b"scope", b"body"))

    with bench.store.lose(4, fate), pytest.raises(StorageUnavailableError):
        bench.run(command)
    between = topics(bench.store).count("UseReserved")
    again = done(bench.run(command)[0])

    assert between == stored_count
    assert again.require_reservation().reservation_id == command.reservation_id
    assert topics(bench.store).count("UseReserved") == 1


def test_lost_answer_to_a_claim_leaves_the_lease_with_its_task(bench: StoreBench) -> None:
    """Deciding the claim again finds the lease of the same task, not that of another."""
    reservation_id = bench.reserved()
    claim = bench.acts.claim(reservation_id)

    with bench.store.lose(1, "answer_lost"):
        lease = done(bench.run(claim)[0]).require_reservation().lease

    assert lease is not None
    assert (lease.worker, lease.task_id, lease.attempt) == ("w1", "t1", 1)
    assert topics(bench.store).count("InviteAttempted") == 1


def test_key_leads_to_its_reservation_for_seven_days(bench: StoreBench) -> None:
    acts = bench.acts
    command = acts.redeem(key=(b"scope", b"one"))
    reservation_id = done(bench.run(command)[0]).require_reservation().reservation_id
    bench.attempt(reservation_id, FAILED)

    same = bench.run(acts.redeem(key=(b"scope", b"one")))[0]
    other = bench.run(acts.redeem("mei", key=(b"scope", b"two")))
    acts.passes(8 * 86400)
    later = bench.run(acts.redeem(key=(b"scope", b"two")))[0]
    once_more = bench.run(acts.redeem(key=(b"scope", b"two")))[0]

    assert (done(same).require_reservation().reservation_id, done(same).require_reservation().status) == (
        reservation_id,
        "refunded",
    )
    assert words(other) == ["IDEMPOTENCY_KEY_REUSED"]
    assert (
        done(later).require_reservation().reservation_id
        == done(once_more).require_reservation().reservation_id
        != reservation_id
    )


def test_refusal_is_not_remembered_under_its_key(bench: StoreBench) -> None:
    first = bench.reserved("a")
    key = (b"scope", b"body")

    refused = bench.run(bench.acts.redeem("b", key=key))
    bench.attempt(first, FAILED)
    again = bench.run(bench.acts.redeem("b", key=key))

    assert words([*refused, *again]) == ["CODE_HELD", "ok"]


def test_rejected_requests_are_kept_bounded_and_make_no_recipient(bench: StoreBench) -> None:
    """At most a hundred rows per code and day; requests with unknown codes are only counted; no recipient is stored."""
    bench.reserved("first")
    for _ in range(2):
        bench.run(*[bench.acts.redeem(f"p{number}") for number in range(60)])
    bench.run(bench.acts.redeem("x", code="NOSUCHCODE"), bench.acts.redeem("y", code="NOSUCHCODE"))
    bench.acts.passes(86400)
    bench.run(bench.acts.redeem("p1"))

    code = code_of(bench)
    rejected_requests = bench.store.refusals()
    assert sum(rejected_requests.values()) in {REFUSALS_PER_CODE_AND_DAY, REFUSALS_PER_CODE_AND_DAY + 1}
    assert {key[0] for key in rejected_requests} == {code}
    assert bench.store.unknown_code_requests() == 2


def test_refunds_of_which_the_recipient_is_notified(bench: StoreBench) -> None:
    """By final failure and by deadline; not where the address itself was refused."""
    reservation_id = bench.reserved("a")
    bench.attempt(reservation_id, FAILED)
    refused = bench.reserved("b")
    bench.attempt(refused, REFUSED)
    late = bench.reserved("c")
    bench.acts.passes(1801)
    bench.run(bench.acts.settle(late))

    assert bench.store.outbox() == {reservation_id, late}


def test_free_text_is_kept_only_with_the_event_that_names_it(bench: StoreBench) -> None:
    """The reply to an attempt that counted; not that of a stale one."""
    reservation_id = bench.reserved()
    bench.run(bench.acts.claim(reservation_id))
    counted, stale = bench.acts.record(reservation_id, BUSY), bench.acts.record(reservation_id, BUSY)
    bench.run(counted)
    bench.run(stale)

    assert counted.reply is not None
    assert bench.store.texts() == {counted.reply.text_id}


def test_persons_newest_reservations_decide(bench: StoreBench) -> None:
    """However many were refunded before: the live one is found."""
    for _ in range(22):
        bench.attempt(bench.reserved(), FAILED)
    live = bench.reserved()

    assert bench.reserved() == live


def test_overdue_reservation_frees_its_use_in_the_same_commit(bench: StoreBench) -> None:
    """If no worker runs, the next command refunds the use and reserves it."""
    bench.reserved("a")
    bench.acts.passes(1801)

    assert words(bench.run(bench.acts.redeem("b"))) == ["ok"]
    assert topics(bench.store)[-2:] == ["UseRefunded", "UseReserved"]


def test_time_of_the_stream_decides_which_reservations_are_overdue(bench: StoreBench) -> None:
    """A clock that is a little behind the stream's last event finds what is overdue by that event."""
    bench.reserved("a")
    bench.acts.passes(1805)
    done(bench.run(PauseCode(context=bench.acts.context("staff"), code_id=code_of(bench)))[0])
    done(bench.run(ResumeCode(context=bench.acts.context("staff"), code_id=code_of(bench)))[0])
    bench.acts.passes(-10)

    assert words(bench.run(bench.acts.redeem("b"))) == ["ok"]
    assert topics(bench.store)[-2:] == ["UseRefunded", "UseReserved"]


def test_reserved_code_says_when_to_retry(bench: StoreBench) -> None:
    """At the earliest deadline ahead."""
    bench.reserved("a")
    bench.acts.passes(300)

    refusal = bench.run(bench.acts.redeem("b"))[0]

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.retry_after_s) == ("CODE_HELD", 1500)


def test_late_success_sees_the_newer_reservation(bench: StoreBench) -> None:
    """The store finds the same person's newer reservation, so that the refunded one is not counted as well."""
    acts = bench.acts
    bench.run(acts.issue(None))
    old = bench.reserved()
    bench.attempt(old, LOST)
    bench.run(acts.resolve(old, "refunded"))
    bench.reserved()

    bench.run(acts.record(old))

    assert topics(bench.store)[-2:] == ["LateSuccessRecorded", "CaseOpened"]
    assert [row[4] for row in bench.store.rows(log_of(bench.store)[1][0])["cases"].values()][-1] == "newer_reservation"


def test_two_late_successes_of_one_person_share_a_batch(bench: StoreBench) -> None:
    """Both refunded reservations have the same newer one, which is looked up once."""
    acts = bench.acts
    bench.run(acts.issue(None))
    old = []
    for _ in range(2):
        old.append(bench.reserved())
        bench.attempt(old[-1], LOST)
        bench.run(acts.resolve(old[-1], "refunded"))
    bench.reserved()

    results = bench.run(*[acts.record(reservation_id) for reservation_id in old])

    assert words(results) == ["ok", "ok"]
    assert topics(bench.store)[-4:] == ["LateSuccessRecorded", "CaseOpened"] * 2


def take(bench: StoreBench, seconds: float) -> list[tuple[UUID, bool]]:
    """What a sweep takes after so many seconds."""
    bench.acts.passes(seconds)
    return [(due.reservation_id, due.settle) for due in bench.store.due.take(bench.acts.now)]


def test_sweep_claims_due_work_once_per_interval(bench: StoreBench) -> None:
    """Not what was just handed over; then ever more rarely; a mark that is refunded is free again."""
    reservation_id = bench.reserved()

    was_due = [bool(take(bench, 1)) for _ in range(20)]
    bench.store.due.give_back([reservation_id])

    assert [second for second, is_due in enumerate(was_due, start=1) if is_due] == [2, 4, 8, 16]
    assert take(bench, 0) == [(reservation_id, False)]
    assert take(bench, 0) == []


def test_mark_from_before_the_clock_went_back_keeps_no_sweep_away(bench: StoreBench) -> None:
    """Another server took over whose clock is three minutes behind: the call that was given then is given again."""
    reservation_id = bench.reserved()
    bench.acts.passes(200)
    assert bench.store.due.take(bench.acts.now + timedelta(seconds=180))

    assert take(bench, 0) == [(reservation_id, False)]
    assert take(bench, 0) == []


def test_lease_that_ends_is_due_to_be_settled(bench: StoreBench) -> None:
    """Under the lease nothing is due; when it is over, it is; then the retry is due again."""
    reservation_id = bench.reserved()
    bench.run(bench.acts.claim(reservation_id))

    assert take(bench, 50) == []
    assert take(bench, 15) == [(reservation_id, True)]
    bench.run(bench.acts.settle(reservation_id))
    assert take(bench, 1) == []
    assert take(bench, 12) == [(reservation_id, False)]


def test_settled_or_parked_reservation_is_never_due(bench: StoreBench) -> None:
    bench.run(bench.acts.issue(3, bound=False))
    sent, given_back, parked = bench.reserved("a"), bench.reserved("b"), bench.reserved("c")
    bench.attempt(sent)
    bench.attempt(given_back, FAILED)
    bench.attempt(parked, LOST)
    bench.acts.passes(1801)
    bench.run(bench.acts.settle(parked))

    assert take(bench, 86400) == []


def test_oldest_are_taken_first(bench: StoreBench) -> None:
    bench.run(bench.acts.issue(None, bound=False))
    ids = []
    for number in range(5):
        ids.append(bench.reserved(f"p{number}"))
        bench.acts.passes(0.1)
    bench.acts.passes(5)

    assert [due.reservation_id for due in bench.store.due.take(bench.acts.now, 3)] == ids[:3]
    assert [due.reservation_id for due in bench.store.due.take(bench.acts.now, 9)] == ids[3:]


def test_notice_is_taken_by_one_at_a_time(bench: StoreBench) -> None:
    """The oldest first, each under a lease; a dead worker's comes back after it, with its number of tries."""
    bench.run(bench.acts.issue(None, bound=False))
    ids = []
    for person in ("a", "b"):
        ids.append(bench.reserved(person))
        bench.attempt(ids[-1], FAILED)
        bench.acts.passes(1)
    now, notices = bench.acts.now, bench.store.notices

    notices_taken = [notices.take(now), notices.take(now), notices.take(now)]
    after = notices.take(now + timedelta(seconds=LEASE_S + 1))

    assert [None if notice is None else (notice.reservation_id, notice.attempts) for notice in notices_taken] == [
        (ids[0], 1),
        (ids[1], 1),
        None,
    ]
    assert after is not None
    assert (after.reservation_id, after.attempts) == (ids[0], 2)


def test_notice_is_sent_again_at_its_due_time_or_never(bench: StoreBench) -> None:
    """What is closed with a time is due then; what is closed without one is done."""
    reservation_id = bench.reserved()
    bench.attempt(reservation_id, FAILED)
    now, notices = bench.acts.now, bench.store.notices
    first = notices.take(now)
    assert first is not None
    notices.close(first, now + timedelta(seconds=60), "failed")

    assert notices.take(now + timedelta(seconds=59)) is None
    second = notices.take(now + timedelta(seconds=60))
    assert second is not None
    assert (second.reservation_id, second.written_at, second.attempts) == (reservation_id, first.written_at, 2)
    notices.close(second, None, "sent")
    assert notices.take(now + timedelta(days=1)) is None


@pytest.mark.parametrize(("uses", "expected"), [(1, "ok"), (2, "CAMPAIGN_CONFLICT")])
def test_new_terms_behind_redeems_of_the_same_call_are_compared_with_them(
    store: ContractStore, uses: int, expected: str
) -> None:
    """Invariant 12: no limit is below the uses of a person, although a batch does not count the most of anyone."""
    acts, campaign_id = RandomCommands(store.vault, now=store.now), UUID(int=7)
    staff = acts.context("staff", "s1")
    store.ledger.execute_one(
        CreateCampaign(context=staff, campaign_id=campaign_id, terms=make_campaign_terms(max_per_person=2))
    )
    store.ledger.execute([replace(acts.issue(2, bound=False), campaign_id=campaign_id) for _ in range(uses)])
    commands: list[AnyCommand] = [
        *(acts.redeem("li", code=text) for text in acts.codes),
        ChangeCampaignTerms(context=staff, campaign_id=campaign_id, changes={"max_per_person": 1}),
        acts.redeem("wang", code=acts.codes[0]),
    ]

    results = store.ledger.execute(commands)

    assert [result.code if isinstance(result, Refusal) else "ok" for result in results] == [
        *["ok"] * uses,
        expected,
        "ok",
    ]
    assert [len(batch) for batch in split_batch(commands)] == [uses, 1, 1]
