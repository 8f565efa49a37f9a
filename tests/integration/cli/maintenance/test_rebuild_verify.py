"""`ledger rebuild` and `ledger verify`: options, documents and exit codes, and the same by `python -m projections`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import psycopg
import pytest

from projections.__main__ import main
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done

pytestmark = [pytest.mark.night(of="stacks"), pytest.mark.usefixtures("database_url")]

ROOT = Path(__file__).parents[4]


def drifted(bench: LedgerBench) -> str:
    code = bench.issue(3)
    done(bench.redeem(code, "li.wei@example.com"))
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("UPDATE code_balances SET used = 2")
    return code


Module = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Module:
    """`python -m projections` in this process: exit code, document, stderr."""
    monkeypatch.setattr("projections.__main__.lower_priority", lambda: None)

    def run(*arguments: str, **environment: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        with patch.dict(os.environ, environment):
            status = main(arguments)
        out, err = capsys.readouterr()
        return status, json.loads(out) if out.startswith("{") else out, err

    return run


def test_rebuild_lists_differences_and_exits_with_1(bench: LedgerBench, terminal: Terminal) -> None:
    """Stdout is the answer, progress goes to stderr."""
    drifted(bench)

    ended = terminal.ledger("rebuild")

    assert ended.status == 1
    assert "used: 2 -> 0" in ended.out
    assert "last event: UseReserved, version 2 of " in ended.out
    assert "1 rows differ; nothing was changed: repair them with --apply" in ended.out
    assert "fold: 2 events" in ended.err


def test_rebuild_apply_repairs_and_exits_with_0(bench: LedgerBench, terminal: Terminal) -> None:
    drifted(bench)

    ended = terminal.ledger("rebuild", "--apply", "--json")
    again = terminal.ledger("rebuild", "--workers", "0", "--json")

    assert (ended.status, ended.json["applied"], ended.json["differing"]) == (0, True, 1)
    assert (again.status, again.json["applied"], again.json["differing"]) == (0, False, 0)
    steps = [json.loads(line)["step"] for line in ended.err.splitlines()]
    assert {"fold", "index reservations", "compare", "swap"} <= set(steps)


def test_rebuild_accepts_one_code_by_text_or_id(bench: LedgerBench, terminal: Terminal) -> None:
    code = drifted(bench)
    code_id = str(bench.reader.find_code(code))

    assert [terminal.ledger("rebuild", "--code", typed).status for typed in (code, code_id)] == [1, 1]
    assert terminal.ledger("rebuild", "--code", code, "--projection", "reservations").status == 0
    assert terminal.ledger("rebuild", "--code", "NOSUCHCODE").status == 2
    assert terminal.ledger("rebuild", "--projection", "nosuch").status == 2


def test_verify_names_each_error(bench: LedgerBench, terminal: Terminal) -> None:
    drifted(bench)

    wrong = terminal.ledger("verify")
    terminal.ledger("rebuild", "--apply")
    right = terminal.ledger("verify", "--workers", "0", "--json")

    assert wrong.status == 1
    assert "code_balances" in wrong.out
    assert "repair the rows with `ledger rebuild --apply`" in wrong.out
    assert (right.status, right.json["wrong"]) == (0, 0)


@pytest.mark.usefixtures("terminal")
def test_projections_module_prints_the_same_as_the_command(bench: LedgerBench, module: Module) -> None:
    code = drifted(bench)

    dry, document, said = module("rebuild", "--json")
    one = module("rebuild", "--code", code, "--json")
    lost = module("rebuild", "--code", str(uuid4()), "--json")
    checked = module("verify", "--workers", "0", "--json")
    applied = module("rebuild", "--apply")

    assert (dry, document["differing"]) == (1, 1)
    assert '"step": "fold"' in said
    assert (one[0], one[1]["differing"]) == (1, 1)
    assert (lost[0], lost[1]["differing"]) == (0, 0)
    assert (checked[0], checked[1]["counts"]) == (1, {"code_balances": {"change": 1}})
    assert (applied[0], module("verify")[0]) == (0, 0)
    assert subprocess.run([sys.executable, "-m", "projections", "verify"], cwd=ROOT, check=False).returncode == 0


def test_projections_module_finds_a_running_ledger_by_its_folder(
    bench: LedgerBench, module: Module, tmp_path: Path
) -> None:
    """Without DATABASE_URL the data folder's ledger.json says where; without either it can't reach anything."""
    (secret := tmp_path / "password").write_text("only-for-tests\n")
    nowhere = module("verify", LEDGER_DATA_DIR=str(tmp_path), DATABASE_URL="")
    (tmp_path / "ledger.json").write_text(json.dumps({"database_url": bench.database_url}))

    result = module("verify", "--json", LEDGER_DATA_DIR=str(tmp_path), DATABASE_URL="")
    unavailable = module("verify", DATABASE_URL="postgresql://x@127.0.0.1:1/none")

    bare = bench.database_url.replace(":only-for-tests@", "@")
    owner = {"LEDGER_OWNER_DATABASE_URL": bare, "LEDGER_OWNER_PASSWORD_FILE": str(secret)}
    named = module("verify", "--json", DATABASE_URL="postgresql://x@127.0.0.1:1/none", **owner)

    assert (nowhere[0], unavailable[0], named[0]) == (3, 3, 0)
    assert "start it with `ledger up`" in nowhere[2]
    assert (result[0], result[1]["wrong"]) == (0, 0)


def test_projections_module_reports_a_mistyped_setting_and_an_unreadable_password_file(
    module: Module, tmp_path: Path
) -> None:
    owner = {"LEDGER_OWNER_DATABASE_URL": "postgresql://x@127.0.0.1:1/none", "LEDGER_OWNER_PASSWORD_FILE": "/nowhere"}
    status, _, errors = module("verify", LEDGER_DATA_DIR=str(tmp_path), LEDGER_LEASE="75", **owner)

    assert (status, errors.splitlines()) == (
        2,
        [
            "LEDGER_LEASE is not a setting, did you mean LEDGER_LEASE_S?",
            "the password file /nowhere cannot be read (No such file or directory): correct its path",
        ],
    )


def test_explain_names_each_use(bench: LedgerBench, terminal: Terminal) -> None:
    code = bench.issue(3, bound=False)
    reservation = done(bench.redeem(code, "li.wei@example.com")).require_reservation()
    bench.attempt(reservation.reservation_id)
    done(bench.redeem(code, "wang@example.com"))

    shown = terminal.ledger("explain", code)
    early = terminal.ledger("explain", str(reservation.code_id), "--version", "2", "--json")

    assert (shown.status, early.status) == (0, 0)
    assert "used 1 of 3, reserved 1, available 1" in shown.out
    assert str(reservation.reservation_id) in shown.out
    assert "Reserved uses" in shown.out
    assert [str(reservation.reservation_id)] == [entry["reservation_id"] for entry in early.json["held"]]
    assert (
        terminal.ledger("explain", "NOSUCHCODE").status,
        terminal.ledger("explain", code, "--as-of", "2020-01-01").status,
    ) == (2, 4)
