"""WAL is received without a pause; after a gap everything is received again, from a new backup on."""

import gzip
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
import pytest

from api.cli.backup.backup_folder import BackupFolder, list_segments, segment_after
from api.cli.backup.full_backup import Source
from api.cli.backup.restore import RestoreChoice, RestoreTarget, restore
from api.cli.backup.wal_receiver import BackupService, WalReceiver
from api.cli.embedded.up import StopRequest
from projections.monitoring.backups import SLOT, read_backup_state
from tests.integration.cli.backup.conftest import PASSPHRASE, BackedUp, keys_of
from tests.support.waiting import wait_for

pytestmark = pytest.mark.night(of="restore")

RECEIVED: Final = "SELECT bool_or(flush_lsn >= %s) FROM pg_stat_replication"


@dataclass
class Following:
    """`ledger backup --every` of a server, step by step."""

    url: str
    folder: BackupFolder
    source: Source
    said: list[dict[str, Any]] = field(default_factory=list)
    recorded: list[None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.service = BackupService(
            self.folder, lambda: self.source, lambda: self.recorded.append(None), self.said.append, 3600, 2
        )
        self.receiver: WalReceiver = self.service.prepare()

    def until(self, event: str, count: int = 1) -> None:
        def is_said() -> bool:
            self.service.tick(self.receiver, StopRequest())
            return len([each for each in self.said if each["event"] == event]) >= count

        wait_for(is_said, lambda: str(self.said))

    def until_received(self) -> None:
        now = self.ask("SELECT pg_current_wal_flush_lsn()")

        def is_received() -> bool:
            self.service.tick(self.receiver, StopRequest())
            return bool(self.ask(RECEIVED, now))

        wait_for(is_received, lambda: str(self.said))

    def ask(self, query: LiteralString, *parameters: object) -> object:
        with psycopg.connect(self.url, autocommit=True) as conn:
            return conn.execute(query, parameters).fetchall()[0][0]


@pytest.fixture
def following(backed_up: BackedUp, tmp_path: Path) -> Iterator[Following]:
    each = Following(backed_up.live.url, BackupFolder(tmp_path / "backups"), backed_up.source)
    try:
        each.until("backup complete")
        yield each
    finally:
        each.receiver.stop()
        with psycopg.connect(each.url, autocommit=True) as conn:
            conn.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


def newest_segments(following: Following, folder: Path) -> tuple[int, str | None]:
    """How many segments a restore adds to the newest backup, and where WAL is missing."""
    target = RestoreTarget(folder / "postgres", None, folder / "secrets.env", None, folder / "forgotten.jsonl")
    summary = restore(following.folder, RestoreChoice(None, None, None, PASSPHRASE), target)
    return summary.segments, summary.gap


def test_each_segment_since_the_backup_is_restored(following: Following, tmp_path: Path) -> None:
    """Whole ones and the one that is being written; the health check sees that WAL is received."""
    for _ in range(3):
        following.ask("SELECT pg_logical_emit_message(true, 'test', 'x')")
        following.ask("SELECT pg_switch_wal()")
    following.ask("SELECT pg_logical_emit_message(true, 'test', 'x')")
    following.until_received()
    segments = list(list_segments(following.folder.wal))

    assert len(following.recorded) == 1
    assert read_backup_state(following.url).is_receiving is True
    assert [each.is_whole for each in sorted(segments, key=lambda each: each.name)][-1] is False
    assert newest_segments(following, tmp_path) == (5, None), "the last one of the backup is received too"


def test_receiving_goes_on_after_the_server_restarted(
    following: Following, backed_up: BackedUp, tmp_path: Path
) -> None:
    backed_up.live.kill()
    following.until("WAL is not received")
    backed_up.live.start()
    following.ask("SELECT pg_logical_emit_message(true, 'test', 'x')")
    following.until_received()

    assert "gap in the received WAL" not in [each["event"] for each in following.said]
    assert newest_segments(following, tmp_path)[1] is None


def test_gap_is_followed_by_a_new_backup(following: Following, backed_up: BackedUp, tmp_path: Path) -> None:
    """The server has no WAL that follows: what was received is kept apart, and the newest backup is complete."""
    following.receiver.stop()
    following.ask("SELECT pg_drop_replication_slot(%s)", SLOT)
    for _ in range(3):
        following.ask("SELECT pg_logical_emit_message(true, 'test', 'x')")
        following.ask("SELECT pg_switch_wal()")
    backed_up.live.stop()  # the checkpoint at its end removes WAL that no slot needs
    backed_up.live.start()
    following.until("backup complete", 2)
    following.ask("SELECT pg_logical_emit_message(true, 'test', 'x')")
    following.until_received()

    assert [each["event"] for each in following.said].count("gap in the received WAL") == 1
    assert (following.folder.path / "wal.1").is_dir()
    assert newest_segments(following, tmp_path)[1] is None


def test_database_that_came_back_older_begins_another_run(following: Following, tmp_path: Path) -> None:
    """Its WAL has names that were received already, and another content: a restore mixes none of it."""
    following.ask("SELECT pg_logical_emit_message(true, 'test', 'x')")
    following.until_received()
    following.receiver.stop()
    newest = max(list_segments(following.folder.wal), key=lambda segment: segment.name)
    ahead = segment_after(segment_after(newest.name, 16 << 20), 16 << 20)
    (following.folder.wal / f"{ahead}.gz").write_bytes(gzip.compress(bytes(16 << 20)))
    following.until("backup complete", 2)

    assert [each["event"] for each in following.said].count("gap in the received WAL") == 1
    assert any("ahead of the WAL flush position" in str(each) for each in following.said)
    assert newest_segments(following, tmp_path)[1] is None


def test_segment_that_is_missing_ends_the_restore_before_it(following: Following, tmp_path: Path) -> None:
    """What comes after it is lost, and the command says which segment."""
    for _ in range(3):
        following.ask("SELECT pg_logical_emit_message(true, 'test', 'x')")
        following.ask("SELECT pg_switch_wal()")
    following.until_received()
    lost = sorted(list_segments(following.folder.wal), key=lambda each: each.name)[-2]
    lost.path.unlink()

    segments, gap = newest_segments(following, tmp_path)
    assert gap is not None
    assert gap[8:] == lost.number
    assert segments < 4


def test_new_key_needs_a_new_backup(following: Following) -> None:
    """Sealed keys from before it do not open what is encrypted since."""
    old = following.source.settings
    rings = old.master_keys.get_secret_value()
    new = old.model_copy(update={"master_keys": type(old.master_keys)(f"2:{'B' * 43}=,{rings}")})
    following.source = Source(new, keys_of(new), PASSPHRASE)
    following.service._look_at = 0.0
    following.until("backup complete", 2)

    assert len(following.folder.backups()) == 2


def test_backup_that_fails_is_reported(following: Following) -> None:
    """The folder is gone, as an unmounted share is."""
    shutil.rmtree(following.folder.path)
    following.folder.path.touch()
    following.service._due_at = 0.0
    following.until("backup failed")

    assert "backups cannot be written" in str(following.said[-1]["why"]) + str(following.said)
