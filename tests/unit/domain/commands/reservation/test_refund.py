"""Refunds of accepted uses, which say what becomes of the access; and what is closed before a person is forgotten."""

from domain.commands.reservation.close_for_erasure import CloseForErasure
from tests.support.ledger.scenario import Scenario, refusal
from tests.unit.domain.histories import Case, cases

NOT = "RESERVATION_NOT_RESOLVABLE"


@cases(
    # Otherwise two recipients have access for one counted use, without a decision.
    refund_of_an_accepted_use_needs_a_choice=Case("deliver accept refund=ACCESS_CHOICE_REQUIRED", balance=(1, 0)),
    case_of_an_accepted_use_needs_a_choice=Case(
        "deliver bounce accept resolve:refunded=ACCESS_CHOICE_REQUIRED", balance=(1, 0)
    ),
    refund_keeps_the_access=Case("deliver accept refund-", balance=(0, 0), has={"access": None}),
    case_keeps_the_access=Case("deliver bounce accept resolve:refunded-", balance=(0, 0), has={"access": None}),
    refund_withdraws_the_access=Case("deliver accept refund+", balance=(0, 0), has={"access.ending": "withdrawn"}),
    case_withdraws_the_access=Case(
        "deliver bounce accept resolve:refunded+", balance=(0, 0), has={"access.ending": "withdrawn"}
    ),
    # An invitation that was not accepted gave no access that is known of; its access is kept, as before.
    refund_of_a_use_that_was_not_accepted_needs_no_choice=Case("deliver refund", balance=(0, 0), has={"access": None}),
    case_of_a_use_that_was_not_accepted_needs_no_choice=Case(
        "deliver bounce resolve:refunded", balance=(0, 0), has={"access": None}
    ),
    # There is nothing left to keep or to remove.
    refund_after_the_access_has_ended_needs_no_choice=Case(
        "deliver accept refund+ refund#r2=RESERVATION_NOT_REFUNDABLE", ends="AccessRevoked", terms={"validity_days": 1}
    ),
)
def test_refund_follows_the_choice(case: Case) -> None:
    case.check()


@cases(
    # A message that never left cost no use.
    use_that_was_not_sent_is_refunded=Case("reserve close", ends="UseRefunded", balance=(0, 0)),
    # Refunded it could be a free use, so the admin's word counts it.
    use_that_may_have_been_sent_is_counted=Case("reserve lost close", ends="InviteSent CaseClosed", balance=(1, 0)),
    settled_reservation_is_kept=Case(
        "reserve sent close=unchanged close=li", kinds="UseReserved InviteAttempted InviteSent"
    ),
    # A message that is being sent must not be decided.
    leased_reservation_is_waited_for=Case(f"reserve claim close={NOT}/leased"),
    leased_reservation_of_another_is_waited_for=Case(
        f"deliver mei.reserve mei.claim mei.close={NOT}/leased close=unchanged", terms={"max_uses": 2, "bound": False}
    ),
    use_with_a_case_of_another_cause_is_counted=Case("reserve altered close", ends="InviteSent CaseClosed"),
    # A worker died with it; the lease is over as of the last event, even if the clock went back.
    use_whose_lease_lapsed_is_counted=Case(
        "reserve claim 60s pause -30s close",
        ends="InviteOutcomeUnknown CaseOpened InviteSent CaseClosed",
        balance=(1, 0),
    ),
)
def test_erasure_closes(case: Case) -> None:
    case.check()


def test_erasure_reports_unknown_reservations() -> None:
    scenario = Scenario()
    command = CloseForErasure(
        context=scenario.context("operator", "f1"), reservation_id=scenario.new_id(), case_id=scenario.new_id()
    )

    assert refusal(scenario.run(command)) == "NOT_FOUND"
