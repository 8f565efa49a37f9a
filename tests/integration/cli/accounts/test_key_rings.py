"""`ledger keys export`, and the check-up that asks for it."""

import os
from pathlib import Path

import pytest

from projections.storage.bootstrap import LedgerStore
from projections.storage.key_check import verify_key_rings
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for

pytestmark = pytest.mark.usefixtures("database_url")


def values(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))


def key_copy(terminal: Terminal) -> str:
    """What doctor says of it."""
    checks = terminal.ledger("doctor", "--json").json["checks"]
    return str(next(check["status"] for check in checks if check["name"] == "key copy"))


def test_doctor_reminds_until_the_keys_were_exported(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    before = key_copy(terminal)
    file = tmp_path / "keys.env"
    ended = terminal.ledger("keys", "export", "--output", str(file))

    key_rings = values(file.read_text())
    rings = KeyRing.parse(key_rings["LEDGER_PEPPERS"]), KeyRing.parse(key_rings["LEDGER_MASTER_KEYS"])
    assert (ended.status, file.stat().st_mode & 0o777) == (0, 0o600)
    verify_key_rings(bench.database_url, Vault(*rings))
    assert key_rings["LEDGER_SECRET_KEY"] == "test"
    assert [before, key_copy(terminal)] == ["reminder", "ok"]
    assert bench.rows("SELECT act FROM audit") == [("exported_keys",)]
    assert "LEDGER_PEPPERS=" not in ended.out + ended.err


def test_doctor_reminds_again_after_a_new_key(
    bench: LedgerBench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy from before the new key does not open what is encrypted with it."""
    printed = terminal.ledger("keys", "export")
    assert {"LEDGER_PEPPERS", "LEDGER_MASTER_KEYS", "LEDGER_SECRET_KEY"} == values(printed.out).keys()
    old = settings_for(bench.database_url).master_keys.get_secret_value()
    monkeypatch.setenv("LEDGER_MASTER_KEYS", f"2:{'B' * 43}=,{old}")
    LedgerStore.open(settings_for(bench.database_url)).close()

    assert key_copy(terminal) == "reminder"
    assert {"LEDGER_PEPPERS", "LEDGER_MASTER_KEYS", "LEDGER_SECRET_KEY"} == set(
        terminal.ledger("keys", "export", "--json").json
    )
    assert key_copy(terminal) == "ok"


def test_keys_export_reads_the_folder_of_a_stopped_ledger(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As long as its secrets are there."""
    rings = {name: os.environ[name] for name in ("LEDGER_SECRET_KEY", "LEDGER_PEPPERS", "LEDGER_MASTER_KEYS")}
    for name in ("DATABASE_URL", *rings):
        monkeypatch.delenv(name)
    nothing = terminal.ledger("keys", "export")
    (tmp_path / "secrets.env").write_text("".join(f"{name}={value}\n" for name, value in rings.items()))

    ended = terminal.ledger("--data-dir", str(tmp_path), "keys", "export")

    assert (nothing.status, ended.status) == (3, 0)
    assert rings == values(ended.out)
    assert "the export was not recorded" in ended.err


def test_keys_export_works_while_the_database_is_unavailable(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are wanted most then. Wrong keys are never passed off as right."""
    good = terminal.ledger("keys", "export")
    monkeypatch.setenv("LEDGER_PEPPERS", "1:" + "A" * 43 + "=")
    wrong = terminal.ledger("keys", "export", "--output", str(tmp_path / "wrong"))
    unproved = terminal.ledger("verify")
    monkeypatch.setenv("DATABASE_URL", "postgresql://ledger@127.0.0.1:1/ledger")
    command_result = terminal.ledger("keys", "export")

    assert (good.status, wrong.status, unproved.status, command_result.status) == (0, 3, 3, 0)
    assert "LEDGER_PEPPERS does not hold the keys" in unproved.err
    assert "LEDGER_PEPPERS does not hold the keys" in wrong.err
    assert not (tmp_path / "wrong").exists()
    assert "LEDGER_PEPPERS=" in command_result.out
    assert "`ledger doctor` keeps reminding" in command_result.err
    assert terminal.ledger("keys", "export", "--output", str(tmp_path / "no" / "file")).status == 2


def test_forget_erases_a_person_and_rotate_keys_encrypts_again(
    bench: LedgerBench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(bench.redeem(bench.issue(), "li.wei@example.com"))
    done(bench.redeem(bench.issue(), "wang.fang@example.com"))
    forgot = [
        terminal.ledger("forget", "Li.Wei@example.com", "--reason", "asked by letter", "--json").json for _ in "12"
    ]
    old = settings_for(bench.database_url).master_keys.get_secret_value()
    monkeypatch.setenv("LEDGER_MASTER_KEYS", f"2:{'B' * 43}=,{old}")
    rotated = [terminal.ledger("rotate-keys", "--json").json["rewritten"] for _ in "12"]

    assert [(len(document["forgotten"]), document["closed"]) for document in forgot] == [(1, 1), (0, 0)]
    assert rotated == [5, 0]  # two codes, one person, and why the other was to be forgotten, twice
    assert bench.rows("SELECT act FROM audit ORDER BY at") == [
        ("forgot_person",),
        ("forgot_person",),
        ("rotated_keys",),
    ]
    assert terminal.ledger("forget", "no address").status == 2
