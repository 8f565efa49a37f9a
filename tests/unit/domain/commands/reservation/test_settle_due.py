"""What time alone requires: lapsed leases, passed deadlines, and reservations of a revoked code."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.commands.context import event_stamp
from domain.commands.reservation.settle_due import SettleDue, unknown_outcome
from domain.events.reservation import CaseOpened, InviteOutcomeUnknown
from domain.policy import Policy
from tests.support.ledger.scenario import back_off, done
from tests.unit.domain.histories import Case, History

CASE = UUID(int=5)


def settle(history: History) -> None:
    context = history.context("sweep")
    done(history.run(SettleDue(context=context, reservation_id=history.ids["li"], case_id=CASE)))


def test_unknown_outcome_that_a_revocation_left_becomes_a_case_of_the_sweep() -> None:
    """The revocation had no id for it, so the sweep opens the case with its own; the revocation is the cause."""
    history = History("reserve lost revoke:0")

    settle(history)

    case = history.events[-1]
    assert isinstance(case, CaseOpened)
    assert (case.case_id, case.cause, case.caused_by) == (CASE, "unknown_outcome", history.code.revoked_by)


@pytest.mark.parametrize(("attempts_max", "end"), [(1, "CaseOpened"), (2, "InviteOutcomeUnknown")])
def test_lapsed_lease_is_retried_only_while_attempts_are_left(attempts_max: int, end: str) -> None:
    history = History("reserve claim 60s", policy=Policy(attempts_max=attempts_max))

    settle(history)

    unknown = next(event for event in history.events if isinstance(event, InviteOutcomeUnknown))
    assert (unknown.retry_at is not None) == (attempts_max > 1)
    assert history.kinds[-1] == end


@pytest.mark.parametrize(("seconds_left", "end"), [(0, "CaseOpened"), (1, "InviteOutcomeUnknown")])
def test_lapsed_lease_is_retried_only_before_the_deadline(seconds_left: int, end: str) -> None:
    """A retry at the deadline itself would come too late."""
    history = History("reserve claim 60s")
    retry_at = history.now + back_off(history.policy, history.ids["li"], 1)
    history.set_deadline(history.ids["li"], retry_at + timedelta(seconds=seconds_left))

    settle(history)

    assert history.kinds[-1] == end


def test_lapsed_lease_with_another_case_is_left_to_that_case() -> None:
    """A reservation has one case at a time: a refund says that it is being sent, and records nothing."""
    history = History("reserve claim")
    case = CaseOpened(at=history.now, actor="key", reservation_id=history.ids["li"], case_id=CASE, cause="bounced")
    history.working_set.record(history.code_id, [case])

    history.run_steps("60s refund=RESERVATION_NOT_REFUNDABLE/leased")

    assert history.kinds[-1] == "CaseOpened"


def test_settling_before_anything_is_due_changes_nothing() -> None:
    Case("reserve busy settle=unchanged", kinds="UseReserved InviteAttempted InviteFailed").check()


def test_only_a_leased_attempt_can_end_unknown() -> None:
    """Anything else is a bug of the caller, and raises."""
    history = History("reserve")
    stamp = event_stamp(history.context("sweep"), history.code)

    with pytest.raises(ValueError, match=r"^only a leased attempt can end unknown$"):
        unknown_outcome(history.code, history.of(), stamp, None, CASE, history.policy)
