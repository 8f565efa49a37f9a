"""The same random history on both stores: what was looked up, the answers, the log and the rows are the same."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from domain.command_bus import AnyCommand, Command
from domain.errors import Refusal
from domain.model.invariants import InvariantViolationError
from domain.ports import run_to_completion
from domain.results import CommandResult, Result
from domain.working_set import WorkingSet
from projections.privacy.erasure import WhyKept
from tests.support.ledger.every_command import EveryCommand
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
            results = cast("list[Result]", store.ledger.decide(commands, working_set))
            run_to_completion(work.save(working_set))
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
        "campaigns": dict(working_set.campaigns),
        "known_texts": set(working_set.known_texts),
        "suppressions": dict(working_set.suppressions),
        "handed_out": dict(working_set.handed_out),
        "listed_codes": set(working_set.listed_codes),
        "by_person": {key: sorted(ids) for key, ids in working_set._by_person.items()},
    }


def run_everything(stores: Sequence[ContractStore], acts: EveryCommand, batches: int) -> Counter[str]:
    """Run batches of every command on both stores, and compare what was looked up, and the results.

    Returns:
        How often each command changed something.

    Raises:
        AssertionError: The stores differ.
    """
    counts: Counter[str] = Counter()
    for creation in acts.create_campaigns():
        _run_on_campaigns(stores, creation)
    issued = [acts.new_code(limit, bound=bound) for limit, bound in ((1, True), (2, False), (None, False))]
    issued += [acts.new_code(3, bound=False, campaign_id=campaign_id) for campaign_id in acts.campaigns]
    for store in stores:
        store.ledger.execute(issued)
    for _ in range(batches):
        if acts.random.random() < 0.1:
            _run_on_campaigns(stores, acts.about_campaign())
        batch = acts.anything(acts.known_ids)
        try:
            looked_up, results = run(stores[0], batch)
        except InvariantViolationError as error:  # such as the outcome of an attempt that cannot have been made
            with pytest.raises(InvariantViolationError, match=re.escape(str(error))):
                run(stores[1], batch)
            continue
        looked_up_in_memory, results_in_memory = run(stores[1], batch)
        for kind, state in looked_up.items():
            assert differences_of(looked_up_in_memory[kind], state) == {}, f"{kind}: {batch}"
        assert list(map(plain, results_in_memory)) == list(map(plain, results))
        for command, result in zip(batch, results, strict=True):
            if isinstance(result, CommandResult):
                counts[type(command).__name__] += result.changed
                acts.note(command, result)
    for last in [*acts.recount_uses(), *acts.use_waiting_list(), *acts.report_ends()]:
        counts[type(last).__name__] += _run_on_campaigns(stores, last)
    logs = [log_of(store) for store in stores]
    assert logs[0] == logs[1]
    return counts


def differences_of(one: object, other: object) -> dict[object, object]:
    """What differs, by key where the states have keys; empty if nothing does."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys(), key=str)
        return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}
    return {} if one == other else {"all": (one, other)}


def _run_on_campaigns(stores: Sequence[ContractStore], command: AnyCommand) -> bool:
    """Run a command on both stores, and return whether it changed something."""
    results = [store.ledger.execute([command])[0] for store in stores]
    assert repr(results[0]) == repr(results[1])
    return not isinstance(results[0], Refusal) and results[0].changed


def plain(result: Result) -> object:
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
    assert {"accepted", "open"} <= compare_retention(postgres, memory, acts.now)
    assert {topic.partition(":")[0] for _, _, topic, _ in log_of(memory)} >= {"UseRefunded", "InviteSent", "CaseOpened"}


@pytest.mark.parametrize("seed", range(2))
def test_every_command_is_decided_alike(postgres: ContractStore, memory: ContractStore, seed: int) -> None:
    """Also about campaigns, hand-outs and accesses."""
    acts = EveryCommand(memory.vault, seed=seed)

    assert run_everything((postgres, memory), acts, 150)
    assert {"case", "open"} <= compare_retention(postgres, memory, acts.now)


def compare_retention(postgres: ContractStore, memory: ContractStore, now: datetime) -> set[WhyKept | None]:
    """Compare why addresses are kept, soon and when most has ended; return the reasons that occur."""
    reasons: set[WhyKept | None] = set()
    for before in (now - timedelta(days=400), now, now + timedelta(days=400)):
        why_kept = postgres.why_kept(now, before)
        assert memory.why_kept(now, before) == why_kept
        reasons.update(why_kept.values())
    return reasons
