"""Revoking refunds what is reserved, what is being sent once it definitely failed; unknown outcomes need review."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.events.reservation import CaseOpened, UseRefunded
from domain.policy import Policy
from domain.ports import RetryLater
from tests.support.ledger.scenario import BUSY, LOST, REFUSED, SENT, Scenario, done, refusal


def test_revocation_refunds_reserved_uses_and_keeps_sent_ones() -> None:
    scenario = Scenario(max_uses=3, bound=False)
    scenario.sent("li")
    reserved_id = scenario.reserved("wang")

    scenario.revoke()

    refund = scenario.events[-1]
    assert isinstance(refund, UseRefunded)
    assert (refund.reservation_id, refund.cause, refund.caused_by) == (reserved_id, "revoked", scenario.code.revoked_by)
    assert scenario.balance == (1, 0)
    assert scenario.code.state(scenario.now) == "revoked"


def test_revoked_code_answers_existing_reservations_first() -> None:
    """The recipient of a sent invitation hears of it; all other requests are answered that the code is revoked."""
    scenario = Scenario(max_uses=3, bound=False)
    sent = scenario.sent("li")
    scenario.revoke()

    assert done(scenario.redeem("li")).require_reservation().reservation_id == sent
    assert refusal(scenario.redeem("li", again=sent)) == "CODE_REVOKED"
    assert refusal(scenario.redeem("wang")) == "CODE_REVOKED"


def test_retry_is_returned_too() -> None:
    """Its attempts definitely failed, so nothing arrived."""
    scenario = Scenario()
    waiting = scenario.reserved()
    scenario.attempt(waiting, BUSY)

    scenario.revoke()

    assert scenario.reservation(waiting).refund_cause == "revoked"


@pytest.mark.parametrize("outcome", [BUSY, RetryLater(server="team", reason="full", wait=timedelta())])
def test_failed_attempt_is_refunded_after_revocation(outcome: RetryLater) -> None:
    scenario = Scenario()
    leased = scenario.reserved()
    scenario.claim(leased)
    scenario.revoke()
    assert scenario.balance == (0, 1)

    scenario.outcome(leased, outcome)

    assert scenario.kinds[-2:] == ["InviteFailed", "UseRefunded"]
    assert scenario.reservation(leased).refund_cause == "revoked"


def test_refused_address_keeps_its_own_cause() -> None:
    """The mail server's word is the better reason."""
    scenario = Scenario()
    leased = scenario.reserved()
    scenario.claim(leased)
    scenario.revoke()

    scenario.outcome(leased, REFUSED)

    assert scenario.reservation(leased).refund_cause == "address_refused"


def test_success_of_a_leased_attempt_counts_after_revocation() -> None:
    scenario = Scenario()
    leased = scenario.reserved()
    scenario.claim(leased)
    scenario.revoke()

    scenario.outcome(leased, SENT)

    assert scenario.balance == (1, 0)


def test_unknown_outcome_opens_a_case_when_the_code_is_revoked() -> None:
    scenario = Scenario(max_uses=2, bound=False)
    doubtful = scenario.reserved("li")
    scenario.attempt(doubtful, LOST)
    leased = scenario.reserved("wang")
    scenario.claim(leased)

    scenario.revoke()
    scenario.outcome(leased, LOST)

    assert [scenario.reservation(reservation_id).public_state for reservation_id in (doubtful, leased)] == [
        "unknown",
        "unknown",
    ]
    assert scenario.kinds[-3:] == ["CaseOpened", "InviteOutcomeUnknown", "CaseOpened"]
    scenario.passes(5000)
    assert not done(scenario.settle(doubtful)).changed
    assert refusal(scenario.resolve(doubtful, "retry")) == "RESERVATION_NOT_RESOLVABLE"
    scenario.resolve(doubtful, "refunded")
    assert scenario.balance == (0, 1)


def test_lapsed_lease_becomes_a_case_at_once() -> None:
    scenario = Scenario()
    leased = scenario.reserved()
    scenario.claim(leased)
    scenario.revoke()
    scenario.passes(61)

    scenario.settle(leased)

    assert scenario.kinds[-2:] == ["InviteOutcomeUnknown", "CaseOpened"]


def test_one_command_settles_a_bounded_number_and_further_ones_the_rest() -> None:
    """A code may hold a hundred thousand."""
    scenario = Scenario(max_uses=None, bound=False, policy=Policy(revoked_per_command=3))
    for number in range(8):
        scenario.reserved(f"p{number}")

    done(scenario.revoke())
    assert scenario.code.reserved == 5
    assert done(scenario.continue_revocation()).changed
    assert done(scenario.revoke()).changed

    assert scenario.code.reserved == 0
    assert not done(scenario.continue_revocation()).changed
    assert scenario.kinds.count("CodeRevoked") == 1


def test_cases_beyond_the_ids_are_left_to_the_next_command() -> None:
    """Ids are random, so they come from outside, and only so many."""
    scenario = Scenario(max_uses=None, bound=False)
    for person in ("li", "wang"):
        scenario.attempt(scenario.reserved(person), LOST)
    reserved_id = scenario.reserved("zhao")

    scenario.revoke(cases=1)

    assert scenario.kinds.count("CaseOpened") == 1
    assert scenario.reservation(reserved_id).status == "refunded"
    scenario.continue_revocation(cases=1)
    case_events = [event for event in scenario.events if isinstance(event, CaseOpened)]
    assert {event.caused_by for event in case_events} == {scenario.code.revoked_by}


def test_ids_of_cases_are_kept_for_reservations_that_need_one() -> None:
    scenario = Scenario(max_uses=None, bound=False)
    scenario.reserved("li")
    scenario.attempt(scenario.reserved("wang"), LOST)

    scenario.revoke(cases=1)

    assert scenario.kinds[-2:] == ["UseRefunded", "CaseOpened"]


def test_nothing_is_sent_for_a_revoked_code() -> None:
    """Anyone who touches what a bounded command left over settles it: a worker, or the person."""
    scenario = Scenario(max_uses=None, bound=False, policy=Policy(revoked_per_command=0))
    claimed, asked = scenario.reserved("li"), scenario.reserved("wang")
    scenario.revoke()

    scenario.claim(claimed)
    assert refusal(scenario.redeem("wang")) == "CODE_REVOKED"

    assert scenario.kinds[-2:] == ["UseRefunded", "UseRefunded"]
    assert {scenario.reservation(reservation_id).refund_cause for reservation_id in (claimed, asked)} == {"revoked"}


def test_only_a_revoked_code_is_settled() -> None:
    scenario = Scenario()
    scenario.reserved()
    unknown = UUID(int=1)
    context = scenario.context("sweep")

    assert not done(scenario.continue_revocation()).changed
    assert refusal(scenario.run(ContinueRevocation(context=context, code_id=unknown, case_ids=()))) == "NOT_FOUND"
    assert refusal(scenario.run(RevokeCode(context=context, code_id=unknown, case_ids=()))) == "NOT_FOUND"
