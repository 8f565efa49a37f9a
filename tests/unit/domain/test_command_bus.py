"""Every command has one handler, its result says what it was about, and refusals and outcomes have their words."""

from datetime import timedelta
from typing import get_args

import pytest

from domain.command_bus import COMMANDS, AnyCommand, ignoring_policy
from domain.commands.code.import_code import ImportCode, ImportedUse
from domain.commands.context import Decision
from domain.errors import CodeUnknown, OutOfBounds, Refusal, RefusalWithReason, refusal_classes
from domain.policy import Policy
from domain.ports import Accepted, Outcome, OutcomeUnknown, Rejected, RetryLater, outcome_label
from domain.working_set import WorkingSet
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import START, Scenario, ScenarioDraft, done


def test_every_command_has_its_decision() -> None:
    """A command without one would be refused by a KeyError in production."""
    assert set(get_args(AnyCommand)) == set(COMMANDS)


def test_handler_without_a_policy_gets_the_command_and_the_working_set() -> None:
    scenario, seen = Scenario(), list[object]()
    decision, command, working_set = Decision(scenario.code_id), object(), WorkingSet()

    def decide(command: object, working_set: WorkingSet) -> Decision:
        seen.extend((command, working_set))
        return decision

    assert ignoring_policy(decide)(command, working_set, Policy()) is decision
    assert seen == [command, working_set]


def test_result_of_a_command_about_a_code_has_no_reservation() -> None:
    """To ask for it is a bug, and raises."""
    scenario = Scenario()

    with pytest.raises(AssertionError, match=r"^this command was about a code alone$"):
        done(scenario.pause()).require_reservation()


def test_import_keeps_recipients_of_uses_and_of_the_binding_for_the_vault() -> None:
    """Both may be new; a code that is bound to no one names the recipients of its uses."""
    scenario = Scenario()
    li, mei = (ScenarioDraft([name], scenario.new_id()) for name in (b"li", b"mei"))
    command = ImportCode(
        context=scenario.context("import"),
        code_id=scenario.new_id(),
        text=ScenarioDraft([b"old"], scenario.new_id()),
        source="csv",
        terms=make_terms(max_uses=2),
        bound=False,
        uses=[ImportedUse(reservation_id=scenario.new_id(), recipient=li, sent_at=START)],
        bound_to=mei,
    )

    done(scenario.run(command))

    assert scenario.working_set.writes.recipients == {b"li": li, b"mei": mei}
    assert list(COMMANDS[ImportCode].reads.drafts_in((command,))) == [li, mei]


def test_refusal_classes_are_those_with_a_code() -> None:
    kinds = list(refusal_classes())

    assert {CodeUnknown, OutOfBounds} <= set(kinds)
    assert not {Refusal, RefusalWithReason} & set(kinds)
    assert len(kinds) == len(set(kinds))
    assert list(refusal_classes(CodeUnknown)) == []


def test_refusal_is_its_code_and_keeps_its_facts() -> None:
    unknown = CodeUnknown(retry_after_s=7, taken=2)
    beyond = OutOfBounds("max_uses")

    assert (str(unknown), unknown.retry_after_s, unknown.facts) == ("CODE_INVALID", 7, {"taken": 2})
    assert (str(beyond), beyond.retry_after_s, beyond.facts) == ("OUT_OF_BOUNDS", None, {"why": "max_uses"})
    with pytest.raises(Refusal, match=r"^OUT_OF_BOUNDS$"):
        raise beyond


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        (Accepted(server="mx:25"), "sent"),
        (Rejected(server="mx:25", reason="temporary", final=False), "failed"),
        (RetryLater(server="hook", reason="busy", wait=timedelta(minutes=1)), "deferred"),
        (OutcomeUnknown(server="mx:25", cause="connection_lost"), "unknown"),
    ],
)
def test_outcome_has_its_label(outcome: Outcome, label: str) -> None:
    assert outcome_label(outcome) == label
