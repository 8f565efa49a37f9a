"""Notes stand in the history and change nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.command_bus import Command
from domain.commands.access.rebind import RebindReservation
from domain.commands.access.settle_access import SettleAccess
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.code.change_terms import ChangeTerms
from domain.ports import Rejected
from domain.results import Result
from tests.support.ledger.scenario import SENT, Scenario, done, refusal


@dataclass(frozen=True)
class Text:
    text_id: UUID


def noted(scenario: Scenario, reservation_id: UUID, text: int = 1) -> Result:
    note = Text(UUID(int=text))
    return scenario.run(
        NoteOnReservation(context=scenario.context("staff", "n1"), reservation_id=reservation_id, note=note)
    )


def test_note_changes_no_state() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    before = scenario.reservation(reservation_id)

    noted(scenario, reservation_id)

    after = scenario.reservation(reservation_id)
    assert after.versions == (*before.versions, scenario.code.version)
    assert replace(after, versions=before.versions) == before


def test_nothing_follows_from_a_note() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    noted(scenario, reservation_id)

    scenario.attempt(reservation_id, SENT)

    assert scenario.events[-2].caused_by == 2


def test_same_note_twice_is_one() -> None:
    """Two clicks, or a lost answer; also where the store knows it from long ago."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    code_note = NoteOnCode(context=scenario.context("staff"), code_id=scenario.code_id, note=Text(UUID(int=7)))

    assert [done(noted(scenario, reservation_id)).changed for _ in range(2)] == [True, False]
    assert [done(scenario.run(code_note)).changed for _ in range(2)] == [True, False]
    scenario.working_set.known_texts.add(UUID(int=9))
    assert not done(noted(scenario, reservation_id, 9)).changed
    assert scenario.kinds == ["UseReserved", "NoteAdded", "CodeNoted"]


def test_note_needs_something_that_exists() -> None:
    scenario = Scenario()
    context, note = scenario.context("staff"), Text(UUID(int=7))

    assert refusal(noted(scenario, UUID(int=1))) == "NOT_FOUND"
    assert refusal(scenario.run(NoteOnCode(context=context, code_id=UUID(int=1), note=note))) == "NOT_FOUND"


REASON = UUID(int=77)


class NotedScenario(Scenario):
    """A scenario in which staff give a reason with every command that takes one."""

    def run(self, command: Command) -> Result:
        return super().run(replace(command, note=Text(REASON)) if hasattr(command, "note") else command)


def rebind(scenario: Scenario, reservation_id: UUID) -> Result:
    new_id = scenario.new_id()
    context = scenario.context("staff", "s1")
    return scenario.run(
        RebindReservation(context=context, reservation_id=reservation_id, new_reservation_id=new_id, group="blue")
    )


def change_terms(scenario: Scenario, _: UUID) -> Result:
    return scenario.run(
        ChangeTerms(context=scenario.context("staff"), code_id=scenario.code_id, changes={"max_uses": 7})
    )


PENDING: Final[dict[str, Callable[[Scenario, UUID], Result]]] = {
    "cancel": lambda scenario, reservation_id: scenario.cancel(reservation_id),
    "refund": lambda scenario, reservation_id: scenario.refund(reservation_id),
    "correct": lambda scenario, reservation_id: scenario.correct(reservation_id, "mei"),
    "pause": lambda scenario, _: scenario.pause(),
    "revoke": lambda scenario, _: scenario.revoke(),
    "change terms": change_terms,
}
SENT_STEPS: Final[dict[str, Callable[[Scenario, UUID], Result]]] = {
    "rebind": rebind,
    "resend": lambda scenario, reservation_id: scenario.resend(reservation_id),
    "refund": lambda scenario, reservation_id: scenario.refund(reservation_id, revoke_access=True),
}
PARKED: Final[dict[str, Callable[[Scenario, UUID], Result]]] = {
    resolution: lambda scenario, reservation_id, resolution=resolution: scenario.resolve(  # type: ignore[misc]  # bound at once
        reservation_id, resolution
    )
    for resolution in ("sent", "refunded", "retry")
}


def texts_after(scenario: Scenario, reservation_id: UUID, step: Callable[[Scenario, UUID], Result]) -> list[UUID]:
    before = len(scenario.events)
    assert done(step(scenario, reservation_id)).changed
    texts = (getattr(event, "text_id", None) for event in scenario.events[before:])
    return [text for text in texts if text is not None]


@pytest.mark.parametrize("step", PENDING.values(), ids=PENDING)
def test_reason_is_kept_with_staff_actions_on_a_pending_reservation(step: Callable[..., Result]) -> None:
    scenario = NotedScenario(max_uses=3)

    assert texts_after(scenario, scenario.reserved(), step) == [REASON]


@pytest.mark.parametrize("step", SENT_STEPS.values(), ids=SENT_STEPS)
def test_reason_is_kept_with_staff_actions_on_a_sent_reservation(step: Callable[..., Result]) -> None:
    scenario = NotedScenario(max_uses=3, group="red")

    assert set(texts_after(scenario, scenario.sent(), step)) == {REASON}


@pytest.mark.parametrize("step", PARKED.values(), ids=PARKED)
def test_reason_is_kept_with_how_staff_resolved_a_case(step: Callable[..., Result]) -> None:
    scenario = NotedScenario(max_uses=3)

    assert REASON in texts_after(scenario, scenario.parked(), step)


def test_reason_is_kept_with_how_staff_resolved_a_bounce() -> None:
    """The use stays counted, so only the end of the case names it."""
    scenario = NotedScenario(max_uses=3)
    reservation_id = scenario.sent()
    scenario.bounce(reservation_id)

    assert texts_after(scenario, reservation_id, PARKED["sent"]) == [REASON]


def test_reason_is_kept_with_how_staff_settled_a_removal() -> None:
    scenario = NotedScenario(max_uses=3, validity_days=1, channel="webhook")
    reservation_id = scenario.sent()
    scenario.passes(86_400)
    scenario.run(SettleAccess(context=scenario.context("sweep"), reservation_id=reservation_id))
    scenario.removal(reservation_id, Rejected(server="team", reason="gone", final=True))

    assert texts_after(scenario, reservation_id, PARKED["sent"]) == [REASON]


def test_reason_is_kept_with_a_late_success_that_stays_refunded() -> None:
    """Another person has the use, so only the case ends."""
    scenario = NotedScenario(max_uses=1, bound=False)
    reservation_id = scenario.given_back()
    scenario.sent("wang")
    scenario.outcome(reservation_id, SENT, attempt=2)

    assert texts_after(scenario, reservation_id, PARKED["refunded"]) == [REASON]
