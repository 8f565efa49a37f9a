"""Notes stand in the history and change nothing."""

from dataclasses import dataclass
from uuid import UUID

from msgspec.structs import replace

from domain.command_bus import Result
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from tests.support.ledger.scenario import SENT, Scenario, done, refusal


@dataclass(frozen=True)
class Text:
    """Free text as the domain sees it."""

    text_id: UUID


def noted(scenario: Scenario, reservation_id: UUID, text: int = 1) -> Result:
    """Staff write something down about a reservation."""
    note = Text(UUID(int=text))
    return scenario.run(
        NoteOnReservation(context=scenario.context("staff", "n1"), reservation_id=reservation_id, note=note)
    )


def test_a_note_changes_no_state() -> None:
    """But its place in the history."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    before = scenario.reservation(reservation_id)

    noted(scenario, reservation_id)

    after = scenario.reservation(reservation_id)
    assert after.versions == (*before.versions, scenario.code.version)
    assert replace(after, versions=before.versions) == before


def test_nothing_follows_from_a_note() -> None:
    """The next event names the one that caused it."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    noted(scenario, reservation_id)

    scenario.attempt(reservation_id, SENT)

    assert scenario.events[-2].caused_by == 2


def test_the_same_note_twice_is_one() -> None:
    """Two clicks, or a lost answer; also where the store knows it from long ago."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    code_note = NoteOnCode(context=scenario.context("staff"), code_id=scenario.code_id, note=Text(UUID(int=7)))

    assert [done(noted(scenario, reservation_id)).changed for _ in range(2)] == [True, False]
    assert [done(scenario.run(code_note)).changed for _ in range(2)] == [True, False]
    scenario.working_set.known_texts.add(UUID(int=9))
    assert not done(noted(scenario, reservation_id, 9)).changed
    assert scenario.kinds == ["UseReserved", "NoteAdded", "CodeNoted"]


def test_a_note_needs_something_that_exists() -> None:
    """No note hangs in the air."""
    scenario = Scenario()
    context, note = scenario.context("staff"), Text(UUID(int=7))

    assert refusal(noted(scenario, UUID(int=1))) == "NOT_FOUND"
    assert refusal(scenario.run(NoteOnCode(context=context, code_id=UUID(int=1), note=note))) == "NOT_FOUND"
