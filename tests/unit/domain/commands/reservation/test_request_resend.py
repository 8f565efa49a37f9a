"""A resend is a delivery of its own: it counts nothing, whatever becomes of it. Cancelling, and taking access away."""

from uuid import UUID

import pytest

from domain.commands.code.import_code import ImportCode, ImportedUse
from domain.errors import ReservationNotRefundable, ReservationNotResendable
from domain.events.access import AccessRevoked
from domain.events.reservation import CaseOpened, InviteSent, ResendRequested, UseRefunded
from domain.policy import Policy
from domain.ports import Outcome
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import BUSY, LOST, REFUSED, SENT, Scenario, ScenarioDraft, done, refusal


def why(scenario: Scenario, reservation_id: UUID) -> str:
    result = scenario.resend(reservation_id, request_id="another")
    assert isinstance(result, ReservationNotResendable), result
    return result.why


def resent(scenario: Scenario, person: str = "li") -> UUID:
    """A sent reservation with a further delivery asked for."""
    reservation_id = scenario.sent(person)
    scenario.passes(100_000)
    assert done(scenario.resend(reservation_id)).changed
    return reservation_id


def test_further_delivery_has_its_own_number_time_and_attempts() -> None:
    scenario = Scenario()
    reservation_id = resent(scenario)
    asked = scenario.events[-1]
    assert isinstance(asked, ResendRequested)
    assert (asked.delivery, asked.deadline > scenario.now) == (2, True)

    scenario.attempt(reservation_id, BUSY)
    scenario.passes(10)
    scenario.attempt(reservation_id, SENT)

    sent = scenario.events[-1]
    assert isinstance(sent, InviteSent)
    assert (sent.delivery, sent.attempt) == (2, 3)
    assert (scenario.balance, scenario.reservation(reservation_id).resending) == ((1, 0), False)


@pytest.mark.parametrize(("outcome", "cause"), [(REFUSED, "resend_failed"), (LOST, "resend_unknown")])
def test_failed_or_unknown_resend_opens_a_case_and_refunds_nothing(outcome: Outcome, cause: str) -> None:
    scenario = Scenario()
    reservation_id = resent(scenario)

    scenario.attempt(reservation_id, outcome)

    case = scenario.events[-1]
    assert isinstance(case, CaseOpened)
    assert (case.cause, case.delivery) == (cause, 2)
    reservation = scenario.reservation(reservation_id)
    assert (scenario.balance, reservation.public_state, reservation.due_at) == ((1, 0), "sent", None)


def test_its_expiry_opens_a_case_too() -> None:
    scenario = Scenario()
    reservation_id = resent(scenario)
    scenario.passes(2000)

    scenario.settle(reservation_id)

    case = scenario.events[-1]
    assert isinstance(case, CaseOpened)
    assert case.cause == "resend_expired"
    assert not done(scenario.settle(reservation_id)).changed


def test_lapsed_lease_of_a_resend_has_an_unknown_outcome() -> None:
    scenario = Scenario()
    reservation_id = resent(scenario)
    scenario.claim(reservation_id)
    scenario.passes(61)

    scenario.settle(reservation_id)

    assert scenario.kinds[-2:] == ["InviteOutcomeUnknown", "CaseOpened"]


def test_case_ends_by_a_resend_or_by_a_decision_of_staff() -> None:
    scenario = Scenario()
    reservation_id = resent(scenario)
    scenario.attempt(reservation_id, REFUSED)

    scenario.resend(reservation_id, request_id="s2")
    assert scenario.kinds[-2:] == ["CaseClosed", "ResendRequested"]
    scenario.attempt(reservation_id, REFUSED)
    scenario.resolve(reservation_id, "sent", request_id="s3")

    reservation = scenario.reservation(reservation_id)
    assert (reservation.delivery, reservation.case_id, reservation.due_at) == (3, None, None)
    assert scenario.balance == (1, 0)


def test_late_success_of_a_resend_settles_its_case() -> None:
    scenario = Scenario()
    reservation_id = resent(scenario)
    scenario.attempt(reservation_id, LOST)

    scenario.outcome(reservation_id, SENT)

    assert scenario.kinds[-2:] == ["InviteSent", "CaseClosed"]
    assert scenario.balance == (1, 0)


def test_opened_link_of_a_resend_settles_its_case() -> None:
    scenario = Scenario()
    reservation_id = resent(scenario)
    scenario.attempt(reservation_id, LOST)

    scenario.accept(reservation_id, delivery=2)

    assert scenario.kinds[-3:] == ["InviteSent", "CaseClosed", "InviteAccepted"]


@pytest.mark.parametrize("outcome", [BUSY, LOST, REFUSED])
def test_resend_is_not_needed_after_acceptance(outcome: Outcome) -> None:
    """The first link was opened in the meantime: no further attempt, and no case."""
    scenario = Scenario(max_uses=2, bound=False)
    waiting, leased = resent(scenario, "li"), resent(scenario, "wang")
    scenario.claim(leased)

    scenario.accept(waiting)
    scenario.accept(leased)
    scenario.outcome(leased, outcome)

    items = [scenario.reservation(reservation_id) for reservation_id in (waiting, leased)]
    assert [(reservation_id.resending, reservation_id.due_at, reservation_id.case_id) for reservation_id in items] == [
        (False, None, None)
    ] * 2


def test_delivery_that_was_never_requested_proves_nothing() -> None:
    """No outcome and no link of it changes anything: it would count as sent what the code still holds."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)

    assert not done(scenario.outcome(reservation_id, SENT, delivery=2)).changed
    assert refusal(scenario.accept(reservation_id, delivery=2)) == "LINK_NOT_VALID"
    assert scenario.balance == (0, 1)


def test_bounced_invitation_is_resent() -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.bounce(reservation_id)

    scenario.resend(reservation_id)
    scenario.bounce(reservation_id, delivery=1)

    assert scenario.kinds[-2:] == ["CaseClosed", "ResendRequested"]


def test_resend_may_be_refunded_but_not_while_it_is_sent() -> None:
    scenario = Scenario()
    reservation_id = resent(scenario)
    scenario.claim(reservation_id)
    result = scenario.refund(reservation_id)
    assert isinstance(result, ReservationNotRefundable)
    assert result.why == "leased"
    scenario.outcome(reservation_id, BUSY)

    scenario.refund(reservation_id)

    assert (scenario.balance, scenario.reservation(reservation_id).due_at) == ((0, 0), None)


def test_message_is_not_resent_when_it_cannot_be() -> None:
    scenario = Scenario(max_uses=9, bound=False, policy=Policy(deliveries_max=1))
    returned, reserved_id = scenario.given_back("a"), scenario.reserved("b")
    accepted, often = scenario.sent("c"), scenario.sent("d")
    scenario.accept(accepted)

    assert refusal(scenario.resend(UUID(int=1))) == "NOT_FOUND"
    reasons = [why(scenario, reservation_id) for reservation_id in (returned, reserved_id, accepted, often)]
    assert reasons == ["refunded", "not_sent", "accepted", "too_many"]


def test_pressing_twice_is_one_resend() -> None:
    scenario = Scenario()
    reservation_id = resent(scenario)

    assert not done(scenario.resend(reservation_id)).changed
    assert why(scenario, reservation_id) == "resending"


def test_only_a_reserved_use_is_cancelled() -> None:
    """A refund may also refund what counts; this may not."""
    scenario = Scenario(max_uses=9, bound=False)
    reserved_id, sent, leased, doubtful = (
        scenario.reserved("a"),
        scenario.sent("b"),
        scenario.reserved("c"),
        scenario.reserved(),
    )
    scenario.claim(leased)
    scenario.attempt(doubtful, LOST)

    scenario.cancel(reserved_id)

    refund = scenario.events[-1]
    assert isinstance(refund, UseRefunded)
    assert (refund.cause, refund.held) == ("cancelled", "reserved")
    assert not done(scenario.cancel(reserved_id)).changed
    refused = [
        scenario.cancel(reservation_id, request_id="c2") for reservation_id in (reserved_id, leased, doubtful, sent)
    ]
    reasons = [result.why for result in refused if isinstance(result, ReservationNotRefundable)]
    assert reasons == ["refunded", "leased", "unknown", "sent"]
    assert refusal(scenario.cancel(UUID(int=1))) == "NOT_FOUND"


def test_refund_may_take_the_access_away_too() -> None:
    scenario = Scenario(max_uses=3, bound=False)
    sent, reserved_id = scenario.sent("a"), scenario.reserved("b")

    scenario.refund(sent, revoke_access=True)
    scenario.refund(reserved_id, revoke_access=True)

    revoked = [event for event in scenario.events if isinstance(event, AccessRevoked)]
    assert [event.reservation_id for event in revoked] == [sent]
    assert scenario.reservation(sent).access_revoked_at == scenario.now


def test_one_request_id_may_mark_a_report_and_its_consequences() -> None:
    """An integrator's job reports a bounce and has it sent again, under one id: neither is taken for the other."""
    scenario = Scenario()
    bounced, other_scenario = scenario.sent(), Scenario()
    scenario.bounce(bounced, request_id="job-1")
    assert done(scenario.resend(bounced, request_id="job-1")).changed
    assert not done(scenario.resend(bounced, request_id="job-1")).changed

    other = other_scenario.sent()
    other_scenario.bounce(other, request_id="job-1")
    assert done(other_scenario.resolve(other, "refunded", request_id="job-1")).changed
    assert not done(other_scenario.resolve(other, "refunded", request_id="job-1")).changed


def test_imported_invitation_is_resent_from_this_ledger() -> None:
    """Its own attempt has number 1 there, so that ours is the second: its success is not taken for the first's."""
    scenario = Scenario(max_uses=2)
    code_id, reservation_id = scenario.new_id(), scenario.new_id()
    person = ScenarioDraft([b"li"], scenario.new_id())
    use = ImportedUse(reservation_id=reservation_id, recipient=person, sent_at=scenario.now)
    text = ScenarioDraft([b"old"], code_id)
    scenario.run(
        ImportCode(
            context=scenario.context("import"),
            code_id=code_id,
            text=text,
            source="old",
            terms=make_terms(max_uses=1),
            bound=True,
            uses=[use],
        )
    )
    assert done(scenario.resend(reservation_id)).changed

    scenario.attempt(reservation_id, SENT)

    sent = scenario.events[-1]
    assert isinstance(sent, InviteSent)
    assert (sent.delivery, sent.attempt, scenario.reservation(reservation_id).resending) == (2, 2, False)
