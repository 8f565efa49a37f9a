"""Claiming, sending and recording: leases, back-off, unknowns, deferrals and refunds."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.commands.delivery.claim_attempt import is_claimed_by
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.errors import ReservationNotRefundable
from domain.events.reservation import CaseOpened, InviteAttempted, InviteDeferred, InviteFailed, UseRefunded
from domain.policy import Policy
from domain.ports import ADDRESS_MISMATCH, Outcome, OutcomeUnknown, Rejected, RetryLater
from tests.support.ledger.scenario import (
    BUSY,
    LOST,
    NO_CONNECTION,
    REFUSED,
    SENT,
    START,
    Scenario,
    back_off,
    done,
    refusal,
)


def test_sent_invitation_counts_the_use() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    assert scenario.balance == (0, 1)

    scenario.outcome(reservation_id, SENT)

    assert scenario.kinds == ["UseReserved", "InviteAttempted", "InviteSent"]
    assert scenario.balance == (1, 0)


def test_second_worker_does_nothing() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id, worker="w1")

    result = done(scenario.claim(reservation_id, worker="w2"))

    assert not result.changed
    assert not is_claimed_by(result.require_reservation(), scenario.context("worker", "t1", "w2"))
    assert is_claimed_by(result.require_reservation(), scenario.context("worker", "t1", "w1"))


@pytest.mark.parametrize("state", ["sent", "refunded"])
def test_settled_reservation_is_not_claimed(state: str) -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    if state == "sent":
        scenario.attempt(reservation_id, SENT)
    else:
        scenario.refund(reservation_id)

    assert not done(scenario.claim(reservation_id)).changed


def test_550_refunds_the_use_in_the_same_commit() -> None:
    scenario = Scenario()
    scenario.attempt(scenario.reserved(), REFUSED)

    refund = scenario.events[-1]
    assert scenario.kinds[-2:] == ["InviteFailed", "UseRefunded"]
    assert isinstance(refund, UseRefunded)
    assert (refund.cause, refund.held) == ("address_refused", "reserved")
    assert refund.caused_by == scenario.code.version - 1
    assert scenario.balance == (0, 0)
    assert done(scenario.redeem("wang")).changed


def test_451_waits_longer_each_time() -> None:
    """Back-off doubles and is kept in the events, not in the broker."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    waits = []
    for _ in range(3):
        scenario.attempt(reservation_id, BUSY)
        failed = scenario.events[-1]
        assert isinstance(failed, InviteFailed)
        assert failed.retry_at is not None
        waits.append((failed.retry_at - scenario.now).total_seconds())
        assert not done(scenario.claim(reservation_id)).changed
        scenario.passes(waits[-1])

    assert 5 <= waits[0] < waits[1] < waits[2] <= 25
    assert scenario.balance == (0, 1)


def test_use_is_refunded_once_after_the_last_attempt() -> None:
    scenario = Scenario(policy=Policy(attempts_max=3))
    reservation_id = scenario.reserved()
    for _ in range(3):
        scenario.attempt(reservation_id, BUSY)
        scenario.passes(300)

    assert scenario.kinds.count("InviteAttempted") == 3
    assert scenario.kinds.count("UseRefunded") == 1
    assert scenario.balance == (0, 0)
    assert not done(scenario.settle(reservation_id)).changed


def test_connection_failure_spends_no_attempt() -> None:
    """A greeting of 421 is about the connection: however often it comes, the message keeps all its attempts."""
    scenario = Scenario(policy=Policy(attempts_max=2))
    reservation_id = scenario.reserved()
    for _ in range(10):
        scenario.attempt(reservation_id, NO_CONNECTION)
        scenario.passes(75)

    reservation = scenario.working_set.reservations[reservation_id]
    assert (reservation.status, reservation.attempts, reservation.last_attempt) == ("live", 0, 10)
    scenario.attempt(reservation_id, BUSY)
    assert scenario.working_set.reservations[reservation_id].attempts == 1
    scenario.passes(75)
    scenario.attempt(reservation_id, SENT)
    assert scenario.balance == (1, 0)


def test_connection_failures_wait_longer_each_time_up_to_a_bound() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    waits = []
    for outcome in [NO_CONNECTION] * 6 + [BUSY] + [NO_CONNECTION]:
        scenario.attempt(reservation_id, outcome)
        failed = scenario.events[-1]
        assert isinstance(failed, InviteFailed)
        assert failed.retry_at is not None
        waits.append((failed.retry_at - scenario.now).total_seconds())
        scenario.passes(waits[-1])

    assert [5 * 2 ** min(number, 4) <= wait <= 75 for number, wait in enumerate(waits[:4])] == [True] * 4
    assert all(60 <= wait <= 75 for wait in waits[4:6])
    assert all(5 <= wait <= 6.25 for wait in waits[6:])


def test_connection_failures_end_with_the_deadline() -> None:
    """A server that never lets us in does not hold a use for longer than its time."""
    scenario = Scenario(policy=Policy(reservation_ttl_s=200))
    reservation_id = scenario.reserved()
    while scenario.balance == (0, 1):
        scenario.attempt(reservation_id, NO_CONNECTION)
        scenario.passes(75)

    refund = scenario.events[-1]
    assert isinstance(refund, UseRefunded)
    assert refund.at - START <= timedelta(seconds=200 + 75)
    assert scenario.kinds.count("InviteAttempted") <= 4


def test_no_attempt_is_planned_past_the_deadline() -> None:
    scenario = Scenario(policy=Policy(reservation_ttl_s=8, retry_first_s=10))
    scenario.attempt(scenario.reserved(), BUSY)

    assert scenario.kinds[-2:] == ["InviteFailed", "UseRefunded"]


def test_deadline_refunds_the_use() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.passes(1799)
    assert not done(scenario.settle(reservation_id)).changed
    scenario.passes(1)

    scenario.settle(reservation_id)

    assert scenario.kinds == ["UseReserved", "UseRefunded"]
    assert not done(scenario.settle(reservation_id)).changed


def test_claim_past_the_deadline_refunds_instead() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.passes(1801)

    scenario.claim(reservation_id)

    assert scenario.kinds == ["UseReserved", "UseRefunded"]


def test_lost_connection_after_data_is_unknown_and_retried() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)
    assert scenario.reservation(reservation_id).public_state == "unknown"
    scenario.passes(10)

    scenario.attempt(reservation_id, SENT)

    assert scenario.kinds == ["UseReserved", "InviteAttempted", "InviteOutcomeUnknown", "InviteAttempted", "InviteSent"]
    assert scenario.reservation(reservation_id).delivery == 1


def test_lapsed_lease_is_unknown() -> None:
    """A worker that died may have sent: anyone who sees it records that it is unknown."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.passes(59)
    assert not done(scenario.settle(reservation_id)).changed
    scenario.passes(1)

    scenario.settle(reservation_id)

    assert scenario.kinds[-1] == "InviteOutcomeUnknown"


def test_unknown_is_parked_not_refunded() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)
    scenario.passes(2000)

    scenario.settle(reservation_id)

    assert scenario.kinds[-1] == "CaseOpened"
    assert scenario.balance == (0, 1)
    assert scenario.reservation(reservation_id).due_at is None
    assert not done(scenario.settle(reservation_id)).changed


def test_sure_failure_after_an_unknown_is_parked() -> None:
    """The first, unknown attempt may have arrived, so a later 550 refunds nothing."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)
    scenario.passes(10)

    scenario.attempt(reservation_id, REFUSED)

    assert scenario.kinds[-2:] == ["InviteFailed", "CaseOpened"]


def test_late_success_closes_the_case() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.passes(2000)
    scenario.settle(reservation_id)
    assert scenario.kinds[-2:] == ["InviteOutcomeUnknown", "CaseOpened"]

    scenario.outcome(reservation_id, SENT, attempt=1)

    assert scenario.kinds[-2:] == ["InviteSent", "CaseClosed"]
    assert scenario.balance == (1, 0)


def test_stale_failure_is_dropped() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.passes(61)
    scenario.settle(reservation_id)
    scenario.passes(30)
    scenario.claim(reservation_id, worker="w2")

    result = done(scenario.outcome(reservation_id, REFUSED, attempt=1))

    assert not result.changed


def test_second_success_is_not_recorded_twice() -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()

    assert not done(scenario.outcome(reservation_id, SENT, attempt=1)).changed


def test_later_spends_no_attempt_and_moves_the_deadline() -> None:
    """A full team is not a failure."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    until = START + timedelta(hours=2)

    scenario.attempt(reservation_id, RetryLater(server="team", reason="full", wait=until - START))

    reservation = scenario.reservation(reservation_id)
    assert (reservation.attempts, reservation.next_attempt_at, reservation.public_state) == (0, until, "waiting")
    assert reservation.deadline == until + timedelta(seconds=1800)
    scenario.passes(7200)
    assert done(scenario.claim(reservation_id)).changed
    assert isinstance(scenario.events[-1], InviteAttempted)


def test_later_has_an_end() -> None:
    scenario = Scenario(policy=Policy(deferrals_s_max=3600))
    scenario.attempt(scenario.reserved(), RetryLater(server="team", reason="full", wait=timedelta(hours=2)))

    assert scenario.kinds[-2:] == ["InviteFailed", "UseRefunded"]


def test_staff_refund_a_sent_use() -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()

    scenario.refund(reservation_id)

    assert scenario.balance == (0, 0)
    assert refusal(scenario.refund(reservation_id, request_id="r2")) == "RESERVATION_NOT_REFUNDABLE"


def test_same_refund_asked_again_is_the_same_refund() -> None:
    """A commit whose answer was lost is found again by its request."""
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.refund(reservation_id, request_id="r1")

    assert not done(scenario.refund(reservation_id, request_id="r1")).changed


@pytest.mark.parametrize(("state", "why"), [("leased", "leased"), ("unknown", "unknown"), ("sent", "sent")])
def test_reset_refuses_reservations_that_may_have_been_sent(state: str, why: str) -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    if state != "leased":
        scenario.outcome(reservation_id, LOST if state == "unknown" else SENT)

    result = scenario.refund(reservation_id, held_only=True)

    assert isinstance(result, ReservationNotRefundable)
    assert result.why == why


def test_lease_outlasts_the_deadline() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.passes(1795)
    scenario.claim(reservation_id)
    scenario.passes(10)

    assert not done(scenario.settle(reservation_id)).changed
    scenario.outcome(reservation_id, SENT)
    assert scenario.balance == (1, 0)


class ReplyDraft:
    text_id = UUID(int=7)


def test_reply_of_a_server_is_named_by_the_failure() -> None:
    """The words themselves go to the vault."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    command = RecordOutcome(
        context=scenario.context("worker"),
        reservation_id=reservation_id,
        delivery=1,
        attempt=1,
        outcome=BUSY,
        case_id=scenario.new_id(),
        reply=ReplyDraft(),
    )

    done(scenario.run(command))

    failed = scenario.events[-1]
    assert isinstance(failed, InviteFailed)
    assert failed.text_id == ReplyDraft.text_id


def test_altered_address_becomes_a_case_and_no_refund() -> None:
    """Only staff can decide what becomes of the use; the case is caused by the failure."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    case_id = UUID(int=5)
    outcome = Rejected(server="vault", reason=ADDRESS_MISMATCH, final=True, needs_review=True)
    context = scenario.context("worker")
    fields: dict[str, Any] = {"reservation_id": reservation_id, "delivery": 1, "attempt": 1, "case_id": case_id}

    done(scenario.run(RecordOutcome(context=context, outcome=outcome, **fields)))

    failed, case = scenario.events[-2:]
    assert isinstance(failed, InviteFailed)
    assert isinstance(case, CaseOpened)
    assert (case.reservation_id, case.case_id, case.cause) == (reservation_id, case_id, "address_mismatch")
    assert case.caused_by == scenario.code.version - 1
    assert scenario.balance == (0, 1)


@pytest.mark.parametrize("is_later", [True, False])
def test_attempt_is_retried_only_before_the_deadline(*, is_later: bool) -> None:
    """A retry at the deadline itself would come too late."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    retry_at = scenario.now + back_off(scenario.policy, reservation_id, 1)
    scenario.set_deadline(reservation_id, retry_at + timedelta(microseconds=int(is_later)))

    scenario.outcome(reservation_id, BUSY)

    assert scenario.kinds[-1] == ("InviteFailed" if is_later else "UseRefunded")


@pytest.mark.parametrize("asked_s", [-60, 0, 4])
def test_channel_is_asked_again_after_the_first_retry_at_the_earliest(asked_s: int) -> None:
    """A channel that asks for less, or for a time that has passed, does not make us insist."""
    scenario = Scenario()

    scenario.attempt(scenario.reserved(), RetryLater(server="team", reason="full", wait=timedelta(seconds=asked_s)))

    deferred = scenario.events[-1]
    assert isinstance(deferred, InviteDeferred)
    assert deferred.until == START + timedelta(seconds=5)
    assert deferred.deadline == START + timedelta(seconds=1805)


@pytest.mark.parametrize("is_before", [True, False])
def test_deferral_up_to_the_limit_fails(*, is_before: bool) -> None:
    scenario = Scenario(policy=Policy(deferrals_s_max=7200))
    limit = START + timedelta(seconds=7200)
    until = limit - timedelta(microseconds=int(is_before))

    scenario.attempt(scenario.reserved(), RetryLater(server="team", reason="full", wait=until - START))

    deferrals = [(event.until, event.deadline) for event in scenario.events if isinstance(event, InviteDeferred)]
    assert deferrals == ([(until, limit)] if is_before else [])
    assert scenario.balance == (0, 1 if is_before else 0)


def test_deferral_names_the_delivery_that_waits() -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.resend(reservation_id)

    scenario.attempt(reservation_id, RetryLater(server="team", reason="full", wait=timedelta(hours=1)))

    deferred = scenario.events[-1]
    assert isinstance(deferred, InviteDeferred)
    assert (deferred.delivery, deferred.attempt) == (2, 2)


def test_retry_after_an_unknown_outcome_waits_while_the_server_may_still_reply() -> None:
    """A reply that comes in that time is the first email's; without time left, staff decide."""
    scenario = Scenario()
    first = scenario.reserved("li")
    scenario.attempt(first, OutcomeUnknown(server="mx:25", cause="timeout", retry_after_s=600))
    waiting = scenario.reservation(first)
    scenario.outcome(first, SENT, attempt=1)
    scenario.issue(b"other")
    second = done(scenario.redeem("wang", code=b"other")).require_reservation().reservation_id
    scenario.attempt(second, OutcomeUnknown(server="mx:25", cause="timeout", retry_after_s=1800))

    assert waiting.next_attempt_at == START + timedelta(seconds=600)
    assert scenario.reservation(first).status == "sent"
    assert scenario.reservation(second).case_id is not None


@pytest.mark.parametrize("outcome", [BUSY, LOST], ids=["rejected", "connection-lost"])
def test_pause_doubles_after_each_failure_also_after_a_lost_connection(outcome: Outcome) -> None:
    """No reply can come on a connection that is closed, so nothing but the back-off is waited for."""
    scenario = Scenario()
    reservation_id = scenario.reserved("li")
    pauses = []
    for _ in range(4):
        scenario.attempt(reservation_id, outcome)
        next_at = scenario.reservation(reservation_id).next_attempt_at
        assert next_at is not None
        pauses.append((next_at - scenario.now).total_seconds())
        scenario.passes(pauses[-1])

    shares = [pause / (5 * 2**number) for number, pause in enumerate(pauses)]
    assert min(shares) >= 1
    assert max(shares) < 1.25
