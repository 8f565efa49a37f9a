"""The link of an invitation is revealed while it is of use to its recipient, and each reveal is in the history."""

from collections.abc import Callable
from uuid import UUID

import pytest

from domain.commands.delivery.reveal_link import RevealLink
from domain.events.reservation import InviteLinkRevealed
from domain.results import Result
from tests.support.ledger.scenario import LOST, Scenario, done, refusal


def reveal(scenario: Scenario, reservation_id: UUID, request_id: str = "v1") -> Result:
    context = scenario.context("staff", request_id)
    return scenario.run(RevealLink(context=context, reservation_id=reservation_id))


def test_reveal_moves_no_number_and_repeated_request_adds_nothing() -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()
    balance = scenario.balance
    changes = [done(reveal(scenario, reservation_id, request)).changed for request in ("v1", "v1", "v2")]
    event = scenario.events[-1]

    assert changes == [True, False, True]
    assert isinstance(event, InviteLinkRevealed)
    assert event.delivery == 1
    assert scenario.balance == balance
    assert scenario.reservation(reservation_id).public_state == "sent"


def test_acceptance_of_a_revealed_link_settles_an_unknown_outcome() -> None:
    """The reveal itself proves nothing."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)
    reveal(scenario, reservation_id)
    before = scenario.balance
    scenario.accept(reservation_id)

    assert (before, scenario.balance) == ((0, 1), (1, 0))


def refund(scenario: Scenario) -> UUID:
    reservation_id = scenario.sent()
    scenario.refund(reservation_id)
    return reservation_id


def correct(scenario: Scenario) -> UUID:
    reservation_id = scenario.sent()
    scenario.correct(reservation_id, "wang")
    return reservation_id


def accept(scenario: Scenario) -> UUID:
    reservation_id = scenario.sent()
    scenario.accept(reservation_id)
    return reservation_id


@pytest.mark.parametrize(
    ("prepare", "why"),
    [(refund, "refunded"), (correct, "refunded"), (accept, "accepted"), (Scenario.reserved, "not_sent")],
)
def test_link_that_is_of_no_use_is_not_revealed(prepare: Callable[[Scenario], UUID], why: str) -> None:
    scenario = Scenario(max_uses=2)
    reservation_id = prepare(scenario)
    count = len(scenario.events)

    assert refusal(reveal(scenario, reservation_id)) == "LINK_NOT_REVEALABLE"
    assert getattr(reveal(scenario, reservation_id), "why", None) == why
    assert len(scenario.events) == count
