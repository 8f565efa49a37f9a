"""A read that a store omits is found: each one in turn answers nothing."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, LiteralString, cast, get_args
from uuid import UUID

import pytest
from eventsourcing.persistence import IntegrityError, ProgrammingError
from psycopg import Connection, Cursor

from domain.command_bus import AnyCommand, Command
from domain.policy import Policy
from domain.results import AnyResult, CommandResult, Result
from domain.working_set import WorkingSet
from projections.database.pipeline import send_pipelined
from projections.definitions.tables.handed_out_codes import PROJECTION as HANDED_OUT_CODES
from projections.event_store import unit_of_work
from projections.sql.event_store import EventStoreSql
from projections.sql.hand_outs import HandOutsSql
from tests.contracts.conftest import settings_for
from tests.contracts.test_same_histories import run_everything
from tests.simulation.checks.complete_reads import find_omitted_reads
from tests.simulation.services.store import MemoryStore, Read
from tests.support.ledger.every_command import EveryCommand
from tests.support.ledger.random_commands import START, RandomCommands, StoreBench
from tests.support.ledger.stores import ContractStore, memory_store

pytestmark = pytest.mark.usual_world("in the small one, statements read less than the store in memory")

SEEDS: Final = (9, 3)
BATCHES: Final = 1500
PERSONS_RESERVATIONS: Final = 22
"""More than are read of a person."""
FOLLOWERS: Final = "events_of_followers"
NO_ROWS: Final = "SELECT WHERE false"
READS: Final[Mapping[str, str]] = {
    name: getattr(EventStoreSql, name)
    for name in (
        "campaigns_of_codes",
        "codes_of_digests",
        "codes_of_reservations",
        "earliest_deadlines",
        "earliest_deadlines_of_campaigns",
        "events_of_followers",
        "events_of_held_reservations",
        "events_of_newer_reservations",
        "events_of_overdue",
        "events_of_persons",
        "events_of_rebinds",
        "existing_uses",
        "events_of_reservations",
        "hand_out_of_id",
        "idempotency_keys",
        "known_texts",
        "listed_places",
        "most_uses_of_a_person",
        "newer_events",
        "newer_events_of_reservations",
        "recipient_ids_of_digests",
        "suppressions_of_recipients",
        "texts_of_hand_outs",
        "uses_of_mailboxes",
        "uses_of_persons",
    )
} | {"handed_out_codes": HANDED_OUT_CODES.table.select("code_id = ANY(%s)")}
"""The statements by which `load` reads what decisions need."""
NO_READS: Final = {
    EventStoreSql.lock_exclusive_writer,
    EventStoreSql.lock_shared_writer,
    EventStoreSql.lock_streams,
    HandOutsSql.lock_lists,
    EventStoreSql.snapshots_of_codes,  # without a snapshot, more events are folded
}
BEYOND_THE_BOUND: Final[tuple[Read, ...]] = ("again", "followers", "reservations of keys")
"""Reads that matter only if a person has more reservations than are read of a person."""


def test_every_command_changes_something(
    postgres: ContractStore, memory: ContractStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that none of the comparison is hollow; and `READS` has every statement by which `load` reads."""
    sent: set[str] = set()

    def note(conn: Connection[Any], query: LiteralString, *params: Any) -> Cursor[Any]:
        sent.add(query)
        return send_pipelined(conn, query, *params)

    monkeypatch.setattr(unit_of_work, "send_pipelined", note)
    # A revocation seldom leaves work: tests/integration/projections/event_store/test_commands.py is about that.
    missing = {command.__name__ for command in get_args(Command)} - {"ContinueRevocation"}
    for seed in SEEDS:
        if missing:
            counts = run_everything((postgres, memory), EveryCommand(memory.vault, seed=seed), BATCHES)
            missing -= {name for name, count in counts.items() if count}

    assert sorted(missing) == []
    assert sent - NO_READS == set(READS.values())


def send_all_but(omitted: str, conn: Connection[Any], query: LiteralString, *params: Any) -> Cursor[Any]:
    """Send a statement; the omitted one has no rows."""
    return send_pipelined(conn, NO_ROWS) if query == omitted else send_pipelined(conn, query, *params)


@pytest.mark.parametrize("name", [name for name in READS if name != FOLLOWERS])
def test_omitted_read_is_found(
    postgres: ContractStore, memory: ContractStore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Another picture, another result, or an error."""
    monkeypatch.setattr(unit_of_work, "send_pipelined", partial(send_all_but, READS[name]))

    def run_histories() -> None:
        for seed in SEEDS:
            run_everything((postgres, memory), EveryCommand(memory.vault, seed=seed), BATCHES)

    with pytest.raises(Exception, match=r".") as raised:
        run_histories()
    assert not isinstance(raised.value, ProgrammingError)


def answer_far_back(store: ContractStore) -> tuple[object, ...]:
    """What a person gets who asks again, or repeats a request, about the oldest of many reservations."""
    bench = StoreBench(store, RandomCommands(store.vault, now=store.now))
    issued = bench.acts.issue(None, bound=False)
    bench.run(issued)
    key = (b"scope", b"body")
    first = _reserve(bench, key=key)
    latest = first
    for _ in range(PERSONS_RESERVATIONS):
        bench.attempt(latest)
        latest = _reserve(bench, again=latest)
    (asked_again,) = bench.run(bench.acts.redeem(again=first))
    (repeated,) = bench.run(bench.acts.redeem(key=key))
    return _changed(asked_again), _changed(repeated)


def _reserve(bench: StoreBench, again: UUID | None = None, key: tuple[bytes, bytes] | None = None) -> UUID:
    (result,) = bench.run(bench.acts.redeem(again=again, key=key))
    assert isinstance(result, CommandResult)
    return result.require_reservation().reservation_id


def _changed(result: Result) -> object:
    return result.changed if isinstance(result, CommandResult) else result.code


def test_oldest_of_many_reservations_is_found(store: ContractStore) -> None:
    """By its id, by the one that follows it, and by the key of its request: nothing is reserved a second time."""
    assert answer_far_back(store) == (False, False)


def run_with_decisions_on_everything() -> None:
    """Run histories on two stores in memory; each batch of one of them is decided on everything that it holds, too.

    Raises:
        AssertionError: The decisions differ.
    """
    vault = settings_for("postgresql:///none").open_vault()
    stores = [memory_store(vault, START) for _ in range(2)]
    store = cast("MemoryStore", stores[0].recorder)

    def decide(commands: Sequence[AnyCommand], working_set: WorkingSet, results: Sequence[AnyResult]) -> None:
        assert list(find_omitted_reads(store, Policy(), commands, working_set, results)) == []

    store.on_decision = decide
    for seed in SEEDS:
        run_everything(stores, EveryCommand(vault, seed=seed), BATCHES)


def test_store_in_memory_reads_enough() -> None:
    """No decision differs from one on everything."""
    run_with_decisions_on_everything()


@pytest.mark.parametrize("read", [read for read in get_args(Read) if read not in BEYOND_THE_BOUND])
def test_omitted_read_of_both_stores_is_found(monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    """Two stores that omit the same read agree with each other, and not with a decision on everything."""
    monkeypatch.setattr(MemoryStore, "omitted_read", read)

    with pytest.raises((AssertionError, IntegrityError, LookupError)):
        run_with_decisions_on_everything()


@pytest.mark.parametrize("read", BEYOND_THE_BOUND)
def test_omitted_read_beyond_the_bound_is_found(
    memory: ContractStore, monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    """No random history has a person with so many reservations."""
    monkeypatch.setattr(MemoryStore, "omitted_read", read)

    try:
        answer = answer_far_back(memory)
    except KeyError:
        return
    assert answer != (False, False)


def test_omitted_followers_are_found(postgres: ContractStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second use would be reserved after the same one."""
    monkeypatch.setattr(unit_of_work, "send_pipelined", partial(send_all_but, READS[FOLLOWERS]))

    assert answer_far_back(postgres) == (True, False)
