"""A resend is a delivery of its own: it counts nothing, whatever becomes of it. Cancelling, and taking access away."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.commands.code.import_code import ImportCode, ImportedUse
from domain.events.access import AccessRevoked
from domain.policy import Policy
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import SENT, START, Scenario, ScenarioDraft, back_off, done, refusal
from tests.unit.domain.histories import Case, History, cases

RESENT = "deliver 100000s resend=changed"
MANY = {"max_uses": 9, "bound": False}


@cases(
    further_delivery_has_its_own_number_and_time=Case(
        RESENT,
        ends="ResendRequested",
        last={"delivery": 2, "deadline": START + timedelta(seconds=100_000 + 1800)},
    ),
    further_delivery_has_its_own_attempts=Case(
        f"{RESENT} busy 10s sent",
        ends="InviteSent",
        balance=(1, 0),
        last={"delivery": 2, "attempt": 3},
        has={"resending": False},
    ),
    failed_resend_opens_a_case_and_refunds_nothing=Case(
        f"{RESENT} refused",
        balance=(1, 0),
        last={"cause": "resend_failed", "delivery": 2},
        has={"public_state": "sent", "due_at": None},
    ),
    unknown_resend_opens_a_case_and_refunds_nothing=Case(
        f"{RESENT} lost",
        balance=(1, 0),
        last={"cause": "resend_unknown", "delivery": 2},
        has={"public_state": "sent", "due_at": None},
    ),
    expired_resend_opens_a_case_too=Case(
        f"{RESENT} 2000s settle settle=unchanged", ends="CaseOpened", last={"cause": "resend_expired"}
    ),
    lapsed_lease_of_a_resend_has_an_unknown_outcome=Case(
        f"{RESENT} claim 61s settle", ends="InviteOutcomeUnknown CaseOpened"
    ),
    case_ends_by_a_resend=Case(f"{RESENT} refused resend#s2", ends="CaseClosed ResendRequested"),
    case_ends_by_a_decision_of_staff=Case(
        f"{RESENT} refused resend#s2 refused resolve:sent#s3",
        balance=(1, 0),
        has={"delivery": 3, "case_id": None, "due_at": None},
    ),
    late_success_of_a_resend_settles_its_case=Case(
        f"{RESENT} lost answer:sent", ends="InviteSent CaseClosed", balance=(1, 0)
    ),
    opened_link_of_a_resend_settles_its_case=Case(
        f"{RESENT} lost accept/2", ends="InviteSent CaseClosed InviteAccepted"
    ),
    # It would count as sent what the code still holds.
    delivery_that_was_never_requested_proves_nothing=Case(
        "reserve claim answer:sent/2=unchanged accept/2=LINK_NOT_VALID", balance=(0, 1)
    ),
    bounced_invitation_is_resent=Case("deliver bounce resend bounce", ends="CaseClosed ResendRequested"),
    resend_may_be_refunded_but_not_while_it_is_sent=Case(
        f"{RESENT} claim refund=RESERVATION_NOT_REFUNDABLE/leased answer:busy refund",
        balance=(0, 0),
        has={"due_at": None},
    ),
    message_is_not_resent_when_it_cannot_be=Case(
        "a.fail b.reserve c.deliver d.deliver c.accept"
        " a.resend#x=RESERVATION_NOT_RESENDABLE/refunded b.resend#x=RESERVATION_NOT_RESENDABLE/not_sent"
        " c.resend#x=RESERVATION_NOT_RESENDABLE/accepted d.resend#x=RESERVATION_NOT_RESENDABLE/too_many",
        terms={**MANY, "policy": Policy(deliveries_max=1)},
    ),
    pressing_twice_is_one_resend=Case(f"{RESENT} resend=unchanged resend#x=RESERVATION_NOT_RESENDABLE/resending"),
    # A refund may also refund what counts; a cancellation may not.
    reserved_use_is_cancelled_once=Case(
        "a.reserve b.deliver c.reserve reserve c.claim lost a.cancel a.cancel=unchanged",
        last={"cause": "cancelled", "held": "reserved"},
        terms=MANY,
    ),
    only_a_reserved_use_is_cancelled=Case(
        "a.reserve b.deliver c.reserve reserve c.claim lost a.cancel"
        " a.cancel#c2=RESERVATION_NOT_REFUNDABLE/refunded c.cancel#c2=RESERVATION_NOT_REFUNDABLE/leased"
        " cancel#c2=RESERVATION_NOT_REFUNDABLE/unknown b.cancel#c2=RESERVATION_NOT_REFUNDABLE/sent",
        terms=MANY,
    ),
    # An integrator's job reports a bounce and has it sent again, under one id: neither is taken for the other.
    one_request_id_may_mark_a_bounce_and_its_resend=Case(
        "deliver bounce#job-1 resend#job-1=changed resend#job-1=unchanged"
    ),
    one_request_id_may_mark_a_bounce_and_its_refund=Case(
        "deliver bounce#job-1 resolve:refunded#job-1=changed resolve:refunded#job-1=unchanged"
    ),
)
def test_resend_or_cancellation_leads_to(case: Case) -> None:
    case.check()


def test_reservation_that_does_not_exist_is_neither_resent_nor_cancelled() -> None:
    assert refusal(Scenario().resend(UUID(int=1))) == "NOT_FOUND"
    assert refusal(Scenario().cancel(UUID(int=1))) == "NOT_FOUND"


def test_cancel_records_the_lease_that_lapsed_before_it() -> None:
    """The invitation may have been sent, so nothing is cancelled; the retry waits as after any attempt."""
    history = History("reserve claim 60s cancel=RESERVATION_NOT_REFUNDABLE/unknown")

    assert history.kinds[-1] == "InviteOutcomeUnknown"
    wait = back_off(history.policy, history.ids["li"], 1)
    assert getattr(history.events[-1], "retry_at", None) == history.now + wait


@pytest.mark.parametrize("outcome", ["busy", "lost", "refused"])
def test_resend_is_not_needed_after_acceptance(outcome: str) -> None:
    """The first link was opened in the meantime: no further attempt, and no case."""
    resent = "{0}.deliver 100000s {0}.resend ".format
    history = History(
        f"{resent('li')} {resent('wang')} wang.claim accept wang.accept wang.answer:{outcome}", max_uses=2, bound=False
    )

    for reservation in (history.of("li"), history.of("wang")):
        assert (reservation.resending, reservation.due_at, reservation.case_id) == (False, None, None)


def test_refund_may_take_the_access_away_too() -> None:
    history = History("a.deliver b.reserve a.refund+ b.refund+", max_uses=3, bound=False)

    revoked = [event for event in history.events if isinstance(event, AccessRevoked)]
    assert [event.reservation_id for event in revoked] == [history.ids["a"]]
    assert history.of("a").access_revoked_at == history.now


def test_imported_invitation_is_resent_from_this_ledger() -> None:
    """Its own attempt has number 1 there, so that ours is the second: its success is not taken for the first's."""
    scenario = Scenario(max_uses=2)
    code_id, reservation_id = scenario.new_id(), scenario.new_id()
    person = ScenarioDraft([b"li"], scenario.new_id())
    scenario.run(
        ImportCode(
            context=scenario.context("import"),
            code_id=code_id,
            text=ScenarioDraft([b"old"], code_id),
            source="old",
            terms=make_terms(max_uses=1),
            bound=True,
            uses=[ImportedUse(reservation_id=reservation_id, recipient=person, sent_at=scenario.now)],
        )
    )
    assert done(scenario.resend(reservation_id)).changed

    scenario.attempt(reservation_id, SENT)

    assert scenario.kinds[-1] == "InviteSent"
    assert [getattr(scenario.events[-1], name) for name in ("delivery", "attempt")] == [2, 2]
    assert not scenario.reservation(reservation_id).resending
