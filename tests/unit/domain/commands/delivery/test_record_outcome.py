"""Claiming, sending and recording: leases, back-off, unknowns, deferrals and refunds."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.commands.delivery.claim_attempt import ClaimAttempt, is_claimed_by
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.events.reservation import CaseOpened, InviteAttempted, InviteDeferred, InviteFailed, UseRefunded
from domain.policy import Policy
from domain.ports import ADDRESS_MISMATCH, OutcomeUnknown, Rejected
from tests.support.ledger.scenario import BUSY, SENT, START, Scenario, back_off, done
from tests.unit.domain.histories import Case, History, cases, later


@cases(
    claimed_use_is_only_reserved=Case("reserve claim", balance=(0, 1)),
    sent_invitation_counts_the_use=Case(
        "reserve claim answer:sent", kinds="UseReserved InviteAttempted InviteSent", balance=(1, 0)
    ),
    sent_reservation_is_not_claimed=Case("reserve sent claim=unchanged"),
    refunded_reservation_is_not_claimed=Case("reserve refund claim=unchanged"),
    second_success_is_not_recorded_twice=Case("deliver answer:sent@1=unchanged"),
    refused_address_refunds_the_use_in_the_same_commit=Case(
        "reserve refused",
        ends="InviteFailed UseRefunded",
        balance=(0, 0),
        last={"cause": "address_refused", "held": "reserved", "caused_by": 4},
    ),
    refused_address_leaves_the_code_to_others=Case("reserve refused wang.redeem=changed"),
    use_is_refunded_once_after_the_last_attempt=Case(
        "reserve busy claim=unchanged 300s busy claim=unchanged 300s busy 300s settle=unchanged",
        kinds="UseReserved" + " InviteAttempted InviteFailed" * 3 + " UseRefunded",
        balance=(0, 0),
        terms={"policy": Policy(attempts_max=3)},
    ),
    no_attempt_is_planned_past_the_deadline=Case(
        "reserve busy", ends="InviteFailed UseRefunded", terms={"policy": Policy(reservation_ttl_s=8, retry_first_s=10)}
    ),
    deadline_refunds_the_use_once=Case(
        "reserve 1799s settle=unchanged 1s settle settle=unchanged", kinds="UseReserved UseRefunded"
    ),
    claim_past_the_deadline_refunds_instead=Case("reserve 1801s claim", kinds="UseReserved UseRefunded"),
    lost_connection_after_data_is_unknown=Case("reserve lost", has={"public_state": "unknown"}),
    lost_connection_after_data_is_retried=Case(
        "reserve lost 10s sent",
        kinds="UseReserved InviteAttempted InviteOutcomeUnknown InviteAttempted InviteSent",
        has={"delivery": 1},
    ),
    # A worker that died may have sent: anyone who sees it records that it is unknown.
    lapsed_lease_is_unknown=Case("reserve claim 59s settle=unchanged 1s settle", ends="InviteOutcomeUnknown"),
    unknown_is_parked_not_refunded=Case(
        "reserve lost 2000s settle settle=unchanged", ends="CaseOpened", balance=(0, 1), has={"due_at": None}
    ),
    # The first, unknown attempt may have arrived, so a later 550 refunds nothing.
    sure_failure_after_an_unknown_is_parked=Case("reserve lost 10s refused", ends="InviteFailed CaseOpened"),
    late_success_closes_the_case=Case(
        "reserve claim 2000s settle answer:sent@1",
        ends="InviteOutcomeUnknown CaseOpened InviteSent CaseClosed",
        balance=(1, 0),
    ),
    stale_failure_is_dropped=Case("reserve claim 61s settle 30s claim:w2 answer:refused@1=unchanged"),
    lease_outlasts_the_deadline=Case("reserve 1795s claim 10s settle=unchanged answer:sent", balance=(1, 0)),
    deferral_has_an_end=Case(
        "reserve later:7200", ends="InviteFailed UseRefunded", terms={"policy": Policy(deferrals_s_max=3600)}
    ),
    deferral_names_the_delivery_that_waits=Case(
        "deliver resend later:3600", ends="InviteDeferred", last={"delivery": 2, "attempt": 2}
    ),
    # A full team is not a failure.
    deferral_spends_no_attempt_and_moves_the_deadline=Case(
        "reserve later:7200",
        has={
            "attempts": 0,
            "next_attempt_at": START + timedelta(seconds=7200),
            "deadline": START + timedelta(seconds=7200 + 1800),
            "public_state": "waiting",
        },
    ),
    deferral_ends_with_another_attempt=Case("reserve later:7200 7200s claim=changed", ends="InviteAttempted"),
    staff_refund_a_sent_use_once=Case(
        "deliver refund refund#r2=RESERVATION_NOT_REFUNDABLE", ends="UseRefunded", balance=(0, 0)
    ),
    # A commit whose answer was lost is found again by its request.
    same_refund_asked_again_is_the_same_refund=Case("deliver refund#r1 refund#r1=unchanged"),
    reset_refuses_what_is_leased=Case("reserve claim reset=RESERVATION_NOT_REFUNDABLE/leased"),
    reset_refuses_what_is_unknown=Case("reserve lost reset=RESERVATION_NOT_REFUNDABLE/unknown"),
    reset_refuses_what_is_sent=Case("reserve sent reset=RESERVATION_NOT_REFUNDABLE/sent"),
)
def test_attempt_leads_to_its_outcome(case: Case) -> None:
    case.check()


def test_second_worker_does_nothing() -> None:
    history = History("reserve claim:w1")

    result = done(history.claim(history.ids["li"], worker="w2"))

    assert not result.changed
    assert not is_claimed_by(result.require_reservation(), history.context("worker", "t1", "w2"))
    assert is_claimed_by(result.require_reservation(), history.context("worker", "t1", "w1"))


def test_claim_records_the_lease_that_lapsed_before_it() -> None:
    """A worker that died may have sent: the next claim says so, and the retry waits as after any attempt."""
    policy = Policy()
    history = Case(f"reserve claim:w1 {policy.lease_s}s claim:w2", ends="InviteOutcomeUnknown").check()
    wait = back_off(policy, history.ids["li"], 1)

    event = history.events[-1]
    assert [getattr(event, name) for name in ("cause", "server", "retry_at")] == [
        "lease_expired",
        None,
        history.now + wait,
    ]


@pytest.mark.parametrize(("group", "channel"), [("blue", "webhook"), ("red", "smtp"), (None, "smtp")])
def test_claim_names_the_channel_of_the_reservation_s_group(group: str | None, channel: str) -> None:
    scenario = Scenario(group=group)
    command = ClaimAttempt(
        context=scenario.context("worker", "t1", "w1"),
        reservation_id=scenario.reserved(),
        channel="smtp",
        case_id=scenario.new_id(),
        by_group={"blue": "webhook"},
    )

    done(scenario.run(command))

    attempted = scenario.events[-1]
    assert isinstance(attempted, InviteAttempted)
    assert attempted.channel == channel


def test_claim_past_the_deadline_of_an_unknown_outcome_opens_its_case() -> None:
    history = History("reserve lost 2000s")
    case_id, context = UUID(int=5), history.context("worker", "t1", "w1")

    done(history.run(ClaimAttempt(context=context, reservation_id=history.ids["li"], channel="smtp", case_id=case_id)))

    assert history.kinds[-1] == "CaseOpened"
    assert history.of().case_id == case_id


def waits_after(history: History, outcomes: str) -> list[float]:
    """The seconds until the next attempt after each outcome, each of which is waited for."""
    waits = []
    for outcome in outcomes.split():
        history.run_steps(outcome)
        next_at = history.of().next_attempt_at
        assert next_at is not None
        assert getattr(history.events[-1], "retry_at", None) == next_at
        waits.append((next_at - history.now).total_seconds())
        history.passes(waits[-1])
    return waits


@pytest.mark.parametrize("outcome", ["busy", "lost"])
def test_pause_doubles_after_each_failure_also_after_a_lost_connection(outcome: str) -> None:
    """It is kept in the events. No reply can come on a closed connection, so nothing but the back-off is waited for."""
    history = History("reserve")

    shares = [wait / (5 * 2**number) for number, wait in enumerate(waits_after(history, " ".join([outcome] * 4)))]

    assert min(shares) >= 1
    assert max(shares) < 1.25
    assert history.balance == (0, 1)


def test_connection_failures_wait_longer_each_time_up_to_a_bound() -> None:
    waits = waits_after(History("reserve"), "unreachable " * 6 + "busy unreachable")

    assert [5 * 2 ** min(number, 4) <= wait <= 75 for number, wait in enumerate(waits[:4])] == [True] * 4
    assert all(60 <= wait <= 75 for wait in waits[4:6])
    assert all(5 <= wait <= 6.25 for wait in waits[6:])


def test_connection_failure_spends_no_attempt() -> None:
    """A greeting of 421 is about the connection: however often it comes, the message keeps all its attempts."""
    policy = {"policy": Policy(attempts_max=2)}
    refused = "reserve " + "unreachable 75s " * 10

    Case(refused, has={"status": "live", "attempts": 0, "last_attempt": 10}, terms=policy).check()
    Case(refused + "busy", has={"attempts": 1}, terms=policy).check().run_steps("75s sent")
    Case(refused + "busy 75s sent", balance=(1, 0), terms=policy).check()


def test_connection_failures_end_with_the_deadline() -> None:
    """A server that never lets us in does not hold a use for longer than its time."""
    history = History("reserve", policy=Policy(reservation_ttl_s=200))
    while history.balance == (0, 1):
        history.run_steps("unreachable 75s")

    refund = history.events[-1]
    assert isinstance(refund, UseRefunded)
    assert refund.at - START <= timedelta(seconds=200 + 75)
    assert history.kinds.count("InviteAttempted") <= 4


class ReplyDraft:
    text_id = UUID(int=7)


def record(history: History, **fields: Any) -> None:
    command = RecordOutcome(
        context=history.context("worker"), reservation_id=history.ids["li"], delivery=1, attempt=1, **fields
    )
    done(history.run(command))


def test_reply_of_a_server_is_named_by_the_failure() -> None:
    """The words themselves go to the vault."""
    history = History("reserve claim")

    record(history, outcome=BUSY, case_id=history.new_id(), reply=ReplyDraft())

    failed = history.events[-1]
    assert isinstance(failed, InviteFailed)
    assert failed.text_id == ReplyDraft.text_id


def test_altered_address_becomes_a_case_and_no_refund() -> None:
    """Only staff can decide what becomes of the use; the case is caused by the failure."""
    history = History("reserve claim")
    outcome = Rejected(server="vault", reason=ADDRESS_MISMATCH, final=True, needs_review=True)

    record(history, outcome=outcome, case_id=UUID(int=5))

    failed, case = history.events[-2:]
    assert isinstance(failed, InviteFailed)
    assert isinstance(case, CaseOpened)
    assert (case.reservation_id, case.case_id, case.cause) == (history.ids["li"], UUID(int=5), "address_mismatch")
    assert case.caused_by == history.code.version - 1
    assert history.balance == (0, 1)


@pytest.mark.parametrize("is_later", [True, False])
def test_attempt_is_retried_only_before_the_deadline(*, is_later: bool) -> None:
    """A retry at the deadline itself would come too late."""
    history = History("reserve claim")
    retry_at = history.now + back_off(history.policy, history.ids["li"], 1)
    history.set_deadline(history.ids["li"], retry_at + timedelta(microseconds=int(is_later)))

    history.run_steps("answer:busy")

    assert history.kinds[-1] == ("InviteFailed" if is_later else "UseRefunded")


@pytest.mark.parametrize("asked_s", [-60, 0, 4])
def test_channel_is_asked_again_after_the_first_retry_at_the_earliest(asked_s: int) -> None:
    """A channel that asks for less, or for a time that has passed, does not make us insist."""
    scenario = Scenario()

    scenario.attempt(scenario.reserved(), later(asked_s))

    deferred = scenario.events[-1]
    assert isinstance(deferred, InviteDeferred)
    assert deferred.until == START + timedelta(seconds=5)
    assert deferred.deadline == START + timedelta(seconds=1805)


@pytest.mark.parametrize("is_before", [True, False])
def test_deferral_up_to_the_limit_fails(*, is_before: bool) -> None:
    scenario = Scenario(policy=Policy(deferrals_s_max=7200))
    limit = START + timedelta(seconds=7200)
    until = limit - timedelta(microseconds=int(is_before))

    scenario.attempt(scenario.reserved(), later((until - START).total_seconds()))

    deferrals = [(event.until, event.deadline) for event in scenario.events if isinstance(event, InviteDeferred)]
    assert deferrals == ([(until, limit)] if is_before else [])
    assert scenario.balance == (0, 1 if is_before else 0)


def test_retry_after_an_unknown_outcome_waits_while_the_server_may_still_reply() -> None:
    """A reply that comes in that time is the first email's; without time left, staff decide."""
    scenario = Scenario()
    first = scenario.reserved("li")
    scenario.attempt(first, OutcomeUnknown(server="mx:25", cause="timeout", retry_after_s=600))
    waiting = scenario.reservation(first)
    scenario.outcome(first, SENT, attempt=1)
    scenario.issue(b"other")
    second = done(scenario.redeem("wang", code=b"other")).require_reservation().reservation_id
    scenario.attempt(second, OutcomeUnknown(server="mx:25", cause="timeout", retry_after_s=1800))

    assert waiting.next_attempt_at == START + timedelta(seconds=600)
    assert scenario.reservation(first).status == "sent"
    assert scenario.reservation(second).case_id is not None
