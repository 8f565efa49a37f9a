"""A backup that does not fit is refused by one sentence, and nothing is written or overwritten."""

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from api.cli.backup.backup_error import BackupError
from api.cli.backup.backup_folder import BackupFolder, digest_file
from api.cli.backup.full_backup import Source, take_backup
from api.cli.backup.restore import RESTORED, UNFINISHED, RestoreChoice, RestoreSummary, RestoreTarget, restore
from projections.monitoring.backups import read_backup_state
from tests.integration.cli.backup.conftest import PASSPHRASE, BackedUp
from tests.support.ledger.settings import NO_STREAM, environment, settings_for
from tests.support.servers.embedded_stack import PROGRAM
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.night(of="restore")

SEALED = RestoreChoice(None, None, None, PASSPHRASE)
OTHER_KEY = "1:" + "A" * 43 + "="


def target_in(folder: Path) -> RestoreTarget:
    lists = (folder / "checkpoints.jsonl", folder / "forgotten.jsonl")
    return RestoreTarget(folder / "postgres", None, folder / "secrets.env", *lists)


def copy_of(backed_up: BackedUp, folder: Path) -> BackedUp:
    shutil.copytree(backed_up.folder.path, folder)
    return backed_up._replace(folder=BackupFolder(folder))


def change_manifest(backed_up: BackedUp, **changes: object) -> None:
    path = backed_up.path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def restored(backed_up: BackedUp, folder: Path, choice: RestoreChoice = SEALED) -> RestoreSummary:
    return restore(backed_up.folder, choice, target_in(folder))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_backup_contains_the_files_of_its_manifest(backed_up: BackedUp, tmp_path: Path) -> None:
    summary = restored(backed_up, tmp_path)

    names = set(files(backed_up.path))
    assert names == {"base.tar.gz", "pg_wal.tar.gz", "backup_manifest", "keys.sealed.json", "manifest.json"}
    assert (summary.name, summary.segments, summary.gap) == (backed_up.summary.name, 0, None)
    assert (tmp_path / "secrets.env").read_text().startswith("LEDGER_PEPPERS=1:")
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "forgotten.jsonl").read_text().count("\n") == 1
    assert {"recovery.signal", "PG_VERSION", RESTORED} <= {entry.name for entry in (tmp_path / "postgres").iterdir()}
    assert (tmp_path / "postgres").stat().st_mode & 0o777 == 0o700
    assert read_backup_state(backed_up.live.url) == (None, None, 0), "the command records it, and no WAL is received"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda at: change_manifest(at, schema="9999_of_the_future"), "was taken by a newer version of the ledger"),
        (lambda at: change_manifest(at, format=2), "was taken by a newer version of the ledger"),
        (lambda at: change_manifest(at, position="many"), "was altered, or a newer version wrote it"),
        (lambda at: (at.path / "manifest.json").unlink(), "holds no complete backup"),
        (lambda at: (at.path / "pg_wal.tar.gz").write_bytes(b"x"), r"its SHA-256 differs\): use another copy"),
        (lambda at: (at.path / "base.tar.gz").unlink(), r"its SHA-256 differs\): use another copy"),
        (
            lambda at: (at.folder.path / "forgotten.jsonl").write_text(""),
            r"forgotten.jsonl is not what the backup wrote",
        ),
    ],
    ids=["schema", "format", "manifest", "incomplete", "altered", "missing", "list"],
)
def test_damaged_backup_is_refused(
    backed_up: BackedUp, tmp_path: Path, damage: Callable[[BackedUp], object], sentence: str
) -> None:
    """Before anything is written."""
    at = copy_of(backed_up, tmp_path / "backups")
    damage(at)

    with pytest.raises(BackupError, match=sentence):
        restored(at, tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (SEALED._replace(passphrase=None), "are sealed: set LEDGER_BACKUP_PASSPHRASE"),
        (SEALED._replace(passphrase="another passphrase"), "is not the passphrase of this backup"),
        (
            SEALED._replace(keys={"LEDGER_PEPPERS": OTHER_KEY}),
            r"--keys has other keys than this backup \(LEDGER_PEPPERS\)",
        ),
        (SEALED._replace(keys={}), "--keys has other keys than this backup"),
        (SEALED._replace(name="2000-01-01T000000Z"), "holds no backup 2000-01-01T000000Z: choose one of 20"),
        (SEALED._replace(until=datetime(2000, 1, 1, tzinfo=UTC)), "no backup is old enough for that moment"),
        (SEALED._replace(until=datetime.now(UTC) + timedelta(days=1)), "WAL was received until 20.* only"),
    ],
    ids=["no passphrase", "other passphrase", "other keys", "no keys", "other backup", "too early", "too late"],
)
def test_restore_refuses_a_place_or_backup_that_does_not_fit(
    backed_up: BackedUp, tmp_path: Path, choice: RestoreChoice, sentence: str
) -> None:
    """Before anything is written."""
    with pytest.raises(BackupError, match=sentence):
        restored(backed_up, tmp_path / "target", choice)
    assert not (tmp_path / "target").exists()


def test_keys_that_are_left_out_are_given_or_there(backed_up: BackedUp, tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path / "backups")
    bare = take_backup(folder, backed_up.source._replace(passphrase=None))
    at, choice = backed_up._replace(folder=folder, summary=bare), SEALED._replace(passphrase=None)
    with pytest.raises(BackupError, match="holds no keys: name the file that `ledger keys export` wrote with --keys"):
        restored(at, tmp_path / "target", choice)
    restored(at, tmp_path / "given", choice._replace(keys=backed_up.source.keys))
    for name, key in (("right", backed_up.source.keys["LEDGER_PEPPERS"]), ("wrong", OTHER_KEY)):
        (tmp_path / name).mkdir()
        keys = {**backed_up.source.keys, "LEDGER_PEPPERS": key}
        (tmp_path / name / "secrets.env").write_text("".join(f"{name}={value}\n" for name, value in keys.items()))
    before = files(tmp_path / "right") | files(tmp_path / "wrong")

    restored(at, tmp_path / "right", choice)
    with pytest.raises(BackupError, match=r"secrets\.env has other keys than this backup"):
        restored(at, tmp_path / "wrong", choice)
    assert bare.are_keys_sealed is False
    assert before["secrets.env"] == files(tmp_path / "wrong")["secrets.env"]


def test_living_database_is_never_overwritten(backed_up: BackedUp, tmp_path: Path) -> None:
    """Neither one that runs nor one that is stopped; an unfinished or unused restore is replaced."""
    living = target_in(tmp_path)._replace(database=backed_up.live.postgres_files.data)
    with pytest.raises(BackupError, match="holds a database: restore into an empty folder"):
        restore(backed_up.folder, SEALED, living)
    restored(backed_up, tmp_path / "twice")
    restored(backed_up, tmp_path / "twice")
    (tmp_path / "twice/postgres" / UNFINISHED).touch()
    (tmp_path / "twice/postgres/global/pg_control").unlink()
    restored(backed_up, tmp_path / "twice")
    (tmp_path / "twice/postgres/recovery.signal").unlink()  # PostgreSQL removes it when it has recovered
    before = files(tmp_path / "twice")

    with pytest.raises(BackupError, match="holds a database"):
        restored(backed_up, tmp_path / "twice")
    assert files(tmp_path / "twice") == before


def test_interrupted_restore_starts_no_database(backed_up: BackedUp, tmp_path: Path) -> None:
    """The disk is full in the middle: PostgreSQL finds no control file, and the next restore begins again."""
    calls: list[int] = []

    def fill_the_disk(done: int, _total: int) -> None:
        calls.append(done)
        if len(calls) == 20:
            raise OSError(28, "No space left on device", "base")

    with pytest.raises(BackupError, match="base: No space left on device; run the command again"):
        restore(backed_up.folder, SEALED, target_in(tmp_path), fill_the_disk)
    assert not (tmp_path / "postgres/global/pg_control").exists()
    assert not (tmp_path / "secrets.env").exists()
    restored(backed_up, tmp_path)
    assert not (tmp_path / "postgres" / UNFINISHED).exists()


def test_backup_that_fails_leaves_nothing(backed_up: BackedUp, tmp_path: Path) -> None:
    other = BackupFolder(tmp_path / "other")
    other.claim("1", 1)
    source: Source = backed_up.source
    with pytest.raises(BackupError, match="holds backups of another database"):
        take_backup(other, source)
    with pytest.raises(BackupError, match="at least 16 characters"):
        take_backup(other, source._replace(passphrase="short"))
    folder = BackupFolder(tmp_path / "backups")

    def alter(done: int, total: int) -> None:
        if done == total:
            (part,) = folder.path.glob("*.part")
            with gzip.open(part / "base.tar.gz", "wb") as file:
                file.write(b"\0" * 10240)

    with pytest.raises(
        BackupError, match=r"is missing in the backup|cannot be read back|was not stored as it was sent"
    ):
        take_backup(folder, source, alter)
    assert folder.backups() == {}
    assert not list(folder.path.glob("*.part"))


def test_full_disk_leaves_the_older_backups(backed_up: BackedUp, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    env = {**os.environ, **environment(backed_up.source.settings, tmp_path, NO_STREAM), "FOLDER": str(disk)}
    script = (
        'mount -t tmpfs -o size=2m none "$FOLDER" && "$@" backup "$FOLDER/b"; echo "$?" && find "$FOLDER/b" -name "20*"'
    )
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", *PROGRAM]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=WAIT_S_MAX)

    assert done.stdout == "3\n", done
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


def test_role_without_replication_gets_an_error_with_the_grant(backed_up: BackedUp, tmp_path: Path) -> None:
    """The sentence leads to the page."""
    with psycopg.connect(backed_up.live.url) as conn:
        conn.execute("CREATE ROLE plain LOGIN PASSWORD 'p'")
        conn.execute("GRANT SELECT ON ledger_events TO plain")
    url = backed_up.live.url.replace("ledger:", "plain:", 1).replace("only-for-tests", "p")

    with pytest.raises(BackupError, match=r"needs REPLICATION, and pg_hba\.conf a line"):
        take_backup(BackupFolder(tmp_path / "backups"), Source(settings_for(url), {}, None))


def test_lists_keep_the_items_of_either_side(backed_up: BackedUp, tmp_path: Path) -> None:
    (tmp_path / "forgotten.jsonl").write_text('{"recipient_id":"00000000-0000-4000-8000-000000000002"}\n')
    restored(backed_up, tmp_path)

    assert (tmp_path / "forgotten.jsonl").read_text().count("recipient_id") == 2
    assert digest_file(backed_up.folder.path / "forgotten.jsonl").bytes > 0
