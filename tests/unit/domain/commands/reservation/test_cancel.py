"""Cancelling a reservation before anything was sent for it."""

from domain.errors import ReservationNotRefundable
from domain.events.reservation import InviteOutcomeUnknown
from tests.support.ledger.scenario import Scenario, back_off


def test_cancel_records_the_lease_that_lapsed_before_it() -> None:
    """The invitation may have been sent, so nothing is cancelled; the retry waits as after any attempt."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.passes(scenario.policy.lease_s)

    result = scenario.cancel(reservation_id)

    unknown = scenario.events[-1]
    assert isinstance(result, ReservationNotRefundable)
    assert result.why == "unknown"
    assert isinstance(unknown, InviteOutcomeUnknown)
    assert unknown.retry_at == scenario.now + back_off(scenario.policy, reservation_id, 1)
