"""Notes stand in the history and change nothing; reasons stand with what staff did."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.command_bus import Command
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.results import Result
from tests.support.ledger.scenario import SENT, Scenario, done, refusal
from tests.unit.domain.histories import History


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


class NotedHistory(History):
    """A history in which staff give a reason with every command that takes one."""

    def run(self, command: Command) -> Result:
        return super().run(replace(command, note=Text(REASON)) if hasattr(command, "note") else command)


@pytest.mark.parametrize(
    ("steps_before", "step", "terms"),
    [
        *(("reserve", step, {}) for step in ("cancel", "refund", "correct:mei", "pause", "revoke", "limit:7")),
        # Of a rebind, its own reservation says it.
        *(("deliver", step, {"group": "red"}) for step in ("rebind:blue#s1", "resend", "refund+")),
        *(("park", f"resolve:{how}", {}) for how in ("sent", "refunded", "retry")),
        # The use stays counted, so only the end of the case names it.
        ("deliver bounce", "resolve:sent", {}),
        ("deliver 1d look removal:never", "resolve:sent", {"validity_days": 1, "channel": "webhook"}),
        # Another person has the use, so only the case ends.
        ("fail wang.deliver answer:sent@2", "resolve:refunded", {"max_uses": 1, "bound": False}),
    ],
)
def test_reason_is_kept_with_what_staff_did(steps_before: str, step: str, terms: dict[str, Any]) -> None:
    history = NotedHistory(steps_before, **{"max_uses": 3, **terms})
    before = len(history.events)

    history.run_steps(f"{step}=changed")

    named = (getattr(event, "text_id", None) for event in history.events[before:])
    assert [text for text in named if text is not None] == [REASON]
