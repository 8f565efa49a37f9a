"""The end of an access: announced in time, ended once, removed with a bounded number of tries, or reported."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.access.settle_access import RecordRemovalOutcome
from domain.commands.code.import_code import ImportCode, ImportedUse
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.events.access import AccessExpired, AccessRemovalFailed, AccessRevoked, ExpiryAnnounced
from domain.policy import Policy
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import START, Scenario, ScenarioDraft, done, refusal
from tests.unit.domain.histories import REMOVALS, Case, History, cases, change

MONTH = {"validity_days": 30}
ENDED = "deliver 30d look"
DAY_30 = START + timedelta(days=30)
NOT_RESOLVABLE = "RESERVATION_NOT_RESOLVABLE"


@cases(
    access_that_was_not_sent_has_no_end=Case("reserve", has={"access_ends_at": None}, terms=MONTH),
    end_follows_from_the_day_it_was_sent=Case(
        "reserve 100s sent",
        has={
            "access_ends_at": DAY_30 + timedelta(seconds=100),
            "access_due_at": START + timedelta(days=23, seconds=100),
        },
        terms=MONTH,
    ),
    access_without_an_end_is_never_due=Case("deliver", has={"access_due_at": None}),
    # Marks before the start are skipped.
    short_access_is_announced_at_the_nearest_mark=Case(
        "deliver", has={"access_due_at": START + timedelta(days=2)}, terms={"validity_days": 3}
    ),
    # No recipient gets three notices because nothing ran for a week.
    only_the_nearest_of_missed_marks_is_announced=Case(
        "deliver 28d look look=unchanged",
        kinds="UseReserved InviteAttempted InviteSent ExpiryAnnounced",
        has={"access_due_at": START + timedelta(days=29)},
        terms=MONTH,
    ),
    expired_access_is_due_for_removal_immediately=Case(
        ENDED, ends="AccessExpired", has={"access_due_at": DAY_30}, terms=MONTH
    ),
    removed_access_is_due_no_more=Case(
        f"{ENDED} removal:gone removal:gone=unchanged", ends="AccessRemoved", has={"access_due_at": None}, terms=MONTH
    ),
    # Mail takes nothing away: the event says so.
    removal_that_a_channel_cannot_do_is_recorded_as_notified=Case(
        f"{ENDED} removal:told", ends="AccessRemoved", last={"effect": "told", "cause": "expired"}, terms=MONTH
    ),
    failed_connection_between_attempts_changes_not_how_many_are_left=Case(
        f"{ENDED} removal:failed removal:unreachable removal:failed",
        ends="AccessExpired AccessRemovalFailed AccessRemovalFailed AccessRemovalFailed CaseOpened",
        terms={**MONTH, "policy": Policy(removal_attempts_max=2)},
    ),
    channel_may_defer_a_removal_but_not_without_end=Case(
        f"{ENDED} removal:later", has={"access_due_at": DAY_30 + timedelta(days=1)}, terms=MONTH
    ),
    # A time that is near, or has passed, does not make us insist.
    channel_that_asks_for_less_is_asked_for_a_removal_after_the_usual_wait=Case(
        f"{ENDED} removal:now", has={"access_due_at": DAY_30 + timedelta(seconds=60)}, terms=MONTH
    ),
    # Two workers asked: the second failure is no second try.
    answer_that_comes_late_is_dropped_unless_it_is_a_success=Case(
        f"{ENDED} removal:failed removal:failed@1=unchanged removal:gone@1",
        ends="AccessRemovalFailed AccessRemoved",
        terms=MONTH,
    ),
    staff_removed_an_access_themselves=Case(
        f"{ENDED} removal:never resolve:sent", balance=(1, 0), has={"access.removal": "removed"}, terms=MONTH
    ),
    staff_let_a_removal_be_tried_again=Case(
        f"{ENDED} removal:never resolve:retry#s2",
        balance=(1, 0),
        has={"access.removal": "removing", "access_due_at": DAY_30},
        terms=MONTH,
    ),
    lease_that_lapses_during_a_case_keeps_no_command_from_settling_it=Case(
        f"deliver {30 * 86_400 - 30}s resend claim 30s look removal:never"
        f" resolve:sent#s2={NOT_RESOLVABLE}/leased 61s resolve:sent#s3 settle",
        ends="InviteOutcomeUnknown CaseClosed",
        has={"is_being_processed": False, "due_at": None, "access_due_at": None},
        terms=MONTH,
    ),
    # It came back (a case), and then its access is over: tried on daily, until the case is free for it.
    failed_removal_is_tried_again_daily_during_another_case=Case(
        "deliver bounce 30d look removal:never 1d removal:never",
        ends="CaseOpened AccessExpired AccessRemovalFailed AccessRemovalFailed",
        has={"access_due_at": DAY_30 + timedelta(days=2)},
        terms=MONTH,
    ),
    failed_removal_opens_another_case=Case(
        "deliver bounce 30d look removal:never 1d removal:never 1d resolve:sent removal:never",
        ends="CaseClosed AccessRemovalFailed CaseOpened",
        terms=MONTH,
    ),
    # Its rebind was refunded with the access: there is nothing to move, and nothing has to be.
    moved_access_that_could_not_be_removed_is_settled_by_staff=Case(
        "deliver rebind:blue#m1>moved moved.sent moved.refund+ moved.removal:never moved.resolve:sent=changed",
        balance=(1, 0),
        has={"case_id": None},
        of="moved",
        terms={**MONTH, "group": "red"},
    ),
    staff_remove_access_through_the_channel_too=Case("deliver refund+", has={"access_due_at": START}),
    access_that_staff_removed_is_done=Case("deliver refund+ removal:gone", ends="AccessRemoved", balance=(0, 0)),
    refunded_use_ends_no_access=Case(
        "deliver refund 31d look=unchanged", ends="UseRefunded", has={"access_due_at": None}, terms=MONTH
    ),
    link_of_an_ended_access_leads_nowhere=Case(
        f"{ENDED} accept=GRANT_EXPIRED resend=RESERVATION_NOT_RESENDABLE correct:wang=RECIPIENT_NOT_CORRECTABLE",
        terms=MONTH,
    ),
    reason_of_the_last_failure_is_kept=Case(
        f"{ENDED} removal:never",
        newest={
            "AccessRemovalFailed.reason": "gone",
            "AccessRemovalFailed.retry_at": None,
            "AccessRemovalFailed.attempt": 1,
        },
        terms=MONTH,
    ),
    answer_about_an_access_that_has_no_end_changes_nothing=Case("deliver removal:gone=unchanged removal:gone=li"),
    answer_about_an_access_that_has_not_ended_changes_nothing=Case(
        "deliver removal:gone=unchanged removal:gone=li", terms=MONTH
    ),
    # The access outlives the refunded use, until staff remove it.
    removal_is_reported_after_a_refund_too=Case(
        "deliver refund 60s removed=changed", ends="AccessRevoked", balance=(0, 0)
    ),
    # Workers ask no further.
    report_of_a_removal_ends_its_due_removal=Case(
        "deliver refund+ 60s removed=changed 60s removed=unchanged",
        ends="AccessRevoked",
        balance=(0, 0),
        has={"access.removal": "removed", "access_due_at": None, "case_id": None},
    ),
    # So that staff do not decide it twice.
    report_of_a_removal_ends_its_case=Case(
        f"deliver refund+ removal:never 60s removed=changed 60s removed=unchanged resolve:sent={NOT_RESOLVABLE}",
        ends="AccessRevoked CaseClosed",
        balance=(0, 0),
        has={"access.removal": "removed", "access_due_at": None, "case_id": None},
    ),
    # Not even where it may have been: a removal is no proof that our invitation gave the access.
    nothing_sent_is_nothing_removed=Case("reserve lost removed=NOTHING_SENT"),
)
def test_end_of_an_access_leads_to(case: Case) -> None:
    case.check()


def test_new_terms_leave_reservations_unchanged() -> None:
    history = History("deliver", max_uses=2, bound=False, validity_days=30)
    change(history, validity_days=1)
    history.run_steps("wang.deliver")

    ends = [history.of(person).access_ends_at for person in ("li", "wang")]
    assert ends == [DAY_30, START + timedelta(days=1)]


def test_recipient_is_notified_at_7_3_and_1_days_once_each() -> None:
    history = History(
        "deliver 22d look=unchanged 1d look look=unchanged 4d look look=unchanged 2d look look=unchanged"
        " 1d look look=unchanged",
        validity_days=30,
    )

    assert history.kinds[-4:] == ["ExpiryAnnounced"] * 3 + ["AccessExpired"]
    assert [event.days for event in history.events if isinstance(event, ExpiryAnnounced)] == [7, 3, 1]


def removal_waits(history: History, answer: str, times: int) -> list[float]:
    """The seconds until the removal is tried again after each answer, each of which is waited for."""
    waits = []
    for _ in range(times):
        history.run_steps(f"removal:{answer}")
        due_at = history.of().access_due_at
        assert (history.kinds[-1], due_at is not None) == ("AccessRemovalFailed", True)
        waits.append((due_at - history.now).total_seconds() if due_at else 0)
        history.passes(waits[-1])
    return waits


@pytest.mark.parametrize("answer", ["failed", "doubtful"])
def test_removal_is_retried_within_bounds(answer: str) -> None:
    """Ever later, and in the end it is a person's; a doubt too, for twice does no harm."""
    history = History(ENDED, validity_days=30, policy=Policy(removal_attempts_max=3))

    assert removal_waits(history, answer, 2) == [60, 300]
    history.run_steps(f"removal:{answer}")
    assert history.kinds[-2:] == ["AccessRemovalFailed", "CaseOpened"]
    assert history.of().access_due_at is None


def test_removal_without_a_connection_spends_no_attempt() -> None:
    """A day after the access ended, staff decide."""
    history = History(ENDED, validity_days=30, policy=Policy(removal_attempts_max=2))
    waits = removal_waits(history, "unreachable", 8)
    access = history.of().access

    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert access is not None
    assert access.removal_attempts == 0
    history.run_steps(f"{86_400 - sum(waits)}s removal:unreachable")
    assert history.kinds[-2:] == ["AccessRemovalFailed", "CaseOpened"]


@pytest.mark.parametrize("outcome", ["busy", "lost", "refused"])
def test_resend_of_an_ended_access_is_not_needed(outcome: str) -> None:
    """No further attempt and no case; found by simulation, seed 5006855: a second case next to that of the removal."""
    history = History(
        f"deliver wang.deliver {30 * 86_400 - 30}s resend#s0 wang.resend#s1 wang.claim 30s look removal:never"
        f" wang.look wang.removal:never wang.answer:{outcome}",
        max_uses=2,
        bound=False,
        validity_days=30,
    )

    for reservation in (history.of("li"), history.of("wang")):
        assert (reservation.resending, reservation.lease, reservation.case_id is None) == (False, None, False)
    assert history.kinds.count("CaseOpened") == 2


@pytest.mark.parametrize("refund", ["refund#r1", "resolve:refunded#s1"])
def test_refund_does_not_resolve_the_case_of_an_access(refund: str) -> None:
    """The case of a failed removal ends manually, by a retry or by a report; found by random histories."""
    history = History(f"{ENDED} removal:never", validity_days=30)
    case_id = history.of().case_id

    history.run_steps(refund)
    assert (history.balance, history.of().case_id) == ((0, 0), case_id)
    history.run_steps(f"resolve:refunded#s2={NOT_RESOLVABLE}/not_removed resolve:sent#s3")
    access = history.of().access
    assert (history.of().case_id, access and access.removal, history.balance) == (None, "removed", (0, 0))


def test_imported_access_keeps_its_expiry_date() -> None:
    scenario = Scenario(validity_days=30)
    long_ago, new_id = START - timedelta(days=40), scenario.new_id
    uses = [
        ImportedUse(
            reservation_id=new_id(),
            recipient=ScenarioDraft([name.encode()], new_id()),
            sent_at=long_ago,
            activated_at=activated_at,
            removed_at=removed_at,
        )
        for name, activated_at, removed_at in (
            ("over", None, None),
            ("later", START - timedelta(days=10), None),
            ("gone", None, long_ago),
        )
    ]
    code_id = new_id()
    scenario.run(
        ImportCode(
            context=scenario.context("import"),
            code_id=code_id,
            text=ScenarioDraft([b"old"], code_id),
            source="old",
            terms=make_terms(max_uses=3, validity_days=30),
            bound=False,
            uses=uses,
        )
    )
    dues = [scenario.reservation(use.reservation_id).access_due_at for use in uses]

    # The mark of seven days is ahead of the second one; what is over or was removed has nothing due.
    assert dues == [None, START + timedelta(days=13), None]
    expired = next(event for event in scenario.events if isinstance(event, AccessExpired))
    assert (expired.reservation_id, expired.at) == (uses[0].reservation_id, long_ago + timedelta(days=30))
    assert expired.recorded_at == scenario.now


class ReplyDraft:
    text_id = UUID(int=7)


@pytest.mark.parametrize("reply", [ReplyDraft(), None], ids=["said", "silent"])
def test_failed_removal_names_the_reply_of_the_channel(reply: ReplyDraft | None) -> None:
    """The words themselves go to the vault."""
    history = History(ENDED, validity_days=30)
    command = RecordRemovalOutcome(
        context=history.context("sweep"),
        reservation_id=history.ids["li"],
        attempt=1,
        channel="webhook",
        outcome=REMOVALS["failed"],
        case_id=history.new_id(),
        reply=reply,
    )

    done(history.run(command))

    failed = history.events[-1]
    assert isinstance(failed, AccessRemovalFailed)
    assert failed.text_id == (ReplyDraft.text_id if reply else None)


def test_reported_removal_is_recorded_once_and_refunds_nothing() -> None:
    """Staff decide whether the use comes back; the event names the time of the removal."""
    history = History("deliver 60s")
    command = RecordExternalRemoval(
        context=history.context("channel", "r1", "c1"), reservation_id=history.ids["li"], occurred_at=START
    )

    assert [done(history.run(command)).changed for _ in range(2)] == [True, False]
    event = history.events[-1]
    assert isinstance(event, AccessRevoked)
    assert (event.actor, event.actor_id, event.occurred_at) == ("channel", "c1", START)
    assert history.balance == (1, 0)
    assert refusal(history.removed(history.new_id())) == "NOT_FOUND"


def test_reported_acceptance_settles_an_unknown_outcome_as_sent() -> None:
    history = History("reserve lost")
    context, case_id = history.context("channel", "r1", "c1"), history.new_id()

    history.run(
        AcceptInvite(context=context, reservation_id=history.ids["li"], delivery=1, case_id=case_id, via="callback")
    )

    sent, accepted = history.events[-2:]
    assert history.kinds[-2:] == ["InviteSent", "InviteAccepted"]
    assert (getattr(sent, "server", None), getattr(accepted, "via", None)) == ("callback", "callback")
    assert history.balance == (1, 0)
