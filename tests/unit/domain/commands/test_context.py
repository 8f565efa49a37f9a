"""What all events of a command share: the time at which it takes effect, and who asked."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import pytest

from domain.commands.access.rebind import RebindReservation
from domain.commands.access.settle_access import SettleAccess
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.context import CommandContext, EventStamp, event_stamp
from domain.policy import Policy
from domain.ports import Accepted, Rejected
from tests.support.ledger.scenario import BUSY, LOST, SENT, START, Scenario, done

BATCH = UUID(int=9)
Step = Callable[[Scenario, UUID], object]


def test_stamp_names_time_actor_and_request() -> None:
    context = CommandContext(
        now=START, actor="staff", actor_id="s1", approved_by="s2", request_id="r1", correlation_id=BATCH
    )
    names = {"actor": "staff", "actor_id": "s1", "approved_by": "s2"}
    shared = {"at": START, **names, "request_id": "r1", "correlation_id": BATCH}
    scenario = Scenario()

    assert event_stamp(context, None) == EventStamp(START, START, shared)
    assert event_stamp(context, scenario.code) == EventStamp(START, START, shared)


def test_stamp_is_the_last_event_s_time_when_the_clock_went_back() -> None:
    scenario = Scenario()
    earlier = START - timedelta(microseconds=1)

    stamp = event_stamp(CommandContext(now=earlier, actor="sweep"), scenario.code)

    assert stamp.at == START
    assert (stamp.fields["at"], stamp.fields["recorded_at"]) == (START, earlier)


class NoteDraft:
    text_id = UUID(int=7)


def note_on_code(scenario: Scenario, _: UUID) -> object:
    return scenario.run(NoteOnCode(context=scenario.context("staff"), code_id=scenario.code_id, note=NoteDraft()))


def note_on_reservation(scenario: Scenario, reservation_id: UUID) -> object:
    return scenario.run(
        NoteOnReservation(context=scenario.context("staff"), reservation_id=reservation_id, note=NoteDraft())
    )


def change_terms(scenario: Scenario, _: UUID) -> object:
    return scenario.run(
        ChangeTerms(context=scenario.context("staff"), code_id=scenario.code_id, changes={"max_uses": 7})
    )


def set_back_clock(scenario: Scenario) -> None:
    scenario.passes(-60)


RESERVED: Final[dict[str, Step]] = {
    "redeem": lambda scenario, _: scenario.redeem("mei"),
    "claim": lambda scenario, reservation_id: scenario.claim(reservation_id),
    "refund": lambda scenario, reservation_id: scenario.refund(reservation_id),
    "cancel": lambda scenario, reservation_id: scenario.cancel(reservation_id),
    "correct": lambda scenario, reservation_id: scenario.correct(reservation_id, "mei"),
    "pause": lambda scenario, _: scenario.pause(),
    "revoke": lambda scenario, _: scenario.revoke(),
    "note_on_code": note_on_code,
    "note_on_reservation": note_on_reservation,
    "change_terms": change_terms,
}


@pytest.mark.parametrize("step", RESERVED.values(), ids=RESERVED)
def test_command_on_a_pending_reservation_takes_effect_after_the_last_event(step: Step) -> None:
    scenario = Scenario(max_uses=3, bound=False)
    reservation_id = scenario.reserved()
    check_after_clock_went_back(scenario, reservation_id, step)


SENT_STEPS: Final[dict[str, Step]] = {
    "refund": lambda scenario, reservation_id: scenario.refund(reservation_id),
    "resend": lambda scenario, reservation_id: scenario.resend(reservation_id),
    "accept": lambda scenario, reservation_id: scenario.accept(reservation_id),
    "bounce": lambda scenario, reservation_id: scenario.bounce(reservation_id),
    "correct": lambda scenario, reservation_id: scenario.correct(reservation_id, "mei"),
    "removed": lambda scenario, reservation_id: scenario.removed(reservation_id),
    "rebind": lambda scenario, reservation_id: scenario.run(
        RebindReservation(
            context=scenario.context("staff"),
            reservation_id=reservation_id,
            new_reservation_id=scenario.new_id(),
            group="blue",
        )
    ),
    "outage": lambda scenario, reservation_id: scenario.outage(reservation_id, include_sent=True),
}


@pytest.mark.parametrize("step", SENT_STEPS.values(), ids=SENT_STEPS)
def test_command_on_a_sent_reservation_takes_effect_after_the_last_event(step: Step) -> None:
    scenario = Scenario(max_uses=3, bound=False, validity_days=30)
    reservation_id = scenario.sent()
    check_after_clock_went_back(scenario, reservation_id, step)


@pytest.mark.parametrize("outcome", [SENT, BUSY, LOST, Rejected(server="mx:25", reason="gone", final=True)])
def test_outcome_takes_effect_after_the_last_event(outcome: Accepted | Rejected) -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    check_after_clock_went_back(
        scenario, reservation_id, lambda scenario, reservation_id: scenario.outcome(reservation_id, outcome)
    )


def check_after_clock_went_back(scenario: Scenario, reservation_id: UUID, step: Step) -> None:
    """Take a step a minute before the last event."""
    last_at, before = scenario.code.last_at, len(scenario.events)
    set_back_clock(scenario)

    step(scenario, reservation_id)

    added = scenario.events[before:]
    assert added
    assert {(event.at, event.recorded_at) for event in added} == {(last_at, last_at - timedelta(seconds=60))}


def test_settlement_of_a_lapsed_lease_takes_effect_after_the_last_event() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.passes(scenario.policy.lease_s + 60)
    note_on_code(scenario, reservation_id)

    check_after_clock_went_back(scenario, reservation_id, lambda scenario, reserved: scenario.settle(reserved))


def test_end_of_an_access_takes_effect_after_the_last_event() -> None:
    scenario = Scenario(validity_days=1)
    reservation_id = scenario.sent()
    scenario.passes(86_400 + 60)
    note_on_code(scenario, reservation_id)

    def settle(scenario: Scenario, reservation_id: UUID) -> object:
        return scenario.run(SettleAccess(context=scenario.context("sweep"), reservation_id=reservation_id))

    check_after_clock_went_back(scenario, reservation_id, settle)


def test_resolution_of_a_case_takes_effect_after_the_last_event() -> None:
    scenario = Scenario()

    check_after_clock_went_back(
        scenario, scenario.parked(), lambda scenario, parked: scenario.resolve(parked, "refunded")
    )


def test_removal_and_the_release_that_follows_take_effect_after_the_last_event() -> None:
    scenario = Scenario(group="TEAM", channel="webhook")
    wrong = scenario.sent("ly")
    done(scenario.correct(wrong, "li"))

    check_after_clock_went_back(scenario, wrong, lambda scenario, removed: scenario.removal(removed, SENT))
    assert scenario.kinds[-2:] == ["AccessRemoved", "InviteReleased"]


def test_continued_revocation_takes_effect_after_the_last_event() -> None:
    scenario = Scenario(max_uses=3, bound=False, policy=Policy(revoked_per_command=1))
    reservation_id, _ = (scenario.reserved(person) for person in ("li", "mei"))
    scenario.revoke()

    check_after_clock_went_back(scenario, reservation_id, lambda scenario, _: scenario.continue_revocation())


def test_replaced_access_ends_when_its_rebind_is_sent_although_the_clock_went_back() -> None:
    scenario = Scenario(max_uses=3, group="red")
    context, former = scenario.context("staff", "s1"), scenario.sent()
    command = RebindReservation(
        context=context, reservation_id=former, new_reservation_id=scenario.new_id(), group="blue"
    )
    rebind = done(scenario.run(command)).require_reservation().reservation_id
    scenario.claim(rebind)

    check_after_clock_went_back(scenario, rebind, lambda scenario, moved: scenario.outcome(moved, SENT))
    assert scenario.kinds[-1] == "AccessReplaced"
