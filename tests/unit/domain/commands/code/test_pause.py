"""A pause stops new reservations only, and ends; a code's terms change while it lives."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.errors import LimitBelowUsage
from domain.events.code import CodeTermsChanged
from domain.results import Result
from tests.support.ledger.scenario import SENT, START, Scenario, done, refusal


def change(scenario: Scenario, **changes: object) -> Result:
    command = ChangeTerms(context=scenario.context("staff"), code_id=scenario.code_id, changes=changes)
    return scenario.run(command)


def test_change_of_a_term_that_does_not_exist_cannot_be_made() -> None:
    """A misspelt name would otherwise change nothing."""
    with pytest.raises(ValueError, match="not a term of a code: max_use"):
        change(Scenario(), max_use=3)


def test_paused_code_accepts_no_new_recipient_until_it_is_resumed() -> None:
    scenario = Scenario(max_uses=3, bound=False)
    mine = scenario.reserved("li")

    assert done(scenario.pause()).changed
    assert refusal(scenario.redeem("wang")) == "CODE_PAUSED"
    assert done(scenario.redeem("li")).require_reservation().reservation_id == mine
    scenario.attempt(mine, SENT)
    assert scenario.code.state(scenario.now) == "paused"
    scenario.resume()

    assert done(scenario.redeem("wang")).changed
    assert scenario.kinds.count("CodePaused") == scenario.kinds.count("CodeResumed") == 1


def test_repeated_state_is_recorded_once() -> None:
    scenario = Scenario()

    assert not done(scenario.resume()).changed
    scenario.pause()
    assert not done(scenario.pause()).changed
    assert scenario.kinds == ["CodePaused"]


@pytest.mark.parametrize("kind", [PauseCode, ResumeCode])
def test_unknown_code_comes_before_a_revoked_one(kind: type[PauseCode | ResumeCode]) -> None:
    scenario = Scenario()
    scenario.revoke()
    context = scenario.context("staff")

    assert refusal(scenario.run(kind(context=context, code_id=UUID(int=1)))) == "NOT_FOUND"
    assert refusal(scenario.run(kind(context=context, code_id=scenario.code_id))) == "CODE_REVOKED"


def test_paused_comes_after_revoked_and_before_expired() -> None:
    scenario = Scenario(expires_at=START + timedelta(seconds=10))
    scenario.pause()
    scenario.passes(20)

    assert refusal(scenario.redeem()) == "CODE_PAUSED"
    scenario.revoke()
    assert refusal(scenario.redeem()) == "CODE_REVOKED"


def test_terms_that_are_not_named_stay() -> None:
    """The event says all the terms, so that it can be read alone."""
    scenario = Scenario(max_uses=2, group="blue")

    change(scenario, max_uses=5)

    event = scenario.events[-1]
    assert isinstance(event, CodeTermsChanged)
    assert (event.max_uses, event.group) == (5, "blue")
    assert (scenario.code.terms.max_uses, scenario.code.available) == (5, 5)


def test_limit_must_fit_used_and_reserved_uses() -> None:
    scenario = Scenario(max_uses=5, bound=False)
    scenario.sent("li")
    scenario.reserved("wang")

    result = change(scenario, max_uses=1)

    assert isinstance(result, LimitBelowUsage)
    assert result.facts == {"taken": 2}
    assert done(change(scenario, max_uses=2)).code.available == 0
    assert done(change(scenario, max_uses=None)).code.available is None


def test_terms_are_refused_in_order_of_precedence() -> None:
    scenario = Scenario(max_uses=2, bound=False)
    scenario.sent("li")
    scenario.sent("wang")

    assert refusal(change(scenario, max_uses=1)) == "LIMIT_TOO_LOW"
    scenario.revoke()
    assert refusal(change(scenario, max_uses=1)) == "CODE_REVOKED"
    unknown = ChangeTerms(context=scenario.context("staff"), code_id=UUID(int=1), changes={"max_uses": 1})
    assert refusal(scenario.run(unknown)) == "NOT_FOUND"
    assert refusal(change(scenario, max_uses=0)) == "OUT_OF_BOUNDS"


def test_same_terms_again_are_nothing_new() -> None:
    scenario = Scenario()
    change(scenario, validity_days=30)

    assert not done(change(scenario, validity_days=30, max_uses=1)).changed
    assert done(change(scenario, validity_days=None)).code.terms.validity_days is None
