"""`ledger export` and `import-*`: what an operator types to take a ledger elsewhere."""

import io
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.servers.databases import clone, database_of, drop
from tests.support.servers.embedded_stack import PROGRAM
from tests.support.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database_url")

COPYING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY ledger_events%'"


def test_ledger_is_transferred_by_four_commands(
    bench: LedgerBench, terminal: Terminal, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = bench.issue()
    bench.attempt(done(bench.redeem(code, "li.wei@example.com")).require_reservation().reservation_id)
    events, vault = tmp_path / "events.jsonl", tmp_path / "vault.jsonl"
    out = terminal.ledger("export", "events", "--output", str(events), "--json")
    sealed = terminal.ledger("export", "vault", "--output", str(vault))
    history = terminal.ledger("history", code, "--json").json
    name = f"test_{uuid4().hex}"
    clone(postgres_url, name)
    monkeypatch.setenv("DATABASE_URL", database_of(postgres_url, name))

    into = terminal.ledger("import-events", str(events), "--json")
    imported = terminal.ledger("import-vault", str(vault))
    again = terminal.ledger("import-events", str(events))

    assert [ended.status for ended in (out, sealed, into, imported)] == [0, 0, 0, 0]
    assert (4, out.json["root"]) == (into.json["events"], into.json["root"])
    assert history == terminal.ledger("history", code, "--json").json
    assert vault.stat().st_mode & 0o777 == 0o600
    assert "1 code_texts, 1 recipients" in imported.err
    assert (again.status, "nothing was imported: the database already holds events" in again.err) == (4, True)
    drop(postgres_url, name)


def test_killed_import_leaves_nothing(
    bench: LedgerBench, terminal: Terminal, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the file is in when it dies; the database is as empty as before, and takes the whole file."""
    for _ in range(30):
        bench.issue()
    lines = terminal.ledger("export", "events").out.encode().splitlines(keepends=True)
    name = f"test_{uuid4().hex}"
    clone(postgres_url, name)
    monkeypatch.setenv("DATABASE_URL", url := database_of(postgres_url, name))
    reading = [*PROGRAM, "import-events", "-"]
    with subprocess.Popen(reading, stdin=subprocess.PIPE) as half, psycopg.connect(url, autocommit=True) as conn:
        assert half.stdin
        half.stdin.writelines(lines[:15])
        half.stdin.flush()
        wait_for(lambda: conn.execute(COPYING).rowcount == 1)
        half.kill()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"".join(lines))))

    assert terminal.ledger("import-events", "-").status == 0
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT count(*) FROM ledger_events").fetchall() == [(30,)]
    drop(postgres_url, name)


def test_export_writes_to_stdout_and_a_damaged_file_is_refused(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path
) -> None:
    bench.issue()
    printed = terminal.ledger("export", "events")
    (file := tmp_path / "cut.jsonl").write_text(printed.out[:200])

    assert (printed.status, printed.out.count("\n")) == (0, 3)
    assert "written: 1 events" in printed.err
    cut = terminal.ledger("import-vault", str(file))
    assert (cut.status, "nothing was imported" in cut.err) == (4, True)
    assert terminal.ledger("import-events", str(tmp_path / "none")).status == 2
    assert terminal.ledger("export", "events", "--output", str(tmp_path / "no" / "file")).status == 2
