"""Every projection of the registry follows from its own `apply`, and has the table that it declares."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from uuid import UUID

import pytest

import projections.sql
from domain.events.reservation import ReservationEvent
from domain.model.redeem_code import RedeemCode, evolve_code
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import evolve_reservation
from domain.working_set import Recorded, Transition
from projections.definitions.projection import RowMerger
from projections.definitions.registry import PROJECTIONS
from projections.definitions.row_writer import rows_of_transition
from projections.event_store.codec import decode
from projections.sql.table import Table
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.random_history import RandomHistory
from tests.support.ledger.rebuilds import read_models

TYPE_NAMES = {"timestamp with time zone": "timestamptz"}


def declared_tables() -> Iterator[Table]:
    """Every declared table: next to statements, and of projections. One without a key is a statement's parameter."""
    yield from (projection.table for projection in PROJECTIONS.values())
    for module in pkgutil.iter_modules(projections.sql.__path__, "projections.sql."):
        yield from (
            value for value in vars(import_module(module.name)).values() if isinstance(value, Table) and value.key
        )


@pytest.mark.parametrize(
    "table", {table.name: table for table in declared_tables()}.values(), ids=lambda each: each.name
)
def test_declared_table_is_as_the_migrations_make_it(bench: LedgerBench, table: Table) -> None:
    """Types and key agree, and no column that an insert needs is left out."""
    columns = bench.rows(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull AND NOT atthasdef AND attidentity = ''"
        " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        table.name,
    )
    types = {name: TYPE_NAMES.get(kind, kind) for name, kind, _ in columns}
    key = bench.rows(
        "SELECT attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, nth)"
        " JOIN pg_attribute a USING (attnum) WHERE i.indrelid = %s::regclass AND a.attrelid = i.indrelid"
        " AND i.indisprimary ORDER BY nth",
        table.name,
    )

    assert table.columns == {name: types.get(name) for name in table.columns}
    assert table.key == tuple(name for (name,) in key)
    assert {name for name, _, is_needed in columns if is_needed} <= table.columns.keys()


def test_columns_of_campaigns_are_declared_in_their_order_in_the_table(bench: LedgerBench) -> None:
    """Statements read them as `c.*`. Declare a new one last in projections/definitions/tables/campaigns.py."""
    columns = bench.rows(
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = 'campaigns'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )

    assert [name for (name,) in columns] == list(PROJECTIONS["campaigns"].table.columns)


@pytest.mark.parametrize("seed", range(2))
def test_rows_follow_from_applying_one_event_after_the_other(bench: LedgerBench, seed: int) -> None:
    """The live path and rebuilds skip what the last state of a batch says anyway; the rows are the same."""
    RandomHistory(bench, seed, codes=4).go_on(80)
    mergers = {name: RowMerger(projection) for name, projection in PROJECTIONS.items()}
    codes: dict[UUID, RedeemCode] = {}
    reservations: dict[UUID, Reservation] = {}
    for stream, version, topic, state in bench.rows(
        "SELECT originator_id, originator_version, topic, state FROM ledger_events ORDER BY notification_id"
    ):
        event = decode(topic, bytes(state))
        code_before = codes.get(stream)
        code = codes[stream] = evolve_code(code_before, stream, version, event)
        before = after = None
        if isinstance(event, ReservationEvent):
            before = reservations.get(event.reservation_id)
            after = reservations[event.reservation_id] = evolve_reservation(before, stream, version, event)
        transition = Transition(Recorded(stream, version, event), code_before, code, before, after)
        for name, projection in PROJECTIONS.items():
            if not projection.events or type(event) in projection.events:
                for row in rows_of_transition(projection, transition):
                    mergers[name].add(row)

    folded = {name: [merger.rows[key] for key in sorted(merger.rows)] for name, merger in mergers.items()}
    stored = {name: [tuple(map(plain, row)) for row in rows] for name, rows in read_models(bench).items()}
    assert folded == stored


def plain(value: object) -> object:
    """A stored value as a fold has it."""
    return tuple(value) if isinstance(value, list) else value
