"""Closing what a person holds before they are forgotten."""

from uuid import UUID

from domain.commands.reservation.close_for_erasure import CloseForErasure
from domain.errors import ReservationNotResolvable, ReservationUnknown
from domain.ports import Rejected
from domain.results import CommandResult, Result
from tests.support.ledger.scenario import LOST, SENT, Scenario


def close(scenario: Scenario, reservation_id: UUID) -> Result:
    context = scenario.context("operator", "f1")
    return scenario.run(CloseForErasure(context=context, reservation_id=reservation_id, case_id=scenario.new_id()))


def test_erasure_refunds_a_use_that_was_not_sent() -> None:
    """A message that never left cost no use."""
    scenario = Scenario()
    reserved_id = scenario.reserved()

    close(scenario, reserved_id)

    assert scenario.kinds[-1] == "UseRefunded"
    assert (scenario.code.used, scenario.code.reserved) == (0, 0)


def test_erasure_counts_a_use_that_may_have_been_sent() -> None:
    """Refunded it could be a free use, so the admin's word counts it."""
    scenario = Scenario()
    doubtful = scenario.reserved()
    scenario.attempt(doubtful, LOST)

    close(scenario, doubtful)

    assert (scenario.code.used, scenario.code.reserved) == (1, 0)
    assert scenario.kinds[-2:] == ["InviteSent", "CaseClosed"]


def test_erasure_keeps_settled_reservations() -> None:
    scenario = Scenario()
    sent = scenario.reserved()
    scenario.attempt(sent, SENT)
    before = list(scenario.kinds)

    close(scenario, sent)

    assert before == scenario.kinds


def test_erasure_waits_for_leased_and_reports_unknown_reservations() -> None:
    """A message that is being sent must not be decided."""
    scenario = Scenario()
    leased = scenario.reserved()
    scenario.claim(leased)

    assert isinstance(close(scenario, leased), ReservationNotResolvable)
    assert isinstance(close(scenario, scenario.new_id()), ReservationUnknown)


def test_erasure_names_the_lease_and_returns_the_settled_reservation() -> None:
    scenario = Scenario(max_uses=2, bound=False)
    sent, leased = scenario.sent("li"), scenario.reserved("mei")
    scenario.claim(leased)

    refused, settled = close(scenario, leased), close(scenario, sent)

    assert isinstance(refused, ReservationNotResolvable)
    assert refused.why == "leased"
    assert isinstance(settled, CommandResult)
    assert settled.reservation is not None
    assert (settled.reservation.reservation_id, settled.changed) == (sent, False)


def test_erasure_counts_a_use_with_a_case_of_another_cause() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, Rejected(server="vault", reason="address_mismatch", final=True, needs_review=True))

    close(scenario, reservation_id)

    assert scenario.kinds[-2:] == ["InviteSent", "CaseClosed"]


def test_erasure_counts_a_use_whose_lease_lapsed() -> None:
    """A worker died with it; the lease is over as of the last event, even if the clock went back."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.passes(scenario.policy.lease_s)
    scenario.pause()
    scenario.passes(-30)

    close(scenario, reservation_id)

    assert scenario.kinds[-4:] == ["InviteOutcomeUnknown", "CaseOpened", "InviteSent", "CaseClosed"]
    assert scenario.balance == (1, 0)
