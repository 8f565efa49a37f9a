"""Success of any attempt is evidence, whenever it comes (rule 6)."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.commands.access.rebind import RebindReservation
from domain.commands.access.settle_access import SettleAccess
from domain.errors import ReservationNotResolvable
from domain.events.reservation import CaseOpened, LateSuccessRecorded
from domain.ports import Rejected
from tests.support.ledger.scenario import BUSY, LOST, REFUSED, SENT, Scenario, done


def twice_attempted(scenario: Scenario) -> UUID:
    """A reservation whose first attempt lost its connection and whose second one is running."""
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)
    scenario.passes(30)
    scenario.claim(reservation_id, worker="w2")
    return reservation_id


def late(scenario: Scenario) -> LateSuccessRecorded:
    late_successes = [event for event in scenario.events if isinstance(event, LateSuccessRecorded)]
    return late_successes[-1]


def test_first_success_settles_and_the_second_is_a_duplicate() -> None:
    scenario = Scenario()
    reservation_id = twice_attempted(scenario)

    scenario.outcome(reservation_id, SENT, attempt=1)
    scenario.outcome(reservation_id, SENT, attempt=2)

    assert scenario.kinds[-2:] == ["InviteSent", "LateSuccessRecorded"]
    assert (late(scenario).effect, late(scenario).attempt) == ("duplicate", 2)
    assert scenario.balance == (1, 0)


def test_success_is_recorded_once() -> None:
    """A worker that asks again because the commit's answer was lost adds nothing, of a duplicate neither."""
    scenario = Scenario()
    reservation_id = twice_attempted(scenario)
    scenario.outcome(reservation_id, SENT, attempt=2)
    scenario.outcome(reservation_id, SENT, attempt=1)

    assert not done(scenario.outcome(reservation_id, SENT, attempt=1)).changed
    assert not done(scenario.outcome(reservation_id, SENT, attempt=2)).changed


def test_success_after_the_refund_of_a_sent_use_takes_no_use() -> None:
    scenario = Scenario()
    reservation_id = twice_attempted(scenario)
    scenario.outcome(reservation_id, SENT, attempt=1)
    scenario.refund(reservation_id)

    scenario.outcome(reservation_id, SENT, attempt=2)

    assert scenario.kinds[-1] == "LateSuccessRecorded"
    assert late(scenario).effect == "duplicate"
    assert scenario.balance == (0, 0)


def test_success_after_a_refund_retakes_a_free_use() -> None:
    scenario = Scenario()
    reservation_id = scenario.given_back()
    assert scenario.code.owner_id is None

    scenario.outcome(reservation_id, SENT, attempt=2)

    reservation = scenario.reservation(reservation_id)
    assert late(scenario).effect == "retaken"
    assert (reservation.status, reservation.refund_cause, reservation.refunded_at) == ("sent", None, None)
    assert scenario.code.owner_id == reservation.recipient_id
    assert scenario.balance == (1, 0)


def test_retaken_use_is_refunded_once() -> None:
    scenario = Scenario()
    reservation_id = scenario.given_back()
    scenario.outcome(reservation_id, SENT, attempt=2)

    done(scenario.refund(reservation_id, request_id="r1"))
    scenario.refund(reservation_id, request_id="r2")
    scenario.outcome(reservation_id, SENT, attempt=3)

    assert scenario.kinds.count("UseRefunded") == 2
    assert late(scenario).effect == "duplicate"
    assert scenario.balance == (0, 0)


@pytest.mark.parametrize("hindrance", ["no_free_use", "bound_to_another", "newer_reservation", "corrected_meanwhile"])
def test_success_that_may_not_retake_opens_a_case(hindrance: str) -> None:
    scenario = Scenario(max_uses=1 if hindrance == "no_free_use" else 3, bound=hindrance != "no_free_use")
    reservation_id = scenario.given_back()
    if hindrance == "corrected_meanwhile":
        reservation = scenario.reservation(reservation_id)
        scenario.working_set.reservations[reservation_id] = replace(reservation, refund_cause="corrected")
    else:
        scenario.sent("li" if hindrance == "newer_reservation" else "wang")
    before = scenario.balance

    scenario.outcome(reservation_id, SENT, attempt=2)

    case = scenario.events[-1]
    assert isinstance(case, CaseOpened)
    assert (case.cause, late(scenario).effect) == (hindrance, "not_retaken")
    assert case.caused_by == scenario.code.version - 1
    assert scenario.balance == before
    assert scenario.reservation(reservation_id).public_state == "refunded"
    assert scenario.reservation(reservation_id).due_at is None


def test_one_use_follows_another_whichever_late_success_comes_first() -> None:
    for order in ((0, 1), (1, 0)):
        scenario = Scenario(max_uses=5, bound=False)
        first, further = scenario.sent(), []
        for _ in order:
            further.append(scenario.reserved(again=first))
            scenario.attempt(further[-1], REFUSED)

        for number in order:
            scenario.outcome(further[number], SENT, attempt=2)

        assert [scenario.reservation(further[number]).status for number in order] == ["sent", "refunded"]
        assert scenario.kinds[-1] == "CaseOpened"


def test_older_sent_use_of_the_same_person_hinders_nothing() -> None:
    scenario = Scenario(max_uses=2)
    first = scenario.sent()
    further = scenario.reserved(again=first)
    scenario.attempt(further, REFUSED)

    scenario.outcome(further, SENT, attempt=2)

    assert late(scenario).effect == "retaken"
    assert scenario.balance == (2, 0)


def test_late_success_of_a_rebind_without_an_access_to_move_opens_a_case() -> None:
    """The access expired where it was, so staff decide; counting it again is refused for the same reason."""
    scenario = Scenario(group="red", validity_days=30)
    former = scenario.sent()
    command = RebindReservation(
        context=scenario.context("staff"), reservation_id=former, new_reservation_id=scenario.new_id(), group="blue"
    )
    rebind = done(scenario.run(command)).require_reservation().reservation_id
    scenario.attempt(rebind, REFUSED)
    scenario.passes(30 * 86_400)
    done(scenario.run(SettleAccess(context=scenario.context("sweep"), reservation_id=former)))

    scenario.outcome(rebind, SENT, attempt=1)

    case = scenario.events[-1]
    assert isinstance(case, CaseOpened)
    assert (case.cause, late(scenario).effect) == ("grant_ended", "not_retaken")
    refused = scenario.resolve(rebind, "sent")
    assert isinstance(refused, ReservationNotResolvable)
    assert refused.why == "grant_ended"
    assert done(scenario.resolve(rebind, "refunded")).changed


def test_refunded_rebind_is_not_counted_as_sent_while_another_one_moves_the_access() -> None:
    """Both would move one access; once the other is refunded, staff can decide so."""
    scenario = Scenario(group="red")
    former = scenario.sent()

    def rebind(group: str) -> UUID:
        context, new_id = scenario.context("staff", group), scenario.new_id()
        command = RebindReservation(context=context, reservation_id=former, new_reservation_id=new_id, group=group)
        return done(scenario.run(command)).require_reservation().reservation_id

    first = rebind("blue")
    scenario.attempt(first, LOST)
    done(scenario.resolve(first, "refunded"))
    second = rebind("green")
    scenario.outcome(first, SENT, attempt=1)

    refused = scenario.resolve(first, "sent", request_id="s2")
    assert isinstance(refused, ReservationNotResolvable)
    assert refused.why == "moving"
    scenario.cancel(second)
    assert done(scenario.resolve(first, "sent", request_id="s3")).changed
    assert [scenario.reservation(key).status for key in (first, second)] == ["sent", "refunded"]


def test_late_success_names_the_delivery_that_it_is_of() -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.resend(reservation_id)
    for worker in ("w1", "w2"):
        scenario.claim(reservation_id, worker=worker)
        scenario.outcome(reservation_id, SENT if worker == "w1" else BUSY)

    scenario.outcome(reservation_id, SENT, attempt=3)

    assert (late(scenario).effect, late(scenario).delivery, late(scenario).attempt) == ("duplicate", 2, 3)


def expire_while_resending(channel: str, validity_days: int = 30) -> tuple[Scenario, UUID]:
    """Begin a resend a minute before the access expires, and let it expire before its success is known."""
    scenario = Scenario(channel=channel, validity_days=validity_days)
    reservation_id = scenario.sent()
    scenario.passes(validity_days * 86_400 - 60)
    scenario.resend(reservation_id)
    scenario.claim(reservation_id)
    scenario.passes(60)
    done(scenario.run(SettleAccess(context=scenario.context("sweep"), reservation_id=reservation_id)))
    return scenario, reservation_id


def test_first_success_of_a_resend_is_recorded_after_the_access_expired_too() -> None:
    """It proves that this delivery was sent; the use counts already."""
    scenario, reservation_id = expire_while_resending("webhook")

    scenario.outcome(reservation_id, SENT)

    assert scenario.kinds[-1] == "InviteSent"
    assert scenario.balance == (1, 0)


@pytest.mark.parametrize(("channel", "effect"), [("webhook", "ended"), ("smtp", "duplicate")])
def test_repeated_success_after_the_access_expired_asks_only_a_channel_that_can_remove_again(
    channel: str, effect: str
) -> None:
    """An email's link ended with the access; an external system may have given access a second time."""
    scenario, reservation_id = expire_while_resending(channel)

    scenario.outcome(reservation_id, SENT, attempt=3, delivery=1)

    assert late(scenario).effect == effect


def test_late_success_of_a_resend_keeps_the_case_of_a_removal_as_the_only_one() -> None:
    """The resend bounced before its success became known, but a reservation has one case at a time."""
    scenario, reservation_id = expire_while_resending("webhook")
    scenario.bounce(reservation_id, delivery=2)
    scenario.removal(reservation_id, Rejected(server="team", reason="gone", final=True))
    case_id = scenario.reservation(reservation_id).case_id

    scenario.outcome(reservation_id, SENT)

    assert scenario.kinds[-1] == "InviteSent"
    assert case_id is not None
    assert scenario.reservation(reservation_id).case_id == case_id


def test_late_success_of_a_bounced_invitation_replaces_the_case_of_its_unknown_outcome() -> None:
    scenario = Scenario()
    reservation_id = scenario.parked()
    scenario.bounce(reservation_id)

    scenario.outcome(reservation_id, SENT, attempt=1)

    case = scenario.events[-1]
    assert scenario.kinds[-3:] == ["InviteSent", "CaseClosed", "CaseOpened"]
    assert isinstance(case, CaseOpened)
    assert case.cause == "bounced"


def test_case_of_a_late_success_is_about_the_delivery_that_was_sent() -> None:
    """An older one than the newest: its outcome was unknown when the next was requested."""
    scenario = Scenario(max_uses=1, bound=False)
    reservation_id = scenario.sent()
    for request_id in ("s1", "s2"):
        scenario.resend(reservation_id, request_id=request_id)
        scenario.attempt(reservation_id, LOST)
    scenario.refund(reservation_id)
    scenario.sent("wang")

    scenario.outcome(reservation_id, SENT, attempt=2, delivery=2)

    case = scenario.events[-1]
    assert isinstance(case, CaseOpened)
    assert (case.cause, case.delivery) == ("no_free_use", 2)


def test_newer_reservation_hinders_a_late_success_before_anything_is_sent_for_it() -> None:
    """It is pending, and one of the two counts at most."""
    scenario = Scenario(max_uses=3)
    reservation_id = scenario.given_back()
    scenario.reserved()

    scenario.outcome(reservation_id, SENT, attempt=2)

    case = scenario.events[-1]
    assert isinstance(case, CaseOpened)
    assert case.cause == "newer_reservation"
