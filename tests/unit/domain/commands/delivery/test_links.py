"""Accepting an invitation, once and as proof that the email arrived; revealing its link while that is of use."""

import pytest

from domain.commands.delivery.reveal_link import RevealLink
from domain.results import Result
from tests.support.ledger.scenario import done
from tests.unit.domain.histories import Case, History, answer, cases

SENT_AT_LAST = "reserve lost 20s lost 20s answer:sent@1"


@cases(
    sent_invitation_is_accepted_once=Case(
        "deliver accept=changed accept=unchanged", ends="InviteAccepted", balance=(1, 0)
    ),
    # The person has the email, so it was sent: the use is counted and the case closed.
    acceptance_settles_an_unknown_as_sent=Case(
        "reserve lost 2000s settle accept", ends="CaseOpened InviteSent CaseClosed InviteAccepted", balance=(1, 0)
    ),
    link_of_a_refunded_invitation_is_not_valid=Case("deliver refund accept=LINK_NOT_VALID"),
    nothing_sent_is_nothing_accepted=Case("reserve accept=LINK_NOT_VALID"),
    link_of_a_refunded_use_counts_it_again=Case(
        "fail accept", ends="LateSuccessRecorded InviteAccepted", balance=(1, 0), has={"status": "sent"}
    ),
    link_is_not_valid_where_no_use_is_free_and_the_case_is_kept=Case(
        "fail wang.deliver accept=LINK_NOT_VALID accept=LINK_NOT_VALID",
        ends="InviteSent LateSuccessRecorded CaseOpened",
        balance=(1, 0),
        terms={"bound": False},
    ),
    # The recipient has an earlier email, whose last attempt had an unknown outcome; the resend ends.
    link_of_a_resend_that_was_not_attempted_proves_nothing_about_it=Case(
        f"{SENT_AT_LAST} resend accept/2", ends="ResendRequested InviteAccepted"
    ),
    # Another attempt at it had an unknown outcome, but that it was sent is known already.
    link_of_a_delivery_that_was_sent_and_refunded_records_nothing=Case(
        f"{SENT_AT_LAST} refund accept=LINK_NOT_VALID", ends="InviteSent UseRefunded"
    ),
)
def test_opened_link_leads_to(case: Case) -> None:
    case.check()


def reveal(history: History, request_id: str = "v1") -> Result:
    context = history.context("staff", request_id)
    return history.run(RevealLink(context=context, reservation_id=history.ids["li"]))


def test_reveal_moves_no_number_and_repeated_request_adds_nothing() -> None:
    history = History("deliver")
    balance = history.balance

    assert [done(reveal(history, request)).changed for request in ("v1", "v1", "v2")] == [True, False, True]
    assert (history.kinds[-1], getattr(history.events[-1], "delivery", None)) == ("InviteLinkRevealed", 1)
    assert history.balance == balance
    assert history.of().public_state == "sent"


def test_acceptance_of_a_revealed_link_settles_an_unknown_outcome() -> None:
    """The reveal itself proves nothing."""
    history = History("reserve lost")
    reveal(history)
    before = history.balance
    history.run_steps("accept")

    assert (before, history.balance) == ((0, 1), (1, 0))


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ("deliver refund", "refunded"),
        ("deliver correct:wang>wang", "refunded"),
        ("deliver accept", "accepted"),
        ("reserve", "not_sent"),
    ],
)
def test_link_that_is_of_no_use_is_not_revealed(steps: str, why: str) -> None:
    history = History(steps, max_uses=2)
    count = len(history.events)

    assert answer(reveal(history)) == f"LINK_NOT_REVEALABLE/{why}"
    assert len(history.events) == count
