"""The restore drills of docs/how-to/backup.md on real servers: a dump, and a base backup with archived WAL."""

import random
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.services.binaries import find_postgres_program
from projections.database.errors import OlderStateError, WrongKeysError
from projections.database.migrations import migrate
from projections.storage.bootstrap import LedgerStore
from projections.storage.key_check import verify_key_rings
from projections.transparency_log.checkpoint_file import verify_checkpoint_file
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault
from projections.verification.merkle_check import ExternalEvidence
from projections.verification.verify import verify
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.random_history import RandomHistory
from tests.support.ledger.rebuilds import NoProgress, read_models
from tests.support.ledger.settings import settings_for
from tests.support.servers.databases import execute
from tests.support.servers.postgres_clusters import PostgresCluster, server
from tests.support.waiting import WAIT_S_MAX
from workers.maintenance.log_follower import update_log

pytestmark = pytest.mark.night(of="restore")

PAGE: Final = Path(__file__).parents[4] / "docs" / "how-to" / "backup.md"


@contextmanager
def open_data_dir(url: str) -> Iterator[LedgerBench]:
    with LedgerStore.open(settings_for(url)) as storage:
        yield LedgerBench(storage, url, random.SystemRandom())


def published(bench: LedgerBench, file: Path, minutes: int) -> None:
    """A redeem, and the checkpoint that beat publishes some minutes from now."""
    done(bench.redeem(bench.issue(), "li.wei@example.com"))
    update_log(bench.storage, bench.storage.recorder.clock.now() + timedelta(minutes=minutes), file)


def everything(bench: LedgerBench) -> dict[str, Any]:
    return {"events": bench.rows("SELECT * FROM ledger_events ORDER BY notification_id"), **read_models(bench)}


def wrong(url: str, file: Path) -> list[str]:
    """What `verify` finds wrong: rules, and tables whose rows differ."""
    report = verify(url, timedelta(days=9), NoProgress(), 10, ExternalEvidence(published=file))
    return [*report.broken, *report.rows.counts]


def run_as_shown(program: str, url: str, dump: Path) -> None:
    """Run one of PostgreSQL's programs as the section Dumps of the page has it, with this URL and file."""
    section = PAGE.read_text("utf-8").partition("\n## Dumps\n")[2].partition("\n## ")[0]
    (command,) = [line for line in section.splitlines() if line.startswith(f"{program} ")]
    words = shlex.split(command.replace("$OWNER_URL", url).replace("ledger.dump", str(dump)))
    subprocess.run([find_postgres_program(program), *words[1:]], check=True, timeout=WAIT_S_MAX)


def test_dump_comes_back_and_an_old_one_is_noticed(bench: LedgerBench, servers_folder: Path, tmp_path: Path) -> None:
    """pg_dump and pg_restore give the same ledger, on a server that lacks an extension of the first one.

    A monitored server has pg_stat_statements, which its owner may not create; pg_trgm stands for it. After the next
    checkpoint the same dump is an older state.
    """
    file, dump = tmp_path / "checkpoints.jsonl", tmp_path / "ledger.dump"
    RandomHistory(bench, seed=8).go_on(40)
    published(bench, file, 0)
    execute(bench.database_url, "CREATE EXTENSION pg_trgm")
    run_as_shown("pg_dump", bench.database_url, dump)
    before = everything(bench)
    with server(servers_folder / "without-extensions") as other:
        other.configure(extension_control_path=str(tmp_path))
        other.start()
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="is not available"):
            execute(other.url, "CREATE EXTENSION pg_trgm")

        run_as_shown("pg_restore", other.url, dump)

        assert migrate(other.url) == []
        verify_checkpoint_file(other.url, file)
        assert wrong(other.url, file) == []
        with open_data_dir(other.url) as restored:
            assert before == everything(restored)
        with pytest.raises(WrongKeysError, match="set the exported keyrings"):
            verify_key_rings(other.url, Vault(KeyRing(1, {1: b"x" * 32}), KeyRing(1, {1: b"y" * 32})))
        published(bench, file, 2)
        with pytest.raises(OlderStateError, match="an older backup was restored"):
            verify_checkpoint_file(other.url, file)
        assert wrong(other.url, file) == ["proof: published checkpoints hold"]


def test_base_backup_and_its_wal_are_restored_to_any_time(servers_folder: Path, tmp_path: Path) -> None:
    """To the last commit: the same ledger. To a moment before a mistake: that state, and the start says it is older."""
    folder, file = servers_folder / "recovery", tmp_path / "checkpoints.jsonl"
    folder.mkdir()
    folder.chmod(0o711)
    with server(folder / "one") as live:
        archive = archived(live, folder / "archive")
        live.start()
        migrate(live.url)
        with open_data_dir(live.url) as bench:
            RandomHistory(bench, seed=2).go_on(20)
            copies = [live.copy_of(folder / name) for name in ("last", "then")]
            published(bench, file, 0)
            then, at_that_time = now_of(bench), everything(bench)
            published(bench, file, 2)
            at_the_end = everything(bench)
        live.stop()  # what was written last is archived then
        try:
            recover(copies[0], archive)
            recover(copies[1], archive, then)

            assert wrong(copies[0].url, file) == []
            verify_checkpoint_file(copies[0].url, file)
            with open_data_dir(copies[0].url) as restored:
                assert at_the_end == everything(restored)
                done(restored.redeem(restored.issue(), "after@example.com"))
            with pytest.raises(OlderStateError, match=r"checkpoint 2 over .* an older backup was restored"):
                verify_checkpoint_file(copies[1].url, file)
            with open_data_dir(copies[1].url) as restored:
                assert at_that_time == everything(restored)
            assert wrong(copies[1].url, file) == ["proof: published checkpoints hold"]
        finally:
            for copy in copies:
                copy.kill()


def archived(live: PostgresCluster, archive: Path) -> Path:
    """Let a server archive its WAL; only its own account may read it."""
    archive.mkdir(mode=0o777)
    archive.chmod(0o777)
    live.configure(archive_mode="on", archive_command=f"test ! -f {archive}/%f && cp %p {archive}/%f")
    return archive


def recover(copy: PostgresCluster, archive: Path, until: datetime | None = None) -> None:
    """Start a base backup and let it take the archived WAL: all of it, or up to a moment."""
    target = {} if until is None else {"recovery_target_time": until.isoformat(), "recovery_target_action": "promote"}
    copy.configure(archive_mode="off", restore_command=f"cp {archive}/%f %p", **target)
    (copy.postgres_files.data / "recovery.signal").touch()
    copy.start()

    def is_writable() -> bool:
        with psycopg.connect(copy.url) as conn:
            return not conn.execute("SELECT pg_is_in_recovery()").fetchall()[0][0]

    assert wait_until(is_writable, 60)


def now_of(bench: LedgerBench) -> datetime:
    """Database time; whatever is committed from now on is later."""
    timestamp: datetime = bench.rows("SELECT clock_timestamp()")[0][0]
    return timestamp
