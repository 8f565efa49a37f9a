import json
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from api.cli.backup.backup_error import BackupError
from api.cli.backup.backup_folder import (
    CHECKPOINTS,
    MANIFEST,
    BackupFolder,
    FileDigest,
    Manifest,
    digest_file,
    list_segments,
    segment_after,
    segment_of,
)
from api.cli.backup.sealed_keys import check_passphrase, open_keys, seal_keys

SEGMENT = 16 << 20


def add_backup(folder: BackupFolder, day: int, start: str, *, is_complete: bool = True, run: int = 1) -> str:
    at = datetime(2027, 1, day, tzinfo=UTC)
    name = f"{at:%Y-%m-%dT%H%M%SZ}"
    (folder.path / name).mkdir()
    manifest = Manifest(1, "7", 17, "0001", 1, at, at, 1, start, 1, SEGMENT, False, run, {}, {}, {})
    if is_complete:
        (folder.path / name / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return name


@pytest.fixture
def folder(tmp_path: Path) -> BackupFolder:
    """Of ledger 7."""
    folder = BackupFolder(tmp_path / "backups")
    folder.claim("7", 1)
    return folder


def test_folder_belongs_to_one_ledger(folder: BackupFolder, tmp_path: Path) -> None:
    other = BackupFolder(tmp_path / "other")
    folder.claim("7", 1)
    other.path.mkdir()
    (other.path / "holiday.jpg").touch()

    with pytest.raises(BackupError, match="holds backups of another database"):
        folder.claim("8", 1)
    with pytest.raises(BackupError, match=r"holds holiday\.jpg and is no folder of backups"):
        other.claim("7", 1)
    assert [entry.name for entry in other.path.iterdir()] == ["holiday.jpg"]


def test_copy_does_not_write_next_to_the_living_ledger(folder: BackupFolder) -> None:
    """A restored copy has another timeline; once the ledger is gone, its successor takes the folder over."""
    folder.hold(1)
    folder.claim("7", 1)
    with pytest.raises(BackupError, match="receives WAL of another copy of this ledger"):
        folder.claim("7", 2)
    os.utime(folder.path / "receiving.json", (0, 0))
    folder.claim("7", 2)
    folder.hold(2)
    folder.release()
    folder.claim("7", 3)


def test_interrupted_copy_is_not_a_backup(folder: BackupFolder) -> None:
    (folder.path / "2027-01-01T000000Z.part").mkdir()
    add_backup(folder, 2, "0" * 24, is_complete=False)
    name = add_backup(folder, 3, "0" * 24)
    folder.claim("7", 1)

    assert list(folder.backups()) == [name]
    assert not list(folder.path.glob("*.part"))


def test_pruning_keeps_the_wal_of_the_oldest_backup(folder: BackupFolder) -> None:
    for number in (3, 4):
        (folder.wal / f"{1:08X}{0:08X}{number:08X}.gz").touch()
    before_gap = folder.set_wal_apart()
    for number in (5, 6):
        (folder.wal / f"{2:08X}{0:08X}{number:08X}.gz.partial").touch()
    (folder.wal / "00000002.history.gz").touch()
    days = [add_backup(folder, day, segment_of(day * SEGMENT, 1, SEGMENT)) for day in (3, 4, 6)]

    assert folder.prune(2) == days[:1]
    assert [segment.path.name[22:24] for segment in list_segments(before_gap)] == ["04"]
    assert folder.prune(1) == days[1:2]
    assert not before_gap.exists()
    assert sorted(entry.name for entry in folder.wal.iterdir()) == [
        "00000002.history.gz",
        "000000020000000000000006.gz.partial",
    ]


def test_number_of_a_run_never_comes_back(folder: BackupFolder) -> None:
    """Otherwise a backup would be continued with WAL of another run, also after its former one was pruned."""
    assert (folder.find_run(), folder.wal_of_run(1)) == (1, folder.wal)
    first = folder.set_wal_apart()
    add_backup(folder, 2, segment_of(2 * SEGMENT, 1, SEGMENT), run=folder.find_run())
    folder.prune(1)
    assert not first.exists()
    second = folder.set_wal_apart()

    assert (first.name, second.name, folder.find_run()) == ("wal.1", "wal.2", 3)
    assert (folder.wal_of_run(2), folder.wal_of_run(3)) == (second, folder.wal)


def test_segments_follow_one_another_over_the_end_of_a_log() -> None:
    """PostgreSQL's names are two numbers, the second of which ends at 4 GB."""
    assert segment_of(2**32 + 5, 3, SEGMENT) == "000000030000000100000000"
    assert segment_after("0000000300000000000000FF", SEGMENT) == "000000030000000100000000"
    assert segment_after("000000030000000100000000", SEGMENT) == "000000030000000100000001"


def test_lists_are_copied_by_whole_lines(folder: BackupFolder, tmp_path: Path) -> None:
    """What a copy holds never changes; a line without its end waits."""
    source = tmp_path / CHECKPOINTS
    folder.copy_lists({CHECKPOINTS: source})
    source.write_text("one\ntw")
    folder.copy_lists({CHECKPOINTS: source, "none": None})
    copy = folder.path / CHECKPOINTS
    first = copy.read_text()
    source.write_text("one\ntwo\n")
    folder.copy_lists({CHECKPOINTS: source})

    assert (first, copy.read_text()) == ("one\n", "one\ntwo\n")
    assert digest_file(copy, 4) == FileDigest(4, digest_file(Path(copy), 4).sha256)
    assert digest_file(copy).bytes == 8


VALUES = {"LEDGER_PEPPERS": "1:abc=", "LEDGER_SECRET_KEY": "x # y"}
PASSPHRASE = "four words are enough"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost is for those who guess."""
    monkeypatch.setattr("api.cli.backup.sealed_keys.COST", 2**4)


def test_only_the_passphrase_opens_the_keys() -> None:
    sealed = seal_keys(VALUES, PASSPHRASE)

    assert open_keys(sealed, PASSPHRASE) == VALUES
    assert b"abc" not in sealed
    with pytest.raises(BackupError, match="is not the passphrase of this backup"):
        open_keys(sealed, PASSPHRASE + ".")


@pytest.mark.parametrize(
    "change", [{"salt": "AAAA"}, {"sealed": "AAAA"}, {"cost": 2**40}, {"cost": 3}, {"block_size": 0}]
)
def test_altered_file_is_refused(change: dict[str, object]) -> None:
    document = {**json.loads(seal_keys(VALUES, PASSPHRASE)), **change}

    with pytest.raises(BackupError, match=r"altered|is not the passphrase"):
        open_keys(json.dumps(document).encode(), PASSPHRASE)


def test_short_passphrase_is_refused() -> None:
    check_passphrase("x" * 16)
    with pytest.raises(BackupError, match="at least 16 characters"):
        check_passphrase("x" * 15)
