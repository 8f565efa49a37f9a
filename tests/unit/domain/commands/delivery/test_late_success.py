"""Success of any attempt is evidence, whenever it comes (rule 6)."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.events import CaseOpened, LateSuccessRecorded
from tests.support.ledger.scenario import LOST, REFUSED, SENT, Scenario, done


def twice_attempted(scenario: Scenario) -> UUID:
    """A reservation whose first attempt lost its connection and whose second one is running."""
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)
    scenario.passes(30)
    scenario.claim(reservation_id, worker="w2")
    return reservation_id


def late(scenario: Scenario) -> LateSuccessRecorded:
    """The newest late success."""
    late_successes = [event for event in scenario.events if isinstance(event, LateSuccessRecorded)]
    return late_successes[-1]


def test_the_first_success_settles_and_the_second_is_a_duplicate() -> None:
    """Two attempts at one delivery were both taken by the server: one use, one InviteSent, one duplicate."""
    scenario = Scenario()
    reservation_id = twice_attempted(scenario)

    scenario.outcome(reservation_id, SENT, attempt=1)
    scenario.outcome(reservation_id, SENT, attempt=2)

    assert scenario.kinds[-2:] == ["InviteSent", "LateSuccessRecorded"]
    assert (late(scenario).effect, late(scenario).attempt) == ("duplicate", 2)
    assert scenario.balance == (1, 0)


def test_a_success_is_recorded_once() -> None:
    """A worker that asks again because the commit's answer was lost adds nothing, of a duplicate neither."""
    scenario = Scenario()
    reservation_id = twice_attempted(scenario)
    scenario.outcome(reservation_id, SENT, attempt=2)
    scenario.outcome(reservation_id, SENT, attempt=1)

    assert not done(scenario.outcome(reservation_id, SENT, attempt=1)).changed
    assert not done(scenario.outcome(reservation_id, SENT, attempt=2)).changed


def test_a_success_after_a_refund_of_what_was_sent_takes_nothing() -> None:
    """Staff gave a sent use back; another attempt's success of that delivery changes nothing about it."""
    scenario = Scenario()
    reservation_id = twice_attempted(scenario)
    scenario.outcome(reservation_id, SENT, attempt=1)
    scenario.refund(reservation_id)

    scenario.outcome(reservation_id, SENT, attempt=2)

    assert scenario.kinds[-1] == "LateSuccessRecorded"
    assert late(scenario).effect == "duplicate"
    assert scenario.balance == (0, 0)


def test_a_success_after_a_refund_retakes_a_free_use() -> None:
    """The attempt was taken for failed and was not: the use is counted again, and the code is bound again."""
    scenario = Scenario()
    reservation_id = scenario.given_back()
    assert scenario.code.owner_id is None

    scenario.outcome(reservation_id, SENT, attempt=2)

    reservation = scenario.reservation(reservation_id)
    assert late(scenario).effect == "retaken"
    assert (reservation.status, reservation.refund_cause, reservation.refunded_at) == ("sent", None, None)
    assert scenario.code.owner_id == reservation.recipient_id
    assert scenario.balance == (1, 0)


def test_a_retaken_use_is_refunded_once() -> None:
    """One refund after the reservation and one after the retake, no more."""
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
def test_a_success_that_may_not_retake_opens_a_case(hindrance: str) -> None:
    """No use is free, the code is another's, the person has a newer one, or the address was corrected."""
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
    """Two further uses were asked for one after the other and refunded: one is retaken, the other is a case."""
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


def test_an_older_sent_use_of_the_same_person_hinders_nothing() -> None:
    """A further use that was refunded and arrived after all is counted next to the first."""
    scenario = Scenario(max_uses=2)
    first = scenario.sent()
    further = scenario.reserved(again=first)
    scenario.attempt(further, REFUSED)

    scenario.outcome(further, SENT, attempt=2)

    assert late(scenario).effect == "retaken"
    assert scenario.balance == (2, 0)
