"""Short ways to rebuild in tests, and what must be as it was afterwards."""

import json
from io import StringIO
from typing import Any

from projections.definitions.registry import PROJECTIONS
from projections.rebuild.rebuild import RebuildOptions, RebuildReport, rebuild
from projections.rebuild.run import run_rebuild
from tests.support.ledger.ledger_bench import LedgerBench


class NoProgress:
    def step(self, name: str, total: int) -> None: ...

    def at(self, events: int, position: int) -> None: ...


def rebuilt(bench: LedgerBench, **options: Any) -> RebuildReport:
    return rebuild(bench.database_url, RebuildOptions(**options), NoProgress())


def commanded(bench: LedgerBench, **options: Any) -> tuple[int, dict[str, Any], str]:
    """Run the command with --json; its exit code, its document (empty if it gave none), and what it said next to it."""
    out, err = StringIO(), StringIO()
    code = run_rebuild(bench.database_url, RebuildOptions(**options), as_json=True, out=out, err=err)
    return code, json.loads(out.getvalue() or "{}"), err.getvalue()


def read_models(bench: LedgerBench) -> dict[str, list[Any]]:
    return {
        name: bench.rows(f"{each.table.select('true')} ORDER BY {', '.join(each.table.key)}")
        for name, each in PROJECTIONS.items()
    }


def leftovers(bench: LedgerBench) -> list[Any]:
    """Schemas that a rebuild made and did not drop."""
    return bench.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ledger_rebuild%%'")


def shapes(bench: LedgerBench) -> list[Any]:
    """Tables, their options, owners and rights, indexes and constraints, as the catalogue has them."""
    names = (list(PROJECTIONS),)
    return [
        *bench.rows(
            "SELECT relname, reloptions, relowner, relacl FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relname = ANY(%s) ORDER BY 1",
            *names,
        ),
        *bench.rows(
            "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) ORDER BY 1, 2", *names
        ),
        *bench.rows(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid::regclass::text = ANY(%s) ORDER BY 1, 2",
            *names,
        ),
    ]
