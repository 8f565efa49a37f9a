"""Whether a commit is possible is found out by writing: WAL, and a file on the database's own disk."""

import psycopg
import pytest

from projections.database.datastore import LedgerDatastore
from projections.database.servers import bounded_connection
from projections.database.servers.known_servers import KnownServers, identify
from projections.monitoring import commit_probe
from projections.monitoring.commit_probe import FORMER, FULL, CommitProbe, NoCommitError, check_commit
from projections.sql.database import DatabaseSql

FULL_DISK = "DO $$ BEGIN RAISE SQLSTATE '53100'; END $$"
LIMITED = "DO $$ BEGIN RAISE SQLSTATE '53400'; END $$"


def test_commit_check_writes_a_file_to_the_disk_of_the_database(database_url: str) -> None:
    """A small commit alone fits into reserved WAL, and would succeed on a full disk."""
    with psycopg.connect(database_url) as conn:
        conn.execute(DatabaseSql.least_memory)
        plan = conn.execute(f"EXPLAIN (ANALYZE, BUFFERS) {DatabaseSql.write_scratch_file}").fetchall()

    assert any("temp read=" in line and "written=" in line for (line,) in plan), plan
    check_commit(database_url)


def test_full_disk_of_the_database_allows_no_commit(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL says 53100, and the message names the disk."""
    monkeypatch.setattr(DatabaseSql, "write_scratch_file", FULL_DISK)

    with pytest.raises(NoCommitError, match=FULL):
        check_commit(database_url)


def test_limit_of_temporary_files_is_not_reported_as_a_full_disk(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator may set one; it says nothing about the disk."""
    monkeypatch.setattr(DatabaseSql, "write_scratch_file", LIMITED)

    check_commit(database_url)


def test_former_primary_that_leads_again_allows_no_commit(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has seen a newer timeline says so, as long as no server has that one."""
    with psycopg.connect(database_url) as conn:
        identity = identify(conn)
    assert identity is not None
    assert identity.timeline is not None
    servers = KnownServers()
    servers.admit(identity._replace(timeline=identity.timeline + 1), ("promoted", "5432"))
    for module in (bounded_connection, commit_probe):
        monkeypatch.setattr(module, "KNOWN_SERVERS", servers)

    datastore = LedgerDatastore(database_url, pool_size=1, wait_s=0.2)
    try:
        with pytest.raises(NoCommitError, match=FORMER):
            CommitProbe(datastore).check()
    finally:
        datastore.close()
