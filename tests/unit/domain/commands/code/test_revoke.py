"""Revoking refunds what is reserved, what is being sent once it definitely failed; unknown outcomes need review."""

from typing import Any
from uuid import UUID

import pytest

from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.events.reservation import CaseOpened
from domain.policy import Policy
from tests.support.ledger.scenario import Scenario, refusal
from tests.unit.domain.histories import Case, History, cases

OPEN: dict[str, Any] = {"max_uses": 3, "bound": False}
UNLIMITED: dict[str, Any] = {"max_uses": None, "bound": False}


@cases(
    revocation_refunds_reserved_uses_and_keeps_sent_ones=Case(
        "deliver wang.reserve revoke", balance=(1, 0), last={"cause": "revoked", "caused_by": 6}, terms=OPEN
    ),
    # The recipient of a sent invitation hears of it; all other requests are answered that the code is revoked.
    revoked_code_answers_existing_reservations_first=Case(
        "deliver revoke redeem=li redeem:li=CODE_REVOKED wang.redeem=CODE_REVOKED", terms=OPEN
    ),
    # Its attempts definitely failed, so nothing arrived.
    retry_is_returned_too=Case("reserve busy revoke", has={"refund_cause": "revoked"}),
    leased_attempt_is_waited_for=Case("reserve claim revoke", balance=(0, 1)),
    failed_attempt_is_refunded_after_revocation=Case(
        "reserve claim revoke answer:busy", ends="InviteFailed UseRefunded", has={"refund_cause": "revoked"}
    ),
    deferred_attempt_is_refunded_after_revocation=Case(
        "reserve claim revoke answer:full", ends="InviteFailed UseRefunded", has={"refund_cause": "revoked"}
    ),
    # The mail server's word is the better reason.
    refused_address_keeps_its_own_cause=Case(
        "reserve claim revoke answer:refused", has={"refund_cause": "address_refused"}
    ),
    success_of_a_leased_attempt_counts_after_revocation=Case("reserve claim revoke answer:sent", balance=(1, 0)),
    unknown_outcome_opens_a_case_when_the_code_is_revoked=Case(
        "reserve lost wang.reserve wang.claim revoke wang.answer:lost",
        ends="CaseOpened InviteOutcomeUnknown CaseOpened",
        has={"public_state": "unknown"},
        of="wang",
        terms={**OPEN, "max_uses": 2},
    ),
    # It is not tried again, and no machine gives it back.
    unknown_outcome_of_a_revoked_code_is_for_staff=Case(
        "reserve lost wang.reserve wang.claim revoke wang.answer:lost 5000s settle=unchanged"
        " resolve:retry=RESERVATION_NOT_RESOLVABLE resolve:refunded",
        balance=(0, 1),
        has={"public_state": "refunded"},
        terms={**OPEN, "max_uses": 2},
    ),
    lapsed_lease_becomes_a_case_at_once=Case("reserve claim revoke 61s settle", ends="InviteOutcomeUnknown CaseOpened"),
    ids_of_cases_are_kept_for_reservations_that_need_one=Case(
        "reserve wang.reserve wang.lost revoke:1", ends="UseRefunded CaseOpened", terms=UNLIMITED
    ),
    # Anyone who touches what a bounded command left over settles it: a worker, or the person.
    worker_sends_nothing_for_a_revoked_code=Case(
        "reserve wang.reserve revoke claim wang.redeem=CODE_REVOKED",
        ends="UseRefunded UseRefunded",
        has={"refund_cause": "revoked"},
        terms={**UNLIMITED, "policy": Policy(revoked_per_command=0)},
    ),
    request_of_the_person_settles_a_revoked_use=Case(
        "reserve wang.reserve revoke claim wang.redeem=CODE_REVOKED",
        has={"refund_cause": "revoked"},
        of="wang",
        terms={**UNLIMITED, "policy": Policy(revoked_per_command=0)},
    ),
    only_a_revoked_code_is_settled=Case("reserve revokemore=unchanged", balance=(0, 1)),
)
def test_revocation_leads_to(case: Case) -> None:
    case.check()


def test_revoked_code_is_shown_as_such() -> None:
    history = History("deliver wang.reserve revoke", **OPEN)

    assert history.code.state(history.now) == "revoked"
    assert getattr(history.events[-1], "caused_by", None) == history.code.revoked_by
    assert getattr(history.events[-1], "reservation_id", None) == history.ids["wang"]


def test_one_command_settles_a_bounded_number_and_further_ones_the_rest() -> None:
    """A code may hold a hundred thousand."""
    people = " ".join(f"p{number}.reserve" for number in range(8))
    history = History(f"{people} revoke", **UNLIMITED, policy=Policy(revoked_per_command=3))

    assert history.code.reserved == 5
    history.run_steps("revokemore=changed revoke=changed")
    assert history.code.reserved == 0
    history.run_steps("revokemore=unchanged")
    assert history.kinds.count("CodeRevoked") == 1


def test_cases_beyond_the_ids_are_left_to_the_next_command() -> None:
    """Ids are random, so they come from outside, and only so many."""
    history = History("reserve lost wang.reserve wang.lost zhao.reserve revoke:1", **UNLIMITED)

    assert history.kinds.count("CaseOpened") == 1
    assert history.of("zhao").status == "refunded"
    history.continue_revocation(cases=1)
    case_events = [event for event in history.events if isinstance(event, CaseOpened)]
    assert {event.caused_by for event in case_events} == {history.code.revoked_by}


@pytest.mark.parametrize("kind", [ContinueRevocation, RevokeCode])
def test_only_a_code_that_exists_is_revoked(kind: type[ContinueRevocation | RevokeCode]) -> None:
    scenario = Scenario()

    command = kind(context=scenario.context("sweep"), code_id=UUID(int=1), case_ids=())
    assert refusal(scenario.run(command)) == "NOT_FOUND"
