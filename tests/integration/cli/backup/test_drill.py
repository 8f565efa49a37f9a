"""The whole drill: a ledger in use is backed up, its host is lost, and it comes back on an empty one."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg
import pytest

from api.cli.embedded.tcp_ports import find_free_port
from tests.support.servers.embedded_stack import PROGRAM, Stack
from tests.support.waiting import WAIT_S_MAX, wait_for

pytestmark = pytest.mark.night(of="restore")

PASSPHRASE = "only for the drill of this test"
ERASED = "erased@example.com"
ALL_RECEIVED = """
SELECT bool_or(flush_lsn >= %s::pg_lsn) FROM pg_stat_replication WHERE application_name = 'pg_receivewal'
"""


def start(folder: Path) -> Stack:
    return Stack(folder, find_free_port(), {"LEDGER_BACKUP_PASSPHRASE": PASSPHRASE, "LEDGER_RATE_LIMIT": "off"})


@contextmanager
def running(folder: Path) -> Iterator[Stack]:
    stack = start(folder)
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


@contextmanager
def receiving(stack: Stack, backups: Path) -> Iterator[Path]:
    """`ledger backup --every` next to a ledger, with its first backup; yields what it says."""
    said = backups.with_suffix(".log")
    with said.open("ab") as out:
        command = [*PROGRAM, "backup", str(backups), "--every", "24"]
        process = subprocess.Popen(command, env=stack.env, stdout=out, stderr=out)
    try:
        wait_for(lambda: '"backup complete"' in said.read_text(), said.read_text)
        yield said
    finally:
        process.terminate()
        assert process.wait(WAIT_S_MAX) == 0, said.read_text()


def redeem(stack: Stack, code: str, email: str) -> str:
    status, answer = stack.redeem(code, email)
    assert status == 202, answer
    reservation = str(answer["reservation_id"])
    stack.wait(lambda: stack.state(reservation) == "sent")
    return reservation


def wait_until_received(stack: Stack) -> None:
    with psycopg.connect(stack.info["database_url"], autocommit=True) as conn:
        now = conn.execute("SELECT pg_current_wal_lsn()").fetchall()[0][0]
        wait_for(lambda: conn.execute(ALL_RECEIVED, (now,)).fetchall()[0][0])


def restore(backups: Path, folder: Path, *options: str) -> None:
    command = [*PROGRAM, "--data-dir", str(folder), "restore", str(backups), *options]
    env = {"PATH": "/usr/bin:/bin", "LEDGER_BACKUP_PASSPHRASE": PASSPHRASE}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=WAIT_S_MAX)
    assert done.returncode == 0, done.stderr
    assert "restored 20" in done.stdout


def read_events(receipt: str) -> list[dict[str, object]]:
    """The events of a receipt, without their paths: those grow when another checkpoint is signed in between."""
    return [{name: each[name] for name in each if name != "path"} for each in json.loads(receipt)["events"]]


def people(stack: Stack) -> int:
    with psycopg.connect(stack.info["database_url"]) as conn:
        return int(conn.execute("SELECT count(*) FROM recipients").fetchall()[0][0])


def test_lost_host_comes_back_with_everything_that_was_received(tmp_path: Path) -> None:
    """Each acknowledged redeem, each receipt; a person erased after the backup stays erased, at any chosen moment."""
    backups, receipt = tmp_path / "backups", tmp_path / "receipt.json"
    with running(tmp_path / "lost") as lost:
        code = lost.issue(50, is_open=True)
        first = redeem(lost, code, "li.wei@example.com")
        redeem(lost, code, ERASED)
        lost.wait(lambda: lost.cli("receipt", first).returncode == 0)
        receipt.write_text(lost.cli("receipt", first).stdout)
        with receiving(lost, backups):
            redeem(lost, code, "wang@example.com")
            before_erasure = datetime.now(UTC).isoformat()
            assert lost.cli("forget", ERASED, "--reason", "asked").returncode == 0
            last = redeem(lost, code, "zhou@example.com")
            history = json.loads(lost.cli("history", code, "--json").stdout)
            checks = {each["name"]: each for each in json.loads(lost.cli("doctor", "--json").stdout)["checks"]}
            wait_for((backups / "forgotten.jsonl").exists)
            wait_until_received(lost)
        for process in lost.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(lost.folder)
    assert checks["backup"]["status"] == "ok", checks["backup"]

    restore(backups, tmp_path / "restored")
    with running(tmp_path / "restored") as restored:
        assert json.loads(restored.cli("history", code, "--json").stdout) == history
        assert (restored.state(last), people(restored)) == ("sent", 3)
        key = restored.cli("public-key").stdout.strip()
        assert restored.cli("check-receipt", str(receipt), "--public-key", key).returncode == 0
        assert read_events(restored.cli("receipt", first).stdout) == read_events(receipt.read_text())
        assert restored.cli("verify").returncode == 0
        redeem(restored, code, "new@example.com")
        with receiving(restored, backups) as said:
            redeem(restored, code, "newer@example.com")
            wait_until_received(restored)
        assert "gap" not in said.read_text()

    restore(backups, tmp_path / "then", "--until", before_erasure, "--backup", min(names(backups)))
    with running(tmp_path / "then") as then:
        used = json.loads(then.cli("history", code, "--json").stdout)["used_count"]
        assert (used, people(then)) == (3, 2), "the person who was erased later is erased again"
        assert then.state(last) == "None"
        assert then.cli("verify").returncode == 0
    assert (tmp_path / "then" / "checkpoints-given-up.jsonl").exists()


def test_receiving_goes_on_after_the_ledger_was_started_again(tmp_path: Path) -> None:
    """Its servers have other ports then; `ledger backup --every` was started once."""
    with running(tmp_path / "ledger") as first:
        with receiving(first, tmp_path / "backups") as said:
            database = first.info["database_url"]
            first.process.terminate()
            assert first.process.wait(WAIT_S_MAX) == 0
            second = start(first.folder)
            second.wait_ready()
            assert second.info["database_url"] != database, "the case that this test is about"
            redeem(second, second.issue(), "li.wei@example.com")
            wait_until_received(second)
        second.stop()
    assert "gap" not in said.read_text()


def names(backups: Path) -> list[str]:
    return [path.name for path in backups.glob("20*Z")]
