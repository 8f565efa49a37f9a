"""What follows one attempt, by the rules of its kind; `judgments.txt` of the workers' tests has what each kind does."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from domain.judgment import (
    EARLIER_ATTEMPT,
    HAND_OUT,
    LEASE_LOST,
    NOTICE,
    REMINDER,
    Again,
    Attempts,
    Done,
    End,
    Rules,
    as_failure,
    invitation_rules,
    judge,
    postpone,
    removal_rules,
)
from domain.policy import Policy
from domain.ports import NotifiedOnly, OutcomeUnknown, Rejected, RetryLater
from tests.support.ledger.scenario import BUSY, LOST, NO_CONNECTION, REFUSED, SENT, START

STEPS = UUID(bytes=bytes([0, 64, 128, 255, *[0] * 12]))
"""Jitter in parts of 256 of a quarter, by the number of the attempt."""
EVEN = invitation_rules(Policy(attempts_max=99, reconnect_longest_s=300))
"""With the same waits for both."""
INVITATION, REMOVAL = invitation_rules(Policy()), removal_rules(Policy())
EVERY_KIND = [INVITATION, HAND_OUT, NOTICE, REMINDER, REMOVAL]
TICK = timedelta(microseconds=1)
HOUR = RetryLater(server="team", reason="team_full", wait=timedelta(hours=1))


def seconds(judgment: Done | Again | End) -> float:
    assert isinstance(judgment, Again)
    return (judgment.at - START).total_seconds()


@pytest.mark.parametrize("rules", EVERY_KIND)
def test_accepted_is_done_and_final_has_ended(rules: Rules) -> None:
    attempts = Attempts(now=START, number=1)

    assert judge(SENT, attempts, rules) == Done()
    assert judge(NotifiedOnly(server="mx"), attempts, rules) == Done()
    assert judge(REFUSED, attempts, rules) == End(REFUSED)


@pytest.mark.parametrize("rules", EVERY_KIND)
def test_last_attempt_ends_it(rules: Rules) -> None:
    assert judge(BUSY, Attempts(now=START, number=rules.attempts_max), rules) == End(BUSY)
    assert isinstance(judge(BUSY, Attempts(now=START, number=rules.attempts_max - 1), rules), Again)


@pytest.mark.parametrize(
    ("number", "wait_s"),
    [(1, 5 * 17 / 16), (2, 10 * 9 / 8), (3, 20 * 1279 / 1024), (16, 300), (17, 300 * 17 / 16)],
)
def test_jitter_is_that_of_the_id_and_the_attempt(number: int, wait_s: float) -> None:
    """A byte of the id, so that a burst spreads and replays exactly."""
    attempts = Attempts(now=START, number=number, connection_failures=number, spread_by=STEPS)
    at = START + timedelta(seconds=wait_s)

    assert judge(BUSY, attempts, EVEN) == Again(at, counts=True)
    assert judge(NO_CONNECTION, replace(attempts, number=9), EVEN) == Again(at, counts=False)


def test_wait_for_a_connection_has_a_lower_bound() -> None:
    """A minute, or the bound of the other waits where that is less; it ignores how many attempts count."""

    def waits(policy: Policy) -> list[float]:
        rules = invitation_rules(policy)
        return [
            seconds(judge(NO_CONNECTION, Attempts(now=START, number=99, connection_failures=failures), rules))
            for failures in (1, 4, 5, 9)
        ]

    assert waits(Policy()) == [5, 40, 60, 60]
    assert waits(Policy(retry_longest_s=20)) == [5, 20, 20, 20]


@pytest.mark.parametrize("outcome", [BUSY, LOST, NO_CONNECTION, None])
def test_no_attempt_begins_at_the_deadline(outcome: Rejected | OutcomeUnknown | None) -> None:
    deadline = START + timedelta(seconds=5)

    assert isinstance(judge(outcome, Attempts(now=START, number=1, deadline=deadline), INVITATION), End)
    assert judge(outcome, Attempts(now=START, number=1, deadline=deadline + TICK), INVITATION) == Again(
        deadline, counts=outcome is not NO_CONNECTION
    )


def test_later_has_a_limit_that_is_not_the_deadline() -> None:
    latest = START + HOUR.wait
    attempts = Attempts(now=START, number=99, deadline=START, latest=latest)

    assert judge(HOUR, attempts, INVITATION) == End(as_failure(HOUR))
    assert judge(HOUR, replace(attempts, latest=latest + TICK), INVITATION) == Again(latest, counts=False)
    assert seconds(judge(replace(HOUR, wait=timedelta(0)), replace(attempts, latest=latest), INVITATION)) == 5


def test_wait_is_the_requested_time_up_to_a_bound() -> None:
    attempts, month = Attempts(now=START, number=2), replace(HOUR, wait=timedelta(days=30))

    assert seconds(judge(HOUR, attempts, HAND_OUT)) == 3600
    assert seconds(judge(month, attempts, HAND_OUT)) == 86_400
    assert seconds(judge(replace(HOUR, wait=timedelta(0)), attempts, HAND_OUT)) == 120
    assert seconds(judge(replace(LOST, retry_after_s=600.0), attempts, HAND_OUT)) == 600


def test_sending_without_a_connection_has_ended_at_its_age() -> None:
    assert NOTICE.connection_max is not None
    begun_at = START - NOTICE.connection_max
    attempts = Attempts(now=START, number=1, begun_at=begun_at)

    assert judge(NO_CONNECTION, attempts, NOTICE) == End(NO_CONNECTION, counts=False)
    assert isinstance(judge(NO_CONNECTION, replace(attempts, begun_at=begun_at + TICK), NOTICE), Again)
    assert isinstance(judge(NO_CONNECTION, replace(attempts, begun_at=None), NOTICE), Again)
    assert isinstance(judge(BUSY, attempts, NOTICE), Again)


@pytest.mark.parametrize("last", [REFUSED, HOUR])
def test_end_after_an_unknown_outcome_is_unknown(last: Rejected | RetryLater) -> None:
    """A server that refuses a repeat says nothing about the message that it may have accepted before."""
    attempts = Attempts(now=START, number=HAND_OUT.attempts_max, may_have_arrived=True)

    assert judge(last, attempts, HAND_OUT) == End(OutcomeUnknown(server=last.server, cause=EARLIER_ATTEMPT))
    assert judge(LOST, attempts, HAND_OUT) == End(LOST)
    assert judge(SENT, attempts, HAND_OUT) == Done()


def test_channel_that_asks_for_time_after_the_last_attempt_has_failed() -> None:
    """With the word that it gave as its reason, as invitations have it."""
    failed = Rejected(server="team", reason="team_full", final=True)

    assert as_failure(HOUR) == failed
    assert [judge(HOUR, Attempts(now=START, number=rules.attempts_max), rules) for rules in EVERY_KIND[1:]] == [
        End(failed)
    ] * 4


def test_unknown_outcome_ends_emails_that_must_not_arrive_twice() -> None:
    attempts = Attempts(now=START, number=1)

    assert [judge(LOST, attempts, rules) == End(LOST) for rules in EVERY_KIND] == [False, False, True, True, False]
    assert [isinstance(judge(None, attempts, rules), End) for rules in EVERY_KIND] == [False, False, False, True, False]
    assert judge(None, attempts, REMINDER) == End(LEASE_LOST)
    assert judge(None, replace(attempts, number=HAND_OUT.attempts_max), HAND_OUT) == End(LEASE_LOST)


def test_postponed_attempt_waits_as_one_without_a_connection() -> None:
    """It takes no attempt."""
    assert [(postpone(START, rules) - START).total_seconds() for rules in EVERY_KIND] == [5, 60, 60, 60, 60]
