"""The same random history on both stores: what was looked up, the answers, the log and the rows are the same."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from domain.command_bus import Command, CommandResult, Result, handle
from domain.ports import run_to_completion
from domain.working_set import WorkingSet
from tests.support.ledger.random_commands import RandomCommands
from tests.support.ledger.stores import ContractStore, log_of

BATCHES = 160


def run(store: ContractStore, commands: Sequence[Command]) -> tuple[dict[str, Any], list[Result]]:
    """What `execute` does; also what the store had looked up before anything was decided."""
    looked_up: dict[str, Any] = {}
    results: list[Result] = []
    for attempt in store.recorder.attempts():
        with attempt as work:
            working_set = run_to_completion(work.load(list(commands)))
            looked_up = picture(working_set)
            results = [handle(command, working_set, store.ledger.policy) for command in commands]
            run_to_completion(work.save(working_set, commands, results))
    return looked_up, results


def picture(working_set: WorkingSet) -> dict[str, Any]:
    """A copy of everything that a decision may read."""
    return {
        "codes": dict(working_set.codes),
        "reservations": dict(working_set.reservations),
        "code_ids": dict(working_set.code_ids),
        "recipient_ids": dict(working_set.recipient_ids),
        "remembered": dict(working_set.remembered),
        "earliest_deadlines": dict(working_set.earliest_deadlines),
        "by_person": {key: list(ids) for key, ids in working_set._by_person.items()},
    }


def plain(result: Result) -> object:
    """A result that can be compared."""
    return result if isinstance(result, CommandResult) else (result.code, result.retry_after_s)


@pytest.mark.parametrize("seed", range(3))
def test_both_stores_have_the_same_history(postgres: ContractStore, memory: ContractStore, seed: int) -> None:
    """Nothing that is decided in memory would be decided otherwise by PostgreSQL."""
    acts = RandomCommands(memory.vault, seed=seed, now=postgres.now)
    issued = [acts.issue(limit, bound=bound) for limit, bound in ((1, True), (2, False), (4, True), (None, False))]
    known_ids: list[UUID] = []
    for store in (postgres, memory):
        store.ledger.execute(issued)

    for _ in range(BATCHES):
        batch = acts.anything(known_ids)
        looked_up, results = run(postgres, batch)
        looked_up_in_memory, results_in_memory = run(memory, batch)

        for kind, state in looked_up.items():
            assert (kind, looked_up_in_memory[kind]) == (kind, state)
        assert list(map(plain, results_in_memory)) == list(map(plain, results))
        decided_ids = [
            result.reservation.reservation_id
            for result in results
            if isinstance(result, CommandResult) and result.reservation
        ]
        known_ids += [key for key in dict.fromkeys(decided_ids) if key not in known_ids]
        due, due_in_memory = postgres.due.take(acts.now), memory.due.take(acts.now)
        assert sorted(due_in_memory, key=lambda due_reservation: due_reservation.reservation_id) == sorted(
            due, key=lambda due_reservation: due_reservation.reservation_id
        )

    assert log_of(memory) == log_of(postgres)
    assert [memory.rows(command.code_id) for command in issued] == [
        postgres.rows(command.code_id) for command in issued
    ]
    assert (memory.refusals(), memory.unknown_code_requests()) == (
        postgres.refusals(),
        postgres.unknown_code_requests(),
    )
    assert (memory.texts(), memory.outbox()) == (postgres.texts(), postgres.outbox())
    assert {topic.partition(":")[0] for _, _, topic, _ in log_of(memory)} >= {"UseRefunded", "InviteSent", "CaseOpened"}
