"""`ledger exec`: what operators type manually works next to an embedded ledger too."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.clients.terminal import Terminal


def test_exec_runs_a_program_in_the_environment_of_the_ledger(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The secrets of the folder among it; its own options are its own; programs next to Python are found."""
    (tmp_path / "secrets.env").write_text("LEDGER_PEPPERS=of the folder\n")
    monkeypatch.delenv("LEDGER_PEPPERS")
    monkeypatch.setattr("api.cli.read_session.LedgerSettings.from_environment", lambda: None)
    became: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execvpe", lambda *what: became.append(what))

    terminal.ledger("--data-dir", str(tmp_path), "exec", "celery", "-A", "workers.celery_app", "--json")

    ((program, words, environment),) = became
    assert (program, words) == ("celery", ["celery", "-A", "workers.celery_app", "--json"])
    assert environment["LEDGER_PEPPERS"] == "of the folder"
    assert str(Path(sys.executable).parent) == environment["PATH"].split(os.pathsep)[0]


def test_exec_reports_a_missing_program(terminal: Terminal) -> None:
    ended = terminal.ledger("exec", "no-such-program", "--json")

    assert (ended.status, ended.err) == (127, "program not found: no-such-program\n")
