"""What time alone requires: lapsed leases, passed deadlines, and reservations of a revoked code."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.commands.context import event_stamp
from domain.commands.reservation.settle_due import SettleDue, unknown_outcome
from domain.errors import ReservationNotRefundable
from domain.events.reservation import CaseOpened, InviteOutcomeUnknown
from domain.policy import Policy
from tests.support.ledger.scenario import BUSY, LOST, Scenario, back_off, done

CASE = UUID(int=5)


def settle(scenario: Scenario, reservation_id: UUID) -> None:
    context = scenario.context("sweep")
    done(scenario.run(SettleDue(context=context, reservation_id=reservation_id, case_id=CASE)))


def test_unknown_outcome_that_a_revocation_left_becomes_a_case_of_the_sweep() -> None:
    """The revocation had no id for it, so the sweep opens the case with its own; the revocation is the cause."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)
    scenario.revoke(cases=0)

    settle(scenario, reservation_id)

    case = scenario.events[-1]
    assert isinstance(case, CaseOpened)
    assert (case.case_id, case.cause, case.caused_by) == (CASE, "unknown_outcome", scenario.code.revoked_by)


@pytest.mark.parametrize("attempts_max", [1, 2])
def test_lapsed_lease_is_retried_only_while_attempts_are_left(attempts_max: int) -> None:
    scenario = Scenario(policy=Policy(attempts_max=attempts_max))
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.passes(scenario.policy.lease_s)

    settle(scenario, reservation_id)

    unknown = next(event for event in scenario.events if isinstance(event, InviteOutcomeUnknown))
    is_retried = attempts_max > 1
    assert (unknown.retry_at is not None) == is_retried
    assert scenario.kinds[-1] == ("InviteOutcomeUnknown" if is_retried else "CaseOpened")


@pytest.mark.parametrize("seconds_left", [0, 1])
def test_lapsed_lease_is_retried_only_before_the_deadline(seconds_left: int) -> None:
    """A retry at the deadline itself would come too late."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.passes(scenario.policy.lease_s)
    retry_at = scenario.now + back_off(scenario.policy, reservation_id, 1)
    scenario.set_deadline(reservation_id, retry_at + timedelta(seconds=seconds_left))

    settle(scenario, reservation_id)

    assert scenario.kinds[-1] == ("InviteOutcomeUnknown" if seconds_left else "CaseOpened")


def test_lapsed_lease_with_another_case_is_left_to_that_case() -> None:
    """A reservation has one case at a time: a refund says that it is being sent, and records nothing."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.working_set.record(
        scenario.code_id,
        [CaseOpened(at=scenario.now, actor="key", reservation_id=reservation_id, case_id=CASE, cause="bounced")],
    )
    scenario.passes(scenario.policy.lease_s)

    result = scenario.refund(reservation_id)

    assert isinstance(result, ReservationNotRefundable)
    assert result.why == "leased"
    assert scenario.kinds[-1] == "CaseOpened"


def test_settling_before_anything_is_due_changes_nothing() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, BUSY)
    before = len(scenario.events)

    settle(scenario, reservation_id)

    assert len(scenario.events) == before


def test_only_a_leased_attempt_can_end_unknown() -> None:
    """Anything else is a bug of the caller, and raises."""
    scenario = Scenario()
    reservation = scenario.reservation(scenario.reserved())
    stamp = event_stamp(scenario.context("sweep"), scenario.code)

    with pytest.raises(ValueError, match=r"^only a leased attempt can end unknown$"):
        unknown_outcome(scenario.code, reservation, stamp, None, CASE, scenario.policy)
