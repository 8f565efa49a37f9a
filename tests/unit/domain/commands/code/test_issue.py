"""Issuing a code."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from msgspec import structs

from domain.commands.code.issue import IssueCode
from domain.events.code import CodeIssued
from tests.support.ledger.code_terms import make_campaign_terms, make_terms
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


@pytest.mark.parametrize(
    ("starts", "expires", "ends"), [(None, None, 7), (None, 3, 3), (None, 9, 7), (5, None, 12), (5, 9, 9)]
)
def test_end_follows_the_issue(starts: int | None, expires: int | None, ends: int) -> None:
    scenario = Scenario()
    context = scenario.context("worker")

    def after(days: int | None) -> datetime | None:
        return None if days is None else context.now + timedelta(days=days)

    terms = make_terms(starts_at=after(starts), expires_at=after(expires))
    command = IssueCode(
        context=context,
        code_id=CODE,
        text=ScenarioDraft([b"new"], CODE),
        terms=terms,
        bound=True,
        valid_for_days=7,
    )

    assert done(scenario.run(command)).code.terms == structs.replace(terms, expires_at=after(ends))


@pytest.mark.parametrize(("own_days", "expires", "ends"), [(None, None, 7), (3, None, 3), (9, None, 9), (None, 12, 12)])
def test_code_that_names_no_end_has_the_days_of_its_campaign(
    own_days: int | None, expires: int | None, ends: int
) -> None:
    scenario = Scenario(campaign=make_campaign_terms(valid_for_days=7))
    context = scenario.context("worker")
    expires_at = None if expires is None else context.now + timedelta(days=expires)
    command = IssueCode(
        context=context,
        code_id=CODE,
        text=ScenarioDraft([b"new"], CODE),
        terms=make_terms(expires_at=expires_at),
        bound=True,
        campaign_id=scenario.campaign_id,
        valid_for_days=own_days,
    )

    assert done(scenario.run(command)).code.terms.expires_at == context.now + timedelta(days=ends)
