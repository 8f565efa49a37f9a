"""Cases and doubts end by a person's word, and only so does an unknown come back."""

from uuid import UUID

import pytest

from domain.commands.access.rebind import RebindReservation
from domain.commands.access.settle_access import SettleAccess
from domain.commands.reservation.resolve_case import Resolution
from domain.errors import ReservationNotResolvable
from domain.events.reservation import CaseClosed, InviteSent, LateSuccessRecorded, UseRefunded
from domain.model.reservation import Reservation
from domain.ports import Rejected
from tests.support.ledger.scenario import LOST, SENT, Scenario, done, refusal


def why(scenario: Scenario, reservation_id: UUID, resolution: Resolution) -> str:
    result = scenario.resolve(reservation_id, resolution, request_id="another")
    assert isinstance(result, ReservationNotResolvable), result
    return result.why


def unfree(scenario: Scenario) -> UUID:
    """A late success that found no free use; its reservation."""
    reservation_id = scenario.given_back()
    scenario.sent("wang")
    scenario.outcome(reservation_id, SENT, attempt=2)
    return reservation_id


def test_parked_unknown_is_counted_by_staff() -> None:
    scenario = Scenario()
    reservation_id = scenario.parked()

    scenario.resolve(reservation_id, "sent")

    sent, closed = scenario.events[-2:]
    assert isinstance(sent, InviteSent)
    assert isinstance(closed, CaseClosed)
    assert (sent.server, closed.how) == ("staff", "resolved_sent")
    assert scenario.balance == (1, 0)


def test_parked_unknown_is_refunded_by_staff() -> None:
    scenario = Scenario()
    reservation_id = scenario.parked()

    scenario.resolve(reservation_id, "refunded")

    refund, closed = scenario.events[-2:]
    assert isinstance(refund, UseRefunded)
    assert isinstance(closed, CaseClosed)
    assert (refund.cause, refund.held, closed.how) == ("resolved", "reserved", "resolved_refunded")
    assert scenario.balance == (0, 0)
    assert done(scenario.redeem("wang")).changed


def test_parked_unknown_is_retried() -> None:
    scenario = Scenario()
    reservation_id = scenario.parked()

    scenario.resolve(reservation_id, "retry")

    reservation = scenario.reservation(reservation_id)
    assert (reservation.attempts, reservation.case_id, reservation.due_at) == (0, None, scenario.now)
    assert done(scenario.claim(reservation_id)).changed
    scenario.outcome(reservation_id, LOST)
    scenario.passes(2000)
    scenario.settle(reservation_id)
    assert scenario.kinds[-1] == "CaseOpened"
    assert scenario.balance == (0, 1)


@pytest.mark.parametrize(("resolution", "balance"), [("sent", (1, 0)), ("refunded", (0, 0))])
def test_unknown_outcome_that_is_not_parked_becomes_a_case_that_is_resolved(
    resolution: Resolution, balance: tuple[int, int]
) -> None:
    """Staff need not wait until the machines give up."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)
    assert why(scenario, reservation_id, "retry") == "no_retry"

    scenario.resolve(reservation_id, resolution)

    kinds = ["CaseOpened", "InviteSent" if resolution == "sent" else "UseRefunded", "CaseClosed"]
    assert scenario.kinds[-3:] == kinds
    assert scenario.balance == balance
    assert scenario.reservation(reservation_id).case_id is None


@pytest.mark.parametrize(("resolution", "balance"), [("sent", (1, 0)), ("refunded", (0, 0))])
def test_attempt_with_an_unknown_outcome_needs_no_sweep_to_be_settled(
    resolution: Resolution, balance: tuple[int, int]
) -> None:
    """Every worker is dead: once the lease is over, the doubt is recorded and decided in one go."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    assert why(scenario, reservation_id, resolution) == "leased"
    scenario.passes(100)

    scenario.resolve(reservation_id, resolution)

    kinds = ["InviteOutcomeUnknown", "CaseOpened", "InviteSent" if resolution == "sent" else "UseRefunded"]
    assert scenario.kinds[-4:] == [*kinds, "CaseClosed"]
    assert (scenario.balance, scenario.reservation(reservation_id).due_at) == (balance, None)


def test_further_delivery_that_ended_so_is_decided_too() -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.resend(reservation_id, request_id="r0")
    scenario.claim(reservation_id)
    scenario.passes(100)

    scenario.resolve(reservation_id, "sent")

    assert scenario.kinds[-3:] == ["InviteOutcomeUnknown", "CaseOpened", "CaseClosed"]
    assert (scenario.balance, scenario.reservation(reservation_id).due_at) == ((1, 0), None)


def test_bounced_invitation_stays_counted_or_is_refunded() -> None:
    scenario = Scenario(max_uses=2, bound=False)
    counted_id, returned = scenario.sent("li"), scenario.sent("wang")
    scenario.bounce(counted_id)
    scenario.bounce(returned)

    scenario.resolve(counted_id, "sent", request_id="s1")
    scenario.resolve(returned, "refunded", request_id="s2")

    assert scenario.kinds[-3:] == ["CaseClosed", "UseRefunded", "CaseClosed"]
    assert scenario.balance == (1, 0)


def test_late_success_is_counted_once_a_use_is_free() -> None:
    """The limit holds for staff too: first a use has to come free."""
    scenario = Scenario(max_uses=1, bound=False)
    reservation_id = unfree(scenario)
    assert why(scenario, reservation_id, "sent") == "no_free_use"
    other = next(
        reservation for reservation in scenario.working_set.reservations.values() if reservation.status == "sent"
    )
    scenario.refund(other.reservation_id)

    scenario.resolve(reservation_id, "sent")

    retaken = scenario.events[-2]
    assert isinstance(retaken, LateSuccessRecorded)
    assert retaken.effect == "retaken"
    assert scenario.balance == (1, 0)


def test_late_success_may_stay_refunded() -> None:
    scenario = Scenario(max_uses=1, bound=False)
    reservation_id = unfree(scenario)

    scenario.resolve(reservation_id, "refunded")

    assert scenario.kinds[-1] == "CaseClosed"
    assert scenario.balance == (1, 0)
    assert why(scenario, reservation_id, "sent") == "no_case"


def test_code_that_is_anothers_by_now_is_not_counted_for_the_first() -> None:
    scenario = Scenario(max_uses=3)

    assert why(scenario, unfree(scenario), "sent") == "bound"


def test_case_is_not_resolvable_when_the_system_decides() -> None:
    scenario = Scenario(max_uses=4, bound=False)
    leased, waiting = scenario.reserved("a"), scenario.reserved("b")
    scenario.claim(leased)
    sent, returned = scenario.sent("c"), scenario.given_back("d")

    assert why(scenario, leased, "sent") == "leased"
    assert [why(scenario, reservation_id, "refunded") for reservation_id in (waiting, sent, returned)] == [
        "no_case"
    ] * 3
    assert refusal(scenario.resolve(scenario.new_id(), "sent")) == "NOT_FOUND"


def test_only_an_unknown_outcome_is_retried() -> None:
    """A bounce is answered by a resend, not by another attempt."""
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.bounce(reservation_id)

    assert why(scenario, reservation_id, "retry") == "no_retry"


@pytest.mark.parametrize("resolution", ["sent", "refunded", "retry"])
def test_same_request_asked_again_is_the_same_resolution(resolution: Resolution) -> None:
    scenario = Scenario()
    reservation_id = scenario.parked()
    scenario.resolve(reservation_id, resolution, request_id="s1")

    again = scenario.resolve(reservation_id, resolution, request_id="s1")

    assert not done(again).changed


def test_outage_refunds_parked_unknowns_once() -> None:
    scenario = Scenario()
    reservation_id = scenario.parked()

    assert done(scenario.outage(reservation_id)).changed
    assert not done(scenario.outage(reservation_id)).changed
    refund = scenario.events[-2]
    assert isinstance(refund, UseRefunded)
    assert (refund.cause, refund.held) == ("outage", "reserved")
    assert scenario.kinds[-1] == "CaseClosed"


def test_outage_refunds_sent_uses_only_on_request_and_never_accepted_ones() -> None:
    """What the mail server lost after it took it; an opened link proves that it was not lost."""
    scenario = Scenario(max_uses=2, bound=False)
    lost, accepted = scenario.sent("li"), scenario.sent("wang")
    scenario.accept(accepted)

    assert not done(scenario.outage(lost)).changed
    assert done(scenario.outage(lost, include_sent=True)).changed
    assert not done(scenario.outage(accepted, include_sent=True)).changed
    assert not done(scenario.outage(lost, include_sent=True)).changed
    assert scenario.balance == (1, 0)


def test_outage_refunds_nothing_that_is_still_retried() -> None:
    """Not parked: it is tried again automatically."""
    scenario = Scenario()
    reservation_id: UUID = scenario.reserved()
    scenario.attempt(reservation_id, LOST)

    reservation: Reservation = done(scenario.outage(reservation_id, include_sent=True)).require_reservation()
    assert reservation.is_live
    assert scenario.kinds[-1] == "InviteOutcomeUnknown"
    assert refusal(scenario.outage(scenario.new_id())) == "NOT_FOUND"


def rebind(scenario: Scenario, reservation_id: UUID) -> UUID:
    command = RebindReservation(
        context=scenario.context("staff", "m1"),
        reservation_id=reservation_id,
        new_reservation_id=scenario.new_id(),
        group="blue",
    )
    return done(scenario.run(command)).require_reservation().reservation_id


def test_use_whose_access_is_moved_is_not_refunded_by_its_case() -> None:
    """While a rebind is in progress, and after it was sent: the rebind has the access."""
    scenario = Scenario(group="red")
    reservation_id = scenario.sent()
    scenario.bounce(reservation_id)
    rebind_id = rebind(scenario, reservation_id)
    assert why(scenario, reservation_id, "refunded") == "moving"
    scenario.attempt(rebind_id, SENT)
    assert why(scenario, reservation_id, "refunded") == "moved"

    assert done(scenario.resolve(reservation_id, "sent")).changed


def test_refund_of_a_use_whose_removal_is_a_case_is_found_again_by_its_request() -> None:
    """The case stays open, so the refund itself is the last event of the request."""
    scenario = Scenario(channel="webhook", validity_days=1)
    reservation_id = scenario.sent()
    scenario.passes(86_400)
    done(scenario.run(SettleAccess(context=scenario.context("sweep"), reservation_id=reservation_id)))
    scenario.removal(reservation_id, Rejected(server="team", reason="gone", final=True))
    done(scenario.resolve(reservation_id, "refunded", request_id="s1"))
    assert scenario.kinds[-1] == "UseRefunded"

    again = done(scenario.resolve(reservation_id, "refunded", request_id="s1"))

    assert (again.changed, again.require_reservation().reservation_id) == (False, reservation_id)


def test_refund_with_its_access_is_found_again_by_its_request() -> None:
    """An external system may have given access, so its end is the last event of the request."""
    scenario = Scenario(channel="webhook")
    reservation_id = scenario.parked()
    done(scenario.resolve(reservation_id, "refunded", request_id="s1"))
    assert scenario.kinds[-1] == "AccessRevoked"

    assert not done(scenario.resolve(reservation_id, "refunded", request_id="s1")).changed
