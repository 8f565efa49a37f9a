"""Claiming an attempt: it begins under a lease, and what is overdue comes first."""

from uuid import UUID

from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.events.reservation import InviteAttempted, InviteOutcomeUnknown
from tests.support.ledger.scenario import LOST, Scenario, back_off, done


def test_claim_records_the_lease_that_lapsed_before_it() -> None:
    """A worker that died may have sent: the next claim says so, and the retry waits as after any attempt."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id, worker="w1")
    scenario.passes(scenario.policy.lease_s)

    done(scenario.claim(reservation_id, worker="w2"))

    unknown = scenario.events[-1]
    assert isinstance(unknown, InviteOutcomeUnknown)
    assert (unknown.cause, unknown.server) == ("lease_expired", None)
    assert unknown.retry_at == scenario.now + back_off(scenario.policy, reservation_id, 1)


def test_claim_names_the_channel_of_the_reservation_s_group() -> None:
    channels = {}
    for group in ("blue", "red", None):
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
        channels[group] = attempted.channel

    assert channels == {"blue": "webhook", "red": "smtp", None: "smtp"}


def test_claim_past_the_deadline_of_an_unknown_outcome_opens_its_case() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)
    scenario.passes(2000)
    case_id, context = UUID(int=5), scenario.context("worker", "t1", "w1")

    done(scenario.run(ClaimAttempt(context=context, reservation_id=reservation_id, channel="smtp", case_id=case_id)))

    assert scenario.kinds[-1] == "CaseOpened"
    assert scenario.reservation(reservation_id).case_id == case_id
