"""Migrating is all or nothing, migration by migration: a process killed in between resumes where it stopped."""

import psycopg
import pytest
from yoyo.backends import DatabaseBackend

from projections.database.errors import SchemaMismatchError
from projections.database.migrations import check_schema, migrate
from tests.support.servers.databases import execute

LAST = "0019_rebinds_of_batches"


class _KilledError(Exception):
    """Stands for the end of the process; the server rolls back as it does for one that is killed."""


@pytest.fixture
def before_last(database_url: str) -> str:
    """A database as it was before a migration that would fail if it ran twice."""
    with psycopg.connect(database_url) as conn:
        conn.execute("ALTER TABLE batches DROP COLUMN rebinds_max")
        conn.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", (LAST,))
    return database_url


def test_migration_and_its_mark_are_one(before_last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two, neither is there, and the next start does both."""

    def killed(*_: object, **__: object) -> None:
        raise _KilledError

    with monkeypatch.context() as patched:
        patched.setattr(DatabaseBackend, "mark_one", killed)
        with pytest.raises(_KilledError):
            migrate(before_last)
    with psycopg.connect(before_last) as conn:
        row = conn.execute(
            "SELECT FROM information_schema.columns WHERE (table_name, column_name) = (%s, %s)",
            ("batches", "rebinds_max"),
        ).fetchall()
    again = migrate(before_last)

    assert row == []
    assert again == [LAST]
    check_schema(before_last)


def test_manually_changed_schema_is_reported(before_last: str) -> None:
    execute(before_last, "ALTER TABLE batches ADD COLUMN rebinds_max integer")

    with pytest.raises(SchemaMismatchError, match=rf"{LAST} failed .* \(column .* already exists\)"):
        migrate(before_last)

    execute(before_last, "ALTER TABLE batches DROP COLUMN rebinds_max")
    assert migrate(before_last) == [LAST]
