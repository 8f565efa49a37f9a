"""Engines and proxies that deployments use hold what the ledger relies on."""

import pytest

from projections.engine_check.check_engine import check_engine
from projections.engine_check.findings import EngineFinding
from tests.support.servers.databases import execute

pytestmark = pytest.mark.night(of="servers")

BOUNDS = "statement_timeout = 15000", "lock_timeout = 10000"


def list_notes(findings: list[EngineFinding]) -> dict[str, str]:
    """Faults and restrictions, but for the disk that the suite's own server does not wait for."""
    return {
        finding.name: finding.result
        for finding in findings
        if finding.status not in {"ok", "skipped"}
        and finding.result != "fsync is off: turn it on in the server's configuration"
    }


def test_postgres_17_of_debian_passes(postgres_17_url: str) -> None:
    findings = check_engine(postgres_17_url)

    assert "PostgreSQL 17" in findings[0].result
    assert list_notes(findings) == {}


def test_haproxy_changes_nothing(proxied_url: str) -> None:
    assert list_notes(check_engine(proxied_url)) == {}
    assert list_notes(check_engine(proxied_url, is_quick=True)) == {}


def test_pgbouncer_in_transaction_mode_passes_and_its_restriction_is_named(pooled_url: str, database_url: str) -> None:
    """Locks and order hold; but a session is not ours alone, which migrating and rebuilding need."""
    name = database_url.rsplit("/", 1)[1]
    for bound in BOUNDS:
        execute(database_url, f"ALTER DATABASE {name} SET {bound}")

    for is_quick in (False, True):
        notes = list_notes(check_engine(pooled_url, is_quick=is_quick))
        assert list(notes) == ["sessions"]
        assert "LEDGER_OWNER_DATABASE_URL" in notes["sessions"]


def test_pgbouncer_that_drops_bounds_of_statements_is_named(pooled_url: str) -> None:
    """It ignores options of connections; settings of the role would hold."""
    findings = {finding.name: finding for finding in check_engine(pooled_url, is_quick=True)}

    assert findings["sessions"].status == "limited"
    assert "statement_timeout is 0 ms" in findings["sessions"].result
