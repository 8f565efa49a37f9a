"""Executing and previewing batches: one transaction, results in order, and a preview that leaves nothing."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from domain.application import LedgerRecorder, RedemptionLedger
from domain.command_bus import AnyCommand
from domain.commands.reservation.refund import RefundReservation
from domain.errors import ReservationNotRefundable
from domain.policy import Policy
from domain.ports import PipelineSteps, run_to_completion
from domain.results import CommandResult
from domain.working_set import WorkingSet
from tests.support.ledger.scenario import Scenario, back_off


class RecordingUnitOfWork:
    """A transaction over the states of a scenario. `saved` is what it was asked to keep."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.loaded: list[Sequence[AnyCommand]] = []
        self.saved: list[WorkingSet] = []

    def load(self, commands: Sequence[AnyCommand]) -> PipelineSteps[WorkingSet]:
        self.loaded.append(commands)
        yield from ()
        working_set = WorkingSet()
        working_set.codes.update(self.scenario.working_set.codes)
        working_set.reservations.update(self.scenario.working_set.reservations)
        return working_set

    def save(self, working_set: WorkingSet) -> PipelineSteps[None]:
        yield from ()
        self.saved.append(working_set)


class LedgerOverOneTransaction(RedemptionLedger):
    """A ledger without the library's infrastructure: its recorder gives as many transactions as a test sets."""

    def __init__(self, uow: RecordingUnitOfWork, transactions: int = 1) -> None:
        self.policy = Policy()
        self._transactions = [uow] * transactions

    @property
    def _ledger_recorder(self) -> LedgerRecorder:
        return self

    def attempts(self) -> Iterator[AbstractContextManager[RecordingUnitOfWork]]:
        return (nullcontext(uow) for uow in self._transactions)

    def open_preview(self) -> AbstractContextManager[RecordingUnitOfWork]:
        return nullcontext(self._transactions[0])


@pytest.fixture
def scenario() -> Scenario:
    return Scenario(max_uses=2)


def refund_of(scenario: Scenario, reservation_id: Any = None) -> RefundReservation:  # noqa: ANN401 - an id, or none
    return RefundReservation(
        context=scenario.context("staff", "s1"), reservation_id=reservation_id or scenario.reserved(), cause="staff"
    )


def test_steps_that_wait_for_nothing_give_their_result() -> None:
    def steps() -> PipelineSteps[str]:
        yield from ()
        return "done"

    assert run_to_completion(steps()) == "done"


def test_batch_is_loaded_decided_and_saved_in_one_transaction(scenario: Scenario) -> None:
    first = refund_of(scenario)
    uow = RecordingUnitOfWork(scenario)

    results = LedgerOverOneTransaction(uow).execute([first, first])

    [working_set] = uow.saved
    assert uow.loaded == [[first, first]]
    assert [result.changed for result in results if isinstance(result, CommandResult)] == [True, False]
    assert [type(recorded.event).__name__ for recorded in working_set.new_events] == ["UseRefunded"]


def test_execute_returns_the_results_of_the_last_transaction(scenario: Scenario) -> None:
    command = refund_of(scenario)
    uow = RecordingUnitOfWork(scenario)

    (result,) = LedgerOverOneTransaction(uow, transactions=2).execute([command])

    assert len(uow.saved) == 2
    assert isinstance(result, CommandResult)
    assert result.code is uow.saved[-1].codes[scenario.code_id]


def test_preview_shows_both_states_and_saves_nothing(scenario: Scenario) -> None:
    command = refund_of(scenario)
    uow = RecordingUnitOfWork(scenario)

    preview = LedgerOverOneTransaction(uow).preview(command)

    assert uow.loaded == [[command]]
    assert uow.saved == []
    assert isinstance(preview.result, CommandResult)
    assert preview.result.changed
    assert [type(recorded.event).__name__ for recorded in preview.events] == ["UseRefunded"]
    assert (preview.before[scenario.code_id].reserved, preview.after[scenario.code_id].reserved) == (1, 0)
    assert scenario.code.reserved == 1


def test_preview_of_a_refused_command_gives_the_refusal(scenario: Scenario) -> None:
    sent = scenario.sent()
    command = RefundReservation(
        context=scenario.context("operator"), reservation_id=sent, cause="reset", held_only=True
    )

    preview = LedgerOverOneTransaction(RecordingUnitOfWork(scenario)).preview(command)

    assert isinstance(preview.result, ReservationNotRefundable)
    assert preview.events == []
    assert preview.before == preview.after


def test_ledger_decides_by_the_policy_that_it_is_given() -> None:
    """Over the library's store in memory, which needs no server."""
    policy = Policy(attempts_max=3)

    with RedemptionLedger({"PERSISTENCE_MODULE": "eventsourcing.popo", "LEDGER_STORE": "here"}, policy) as ledger:
        assert (ledger.policy, ledger.name) == (policy, "ledger")
        assert ledger.env["LEDGER_STORE"] == "here"


def test_commands_are_decided_by_the_ledger_s_policy(scenario: Scenario) -> None:
    command = refund_of(scenario)
    scenario.claim(command.reservation_id)
    scenario.passes(Policy().lease_s)
    command = refund_of(scenario, command.reservation_id)
    ledger, uow = LedgerOverOneTransaction(RecordingUnitOfWork(scenario)), RecordingUnitOfWork(scenario)
    ledger.policy = Policy(retry_first_s=7)

    preview = ledger.preview(command)
    executing = LedgerOverOneTransaction(uow)
    executing.policy = ledger.policy
    executing.execute([command])

    retry_at = scenario.now + back_off(ledger.policy, command.reservation_id, 1)
    recorded = [*preview.events, *uow.saved[0].new_events]
    assert [getattr(each.event, "retry_at", None) for each in recorded] == [retry_at, retry_at]
