"""Issuing a code."""

from uuid import UUID

from domain.commands.code.issue import IssueCode
from domain.events.code import CodeIssued
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import Scenario, ScenarioDraft, done

CODE, NOTE = UUID(int=5), UUID(int=6)


def test_code_is_issued_once_with_its_terms_and_its_note() -> None:
    """The same command after a lost answer leads to the same code."""
    scenario = Scenario()
    command = IssueCode(
        context=scenario.context("operator"),
        code_id=CODE,
        text=ScenarioDraft([b"new"], CODE),
        terms=make_terms(max_uses=3, group="blue"),
        bound=False,
        note_id=NOTE,
    )

    first, again = done(scenario.run(command)), done(scenario.run(command))

    issued = scenario.events[-1]
    assert isinstance(issued, CodeIssued)
    assert (issued.terms, issued.bound, issued.text_id) == (command.terms, False, NOTE)
    assert (first.code, first.changed) == (again.code, True)
    assert (again.code.code_id, again.changed) == (CODE, False)
