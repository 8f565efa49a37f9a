"""What a group's external system reports: acceptance and removal, each once and only of what was sent."""

from datetime import timedelta
from uuid import UUID

from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.access.settle_access import RecordRemovalOutcome
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.events.access import AccessRevoked
from domain.events.reservation import InviteAccepted, InviteSent
from domain.results import Result
from tests.support.ledger.scenario import LOST, REFUSED, Scenario, done, refusal


def removed(scenario: Scenario, reservation_id: UUID) -> Result:
    scenario.passes(60)
    context = scenario.context("channel", "r1", "c1")
    return scenario.run(
        RecordExternalRemoval(
            context=context, reservation_id=reservation_id, occurred_at=scenario.now - timedelta(minutes=1)
        )
    )


def reported(scenario: Scenario, reservation_id: UUID) -> Result:
    context = scenario.context("channel", "r1", "c1")
    return scenario.run(
        AcceptInvite(
            context=context, reservation_id=reservation_id, delivery=1, case_id=scenario.new_id(), via="callback"
        )
    )


def test_removal_is_recorded_once_and_refunds_nothing() -> None:
    """Staff decide whether the use comes back; the event names the time of the removal."""
    scenario = Scenario()
    reservation_id = scenario.sent()

    happened = scenario.now
    assert done(removed(scenario, reservation_id)).changed
    assert not done(removed(scenario, reservation_id)).changed
    event = scenario.events[-1]
    assert isinstance(event, AccessRevoked)
    assert (event.actor, event.actor_id, event.occurred_at) == ("channel", "c1", happened)
    assert scenario.balance == (1, 0)


def test_after_a_refund_too() -> None:
    """The access outlives the refunded use, until staff remove it."""
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.refund(reservation_id)

    assert done(removed(scenario, reservation_id)).changed
    assert scenario.balance == (0, 0)


def test_report_of_a_removal_ends_its_due_removal() -> None:
    """Workers ask no further, and the case of the failed removal is closed, so that staff do not decide it twice."""
    waiting, failed = Scenario(), Scenario()
    ids = []
    for scenario in (waiting, failed):
        ids.append(scenario.sent())
        scenario.refund(ids[-1], revoke_access=True)
    failed.run(
        RecordRemovalOutcome(
            context=failed.context("sweep"),
            reservation_id=ids[1],
            attempt=1,
            channel="webhook",
            outcome=REFUSED,
            case_id=failed.new_id(),
        )
    )
    for scenario, reservation_id in zip((waiting, failed), ids, strict=True):
        assert done(removed(scenario, reservation_id)).changed
        assert not done(removed(scenario, reservation_id)).changed
        state = scenario.reservation(reservation_id)
        assert (state.access and state.access.removal, state.access_due_at, state.case_id) == ("removed", None, None)
        assert scenario.balance == (0, 0)

    assert waiting.kinds[-1] == "AccessRevoked"
    assert failed.kinds[-2:] == ["AccessRevoked", "CaseClosed"]
    assert refusal(failed.resolve(ids[1], "sent")) == "RESERVATION_NOT_RESOLVABLE"


def test_nothing_sent_nothing_removed() -> None:
    """Not even where it may have been: a removal is no proof that our invitation gave the access."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)

    assert refusal(removed(scenario, reservation_id)) == "NOTHING_SENT"
    assert refusal(removed(scenario, scenario.new_id())) == "NOT_FOUND"


def test_reported_acceptance_settles_an_unknown_outcome_as_sent() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)

    reported(scenario, reservation_id)
    sent, accepted = scenario.events[-2:]
    assert isinstance(sent, InviteSent)
    assert isinstance(accepted, InviteAccepted)
    assert (sent.server, accepted.via) == ("callback", "callback")
    assert scenario.balance == (1, 0)
