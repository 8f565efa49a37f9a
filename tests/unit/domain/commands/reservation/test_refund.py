"""A refund of an accepted use says what becomes of the access: there is no default, at no door that refunds."""

from collections.abc import Callable
from uuid import UUID

import pytest

from domain.results import Result
from tests.support.ledger.scenario import Scenario, done, refusal

Refund = Callable[[Scenario, UUID, bool | None], Result]


def by_refund(scenario: Scenario, reservation_id: UUID, choice: bool | None) -> Result:
    return scenario.refund(reservation_id, revoke_access=choice)


def by_case(scenario: Scenario, reservation_id: UUID, choice: bool | None) -> Result:
    return scenario.resolve(reservation_id, "refunded", revoke_access=choice)


def sent(scenario: Scenario, refund: Refund) -> UUID:
    """A reservation whose invitation was sent, and bounced where a case is needed; its id."""
    reservation_id = scenario.sent()
    if refund is by_case:
        scenario.bounce(reservation_id)
    return reservation_id


DOORS = pytest.mark.parametrize("refund", [by_refund, by_case])


@DOORS
def test_refund_of_an_accepted_use_without_a_choice_is_refused(refund: Refund) -> None:
    """Otherwise two recipients have access for one counted use, without a decision."""
    scenario = Scenario()
    reservation_id = sent(scenario, refund)
    scenario.accept(reservation_id)

    assert refusal(refund(scenario, reservation_id, None)) == "ACCESS_CHOICE_REQUIRED"
    assert scenario.balance == (1, 0)


@DOORS
@pytest.mark.parametrize(("choice", "ending"), [(False, None), (True, "withdrawn")])
def test_refund_of_an_accepted_use_follows_the_choice(refund: Refund, *, choice: bool, ending: str | None) -> None:
    scenario = Scenario()
    reservation_id = sent(scenario, refund)
    scenario.accept(reservation_id)

    done(refund(scenario, reservation_id, choice))

    access = scenario.reservation(reservation_id).access
    assert (scenario.balance, access.ending if access else None) == ((0, 0), ending)


@DOORS
def test_refund_of_a_use_that_was_not_accepted_needs_no_choice(refund: Refund) -> None:
    """An invitation that was not accepted gave no access that is known of; its access is kept, as before."""
    scenario = Scenario()
    reservation_id = sent(scenario, refund)

    done(refund(scenario, reservation_id, None))

    assert scenario.reservation(reservation_id).access is None
    assert scenario.balance == (0, 0)


def test_refund_after_the_access_has_ended_needs_no_choice() -> None:
    """There is nothing left to keep or to remove."""
    scenario = Scenario(validity_days=1)
    reservation_id = scenario.sent()
    scenario.accept(reservation_id)
    done(scenario.refund(reservation_id, revoke_access=True))

    assert scenario.kinds[-1] == "AccessRevoked"
    assert refusal(scenario.refund(reservation_id, request_id="r2")) == "RESERVATION_NOT_REFUNDABLE"
